//! `collections/create` and `collections/update`: neither members nor rules.

use serde_json::{Value, json};

use super::{Renderer, published_scope};
use crate::gid::Gid;
use crate::store::target;

impl Renderer<'_> {
    pub(super) fn collection(&self, gid: Gid, collection: &Value) -> Value {
        let entries = collection["resourcePublicationsV2"].as_array();
        let online = entries
            .into_iter()
            .flatten()
            .find(|entry| target(&entry["publication"]) == Some(Gid::nth("Publication", 0)));
        let order = collection["sortOrder"].as_str().unwrap_or_default();
        let order = match order {
            "ALPHA_ASC" | "ALPHA_DESC" | "BEST_SELLING" | "CREATED" | "CREATED_DESC" | "MANUAL"
            | "PRICE_ASC" | "PRICE_DESC" => order.to_lowercase().replace('_', "-"),
            other => other.to_lowercase(),
        };
        json!({
            "id": gid.number(),
            "admin_graphql_api_id": gid.to_string(),
            "handle": collection["handle"],
            "title": collection["title"],
            "body_html": collection["descriptionHtml"],
            "sort_order": order,
            "template_suffix": collection["templateSuffix"],
            "published_scope": published_scope(collection),
            "published_at": online.map_or(Value::Null, |entry| self.instant(entry, "publishDate")),
            "updated_at": self.instant(collection, "updatedAt"),
        })
    }
}
