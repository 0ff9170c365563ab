//! Starting and cancelling bulk operations. They run on their own; see the simulator.

use serde_json::{Value, json};

use super::{Call, UserError, done, failed};
use crate::admin::bulk::{self, CONCURRENT, Plan};
use crate::admin::document;
use crate::admin::session::Outcome;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "bulkOperationRunQuery" => Ok(start(shop, call, "QUERY", "query")),
        "bulkOperationRunMutation" => Ok(start(shop, call, "MUTATION", "mutation")),
        "bulkOperationCancel" => Ok(cancel(shop, call)),
        _ => return None,
    })
}

fn start(shop: &mut Shop, call: &Call<'_>, kind: &str, argument: &str) -> Value {
    let running: Vec<Gid> = shop
        .store
        .live("BulkOperation")
        .filter(|(_, operation)| {
            operation["type"] == kind
                && matches!(operation["status"].as_str(), Some("CREATED" | "RUNNING" | "CANCELING"))
        })
        .map(|(gid, _)| gid)
        .collect();
    if running.len() >= CONCURRENT {
        let ids: Vec<String> = running.iter().map(ToString::to_string).collect();
        let message = format!(
            "A bulk {} operation for this app and shop is already in progress: {}.",
            kind.to_lowercase(),
            ids.join(", ")
        );
        let error = UserError::new(&[], message).code("OPERATION_IN_PROGRESS");
        return failed("bulkOperation", vec![error]);
    }
    if kind == "MUTATION" && !shop.bulk_mutations {
        let message = "Bulk operations limit reached. Please try again later.";
        return failed("bulkOperation", vec![UserError::new(&[], message).code("LIMIT_REACHED")]);
    }
    let text = call.args.text(argument).unwrap_or_default();
    if let Err(message) = check(call, kind, text) {
        let code = if kind == "QUERY" { "INVALID" } else { "INVALID_MUTATION" };
        let error = UserError::new(&[argument], message).code(code);
        return failed("bulkOperation", vec![error]);
    }
    let path = call.args.text("stagedUploadPath");
    if path.is_some_and(|path| !shop.uploads.contains_key(path)) {
        let message = "The JSONL file could not be found. Try uploading the file again, and check that you've entered the URL correctly for the stagedUploadPath mutation argument.";
        let error = UserError::new(&["stagedUploadPath"], message).code("NO_SUCH_FILE");
        return failed("bulkOperation", vec![error]);
    }
    let gid = shop.store.fresh("BulkOperation");
    let now = shop.now_text();
    shop.put(
        gid,
        json!({
            "__typename": "BulkOperation", "id": gid.to_string(), "type": kind, "query": text,
            "status": "CREATED", "errorCode": null, "createdAt": now, "completedAt": null,
            "objectCount": "0", "rootObjectCount": "0", "fileSize": null, "url": null,
            "partialDataUrl": null,
            "_version": call.version.name(), "_upload": path,
            "_grouped": call.args.flag("groupObjects").unwrap_or_default(),
        }),
    );
    shop.bulk_started.push(gid);
    done("bulkOperation", link(gid))
}

/// What is wrong with the document of an operation.
fn check(call: &Call<'_>, kind: &str, text: &str) -> Result<(), String> {
    let schema = call.schema.ok_or("bulk operations need the schema")?;
    if kind == "QUERY" {
        return Plan::of(schema, text).map(|_| ());
    }
    let document = document::parse(schema, text).map_err(|errors| {
        errors.first().and_then(|e| e["message"].as_str()).unwrap_or_default().to_owned()
    })?;
    let operation = document.operations.get(None).map_err(|error| error.message().to_string())?;
    if !operation.is_mutation() || operation.selection_set.selections.len() != 1 {
        return Err("The mutation must be one mutation with one field.".into());
    }
    let (connections, _) = bulk::measure(&document, &operation.selection_set);
    if connections > 1 {
        return Err("Bulk mutations cannot contain more than 1 connection.".into());
    }
    Ok(())
}

fn cancel(shop: &mut Shop, call: &Call<'_>) -> Value {
    let found = call.args.gid("id").and_then(|gid| Some((gid, shop.store.get(gid)?)));
    let Some((gid, operation)) = found else {
        let error = UserError::new(&["id"], "Bulk operation does not exist");
        return failed("bulkOperation", vec![error]);
    };
    if !matches!(operation["status"].as_str(), Some("CREATED" | "RUNNING")) {
        let status = operation["status"].as_str().unwrap_or_default().to_lowercase();
        let message = format!("A bulk operation cannot be canceled when it is {status}");
        return failed("bulkOperation", vec![UserError::new(&["id"], message)]);
    }
    shop.update(gid, |state| state["status"] = json!("CANCELING"));
    done("bulkOperation", link(gid))
}
