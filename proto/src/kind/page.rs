//! Pages of the online store.

use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "page",
    gid_type: "Page",
    reads: &["read_content"],
    writes: &["write_content"],
    events_topic: Some("Page"),
    mapping: 2,
    facets: &[CORE, METAFIELDS],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/page_bulk.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::Bulk { children: &[("Metafield", "metafields")], owner: None },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/page_by_id.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::ById { list: "/nodes", ids_max: 20, more: &[MORE_METAFIELDS], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Page/{id}"),
    natural_key: &["handle"],
    rank: rank::CONTENT,
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &["title", "handle", "body", "isPublished", "publishedAt", "templateSuffix"],
};
