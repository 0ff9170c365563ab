//! Collections. Rules and membership are not in the webhook; pulls bring them as facets.

use serde_json::Value;

use super::field::{self, Mapped, MappingError, object, shown, upper};
use super::{Coverage, Listing, Personal, Spec, Writable, pull, rank};
use crate::event::Op;

pub(super) static SPEC: Spec = Spec {
    name: "collection",
    gid_type: "Collection",
    topics: &[
        ("collections/create", Coverage::Core(Op::Create)),
        ("collections/update", Coverage::Core(Op::Update)),
        ("collections/delete", Coverage::Delete),
    ],
    mapping: 1,
    core: Some(core),
    node: super::not_pulled,
    is_whole: |_| true,
    listing,
    events_topic: Some("Collection"),
    facets: &[],
    pulls: &[],
    id: pull::by_gid,
    ask_for: |id| format!("gid://shopify/Collection/{id}"),
    references: &[],
    natural_key: &[],
    personal: Personal::None,
    rank: rank::COLLECTIONS,
    writable: Writable::Whole,
    not_covered: "",
};

/// Left out: `published_at` and `published_scope`, which the Admin GraphQL API tells per
/// publication only.
fn core(body: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(body)?;
    m.gid("Collection")
        .same(&["title", "handle"])
        .text("body_html", "descriptionHtml")
        .map("sort_order", "sortOrder", upper)
        .text("template_suffix", "templateSuffix")
        .map("image", "image", |v| {
            object(v, |m| {
                m.map("src", "url", field::url).text("alt", "altText");
            })
        });
    Ok(m.done())
}

fn listing(state: &Value) -> Listing {
    Listing {
        title: shown(state, "title").unwrap_or_default(),
        handle: shown(state, "handle"),
        also: Vec::new(),
    }
}
