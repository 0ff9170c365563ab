//! A product that was just made: its making answered most of what there is to know of it, and the rest is
//! asked for, so that it is not read once more as a whole. What it was given of metafields,
//! and of pictures of its variants, it has, or its making would have been refused.

use std::collections::BTreeMap;

use backstock_proto::Facet;
use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::plain;
use serde_json::{Value, json};

use crate::write::step::{ask, list, text};
use crate::write::{Around, WriteError, look};

const MEDIA: &str = include_str!("../graphql/product_media.graphql");

/// The facets that a making answers, once its media are there.
const TOLD: &[Facet] = &[Facet::Core, Facet::Detail, Facet::Metafields, Facet::Variants];

/// What is asked for of a product, beside what its making answered.
pub(super) struct Asks {
    media: bool,
    publications: bool,
}

impl Asks {
    /// What is wanted says what there may be.
    pub(super) fn of(want: &Value) -> Self {
        let publications = want["publications"].is_array();
        Self { media: !list(want, "media").is_empty(), publications }
    }
}

/// The product's state, without metafields and without pictures of its variants: see [`believe`].
/// `None` where too little was answered.
pub(super) async fn state(
    around: &dyn Around,
    spec: &'static Spec,
    asks: Asks,
    mut told: Value,
) -> Result<Option<Value>, WriteError> {
    if told["variants"]["pageInfo"]["hasNextPage"] != false {
        return Ok(None);
    }
    told["media"] = match asks.media {
        false => json!([]),
        true => {
            let mut data = ask(around, MEDIA, json!({"id": told["id"]})).await?;
            data.pointer_mut("/product/media").map(Value::take).unwrap_or_default()
        }
    };
    if told["media"].is_null() || told["media"]["pageInfo"]["hasNextPage"] == true {
        return Ok(None);
    }
    let mut node = plain(told);
    node["metafields"] = json!([]);
    let detail = |variant: &Value| {
        let mut detail = variant.clone();
        (detail["media"], detail["metafields"]) = (json!([]), json!([]));
        detail
    };
    let details: Value = list(&node, "variants").iter().map(detail).collect();
    node["variantDetails"] = details;
    let further = asks.publications.then_some(Facet::Publications);
    look::with(around.admin(), spec, (node, TOLD), further).await
}

/// Puts into the state of what was just made what it was given: `want` is what it was made from, and
/// `ids` are the gids in it → those of now.
pub(super) fn believe(now: &mut Value, want: &Value, ids: &BTreeMap<String, String>) {
    let known = |gid: &str| ids.get(gid).cloned().unwrap_or_else(|| gid.to_owned());
    now["metafields"] = list(want, "metafields").to_vec().into();
    let Some(variants) = now["variants"].as_array_mut() else { return };
    for made_of in list(want, "variants") {
        let id = known(text(made_of, "id"));
        let Some(variant) = variants.iter_mut().find(|variant| text(variant, "id") == id) else {
            continue;
        };
        variant["metafields"] = list(made_of, "metafields").to_vec().into();
        let pictures = list(made_of, "mediaIds").iter().take(1).filter_map(Value::as_str);
        variant["mediaIds"] = pictures.map(known).collect();
    }
}
