//! Collections. Rules and membership are not in the webhook; pulls bring them as facets.

use serde_json::Value;

use super::field::{self, Mapped, MappingError, list, object, shown, upper};
use super::metafield::{METAFIELDS, MORE_METAFIELDS, PUBLICATIONS, PULL_PUBLICATIONS};
use super::pull::{self, Members, Pull, Way};
use super::{Coverage, Listing, Personal, Spec, Writable, metafield, rank};
use crate::event::Op;
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "collection",
    gid_type: "Collection",
    also_gid_types: &[],
    reads: &["read_products", "read_publications"],
    writes: &["write_products", "write_publications"],
    topics: &[
        ("collections/create", Coverage::Core(Op::Create)),
        ("collections/update", Coverage::Core(Op::Update)),
        ("collections/delete", Coverage::Delete),
    ],
    told: &[Facet::Core],
    events_topic: Some("Collection"),
    glimpse: None,
    mapping: 5,
    named: field::identity,
    core: Some(core),
    node,
    beside: &[],
    is_whole: |_| true,
    listing,
    facets: &[CORE, DETAIL, METAFIELDS, MEMBERSHIP, PUBLICATIONS, pull::BLOBS],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/collection_bulk.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields, Facet::Membership],
            way: Way::Bulk {
                children: &[("Product", "products"), ("Metafield", "metafields")],
                owner: None,
            },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/collection_by_id.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields, Facet::Membership],
            way: Way::ById {
                list: "/nodes",
                ids_max: 5,
                each: &[],
                more: &[
                    ("products", include_str!("graphql/collection_more_products.graphql")),
                    MORE_METAFIELDS,
                ],
            },
            explode: None,
        },
        PULL_PUBLICATIONS,
    ],
    id: pull::by_gid,
    ask_for: |id| format!("gid://shopify/Collection/{id}"),
    references: &["/productIds/*", "/publications/*/publicationId"],
    natural_key: &["handle"],
    personal: Personal::None,
    rank: rank::COLLECTIONS,
    writable: Writable::Partly("which products a rule finds cannot be written, only the rule"),
    not_covered: "collections put together from several sources are kept by their rules and \
                  members only",
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &["title", "handle", "descriptionHtml", "sortOrder", "templateSuffix", "image"],
};

const DETAIL: Members = Members { facet: Facet::Detail, members: &["seo", "ruleSet"] };

const MEMBERSHIP: Members =
    Members { facet: Facet::Membership, members: &["products", "sortOrder"] };

/// Left out: `published_at` and `published_scope`, which the Admin GraphQL API tells per
/// publication only.
fn core(body: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(body)?;
    m.gid("Collection")
        .same(&["title", "handle"])
        .text("body_html", "descriptionHtml")
        .map("sort_order", "sortOrder", upper)
        .text("template_suffix", "templateSuffix")
        // A collection without a picture has no such member.
        .set(
            "image",
            body.get("image").map(|image| picture(image, "src", "alt")).unwrap_or_default(),
        );
    Ok(m.done())
}

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(node)?;
    match facet {
        Facet::Core => {
            m.same(&["id", "title", "handle", "sortOrder"])
                .text("descriptionHtml", "descriptionHtml")
                .text("templateSuffix", "templateSuffix")
                .map("image", "image", |image| picture(image, "url", "altText"));
        }
        Facet::Detail => {
            m.map("seo", "seo", |seo| {
                object(seo, |m| {
                    m.text("title", "title").text("description", "description");
                })
            })
            .map("ruleSet", "ruleSet", rules);
        }
        Facet::Membership => {
            let by_hand = node.get("sortOrder").is_none_or(|order| order == "MANUAL");
            m.map("products", "productIds", |products| {
                let ids = list(products, |p| p["id"].clone());
                // Any other order changes by itself, with every sale.
                if by_hand { ids } else { field::sorted(ids, Value::to_string) }
            });
        }
        other => return metafield::node(other, node),
    }
    Ok(m.done())
}

/// By what its products are found. A rule on a metafield says by its definition which one.
fn rules(set: &Value) -> Value {
    let rule = |rule: &Value| {
        object(rule, |m| {
            m.same(&["column", "relation", "condition"]);
            if let Some(of) = rule.pointer("/conditionObject/metafieldDefinition/id") {
                m.set("conditionObjectId", of.clone());
            }
        })
    };
    object(set, |m| {
        m.same(&["appliedDisjunctively"]).map("rules", "rules", |rules| list(rules, rule));
    })
}

fn picture(image: &Value, address: &str, words: &str) -> Value {
    object(image, |m| {
        m.map(address, "url", field::url).text(words, "altText");
    })
}

fn listing(state: &Value) -> Listing {
    Listing {
        title: shown(state, "title").unwrap_or_default(),
        handle: shown(state, "handle"),
        also: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn which_product_sells_best_is_no_edit_of_a_collection() {
        let members = |order: &str, ids: [&str; 2]| {
            let products = ids.map(|id| json!({"id": id}));
            let pulled = json!({"id": "c", "sortOrder": order, "products": products});
            let part = MEMBERSHIP.of(&pulled).expect("all of it");
            node(Facet::Membership, &part).expect("a state")
        };
        assert_eq!(members("BEST_SELLING", ["a", "b"]), members("BEST_SELLING", ["b", "a"]));
        assert_ne!(members("MANUAL", ["a", "b"]), members("MANUAL", ["b", "a"]));
    }

    #[test]
    fn a_rule_on_a_metafield_says_which_one() {
        let definition = "gid://shopify/MetafieldDefinition/7";
        let pulled = json!({"id": "c", "seo": null, "ruleSet": {"appliedDisjunctively": false, "rules": [
            {"column": "TAG", "relation": "EQUALS", "condition": "sale", "conditionObject": null},
            {"column": "TYPE", "relation": "EQUALS", "condition": "Mug", "conditionObject": {}},
            {"column": "PRODUCT_METAFIELD_DEFINITION", "relation": "EQUALS", "condition": "oak",
             "conditionObject": {"metafieldDefinition": {"id": definition}}},
        ]}});
        let rules = json!([
            {"column": "TAG", "relation": "EQUALS", "condition": "sale"},
            {"column": "TYPE", "relation": "EQUALS", "condition": "Mug"},
            {"column": "PRODUCT_METAFIELD_DEFINITION", "relation": "EQUALS", "condition": "oak",
             "conditionObjectId": definition},
        ]);
        let state = node(Facet::Detail, &pulled).expect("a state");
        assert_eq!(state["ruleSet"], json!({"appliedDisjunctively": false, "rules": rules}));
        let by_hand = json!({"id": "c", "seo": null, "ruleSet": null});
        assert_eq!(node(Facet::Detail, &by_hand).expect("a state")["ruleSet"], Value::Null);
    }
}
