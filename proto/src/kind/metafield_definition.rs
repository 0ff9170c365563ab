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

/// How long after a definition its values may go, in microseconds: Shopify deletes them by and by, and
/// does not say when it is done.
pub const VALUES_GO_WITHIN: i64 = 10 * 60 * 1_000_000;

/// The kind that has the values of a definition, by its `ownerType`; `None` where none are kept.
pub fn owner(owner_type: &str) -> Option<&'static Spec> {
    let name = match owner_type {
        "PRODUCTVARIANT" => "product".to_owned(),
        "DRAFTORDER" => "draft_order".to_owned(),
        other => other.to_lowercase(),
    };
    let has_values = |spec: &&Spec| spec.facets.iter().any(|m| m.facet == Facet::Metafields);
    super::ALL.iter().copied().filter(|spec| spec.name == name).find(has_values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_values_of_a_definition_is_known() {
        let named = |owner_type| owner(owner_type).map(|spec| spec.name);
        let known = ["PRODUCT", "PRODUCTVARIANT", "COLLECTION", "COMPANY_LOCATION", "DRAFTORDER"];
        let kinds = ["product", "product", "collection", "company_location", "draft_order"];
        assert_eq!(known.map(named), kinds.map(Some));
        assert_eq!(["CARTTRANSFORM", "SELLING_PLAN"].map(named), [None, None]);
    }
}
