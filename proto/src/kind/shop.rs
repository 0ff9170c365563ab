//! The shop itself: its name, address, currency, formats and other settings.

use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "shop",
    gid_type: "Shop",
    topics: &[("shop/update", Coverage::Signal)],
    mapping: 2,
    facets: &[CORE, METAFIELDS],
    pulls: &[
        Pull {
            name: "single",
            document: include_str!("graphql/shop_single.graphql"),
            facets: &[Facet::Core],
            way: Way::Single { at: "/shop" },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/shop_by_id.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::ById { list: "/nodes", ids_max: 1, more: &[MORE_METAFIELDS], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Shop/{id}"),
    natural_key: &["myshopifyDomain"],
    rank: rank::SHOP,
    writable: Writable::InPlace(
        "Shopify lets no app change a shop's settings: only its metafields are written",
    ),
    not_covered: "settings of payments, taxes, checkout and staff, which Shopify shows to no app",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "name",
        "email",
        "contactEmail",
        "description",
        "shopOwnerName",
        "myshopifyDomain",
        "primaryDomain",
        "currencyCode",
        "enabledPresentmentCurrencies",
        "currencyFormats",
        "ianaTimezone",
        "unitSystem",
        "weightUnit",
        "taxesIncluded",
        "taxShipping",
        "orderNumberFormatPrefix",
        "orderNumberFormatSuffix",
        "setupRequired",
        "transactionalSmsDisabled",
        "marketingSmsConsentEnabledAtCheckout",
        "customerAccountsV2",
        "plan",
        "shopAddress",
    ],
};
