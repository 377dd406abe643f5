//! The API as its own document says it is, asked of the real daemon by code of
//! our own.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{
    api::{Answer, ask},
    rig::Rig,
    topology::Shape,
};

/// The place of a schema in the document, references followed.
fn content<'d>(document: &'d Value, operation: &'d Value, status: u16) -> Result<(String, &'d Value)> {
    let response = &operation["responses"][status.to_string()];
    let response = match response["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')),
        None => Some(response),
    };
    let content = response.and_then(|response| response["content"].as_object());
    let content = content.with_context(|| format!("{status} is not described"))?;
    let (kind, content) = content.iter().next().context("no content")?;
    Ok((kind.clone(), &content["schema"]))
}

fn ensure_holds(document: &Value, schema: &Value, value: &Value) -> Result<()> {
    let mut whole = schema.clone();
    whole["$schema"] = document["jsonSchemaDialect"].clone();
    whole["components"] = document["components"].clone();
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    let validator = options
        .build(&whole)
        .map_err(|error| anyhow::anyhow!("{schema}: {error}"))?;
    let errors = validator.iter_errors(value);
    let errors: Vec<String> = errors
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    ensure!(errors.is_empty(), "{schema}: {errors:#?}");
    Ok(())
}

/// Without its query.
fn bare(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// Asks, and holds request and answer against the document.
fn exchange(rig: &Rig, document: &Value, method: &str, path: &str, body: &Value) -> Result<Answer> {
    let socket = &rig.installation.socket;
    let described = if path.starts_with("/v1/generations/") {
        "/v1/generations/{number}"
    } else if path.starts_with("/v1/plans/") {
        "/v1/plans/{digest}"
    } else {
        bare(path)
    };
    let operation = &document["paths"][described][method.to_lowercase()];
    ensure!(operation.is_object(), "{method} {described} is not described");
    let answer = ask(socket, method, path, body)?;
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    if answer.status == 200 && schema.is_object() {
        ensure_holds(document, schema, body).with_context(|| format!("request of {path}"))?;
    }
    let (kind, schema) = content(document, operation, answer.status).with_context(|| path.to_owned())?;
    assert_eq!(answer.content_type, kind.to_ascii_lowercase(), "{path}");
    ensure_holds(document, schema, &answer.body).with_context(|| format!("answer of {method} {path}"))?;
    Ok(answer)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a line or two for each route")]
fn daemon_answers_every_route_as_its_document_says() -> Result<()> {
    let rig = Rig::start(Shape::TwoArm, 3, 3)?;
    let socket = &rig.installation.socket;
    let document = ask(socket, "GET", "/v1/openapi.json", &Value::Null)?.body;
    let printed: Value = serde_json::from_str(&rig.installation.run(&["export", "openapi"])?.stdout)?;
    ensure!(
        document == printed,
        "the daemon and the command line tell two documents"
    );

    let gets = [
        "/metrics",
        "/v1/openapi.json",
        "/v1/status",
        "/v1/why?src=198.51.100.7&sport=40000&dst=203.0.113.10&dport=443&proto=tcp",
        "/v1/history",
        "/v1/generations/1",
        "/v1/bpf/dump",
        "/v1/bpf/verify",
        "/v1/journal",
        "/v1/journal/verify",
        "/v1/journal/export?after=0",
        "/v1/approvals",
    ];
    for path in gets {
        let answer = exchange(&rig, &document, "GET", path, &Value::Null)?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    let interface = rig.fleet.interfaces[0].name.clone();
    let text = fs::read_to_string(&rig.installation.config)?;
    let heavier = rig.fleet.clone().weighing("web", "be2", 9).yaml();
    let posts = [
        (
            "/v1/plan",
            json!({ "file": "f", "text": text, "remove": ["vip/Nobody"] }),
            200,
        ),
        ("/v1/plan", json!({ "file": "f", "text": "vips: [" }), 422),
        ("/v1/plan", json!({ "file": "f", "text": "" }), 409),
        ("/v1/plan", json!({ "file": "f", "text": heavier, "force": true }), 400),
        ("/v1/rollback", json!({ "generation": 1 }), 200),
        ("/v1/rollback", json!({ "generation": 999 }), 404),
        ("/v1/attach", json!({ "interfaces": [interface] }), 200),
        ("/v1/detach", json!({ "interfaces": [interface] }), 200),
        ("/v1/detach", json!({ "interfaces": ["nobody0"] }), 400),
        (
            "/v1/backend",
            json!({ "backend": "backend/web/be1", "wish": { "set": "drain", "deadline": "1m" } }),
            200,
        ),
        (
            "/v1/backend",
            json!({ "backend": "backend/web/be99", "wish": { "set": "reset" } }),
            404,
        ),
        ("/v1/vip", json!({ "vip": "vip/web4", "wish": { "set": "maint" } }), 200),
        (
            "/v1/vip",
            json!({ "vip": "vip/nobody", "wish": { "set": "ready" } }),
            404,
        ),
        ("/v1/vip", json!({ "vip": "pool/web", "wish": { "set": "ready" } }), 400),
        ("/v1/hold", json!({ "message": "as documented" }), 200),
        ("/v1/resume", Value::Null, 200),
        ("/v1/resume", Value::Null, 404),
        (
            "/v1/break-glass",
            json!({ "reason": "as documented", "within": 60 }),
            200,
        ),
        ("/v1/break-glass", json!({ "reason": " ", "within": 60 }), 400),
        ("/v1/mend-glass", Value::Null, 200),
        ("/v1/mend-glass", Value::Null, 404),
        ("/v1/recover", json!({ "dryRun": true }), 200),
        ("/v1/recover", json!({}), 200),
        ("/v1/recover", json!({ "dry": true }), 400),
        ("/v1/wipe", json!({ "environment": "lab" }), 200),
        ("/v1/confirm", Value::Null, 409),
        ("/v1/abort", Value::Null, 409),
    ];
    let mut asked: Vec<&str> = gets.map(bare).to_vec();
    // Of plans that nobody keeps, and objects that never were.
    let nobody = "0".repeat(64);
    let unknown = [
        ("GET", format!("/v1/plans/{nobody}"), Value::Null),
        (
            "POST",
            "/v1/approve".to_owned(),
            json!({ "plan": nobody, "signature": "", "author": false }),
        ),
        ("POST", "/v1/reject".to_owned(), json!({ "plan": nobody })),
        ("POST", "/v1/withdraw".to_owned(), json!({ "plan": nobody })),
        ("POST", "/v1/undelete".to_owned(), json!({ "objects": ["vip/nobody"] })),
    ];
    for (method, path, body) in &unknown {
        let answer = exchange(&rig, &document, method, path, body)?;
        ensure!((400..500).contains(&answer.status), "{path}: {}", answer.body);
    }
    asked.extend([
        "/v1/plans/{digest}",
        "/v1/approve",
        "/v1/reject",
        "/v1/withdraw",
        "/v1/undelete",
    ]);
    for (path, body, status) in &posts {
        let answer = exchange(&rig, &document, "POST", path, body)?;
        assert_eq!(answer.status, *status, "{path} {body}: {}", answer.body);
        asked.push(path);
    }
    // A plan goes back as it came, on trial, and the trial ends both ways.
    let mut plan = exchange(
        &rig,
        &document,
        "POST",
        "/v1/plan",
        &json!({ "file": "f", "text": heavier }),
    )?
    .body;
    for head in ["apiVersion", "kind"] {
        plan.as_object_mut().context("a plan is an object")?.remove(head);
    }
    let bytes = Sha256::digest(plan.to_string());
    let digest = bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let why = exchange(&rig, &document, "POST", "/v1/why-refused", &json!({ "plan": plan }))?;
    assert_eq!(
        (why.status, &why.body["applicable"]),
        (200, &json!(true)),
        "{}",
        why.body
    );
    asked.push("/v1/why-refused");
    for sample in [Value::Null, json!(0), json!(1)] {
        let request = json!({ "plan": plan, "sample": sample });
        let preview = exchange(&rig, &document, "POST", "/v1/preview", &request)?;
        assert_eq!(preview.status, 200, "{}", preview.body);
    }
    let too_long = json!({ "plan": plan, "sample": 3600 });
    assert_eq!(exchange(&rig, &document, "POST", "/v1/preview", &too_long)?.status, 400);
    asked.push("/v1/preview");
    let apply = json!({ "plan": plan, "digest": digest, "message": "as documented", "confirmWithin": 60 });
    let applied = exchange(&rig, &document, "POST", "/v1/apply", &apply)?;
    assert_eq!(applied.status, 200, "{}", applied.body);
    let stale = exchange(&rig, &document, "POST", "/v1/apply", &apply)?;
    assert_eq!(stale.status, 409, "{}", stale.body);
    exchange(&rig, &document, "GET", "/v1/status", &Value::Null)?;
    assert_eq!(
        exchange(&rig, &document, "POST", "/v1/confirm", &Value::Null)?.status,
        200
    );
    for path in ["/v1/status", "/v1/history", "/v1/generations/2", "/v1/journal"] {
        assert_eq!(
            exchange(&rig, &document, "GET", path, &Value::Null)?.status,
            200,
            "{path}"
        );
    }
    asked.extend(["/v1/apply", "/v1/generations/{number}"]);
    for path in document["paths"].as_object().context("no paths")?.keys() {
        ensure!(asked.contains(&path.as_str()), "nobody asked {path}");
    }
    Ok(())
}
