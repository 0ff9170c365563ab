//! Orders: an archive, since Shopify lets nobody write most of an order back.
//!
//! Webhooks carry more of an order than bulk operations can read: those reach no lists within lists.
//! What only webhooks tell is kept, and left out of comparisons.

use serde_json::Value;

use super::field::{self, MappingError, shown};
use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{self, Members, Pull, Way};
use super::{Coverage, Listing, Personal, Spec, Writable, metafield, rank};
use crate::event::Op;
use crate::resource::Facet;

mod pulled;
mod webhook;

pub(super) static SPEC: Spec = Spec {
    name: "order",
    gid_type: "Order",
    reads: &["read_orders"],
    writes: &[],
    also_gid_types: &[],
    topics: &[
        ("orders/create", Coverage::Core(Op::Create)),
        ("orders/updated", Coverage::Core(Op::Update)),
        ("orders/cancelled", Coverage::Core(Op::Update)),
        ("orders/paid", Coverage::Core(Op::Update)),
        ("orders/fulfilled", Coverage::Core(Op::Update)),
        ("orders/partially_fulfilled", Coverage::Core(Op::Update)),
        ("orders/delete", Coverage::Delete),
    ],
    told: &[Facet::Core],
    events_topic: Some("Order"),
    glimpse: None,
    mapping: 6,
    named: field::identity,
    core: Some(webhook::core),
    node,
    beside: &[
        "/app",
        "/discountApplications",
        "/fulfillments/*/displayStatus",
        "/fulfillments/*/fulfillmentLineItems",
        "/fulfillments/*/location",
        "/landingPageUrl",
        "/lineItems/*/duties",
        "/lineItems/*/product",
        "/lineItems/*/totalDiscountSet",
        "/lineItems/*/variant",
        "/merchantBusinessEntity",
        "/merchantOfRecordApp",
        "/referrerUrl",
        "/refunds/*/refundLineItems",
        "/refunds/*/staffMember",
        "/refunds/*/transactions",
        "/registeredSourceUrl",
        "/retailLocation",
        "/shippingLines",
        "/staffMember",
    ],
    is_whole: webhook::tells_of_whom,
    listing,
    facets: &[CORE, DETAIL, METAFIELDS],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("../graphql/order_bulk.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields],
            way: Way::Bulk {
                children: &[("LineItem", "lineItems"), ("Metafield", "metafields")],
                owner: None,
            },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("../graphql/order_by_id.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields],
            way: Way::ById {
                list: "/nodes",
                ids_max: 3,
                more: &[
                    ("lineItems", include_str!("../graphql/order_more_line_items.graphql")),
                    MORE_METAFIELDS,
                ],
                each: &[],
            },
            explode: None,
        },
    ],
    id: pull::by_gid,
    ask_for: |id| format!("gid://shopify/Order/{id}"),
    references: &["/customer/id", "/lineItems/*/product/id", "/lineItems/*/variant/id"],
    natural_key: &["name"],
    personal: Personal::Mentions(&[
        "/customer",
        "/email",
        "/phone",
        "/billingAddress",
        "/shippingAddress",
        "/clientIp",
        "/note",
        "/poNumber",
        "/customAttributes",
        "/lineItems/*/customAttributes",
        "/fulfillments/*/trackingInfo",
        "/refunds/*/note",
        // As webhooks call it, and what only they have.
        "/billing_address",
        "/shipping_address",
        "/contact_email",
        "/browser_ip",
        "/client_details",
        "/po_number",
        "/note_attributes",
        "/line_items/*/properties",
        "/line_items/*/destination_location",
        "/shipping_lines/*/phone",
        "/fulfillments/*/destination",
        "/fulfillments/*/email",
        "/fulfillments/*/receipt",
        "/fulfillments/*/tracking_number",
        "/fulfillments/*/tracking_numbers",
        "/fulfillments/*/tracking_url",
        "/fulfillments/*/tracking_urls",
        "/fulfillments/*/line_items/*/properties",
        "/refunds/*/transactions/*/payment_details",
        "/refunds/*/transactions/*/receipt",
        "/refunds/*/refund_line_items/*/line_item/properties",
        "/returns",
        "/payment_details",
        "/payment_terms",
        "/landing_site",
        "/landing_site_ref",
        "/referring_site",
        "/order_status_url",
        "/token",
        "/cart_token",
        "/checkout_token",
        "/device_id",
        "/reference",
    ]),
    rank: rank::ARCHIVES,
    writable: Writable::Archive(
        "orders cannot be recreated: payments, refunds and their numbers are lost",
    ),
    not_covered: "returns, risk and what is on hold; of orders that no webhook told of, which lines a \
                  fulfilment or a refund was of, and without `read_all_orders` those older than 60 days",
};

const CORE: Members = Members { facet: Facet::Core, members: pulled::CORE };

/// What no webhook tells.
const DETAIL: Members = Members {
    facet: Facet::Detail,
    members: &["lineItems", "refunds", "returnStatus", "shippingLine", "transactions"],
};

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    match facet {
        Facet::Core => pulled::core(node),
        Facet::Detail => pulled::detail(node),
        other => metafield::node(other, node),
    }
}

fn listing(state: &Value) -> Listing {
    let also = ["email", "phone", "poNumber", "confirmationNumber"];
    Listing {
        title: shown(state, "name").unwrap_or_default(),
        handle: None,
        also: also.iter().filter_map(|n| shown(state, n)).collect(),
    }
}
