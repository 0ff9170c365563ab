//! Gift cards, without their codes.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Personal, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "gift_card",
    gid_type: "GiftCard",
    reads: &["read_gift_cards"],
    glimpse: Some(include_str!("graphql/gift_card_glimpse.graphql")),
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/gift_card_bulk.graphql"),
            facets: &[Facet::Core],
            way: Way::Bulk { children: &[], owner: None },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/gift_card_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 50, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/GiftCard/{id}"),
    references: &["/customer/id", "/order/id"],
    personal: Personal::Mentions(&["/customer", "/note"]),
    rank: rank::ARCHIVES,
    writable: Writable::Archive(
        "the code of a gift card can never be read, so a lost card cannot come back",
    ),
    not_covered: "the codes, which Shopify shows to nobody, to whom it was sent with which message, and what it paid",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "balance",
        "initialValue",
        "enabled",
        "deactivatedAt",
        "expiresOn",
        "lastCharacters",
        "maskedCode",
        "note",
        "templateSuffix",
        "customer",
        "order",
    ],
};
