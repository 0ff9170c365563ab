//! Sales channels and catalogs that things are published to.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "publication",
    gid_type: "Publication",
    reads: &["read_publications"],
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/publication_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/publications", more: &[], each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/publication_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 50, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Publication/{id}"),
    rank: rank::LOCATIONS,
    writable: Writable::Archive("a channel comes with its app"),
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &["autoPublish", "supportsFuturePublishing", "catalog"],
};
