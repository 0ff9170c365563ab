//! What several kinds have alike: metafields, publications.

use serde_json::{Value, json};

use super::field::{self, Mapped, MappingError, instant, list, object};
use super::pull::{Members, Pull, Way};
use crate::resource::Facet;

/// The facet of a kind with metafields.
pub(super) const METAFIELDS: Members =
    Members { facet: Facet::Metafields, members: &["metafields"] };

/// The facet of a kind that is published to channels.
pub(super) const PUBLICATIONS: Members =
    Members { facet: Facet::Publications, members: &["resourcePublicationsV2"] };

/// The further pages of metafields, for [`Way::ById`].
pub(super) const MORE_METAFIELDS: (&str, &str) =
    ("metafields", include_str!("graphql/more_metafields.graphql"));

/// Where things are published is asked apart from the rest: bulk operations cannot say it, and so it
/// is asked of everything by id, which has to be cheap.
pub(super) const PULL_PUBLICATIONS: Pull = Pull {
    name: "publications_by_id",
    document: include_str!("graphql/publications_by_id.graphql"),
    facets: &[Facet::Publications],
    way: Way::ById {
        list: "/nodes",
        ids_max: 40,
        each: &[],
        more: &[("resourcePublicationsV2", include_str!("graphql/more_publications.graphql"))],
    },
    explode: None,
};

/// The facets that several kinds have alike, from their payloads.
pub(super) fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(node)?;
    match facet {
        Facet::Metafields => m.map("metafields", "metafields", metafields),
        Facet::Publications => m.map("resourcePublicationsV2", "publications", publications),
        _ => return super::not_pulled(facet, node),
    };
    Ok(m.done())
}

/// Metafields in the order of their namespaces and keys. Their ids are left out: a metafield is
/// known by its name, and has another id once it is written again. Their values are texts, JSON too, and
/// each way of asking tells the same: what is written back is to the letter what was there.
pub(super) fn metafields(value: &Value) -> Value {
    let mapped = list(value, |item| {
        object(item, |m| {
            m.same(&["namespace", "key", "type", "value"]);
        })
    });
    field::sorted(mapped, |item| json!([item.get("namespace"), item.get("key")]).to_string())
}

/// Where something is published, and from when. Whether it can be seen there by now follows from that and
/// from its status, and becomes another without an edit.
fn publications(value: &Value) -> Value {
    let mapped = list(value, |item| {
        object(item, |m| {
            m.map("publishDate", "publishDate", instant);
            m.set("publicationId", item.pointer("/publication/id").cloned().unwrap_or_default());
        })
    });
    field::sorted(mapped, |item| item["publicationId"].to_string())
}
