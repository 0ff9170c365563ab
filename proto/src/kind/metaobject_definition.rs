//! What metaobjects of a type are made of.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "metaobject_definition",
    gid_type: "MetaobjectDefinition",
    reads: &["read_metaobject_definitions"],
    writes: &["write_metaobject_definitions"],
    events_topic: Some("MetaobjectDefinition"),
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/metaobject_definition_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/metaobjectDefinitions", more: &[], each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/metaobject_definition_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 20, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/MetaobjectDefinition/{id}"),
    natural_key: &["type"],
    rank: rank::DEFINITIONS,
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "type",
        "name",
        "description",
        "displayNameKey",
        "access",
        "capabilities",
        "fieldDefinitions",
    ],
};
