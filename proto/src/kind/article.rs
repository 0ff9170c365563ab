//! Articles of blogs.

use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{self, Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "article",
    gid_type: "Article",
    reads: &["read_content"],
    writes: &["write_content"],
    events_topic: Some("Article"),
    mapping: 2,
    facets: &[CORE, METAFIELDS, pull::BLOBS],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/article_bulk.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::Bulk { children: &[("Metafield", "metafields")], owner: None },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/article_by_id.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::ById { list: "/nodes", ids_max: 20, more: &[MORE_METAFIELDS], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Article/{id}"),
    references: &["/blog/id"],
    natural_key: &["handle"],
    rank: rank::CONTENT,
    writable: Writable::Partly("comments cannot be written"),
    not_covered: "comments",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "title",
        "handle",
        "body",
        "summary",
        "author",
        "blog",
        "image",
        "isPublished",
        "publishedAt",
        "tags",
        "templateSuffix",
    ],
};
