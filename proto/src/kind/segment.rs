//! Segments of customers.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "segment",
    gid_type: "Segment",
    reads: &["read_customers"],
    writes: &["write_customers"],
    topics: &[
        ("segments/create", Coverage::Signal),
        ("segments/update", Coverage::Signal),
        ("segments/delete", Coverage::Delete),
    ],
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/segment_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/segments", more: &[], each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/segment_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 50, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Segment/{id}"),
    natural_key: &["name"],
    rank: rank::CONTENT,
    ..PULLED
};

const CORE: Members = Members { facet: Facet::Core, members: &["name", "query"] };
