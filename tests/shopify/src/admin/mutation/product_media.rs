//! Pictures of products and of their variants.

use serde_json::{Value, json};

use super::variant::{answer, no_product, product};
use super::{Call, UserError, done, failed, file};
use crate::admin::session::Outcome;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, targets};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "productReorderMedia" => Ok(reorder(shop, call)),
        "productVariantAppendMedia" => Ok(of_variants(shop, call, true)),
        "productVariantDetachMedia" => Ok(of_variants(shop, call, false)),
        _ => return None,
    })
}

/// A product has no more media than this.
/// <https://matrixify.app/documentation/shopify-limits/>
const MEDIA_MAX: usize = 250;

/// Why a product cannot have so many more media, if it cannot.
pub(super) fn too_many(shop: &Shop, product: Gid, more: usize) -> Option<UserError> {
    let there = shop.store.get(product).map_or(0, |state| targets(&state, "media").count());
    (more > 0 && there + more > MEDIA_MAX).then(|| {
        UserError::new(&["media"], "Exceeded the limit of media per product")
            .code("PRODUCT_MEDIA_LIMIT_EXCEEDED")
    })
}

/// Puts what a mutation's `media` names at the end of a product's own.
pub(super) fn append(shop: &mut Shop, product: Gid, call: &Call<'_>) -> Outcome<()> {
    let given = call.args.get("media").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut made = Vec::new();
    for medium in given {
        let file = json!({
            "contentType": medium["mediaContentType"], "originalSource": medium["originalSource"],
            "alt": medium["alt"],
        });
        made.push(link(file::add(shop, &file)?));
    }
    if !made.is_empty() {
        shop.update(product, |state| {
            if let Some(media) = state["media"].as_array_mut() {
                media.extend(made);
            }
        });
    }
    Ok(())
}

fn reorder(shop: &mut Shop, call: &Call<'_>) -> Value {
    let errorless = |mut answer: Value| {
        answer["mediaUserErrors"] = json!([]);
        answer
    };
    let gid = call.args.gid("id").filter(|gid| shop.store.get(*gid).is_some());
    let Some(gid) = gid else {
        let error = UserError::new(&["id"], "Product does not exist");
        let mut answer = failed("job", vec![error.code("PRODUCT_DOES_NOT_EXIST")]);
        answer["mediaUserErrors"] = answer["userErrors"].clone();
        return answer;
    };
    let moves = call.args.get("moves").and_then(Value::as_array).cloned().unwrap_or_default();
    shop.edit_product(gid, |state| {
        let order: Vec<Gid> = targets(state, "media").collect();
        state["media"] = super::product::moved(order, &moves).into_iter().map(link).collect();
    });
    errorless(done("job", super::job(shop)))
}

/// Why a variant cannot have a medium, if it cannot: it must be the product's, and ready.
pub(super) fn refusal(
    shop: &Shop,
    product: Gid,
    medium: Gid,
) -> Option<(&'static str, &'static str)> {
    let on_product = shop
        .store
        .get(product)
        .is_some_and(|state| targets(&state, "media").any(|other| other == medium));
    if !on_product {
        return Some(("Media does not exist on the product", "MEDIA_DOES_NOT_EXIST_ON_PRODUCT"));
    }
    let ready = shop.store.get(medium).is_some_and(|state| file::is_ready(shop, &state));
    (!ready).then_some(("Non-ready media cannot be attached to variants", "NON_READY_MEDIA"))
}

/// Most pairs of a variant and its picture in one mutation.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/MediaUserErrorCode>
const PAIRS_MAX: usize = 100;

fn of_variants(shop: &mut Shop, call: &Call<'_>, attach: bool) -> Value {
    let Some(gid) = product(shop, call) else { return answer(None, &[], vec![no_product()]) };
    let given =
        call.args.get("variantMedia").and_then(Value::as_array).cloned().unwrap_or_default();
    if given.len() > PAIRS_MAX {
        let message = "Exceeded the maximum number of 100 variant-media pairs per mutation call.";
        let error = UserError::new(&["variantMedia"], message);
        return answer(Some(gid), &[], vec![error.code("MAXIMUM_VARIANT_MEDIA_PAIRS_EXCEEDED")]);
    }
    let own = shop.variants(gid);
    let mut changes: Vec<(Gid, Vec<Gid>)> = Vec::new();
    for entry in &given {
        let variant = entry["variantId"].as_str().and_then(|id| id.parse::<Gid>().ok());
        let Some(variant) = variant.filter(|variant| own.contains(variant)) else {
            let error = UserError::new(&["variantMedia"], "Variant does not exist on the product");
            return answer(
                Some(gid),
                &[],
                vec![error.code("PRODUCT_VARIANT_DOES_NOT_EXIST_ON_PRODUCT")],
            );
        };
        let media = entry["mediaIds"].as_array().into_iter().flatten();
        let media: Vec<Gid> = media.filter_map(|id| id.as_str()?.parse().ok()).collect();
        let had: Vec<Gid> = shop
            .store
            .get(variant)
            .map(|state| targets(&state, "media").collect())
            .unwrap_or_default();
        let wrong = match attach {
            _ if media.len() > 1 => Some((
                "Only one mediaId is allowed per variant-media input pair",
                "TOO_MANY_MEDIA_PER_INPUT_PAIR",
            )),
            _ if changes.iter().any(|(known, _)| *known == variant) => Some((
                "Variant specified in more than one pair",
                "PRODUCT_VARIANT_SPECIFIED_MULTIPLE_TIMES",
            )),
            true if !had.is_empty() => Some((
                "The variant already has attached media",
                "PRODUCT_VARIANT_ALREADY_HAS_MEDIA",
            )),
            true => media.iter().find_map(|medium| refusal(shop, gid, *medium)),
            false => media.iter().any(|medium| !had.contains(medium)).then_some((
                "The specified media is not attached to the specified variant",
                "MEDIA_IS_NOT_ATTACHED_TO_VARIANT",
            )),
        };
        if let Some((message, code)) = wrong {
            return answer(
                Some(gid),
                &[],
                vec![UserError::new(&["variantMedia"], message).code(code)],
            );
        }
        changes.push((variant, media));
    }
    let changed: Vec<Gid> = changes.iter().map(|(variant, _)| *variant).collect();
    for (variant, media) in changes {
        shop.update(variant, |state| {
            let mut kept: Vec<Gid> =
                targets(state, "media").filter(|other| !media.contains(other)).collect();
            if attach {
                kept.extend(media);
            }
            state["media"] = kept.into_iter().map(link).collect();
        });
    }
    shop.edit_product(gid, |_| {});
    answer(Some(gid), &changed, vec![])
}
