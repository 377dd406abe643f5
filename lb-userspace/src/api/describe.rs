//! What a handler takes and what it answers, told by its own signature: no
//! route is without its schemas, and none has others than those it obeys.

use std::collections::BTreeSet;

use axum::{
    Extension, Json,
    extract::State,
    http::{Method, StatusCode},
};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::{
    auth::Peer,
    body::{Asked, Body, Bounded, Named, Refusal, Segment},
    model::{Document, Kind},
    openapi::Schemas,
};

/// An operation of the document, as far as its handler has told.
pub struct Operation<'s> {
    schemas: &'s mut Schemas,
    path: &'static str,
    /// Those of its failures.
    statuses: BTreeSet<StatusCode>,
    told: Map<String, Value>,
}

impl<'s> Operation<'s> {
    pub(super) fn new(schemas: &'s mut Schemas, method: &Method, path: &'static str) -> Self {
        // Of any route: it needs a role, the store may be missing, the kernel
        // may fail, and all places may be taken.
        let mut statuses = BTreeSet::from([
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::SERVICE_UNAVAILABLE,
        ]);
        if *method == Method::POST {
            statuses.insert(StatusCode::CONFLICT);
        }
        Self {
            schemas,
            path,
            statuses,
            told: Map::new(),
        }
    }

    /// As it stands in the document.
    pub(super) fn into_value(self) -> Value {
        let mut operation = self.told;
        let responses = operation.entry("responses").or_insert_with(|| json!({}));
        for status in self.statuses {
            let status = status.as_str();
            responses[status] = json!({ "$ref": format!("#/components/responses/{status}") });
        }
        operation.into()
    }

    /// What it answers when all went well.
    pub(super) fn answers(&mut self, content_type: &str, schema: &Value) {
        let content = json!({ content_type: { "schema": schema } });
        self.told.insert(
            "responses".to_owned(),
            json!({ "200": { "description": "The answer", "content": content } }),
        );
    }

    fn takes(&mut self, parameters: impl IntoIterator<Item = Value>) {
        let all = self.told.entry("parameters").or_insert_with(|| json!([]));
        if let Value::Array(all) = all {
            all.extend(parameters);
        }
        self.statuses.insert(StatusCode::BAD_REQUEST);
    }
}

/// Part of a handler's signature.
pub(super) trait Part {
    fn describe(operation: &mut Operation<'_>);
}

impl<S> Part for State<S> {
    fn describe(_: &mut Operation<'_>) {}
}

impl Part for Extension<Peer> {
    fn describe(_: &mut Operation<'_>) {}
}

impl<T: Segment> Part for Named<T> {
    fn describe(operation: &mut Operation<'_>) {
        let name = operation.path.split(['{', '}']).nth(1);
        let schema = operation.schemas.taken::<T>();
        operation.takes(name.map(|name| {
            let about = format!("It is {}.", T::IS);
            json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
        }));
    }
}

impl<T: JsonSchema> Part for Asked<T> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.taken_inline::<T>();
        let required: Vec<&Value> = schema["required"].as_array().into_iter().flatten().collect();
        let keys = schema["properties"].as_object().into_iter().flatten();
        let parameters = keys.map(|(key, schema)| {
            let required = required.iter().any(|required| *required == key);
            json!({ "name": key, "in": "query", "required": required, "schema": schema })
        });
        operation.takes(parameters);
    }
}

impl<T: Bounded + JsonSchema> Part for Body<T> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.taken::<T>();
        let about = format!("At most {} bytes. Its content type is not looked at.", T::LIMIT);
        let body = json!({
            "required": true, "description": about, "content": { "application/json": { "schema": schema } },
        });
        operation.told.insert("requestBody".to_owned(), body);
        operation.statuses.extend([
            StatusCode::BAD_REQUEST,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ]);
    }
}

impl<T: Kind + JsonSchema> Part for Json<Document<T>> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.answered::<Document<T>>();
        operation.answers("application/json", &schema);
    }
}

impl<T: Part> Part for Result<T, Refusal> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
    }
}

/// A handler all whose parts are described. `Parts` are what it takes and what
/// it answers, as in axum's own `Handler`.
pub(super) trait Described<Parts> {
    fn describe(operation: &mut Operation<'_>);
}

macro_rules! described {
    ($($part:ident),*) => {
        impl<H, F, A, $($part),*> Described<($($part,)* A,)> for H
        where
            H: Fn($($part),*) -> F,
            F: Future<Output = A>,
            A: Part,
            $($part: Part,)*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($part::describe(operation);)*
                A::describe(operation);
            }
        }
    };
}

described!();
described!(P1);
described!(P1, P2);
described!(P1, P2, P3);
described!(P1, P2, P3, P4);
