//! Blogs; their articles are resources of their own.

use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "blog",
    gid_type: "Blog",
    reads: &["read_content"],
    writes: &["write_content"],
    events_topic: Some("Blog"),
    mapping: 2,
    facets: &[CORE, METAFIELDS],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/blog_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/blogs", more: &[], each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/blog_by_id.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::ById { list: "/nodes", ids_max: 20, more: &[MORE_METAFIELDS], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Blog/{id}"),
    natural_key: &["handle"],
    rank: rank::CONTENT,
    writable: Writable::Partly("the feed address is kept by Shopify"),
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &["title", "handle", "commentPolicy", "feed", "tags", "templateSuffix"],
};
