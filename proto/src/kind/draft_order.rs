//! Draft orders: what somebody is offered and has not paid yet.

use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Personal, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "draft_order",
    gid_type: "DraftOrder",
    reads: &["read_draft_orders"],
    writes: &["write_draft_orders"],
    topics: &[
        ("draft_orders/create", Coverage::Signal),
        ("draft_orders/update", Coverage::Signal),
        ("draft_orders/delete", Coverage::Delete),
    ],
    mapping: 2,
    // They vanish when a product is deleted, which is no edit of the draft.
    beside: &["/lineItems/*/product", "/lineItems/*/variant"],
    facets: &[CORE, METAFIELDS],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/draft_order_bulk.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::Bulk {
                children: &[("DraftOrderLineItem", "lineItems"), ("Metafield", "metafields")],
                owner: None,
            },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/draft_order_by_id.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::ById {
                list: "/nodes",
                ids_max: 3,
                more: &[
                    ("lineItems", include_str!("graphql/draft_order_more_line_items.graphql")),
                    MORE_METAFIELDS,
                ],
                each: &[],
            },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/DraftOrder/{id}"),
    references: &[
        "/customer/id",
        "/purchasingEntity/company/id",
        "/purchasingEntity/contact/id",
        "/purchasingEntity/location/id",
        "/order/id",
        "/lineItems/*/product/id",
        "/lineItems/*/variant/id",
    ],
    personal: Personal::Mentions(&[
        "/customer",
        "/email",
        "/phone",
        "/billingAddress",
        "/shippingAddress",
        "/note",
        "/poNumber",
        "/customAttributes",
        "/lineItems/*/customAttributes",
        // As webhooks call it, of which only a signal is kept.
        "/billing_address",
        "/shipping_address",
        "/note_attributes",
        "/invoice_url",
        "/line_items/*/properties",
        "/po_number",
    ]),
    rank: rank::DRAFT_ORDERS,
    writable: Writable::Partly(
        "it gets a new id, number and invoice, and its products cost what they cost now unless a price \
         of its own was agreed",
    ),
    not_covered: "payment terms, deposits, localized fields and which parts of a bundle were \
                  chosen",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "name",
        "status",
        "completedAt",
        "invoiceSentAt",
        "reserveInventoryUntil",
        "email",
        "phone",
        "note",
        "poNumber",
        "tags",
        "taxExempt",
        "taxesIncluded",
        "currencyCode",
        "presentmentCurrencyCode",
        "discountCodes",
        "visibleToCustomer",
        "customer",
        "purchasingEntity",
        "order",
        "customAttributes",
        "acceptAutomaticDiscounts",
        "allowDiscountCodesInCheckout",
        "billingAddress",
        "shippingAddress",
        "appliedDiscount",
        "shippingLine",
        "subtotalPriceSet",
        "totalPriceSet",
        "totalShippingPriceSet",
        "totalTaxSet",
        "lineItems",
    ],
};
