//! The document describes the routes, and is what it says it is. That answers
//! are as it says, `held` looks at in every other test.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::super::{
    body::{BODY_LIMIT, Bounded},
    fake::{failure, status},
    held::{judge, operation},
    model::{Document, PlanRequest, RollbackRequest},
    openapi::document,
    routes::routes,
};

/// By the OpenAPI Initiative, Apache-2.0:
/// <https://spec.openapis.org/oas/3.1/schema/2022-10-07>.
const OPENAPI_3_1: &str = include_str!("openapi-3.1.schema.json");

const PAGE: &str = include_str!("../../../../docs/api.md");

fn operations() -> impl Iterator<Item = (&'static String, &'static String, &'static Value)> {
    let paths = document()["paths"].as_object().expect("an object");
    paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("an object");
        methods.iter().map(move |(method, operation)| (path, method, operation))
    })
}

#[test]
fn every_route_is_in_the_document_with_its_role_and_nothing_else_is() {
    let described: BTreeSet<_> = operations()
        .map(|(path, method, operation)| {
            let text = |key: &str| operation[key].as_str().expect("text").to_owned();
            (
                path.clone(),
                method.to_uppercase(),
                text("x-holdfast-role"),
                text("summary"),
            )
        })
        .collect();
    let routes: BTreeSet<_> = routes()
        .iter()
        .map(|route| {
            let (method, role) = (route.method.to_string(), route.least.to_string());
            (route.path.to_owned(), method, role, route.about.to_owned())
        })
        .collect();
    assert_eq!(described, routes);
}

#[test]
fn document_is_openapi_3_1() {
    let schema: Value = serde_json::from_str(OPENAPI_3_1).expect("it is JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let errors: Vec<String> = validator
        .iter_errors(document())
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let mut other = document().clone();
    other["paths"]["/v1/status"]["get"]["responses"] = json!([]);
    assert!(!validator.is_valid(&other), "the validator takes anything");
}

#[test]
fn every_schema_is_one_and_every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let schemas = document()["components"]["schemas"].as_object().expect("an object");
    assert!(schemas.len() > 40, "{}", schemas.len());
    for (name, schema) in schemas {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}: {schema}");
        // Schemars numbers types that have one name.
        assert!(
            !name.ends_with(|c: char| c.is_ascii_digit()),
            "two types are called {name}"
        );
    }
    let mut found = BTreeSet::new();
    references(document(), &mut found);
    for reference in &found {
        assert!(
            document().pointer(reference.trim_start_matches('#')).is_some(),
            "{reference}"
        );
    }
    for name in schemas.keys() {
        assert!(
            found.contains(&format!("#/components/schemas/{name}")),
            "nothing refers to {name}"
        );
    }
}

#[test]
fn every_operation_has_an_id_of_its_own_and_an_answer() {
    let ids: BTreeSet<&str> = operations()
        .filter_map(|(_, _, operation)| operation["operationId"].as_str())
        .collect();
    assert_eq!(ids.len(), routes().len(), "{ids:?}");
    assert!(
        ids.contains("getGenerationsByNumber") && ids.contains("postPlan"),
        "{ids:?}"
    );
    for (path, _, operation) in operations() {
        let content = operation["responses"]["200"]["content"].as_object().expect("an answer");
        assert_eq!(content.len(), 1, "{path}");
    }
}

#[test]
fn parameters_and_bounds_are_told() {
    let paths = &document()["paths"];
    let of = |path: &str, method: &str| paths[path][method]["parameters"].clone();
    let names: Vec<String> = of("/v1/why", "get")
        .as_array()
        .expect("a list")
        .iter()
        .map(|parameter| format!("{} {}", parameter["in"], parameter["name"]))
        .collect();
    assert_eq!(
        names.join(" "),
        r#""query" "dport" "query" "dst" "query" "proto" "query" "sport" "query" "src""#
    );
    assert_eq!(of("/v1/generations/{number}", "get")[0]["in"], "path");
    let body = paths["/v1/apply"]["post"]["requestBody"]["description"].to_string();
    assert!(body.contains(&BODY_LIMIT.to_string()), "{body}");
}

#[test]
fn page_lists_every_route_and_every_status() {
    for route in routes() {
        let row = format!(
            "| `{} {}` | {} | {}",
            route.method, route.path, route.least, route.about
        );
        assert!(
            PAGE.contains(&row) || route.about == "This document",
            "docs/api.md lacks {row}"
        );
    }
    let statuses = document()["components"]["responses"].as_object().expect("an object");
    for status in statuses.keys() {
        assert!(PAGE.contains(&format!("\n| {status} | ")), "docs/api.md lacks {status}");
    }
    for bound in [BODY_LIMIT, PlanRequest::LIMIT, RollbackRequest::LIMIT] {
        assert!(
            PAGE.replace(',', "").contains(&format!("{bound} ")),
            "docs/api.md lacks {bound}"
        );
    }
}

/// An answer as JSON, and its headers.
fn sent(content_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
}

#[test]
fn exchange_that_violates_the_document_is_found() {
    let uri = "/v1/status".parse().expect("a path");
    let place = operation(&Method::GET, "/v1/status").expect("it is described");
    let good = json!(Document::new(status()));
    let judged = |answer: &Value, code: StatusCode, content_type| {
        judge(
            &place,
            &uri,
            b"",
            (code, &sent(content_type), answer.to_string().as_bytes()),
        )
    };
    judged(&good, StatusCode::OK, "application/json").expect("nothing is wrong with it");
    for (key, value) in [
        ("generation", json!(-1)),
        ("digest", json!("cafe")),
        ("kind", json!("Plan")),
        ("vips", json!([{}])),
        ("mode", json!("other")),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        let found = judged(&bad, StatusCode::OK, "application/json").expect_err(key);
        assert!(found.contains(&format!("/{key}")), "{found}");
    }
    let mut short = good.clone();
    short.as_object_mut().expect("an object").remove("inSync");
    assert!(judged(&short, StatusCode::OK, "application/json").is_err());
    assert!(judged(&good, StatusCode::OK, "text/plain").is_err());
    assert!(
        judged(&good, StatusCode::CONFLICT, "application/json").is_err(),
        "a status that is not described"
    );
    let failure = json!(Document::new(failure("HF3001", "the kernel", 1)));
    judged(&failure, StatusCode::INTERNAL_SERVER_ERROR, "application/json").expect("a failure");
    assert!(judged(&good, StatusCode::INTERNAL_SERVER_ERROR, "application/json").is_err());
}

#[test]
fn request_that_is_taken_though_it_violates_the_document_is_found() {
    let place = operation(&Method::POST, "/v1/rollback").expect("it is described");
    let uri = "/v1/rollback".parse().expect("a path");
    let plan = json!(Document::new(super::plan("ann", &json!([])))).to_string();
    let judged = |request: &[u8]| {
        judge(
            &place,
            &uri,
            request,
            (StatusCode::OK, &sent("application/json"), plan.as_bytes()),
        )
    };
    judged(br#"{"generation":40}"#).expect("nothing is wrong with it");
    judged(b"{}").expect("a number may be absent");
    for request in [&b"[]"[..], b"", br#"{"generation":"x"}"#, br#"{"force":true}"#] {
        assert!(judged(request).is_err(), "{}", String::from_utf8_lossy(request));
    }
}
