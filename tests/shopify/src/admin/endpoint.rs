//! `POST /admin/api/{version}/graphql.json`.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::resolvers::Execution;
use apollo_compiler::response::{ExecutionResponse, JsonMap, JsonValue};
use apollo_compiler::validation::Valid;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cost::{self, Bucket};
use super::document::Documents;
use super::schema::{Schema, Version};
use super::session::{Mode, NOT_SIMULATED, Object, Session};
use crate::shop::{Actor, Shop};

/// What a client sends.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// The document.
    pub query: String,
    /// Values of its variables.
    #[serde(default, deserialize_with = "variables")]
    pub variables: Option<JsonMap>,
    /// Which operation of the document.
    #[serde(default, rename = "operationName")]
    pub operation_name: Option<String>,
}

/// By way of ordinary JSON, since only that understands numbers that keep their digits.
fn variables<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<JsonMap>, D::Error> {
    Ok(match JsonValue::from(Value::deserialize(from)?) {
        JsonValue::Object(given) => Some(given),
        _ => None,
    })
}

/// Who asks, when, and in which version.
pub struct Caller<'a> {
    /// The schema of the version.
    pub schema: &'a Schema,
    /// The version.
    pub version: Version,
    /// The app.
    pub actor: Actor,
    /// The instant on the shop's clock.
    pub now: Timestamp,
}

/// The body of an answer; it is a 200 whatever happened.
pub fn answer(
    request: &Request,
    caller: &Caller<'_>,
    documents: &Documents,
    bucket: &mut Bucket,
    shop: &mut Shop,
) -> Value {
    let document = match documents.parse(caller.schema, caller.version, &request.query) {
        Ok(document) => document,
        Err(errors) => return json!({ "errors": errors }),
    };
    let operation = match document.operations.get(request.operation_name.as_deref()) {
        Ok(operation) => operation,
        Err(error) => return refusal(&error.message().to_string(), "missingOperation"),
    };
    let given = request.variables.clone().unwrap_or_default();
    let variables = match coerce_variable_values(&caller.schema.graphql, operation, &given) {
        Ok(variables) => variables,
        Err(error) => return refusal(&error.message().to_string(), "INVALID_VARIABLE"),
    };
    let requested = cost::requested(caller.schema, &document, operation, &variables);
    if requested > cost::QUERY_MAX {
        let message = format!(
            "Query cost is {requested}, which exceeds the single query max cost limit ({}).",
            cost::QUERY_MAX
        );
        let mut body = refusal(&message, "MAX_COST_EXCEEDED");
        body["errors"][0]["extensions"]["cost"] = json!(requested);
        body["errors"][0]["extensions"]["maxCost"] = json!(cost::QUERY_MAX);
        return body;
    }
    if !bucket.take(requested, caller.now) {
        let mut body = refusal("Throttled", "THROTTLED");
        body["extensions"] = json!({ "cost": bucket.extension(requested, None) });
        return body;
    }
    let base = cost::base(&document, operation, &variables);
    let run = execute(
        caller,
        shop,
        &document,
        request.operation_name.as_deref(),
        &variables,
        Mode::Paged,
    );
    let actual = (base + run.cost).min(requested);
    bucket.give_back(requested - actual);
    let mut body = body(run.response);
    body["extensions"] = json!({ "cost": bucket.extension(requested, Some(actual)) });
    if !run.warnings.is_empty() {
        body["extensions"]["search"] = json!(run.warnings);
    }
    body
}

/// An executed operation.
pub(crate) struct Run {
    pub(crate) response: ExecutionResponse,
    pub(crate) cost: u64,
    pub(crate) warnings: Vec<Value>,
}

/// Executes an operation of a valid document.
pub(crate) fn execute(
    caller: &Caller<'_>,
    shop: &mut Shop,
    document: &Valid<ExecutableDocument>,
    operation: Option<&str>,
    variables: &Valid<JsonMap>,
    mode: Mode,
) -> Run {
    let session = Session::of(caller, shop, variables, mode);
    let chosen = document.operations.get(operation);
    let root = match &chosen {
        Ok(operation) => operation.object_type().to_string(),
        Err(_) => "QueryRoot".to_owned(),
    };
    let object = Object::root(&session, &root);
    let execution = Execution::new(&caller.schema.graphql, document)
        .implementers_map(&caller.schema.implementers)
        .coerced_variable_values(variables)
        .enable_schema_introspection(true);
    let response = execution
        .operation_name(operation)
        .and_then(|execution| execution.execute_sync(&object))
        .unwrap_or_else(|error| ExecutionResponse {
            errors: vec![apollo_compiler::response::GraphQLError {
                message: error.message().to_string(),
                locations: Vec::new(),
                path: Vec::new(),
                extensions: JsonMap::new(),
            }],
            data: None,
        });
    let cost = session.cost.get();
    let warnings = session.warnings.take();
    Run { response, cost, warnings }
}

/// Executes the only operation of a document, as a client would have it.
pub(crate) fn execute_paged(
    caller: &Caller<'_>,
    shop: &mut Shop,
    document: &Valid<ExecutableDocument>,
    variables: &Valid<JsonMap>,
) -> Run {
    execute(caller, shop, document, None, variables, Mode::Paged)
}

/// The answer in Shopify's shape. One that something was missing in for want of simulation has no
/// data at all.
pub(crate) fn body(response: ExecutionResponse) -> Value {
    let mut loud = false;
    let errors: Vec<Value> = response
        .errors
        .into_iter()
        .map(|error| {
            let simulated = !error.message.contains(NOT_SIMULATED);
            loud |= !simulated;
            let code = if !simulated {
                "NOT_SIMULATED"
            } else if ["Access denied", "not approved"].iter().any(|no| error.message.contains(no))
            {
                "ACCESS_DENIED"
            } else if error.message.contains("Daily variant creation limit") {
                "VARIANT_THROTTLE_EXCEEDED"
            } else {
                "BAD_REQUEST"
            };
            let mut value = serde_json::to_value(&error).unwrap_or_default();
            let message = error.message.trim_start_matches("resolver error: ");
            value["message"] = json!(message);
            value["extensions"] = json!({ "code": code });
            value
        })
        .collect();
    let data = if loud { None } else { response.data };
    let mut body = json!({ "data": data });
    if !errors.is_empty() {
        body["errors"] = json!(errors);
    }
    body
}

fn refusal(message: &str, code: &str) -> Value {
    json!({ "errors": [{ "message": message, "extensions": { "code": code } }] })
}
