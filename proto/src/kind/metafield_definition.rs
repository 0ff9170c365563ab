//! What metafields of a name are, for each type of owner.

use super::pull::{Each, Members, Pull, Values, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::resource::Facet;

/// Types of owners. The list is the one that every supported version of the API has.
const OWNERS: Each = Each {
    variable: "ownerType",
    values: Values::These(&[
        "API_PERMISSION",
        "ARTICLE",
        "BLOG",
        "CARTTRANSFORM",
        "COLLECTION",
        "COMPANY",
        "COMPANY_LOCATION",
        "CUSTOMER",
        "DELIVERY_CUSTOMIZATION",
        "DISCOUNT",
        "DRAFTORDER",
        "FULFILLMENT_CONSTRAINT_RULE",
        "GIFT_CARD_TRANSACTION",
        "LOCATION",
        "MARKET",
        "MEDIA_IMAGE",
        "ORDER",
        "ORDER_ROUTING_LOCATION_RULE",
        "PAGE",
        "PAYMENT_CUSTOMIZATION",
        "PRODUCT",
        "PRODUCTVARIANT",
        "SELLING_PLAN",
        "SHOP",
        "VALIDATION",
    ]),
};

const MORE: &[(&str, &str)] =
    &[("constraints/values", include_str!("graphql/metafield_definition_more_values.graphql"))];

pub(super) static SPEC: Spec = Spec {
    name: "metafield_definition",
    gid_type: "MetafieldDefinition",
    topics: &[
        ("metafield_definitions/create", Coverage::Signal),
        ("metafield_definitions/update", Coverage::Signal),
        ("metafield_definitions/delete", Coverage::Delete),
    ],
    events_topic: Some("MetafieldDefinition"),
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/metafield_definition_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/metafieldDefinitions", more: MORE, each: &[OWNERS] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/metafield_definition_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 20, more: MORE, each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/MetafieldDefinition/{id}"),
    natural_key: &["ownerType", "namespace", "key"],
    rank: rank::DEFINITIONS,
    writable: Writable::Partly("its type cannot be changed where it is in use"),
    not_covered: "definitions of other apps' reserved namespaces cannot be read",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "namespace",
        "key",
        "ownerType",
        "name",
        "description",
        "type",
        "validations",
        "access",
        "capabilities",
        "constraints",
        "pinnedPosition",
        "standardTemplate",
    ],
};
