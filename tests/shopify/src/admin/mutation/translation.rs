//! Translations. Each names the digest of the text that it translates.

use serde_json::{Value, json};

use super::{Call, UserError, answer};
use crate::admin::session::Outcome;
use crate::admin::translation::current_digest;
use crate::gid::Gid;
use crate::shop::Shop;

const LOCALES: [&str; 1] = ["fr"];

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    match call.name {
        "translationsRegister" => Some(Ok(register(shop, call))),
        "translationsRemove" => Some(Ok(remove(shop, call))),
        _ => None,
    }
}

fn resource(shop: &Shop, call: &Call<'_>) -> Result<(Gid, Value), Value> {
    let found =
        call.args.gid("resourceId").and_then(|gid| Some((gid, (*shop.store.get(gid)?).clone())));
    found.ok_or_else(|| {
        let error = UserError::new(&["resourceId"], "Resource does not exist");
        answer("translations", Value::Null, vec![error.code("RESOURCE_NOT_FOUND")])
    })
}

fn register(shop: &mut Shop, call: &Call<'_>) -> Value {
    let (gid, mut state) = match resource(shop, call) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let given =
        call.args.get("translations").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut known = state["_translations"].as_array().cloned().unwrap_or_default();
    let mut registered = Vec::new();
    for (at, translation) in given.iter().enumerate() {
        let at = at.to_string();
        let error = |field: &str, message: &str, code: &str| {
            let error = UserError::new(&["translations", &at, field], message).code(code);
            answer("translations", Value::Null, vec![error])
        };
        let locale = translation["locale"].as_str().unwrap_or_default();
        if !LOCALES.contains(&locale) {
            return error(
                "locale",
                "Locale is not a valid locale for the shop",
                "INVALID_LOCALE_FOR_SHOP",
            );
        }
        let Some(digest) = current_digest(&state, translation["key"].as_str().unwrap_or_default())
        else {
            return error("key", "Key is not a valid translatable field", "INVALID_KEY_FOR_MODEL");
        };
        if translation["translatableContentDigest"] != *digest {
            let message = "Translatable content hash is invalid";
            return error("translatableContentDigest", message, "INVALID_TRANSLATABLE_CONTENT");
        }
        let market = &translation["marketId"];
        known.retain(|other| {
            other["locale"] != translation["locale"]
                || other["key"] != translation["key"]
                || other["_market"] != *market
        });
        let entry = json!({
            "__typename": "Translation", "key": translation["key"], "locale": locale,
            "value": translation["value"], "outdated": false, "market": null,
            "updatedAt": shop.now_text(), "_market": market, "_digest": digest,
        });
        registered.push(entry.clone());
        known.push(entry);
    }
    // The resource's own date does not move.
    state["_translations"] = json!(known);
    shop.put(gid, state);
    answer("translations", json!(registered), vec![])
}

fn remove(shop: &mut Shop, call: &Call<'_>) -> Value {
    let (gid, mut state) = match resource(shop, call) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let list =
        |name: &str| call.args.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let (locales, keys) = (list("locales"), list("translationKeys"));
    let known = state["_translations"].as_array().cloned().unwrap_or_default();
    let (removed, kept): (Vec<Value>, Vec<Value>) = known
        .into_iter()
        .partition(|known| locales.contains(&known["locale"]) && keys.contains(&known["key"]));
    state["_translations"] = json!(kept);
    shop.put(gid, state);
    answer("translations", json!(removed), vec![])
}
