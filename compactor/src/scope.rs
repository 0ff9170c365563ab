//! What the app may see in a shop.

use backstock_proto::admin::Call;
use serde_json::json;

use backstock_proto::admin::ask::{AskError, Asker};

const SCOPES: &str = include_str!("graphql/scopes.graphql");

/// The access scopes that the shop has granted, such as `read_all_orders`.
pub(crate) async fn granted(asker: &Asker) -> Result<Vec<String>, AskError> {
    let call = Call { urgent: asker.urgent, ..Call::read(SCOPES, json!({})) };
    let answer = asker.client.ask(call).await?;
    let scopes = answer.data.pointer("/currentAppInstallation/accessScopes");
    let handles = scopes.and_then(serde_json::Value::as_array).into_iter().flatten();
    Ok(handles.filter_map(|scope| scope["handle"].as_str().map(str::to_owned)).collect())
}
