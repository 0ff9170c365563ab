//! Bulk operations at work: a batch at a time, into a file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::{JsonMap, JsonValue};
use serde_json::{Value, json};

use crate::admin::bulk::{BATCH, Line, Plan};
use crate::admin::document;
use crate::admin::endpoint::{self, Caller};
use crate::admin::schema::Version;
use crate::gid::Gid;
use crate::shop::Actor;
use crate::simulator::Simulator;

/// How an operation is to end, when it is not by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Failure {
    /// `errorCode: TIMEOUT`, with part of the data.
    Timeout,
    /// `errorCode: INTERNAL_SERVER_ERROR`, with part of the data.
    InternalServerError,
    /// `errorCode: ACCESS_DENIED`, with nothing.
    AccessDenied,
    /// Shopify cancels an operation that makes no progress.
    Canceled,
}

/// How far an operation got.
#[derive(Default)]
struct Progress {
    objects: u64,
    roots: u64,
    bytes: u64,
}

/// Why an operation ended before its end.
enum Stop {
    Canceled,
    Failed(&'static str),
}

/// Where the result of an operation is kept.
#[must_use]
pub fn result_path(simulator: &Simulator, operation: Gid) -> PathBuf {
    simulator.results().join(format!("bulk-{}.jsonl", operation.number()))
}

/// Runs one operation to its end.
pub(crate) fn run(simulator: &Arc<Simulator>, operation: Gid, actor: &Actor) {
    let state = simulator.shop().store.get(operation).unwrap_or_default();
    let version = state["_version"].as_str().and_then(Version::serving);
    let mut progress = Progress::default();
    set_status(simulator, operation, "RUNNING");
    let failure = simulator.take_bulk_failure();
    let outcome = match version {
        None => Err(Stop::Failed("INTERNAL_SERVER_ERROR")),
        Some(version) if state["type"] == "QUERY" => {
            query(simulator, operation, &state, version, actor, failure, &mut progress)
        }
        Some(version) => {
            mutations(simulator, operation, &state, version, actor, failure, &mut progress)
        }
    };
    finish(simulator, operation, &outcome, &progress);
}

fn caller<'a>(simulator: &'a Simulator, version: Version, actor: &Actor) -> Option<Caller<'a>> {
    let schema = simulator.schemas().get(version).ok()?;
    Some(Caller { schema, version, actor: actor.clone(), now: simulator.now() })
}

fn internal<E: std::fmt::Display>(error: E) -> Stop {
    tracing::warn!("bulk operation failed: {error}");
    Stop::Failed("INTERNAL_SERVER_ERROR")
}

fn query(
    simulator: &Simulator,
    operation: Gid,
    state: &Value,
    version: Version,
    actor: &Actor,
    failure: Option<Failure>,
    progress: &mut Progress,
) -> Result<(), Stop> {
    let caller = caller(simulator, version, actor).ok_or(Stop::Failed("INTERNAL_SERVER_ERROR"))?;
    let plan =
        Plan::of(caller.schema, state["query"].as_str().unwrap_or_default()).map_err(internal)?;
    if failure == Some(Failure::AccessDenied) {
        return Err(Stop::Failed("ACCESS_DENIED"));
    }
    let roots = plan.roots(&caller, &mut simulator.shop()).map_err(|error| {
        note(simulator, &error);
        internal(error)
    })?;
    let mut file =
        BufWriter::new(File::create(result_path(simulator, operation)).map_err(internal)?);
    let halfway = roots.len() / 2;
    for (at, batch) in roots.chunks(BATCH).enumerate() {
        if canceled(simulator, operation) {
            file.flush().map_err(internal)?;
            return Err(Stop::Canceled);
        }
        let lines = plan.lines(&caller, &mut simulator.shop(), batch).map_err(|error| {
            note(simulator, &error);
            internal(error)
        })?;
        write(&mut file, order(lines, state["_grouped"] == true, at), progress)
            .map_err(internal)?;
        progress.roots += batch.len() as u64;
        if progress.roots >= halfway as u64
            && let Some(failure) = failure
        {
            file.flush().map_err(internal)?;
            return Err(doomed(failure));
        }
    }
    file.flush().map_err(internal)
}

/// Unless they are grouped, children need not follow their parents, nor come after them.
fn order(lines: Vec<Line>, grouped: bool, batch: usize) -> Vec<Line> {
    if grouped {
        return lines;
    }
    let (children, parents): (Vec<Line>, Vec<Line>) =
        lines.into_iter().partition(|line| line.child);
    if batch.is_multiple_of(2) {
        parents.into_iter().chain(children).collect()
    } else {
        children.into_iter().chain(parents).collect()
    }
}

fn write(
    file: &mut BufWriter<File>,
    lines: Vec<Line>,
    progress: &mut Progress,
) -> std::io::Result<()> {
    for line in lines {
        let text = line.text();
        file.write_all(text.as_bytes())?;
        progress.objects += 1;
        progress.bytes += text.len() as u64;
    }
    Ok(())
}

/// How a doomed operation ends.
fn doomed(failure: Failure) -> Stop {
    match failure {
        Failure::Timeout => Stop::Failed("TIMEOUT"),
        Failure::Canceled => Stop::Canceled,
        Failure::AccessDenied => Stop::Failed("ACCESS_DENIED"),
        Failure::InternalServerError => Stop::Failed("INTERNAL_SERVER_ERROR"),
    }
}

