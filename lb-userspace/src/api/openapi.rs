//! The API as an OpenAPI 3.1 document, made from the routes and the types of
//! their bodies and answers.

use std::sync::LazyLock;

use axum::http::StatusCode;
use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform as _},
};
use serde_json::{Map, Value, json};

use super::{
    describe::Operation,
    model::{Document, Failure},
    routes::{Route, routes},
};
use crate::config::{API_VERSION, address_formats};

/// The schemas of the document.
pub struct Schemas {
    /// Of what the daemon takes.
    taken: SchemaGenerator,
    /// Of what it answers: keys it always writes are required.
    answered: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.transforms.push(Box::new(RecursiveTransform(standard_format)));
        });
        Self {
            taken: settings.clone().for_deserialize().into_generator(),
            answered: settings.for_serialize().into_generator(),
        }
    }

    pub(super) fn taken<T: JsonSchema>(&mut self) -> Value {
        self.taken.subschema_for::<T>().to_value()
    }

    /// The schema itself, no reference to it.
    pub(super) fn taken_inline<T: JsonSchema>(&mut self) -> Value {
        let mut schema = T::json_schema(&mut self.taken);
        RecursiveTransform(standard_format).transform(&mut schema);
        schema.to_value()
    }

    pub(super) fn answered<T: JsonSchema>(&mut self) -> Value {
        self.answered.subschema_for::<T>().to_value()
    }

    /// All of them, by name. Of a type that is answered and taken the schema is
    /// that of what is taken: it holds for both, because what is answered can
    /// be sent back.
    fn into_components(mut self) -> Map<String, Value> {
        let mut all = self.answered.take_definitions(true);
        all.extend(self.taken.take_definitions(true));
        all
    }
}

/// Schemars' format of addresses of either family is nobody else's.
fn standard_format(schema: &mut Schema) {
    if schema.get("format").is_some_and(|format| format == "ip") {
        schema.remove("format");
        schema.insert("anyOf".to_owned(), address_formats());
    }
}

/// What each HTTP status of a failure means.
const FAILURES: [(StatusCode, &str); 9] = [
    (StatusCode::BAD_REQUEST, "The request makes no sense: HF5002"),
    (StatusCode::FORBIDDEN, "The role is missing: HF5003"),
    (StatusCode::NOT_FOUND, "There is no such thing: HF5004, HF5007"),
    (StatusCode::REQUEST_TIMEOUT, "The body came too slowly: HF5002"),
    (
        StatusCode::CONFLICT,
        "Refused by the policy, or made for a generation that no longer runs: HF2…",
    ),
    (StatusCode::PAYLOAD_TOO_LARGE, "The body is too long: HF5002"),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        "The text is not a configuration: HF1…",
    ),
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "The kernel, the store or the daemon failed: HF3…, HF4…, HF5005",
    ),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "All places for connections are taken: HF5013",
    ),
];

/// The document. `info.version` is the daemon's, `apiVersion` that of the API.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(make);
    &DOCUMENT
}

fn make() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = json!({});
    for route in routes() {
        paths[route.path][route.method.as_str().to_lowercase()] = operation(&route, &mut schemas);
    }
    let failure = schemas.answered::<Document<Failure>>();
    let content = json!({ "application/json": { "schema": failure } });
    let failures = FAILURES.map(|(status, about)| {
        let response = json!({ "description": about, "content": content });
        (status.as_str().to_owned(), response)
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "summary": "The daemon of a layer-4 load balancer that cannot be wiped by accident",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            "x-holdfast-api-version": API_VERSION,
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{ "url": "http://holdfast", "description": "Any host: the unix socket decides who is asked" }],
        "paths": paths,
        "components": {
            "responses": Map::from_iter(failures),
            "schemas": schemas.into_components(),
        },
    })
}

const ABOUT: &str = "HTTP/1.1 and JSON on the daemon's unix socket. Who is at the other end the kernel says, and the \
    running generation's `access` which roles they have. Every answer has `apiVersion` and `kind`; a failure has a \
    stable `code`.";

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let mut operation = Operation::new(schemas, &route.method, route.path);
    (route.describe)(&mut operation);
    let mut operation = operation.into_value();
    operation["operationId"] = operation_id(route).into();
    operation["summary"] = route.about.into();
    operation["description"] = format!("Needs the role {}.", route.least).into();
    operation["x-holdfast-role"] = route.least.to_string().into();
    operation
}

/// `GET /v1/bpf/dump` → `getBpfDump`, `GET /v1/generations/{number}` →
/// `getGenerationsByNumber`.
fn operation_id(route: &Route) -> String {
    let words = route.path.trim_start_matches("/v1").split(['/', '.']);
    words.fold(route.method.as_str().to_lowercase(), |id, word| {
        let (by, word) = match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            Some(parameter) => ("By", parameter),
            None => ("", word),
        };
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{id}{by}{}{rest}", first.to_uppercase())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{Schemas, operation};
    use crate::api::routes::routes;

    #[test]
    fn name_is_that_of_one_type_in_what_is_taken_and_what_is_answered() {
        fn keys(schema: &Value) -> BTreeSet<&String> {
            schema["properties"]
                .as_object()
                .into_iter()
                .flat_map(|keys| keys.keys())
                .collect()
        }
        let mut schemas = Schemas::new();
        for route in routes() {
            operation(&route, &mut schemas);
        }
        let both: Vec<_> = schemas
            .taken
            .definitions()
            .iter()
            .filter_map(|(name, taken)| Some((name, taken, schemas.answered.definitions().get(name)?)))
            .collect();
        assert!(both.len() > 10, "{}", both.len());
        for (name, taken, answered) in both {
            assert_eq!(keys(taken), keys(answered), "{name}");
        }
    }
}
