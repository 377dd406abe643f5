//! For tests: every exchange is held against the API's document. A request
//! that violates it must be refused, and no answer may.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, LazyLock, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Query, Request},
    http::{HeaderMap, Method, StatusCode, Uri, header::CONTENT_TYPE},
    middleware::{Next, from_fn},
    response::Response,
};
use futures_util::StreamExt as _;
use jsonschema::Validator;
use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::{fake::Fake, openapi::document, routes::router, serve::serve_router};

/// Serves a fake daemon, and panics at a violation, which breaks the
/// connection.
pub async fn serve(listener: UnixListener, fake: Arc<Fake>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    serve_router(listener, held(router(fake)), shutdown).await
}

/// A router whose exchanges are held against the document.
pub fn held(router: Router) -> Router {
    router.layer(from_fn(exchange))
}

async fn exchange(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let operation = operation(request.method(), uri.path());
    // It passes on as it comes: whoever is slow is slow for the daemon, too.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let copy = Arc::clone(&seen);
    let request = request.map(|body| {
        Body::from_stream(body.into_data_stream().inspect(move |piece| {
            if let Ok(piece) = piece {
                copy.lock().expect("no panic").extend_from_slice(piece);
            }
        }))
    });
    let (parts, body) = next.run(request).await.into_parts();
    let answer = to_bytes(body, usize::MAX).await.expect("an answer ends");
    let request = seen.lock().expect("no panic").clone();
    let held = match &operation {
        Some(operation) => judge(operation, &uri, &request, (parts.status, &parts.headers, &answer)),
        None => validate(FAILURE, &parsed(&answer)),
    };
    held.unwrap_or_else(|violation| panic!("{uri}: {violation}"));
    Response::from_parts(parts, Body::from(answer))
}

/// What nobody describes is answered with a failure.
const FAILURE: &str = "/components/responses/404/content/application~1json/schema";

/// The place of an operation in the document; absent: it is not described.
pub fn operation(method: &Method, path: &str) -> Option<String> {
    let is = |described: &str| {
        let (described, path) = (described.split('/'), path.split('/'));
        described.clone().count() == path.clone().count()
            && described
                .zip(path)
                .all(|(ours, theirs)| ours == theirs || ours.starts_with('{'))
    };
    let paths = document()["paths"].as_object()?;
    let described = paths.keys().find(|described| is(described))?;
    let place = format!(
        "/paths/{}/{}",
        described.replace('/', "~1"),
        method.as_str().to_lowercase()
    );
    document().pointer(&place).is_some().then_some(place)
}

/// # Errors
/// What violates the document.
pub fn judge(
    operation: &str,
    uri: &Uri,
    request: &[u8],
    (status, headers, answer): (StatusCode, &HeaderMap, &[u8]),
) -> Result<(), String> {
    let described = &document().pointer(operation).ok_or("it is not described")?;
    if status.is_success() {
        query(described, uri)?;
        if described["requestBody"].is_object() {
            let body = "requestBody/content/application~1json/schema";
            validate(&format!("{operation}/{body}"), &parsed(request))?;
        }
    }
    let mut response = format!("{operation}/responses/{}", status.as_str());
    let described = &described["responses"][status.as_str()];
    if let Some(reference) = described["$ref"].as_str() {
        response = reference.trim_start_matches('#').to_owned();
    }
    let content = document().pointer(&format!("{response}/content"));
    let content = content
        .and_then(Value::as_object)
        .ok_or(format!("{status} is not described"))?;
    let sent = headers
        .get(CONTENT_TYPE)
        .and_then(|sent| sent.to_str().ok())
        .unwrap_or_default();
    if !content.contains_key(sent) {
        return Err(format!("content of the type {sent}"));
    }
    let body = match serde_json::from_slice(answer) {
        Ok(json) => json,
        Err(_) => json!(String::from_utf8_lossy(answer)),
    };
    validate(&format!("{response}/content/{}/schema", sent.replace('/', "~1")), &body)
}

/// Its parameters, as far as they stand in the query.
fn query(described: &Value, uri: &Uri) -> Result<(), String> {
    let Query(given): Query<BTreeMap<String, String>> = Query::try_from_uri(uri).map_err(|error| error.to_string())?;
    let all = described["parameters"].as_array().into_iter().flatten();
    let of_query: Vec<&Value> = all.filter(|parameter| parameter["in"] == "query").collect();
    if let Some(unknown) = given
        .keys()
        .find(|key| of_query.iter().all(|known| known["name"] != key.as_str()))
    {
        return Err(format!("the parameter {unknown} is not described"));
    }
    for parameter in of_query {
        let value = parameter["name"].as_str().and_then(|name| given.get(name));
        let Some(value) = value else {
            if parameter["required"] == true {
                return Err(format!("{parameter} is missing"));
            }
            continue;
        };
        let value = value
            .parse::<u64>()
            .map_or_else(|_| json!(value), |number| json!(number));
        check(&parameter["schema"], &value)?;
    }
    Ok(())
}

/// JSON, or what is not.
fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| json!(error.to_string()))
}

/// Against the schema at a place of the document.
///
/// # Errors
/// What violates it.
pub fn validate(pointer: &str, value: &Value) -> Result<(), String> {
    let schema = document().pointer(pointer).ok_or(format!("{pointer} is not there"))?;
    check(schema, value)
}

fn check(schema: &Value, value: &Value) -> Result<(), String> {
    /// To make one takes longer than an exchange.
    static MADE: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

    let made = MADE.lock().expect("no panic").get(&schema.to_string()).cloned();
    let validator = made.unwrap_or_else(|| {
        let validator = Arc::new(validator(document(), schema));
        let mut all = MADE.lock().expect("no panic");
        all.insert(schema.to_string(), Arc::clone(&validator));
        validator
    });
    let errors = validator.iter_errors(value);
    let errors: Vec<String> = errors
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(format!("{schema}: {}", errors.join("; ")))
    }
}

/// Of a schema that refers to components of the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["$schema"] = document["jsonSchemaDialect"].clone();
    whole["components"] = document["components"].clone();
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(&whole).expect("the schemas of the document are schemas")
}
