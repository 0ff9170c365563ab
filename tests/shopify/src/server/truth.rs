//! What every resource really was at an instant.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ndjson, refuse};
use crate::gid::Gid;
use crate::simulator::Simulator;
use crate::store::{Document, Store};

/// Which truth is asked for.
#[derive(Deserialize)]
pub(super) struct Question {
    /// When; now, if absent.
    at: Option<String>,
    /// A kind (`product_variant`) or a GraphQL type (`ProductVariant`); also `theme_file` and
    /// `translation`, which have an owner and no id.
    kind: String,
    /// Only this one: a gid or its number.
    id: Option<String>,
}

/// One line per resource that was there, in the Admin API's field names.
pub(super) async fn at(
    State(simulator): State<Arc<Simulator>>,
    Query(question): Query<Question>,
) -> Response {
    let at = match question.at.map(|at| at.parse::<Timestamp>()) {
        None => Timestamp::MAX,
        Some(Ok(at)) => at,
        Some(Err(_)) => return refuse("at is an RFC 3339 instant"),
    };
    let shop = simulator.shop();
    let documents = match question.kind.as_str() {
        "theme_file" => parts(&shop.store, &["OnlineStoreTheme"], "_files", at),
        "translation" => parts(&shop.store, &TRANSLATED, "_translations", at),
        kind => {
            let Some(type_name) = type_name(kind) else { return refuse("unknown kind") };
            let wanted = |gid: &Gid| {
                let is = |id: &String| *id == gid.number().to_string() || id.parse() == Ok(*gid);
                question.id.as_ref().is_none_or(is)
            };
            let all = shop.store.all(&type_name).filter(wanted);
            all.filter_map(|gid| shop.store.assembled(gid, at)).collect()
        }
    };
    drop(shop);
    ndjson(documents.iter().map(|document| format!("{document}\n")).collect())
}

/// The types of which something is translated.
const TRANSLATED: [&str; 9] = [
    "Article",
    "Blog",
    "Collection",
    "Menu",
    "Metaobject",
    "Page",
    "Product",
    "SellingPlanGroup",
    "ShopPolicy",
];

/// What documents hold that has no id of its own, each with its owner.
fn parts(store: &Store, types: &[&str], field: &str, at: Timestamp) -> Vec<Value> {
    let owners = types.iter().flat_map(|of| store.all(of).collect::<Vec<_>>());
    let held = owners.filter_map(|owner| Some((owner, store.get_at(owner, at)?)));
    let of_owner = |(owner, document): (Gid, Document)| -> Vec<Value> {
        let parts = document[field].as_array().cloned().unwrap_or_default().into_iter();
        let mut with_owner = Vec::new();
        for mut part in parts {
            part["owner"] = json!({ "id": owner.to_string() });
            with_owner.push(part);
        }
        with_owner
    };
    held.flat_map(of_owner).collect()
}

/// The GraphQL type of a kind's name.
fn type_name(kind: &str) -> Option<String> {
    let named = match kind {
        "redirect" => "UrlRedirect".to_owned(),
        "theme" => "OnlineStoreTheme".to_owned(),
        _ => kind.split('_').map(capitalised).collect(),
    };
    Gid::knows(&named).then_some(named)
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_types() {
        assert_eq!(type_name("product_variant").as_deref(), Some("ProductVariant"));
        assert_eq!(type_name("Product").as_deref(), Some("Product"));
        assert_eq!(type_name("unicorn"), None);
    }
}
