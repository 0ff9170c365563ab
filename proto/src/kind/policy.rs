//! The shop's policies: refunds, privacy, terms.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "policy",
    gid_type: "ShopPolicy",
    reads: &["read_legal_policies"],
    writes: &["write_legal_policies"],
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "single",
            document: include_str!("graphql/policy_single.graphql"),
            facets: &[Facet::Core],
            way: Way::Single { at: "/shop/shopPolicies" },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/policy_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 20, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/ShopPolicy/{id}"),
    natural_key: &["type"],
    rank: rank::CONTENT,
    ..PULLED
};

const CORE: Members = Members { facet: Facet::Core, members: &["type", "title", "body"] };
