//! Translations: each text of a resource in each language is one.

use serde_json::Value;

use super::field::{MappingError, shown};
use super::pull::{Each, Members, Pull, Values, Way};
use super::pulled::PULLED;
use super::{Listing, Spec, rank};
use crate::resource::{Facet, ResourceId, gid_type};

/// What is translated, without the texts beside pictures, themes and what is sent, paid or packed.
const RESOURCES: Each = Each {
    variable: "resourceType",
    values: Values::These(&[
        "ARTICLE",
        "BLOG",
        "COLLECTION",
        "DELIVERY_METHOD_DEFINITION",
        "FILTER",
        "LINK",
        "MENU",
        "METAFIELD",
        "METAOBJECT",
        "PAGE",
        "PRODUCT",
        "PRODUCT_OPTION",
        "PRODUCT_OPTION_VALUE",
        "SELLING_PLAN",
        "SELLING_PLAN_GROUP",
        "SHOP",
        "SHOP_POLICY",
    ]),
};

/// The shop's languages beside its own.
const LOCALES: Each = Each {
    variable: "locale",
    values: Values::Asked {
        document: include_str!("graphql/translation_locales.graphql"),
        read: |data| {
            let locales = data["shopLocales"].as_array().into_iter().flatten();
            let others = locales.filter(|locale| locale["primary"] != true);
            others.filter_map(|locale| shown(locale, "locale")).collect()
        },
    },
};

pub(super) static SPEC: Spec = Spec {
    name: "translation",
    gid_type: "Translation",
    reads: &["read_translations", "read_locales"],
    writes: &["write_translations"],
    node,
    listing,
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/translation_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages {
                connection: "/translatableResources",
                more: &[],
                each: &[LOCALES, RESOURCES],
            },
            explode: Some("translations"),
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/translation_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById {
                list: "/translatableResourcesByIds/nodes",
                ids_max: 50,
                more: &[],
                each: &[LOCALES],
            },
            explode: Some("translations"),
        },
    ],
    id,
    ask_for: |id| {
        let mut parts = id.as_str().splitn(3, '-');
        let (of, number) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!("gid://shopify/{of}/{number}")
    },
    references: &["/resource/id"],
    rank: rank::TRANSLATIONS,
    not_covered: "translations of the texts beside pictures, of themes, notifications, payment \
                  methods and packing slips, those for one market only, and what of a type is beyond \
                  its first 25,000 resources",
    ..PULLED
};

const CORE: Members = Members { facet: Facet::Core, members: &["key", "locale", "value"] };

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut state = (PULLED.node)(facet, node)?;
    state["resource"] = node.get("owner").cloned().ok_or(MappingError::Missing("owner"))?;
    Ok(state)
}

/// It has no gid; it is known by what is translated, the language and the key: `Page-7-fr-title`.
fn id(node: &Value) -> Option<ResourceId> {
    let owner = node.pointer("/owner/id")?.as_str()?;
    let (of, number) = (gid_type(owner)?, ResourceId::parse(owner).ok()?);
    let (locale, key) = (node.get("locale")?.as_str()?, node.get("key")?.as_str()?);
    ResourceId::parse(&format!("{of}-{number}-{locale}-{key}")).ok()
}

/// The text as far as a list has room for it.
fn listing(state: &Value) -> Listing {
    let text = shown(state, "value").unwrap_or_default();
    Listing {
        title: text.chars().take(80).collect(),
        handle: None,
        also: ["locale", "key"].iter().filter_map(|name| shown(state, name)).collect(),
    }
}
