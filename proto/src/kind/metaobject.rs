//! Metaobjects: entries of types that the shop defines.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "metaobject",
    gid_type: "Metaobject",
    topics: &[
        ("metaobjects/create", Coverage::Signal),
        ("metaobjects/update", Coverage::Signal),
        ("metaobjects/delete", Coverage::Delete),
    ],
    events_topic: Some("Metaobject"),
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/metaobject_bulk.graphql"),
            facets: &[Facet::Core],
            way: Way::Bulk { children: &[("Metaobject", "metaobjects")], owner: None },
            explode: Some("metaobjects"),
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/metaobject_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 50, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Metaobject/{id}"),
    natural_key: &["type", "handle"],
    rank: rank::METAOBJECTS,
    not_covered: "metaobjects of other apps cannot be read",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &["type", "handle", "displayName", "capabilities", "fields"],
};
