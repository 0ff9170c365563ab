//! What every resource really was at an instant.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::{ndjson, refuse};
use crate::gid::Gid;
use crate::simulator::Simulator;

/// Which truth is asked for.
#[derive(Deserialize)]
pub(super) struct Question {
    /// When; now, if absent.
    at: Option<String>,
    /// A kind (`product_variant`) or a GraphQL type (`ProductVariant`).
    kind: String,
    /// Only this one: a gid or its number.
    id: Option<String>,
}

/// One line per resource that was there, in the Admin API's field names.
pub(super) async fn at(
    State(simulator): State<Arc<Simulator>>,
    Query(question): Query<Question>,
) -> Response {
    let Some(type_name) = type_name(&question.kind) else { return refuse("unknown kind") };
    let at = match question.at.map(|at| at.parse::<Timestamp>()) {
        None => Timestamp::MAX,
        Some(Ok(at)) => at,
        Some(Err(_)) => return refuse("at is an RFC 3339 instant"),
    };
    let mut lines = String::new();
    let shop = simulator.shop();
    for gid in shop.store.all(&type_name) {
        let wanted = question
            .id
            .as_ref()
            .is_none_or(|id| *id == gid.number().to_string() || id.parse() == Ok(gid));
        if wanted && let Some(document) = shop.store.assembled(gid, at) {
            lines.push_str(&document.to_string());
            lines.push('\n');
        }
    }
    drop(shop);
    ndjson(lines)
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