/// One mutation per line of the upload; what a line could not do is in its own answer.
fn mutations(
    simulator: &Simulator,
    operation: Gid,
    state: &Value,
    version: Version,
    actor: &Actor,
    failure: Option<Failure>,
    progress: &mut Progress,
) -> Result<(), Stop> {
    if failure == Some(Failure::AccessDenied) {
        return Err(doomed(Failure::AccessDenied));
    }
    let text = state["query"].as_str().unwrap_or_default();
    let upload = state["_upload"].as_str().unwrap_or_default();
    let upload = simulator.shop().uploads.get(upload).cloned().unwrap_or_default();
    let mut file =
        BufWriter::new(File::create(result_path(simulator, operation)).map_err(internal)?);
    let lines = upload.split(|byte| *byte == b'\n').enumerate();
    let lines: Vec<(usize, &[u8])> = lines.filter(|(_, line)| !line.is_empty()).collect();
    let halfway = lines.len() / 2;
    for (at, (number, line)) in lines.into_iter().enumerate() {
        if let Some(failure) = failure.filter(|_| at >= halfway) {
            file.flush().map_err(internal)?;
            return Err(doomed(failure));
        }
        if canceled(simulator, operation) {
            file.flush().map_err(internal)?;
            return Err(Stop::Canceled);
        }
        let caller =
            caller(simulator, version, actor).ok_or(Stop::Failed("INTERNAL_SERVER_ERROR"))?;
        let mut answer = mutation(simulator, &caller, text, line);
        answer["__lineNumber"] = json!(number);
        let Value::Object(object) = answer else { continue };
        write(&mut file, vec![Line { object, child: false }], progress).map_err(internal)?;
        progress.roots += 1;
        std::thread::sleep(simulator.bulk_rest());
    }
    file.flush().map_err(internal)
}

fn mutation(simulator: &Simulator, caller: &Caller<'_>, text: &str, line: &[u8]) -> Value {
    let parsed = document::parse(caller.schema, text);
    let document = match parsed {
        Ok(document) => document,
        Err(errors) => return json!({ "errors": errors }),
    };
    // By way of ordinary JSON, since only that understands numbers that keep their digits.
    let variables: JsonMap = match serde_json::from_slice::<Value>(line).map(JsonValue::from) {
        Ok(JsonValue::Object(variables)) => variables,
        Ok(_) => return json!({ "errors": [{ "message": "Invalid JSON: not an object" }] }),
        Err(error) => return json!({ "errors": [{ "message": format!("Invalid JSON: {error}") }] }),
    };
    let Ok(operation) = document.operations.get(None) else { return json!({}) };
    let variables = match coerce_variable_values(&caller.schema.graphql, operation, &variables) {
        Ok(variables) => variables,
        Err(error) => {
            return json!({ "errors": [{ "message": error.message().to_string() }] });
        }
    };
    let mut shop = simulator.shop();
    shop.in_bulk = true;
    let run = endpoint::execute_paged(caller, &mut shop, &document, &variables);
    shop.in_bulk = false;
    simulator.deliver(&mut shop);
    drop(shop);
    let body = endpoint::body(run.response);
    simulator.note_not_simulated(&body);
    body
}

fn note(simulator: &Simulator, error: &str) {
    simulator.note_not_simulated(&json!({
        "errors": [{ "message": error, "extensions": { "code": "NOT_SIMULATED" } }],
    }));
}

fn canceled(simulator: &Simulator, operation: Gid) -> bool {
    simulator.shop().store.get(operation).is_some_and(|state| state["status"] == "CANCELING")
}

fn set_status(simulator: &Simulator, operation: Gid, status: &str) {
    simulator.act(Actor::Buyer, |shop| {
        shop.update(operation, |state| {
            if state["status"] == "CREATED" {
                state["status"] = json!(status);
            }
        })
    });
}

fn finish(simulator: &Simulator, operation: Gid, outcome: &Result<(), Stop>, progress: &Progress) {
    let url = format!("{}/_bulk/{}.jsonl", simulator.base(), operation.number());
    let url = (progress.objects > 0).then_some(url);
    simulator.act(Actor::Buyer, |shop| {
        let now = shop.now_text();
        shop.update(operation, |state| {
            state["completedAt"] = json!(now);
            state["objectCount"] = json!(progress.objects.to_string());
            state["rootObjectCount"] = json!(progress.roots.to_string());
            state["fileSize"] = json!(url.as_ref().map(|_| progress.bytes.to_string()));
            match outcome {
                Ok(()) => {
                    state["status"] = json!("COMPLETED");
                    state["url"] = json!(url);
                }
                Err(Stop::Canceled) => {
                    state["status"] = json!("CANCELED");
                    state["partialDataUrl"] = json!(url);
                }
                Err(Stop::Failed(code)) => {
                    state["status"] = json!("FAILED");
                    state["errorCode"] = json!(code);
                    state["partialDataUrl"] = json!(url);
                }
            }
        });
        shop.announce("bulk_operations/finish", operation);
    });
}
