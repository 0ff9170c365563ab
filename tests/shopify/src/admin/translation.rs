//! Texts in other languages.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::gid::Gid;

/// What can be translated: the key in translations and the field of the document.
const KEYS: [(&str, &str); 7] = [
    ("title", "title"),
    ("body_html", "descriptionHtml"),
    ("body_html", "body"),
    ("handle", "handle"),
    ("product_type", "productType"),
    ("name", "name"),
    ("value", "value"),
];

/// What can be translated of a resource, and what was.
pub(super) fn resource(gid: Gid, document: &Value) -> Value {
    let content: Vec<Value> = contents(document)
        .map(|(key, value)| {
            json!({
                "__typename": "TranslatableContent", "key": key, "value": value, "locale": "en",
                "digest": digest(value), "type": "SINGLE_LINE_TEXT_FIELD",
            })
        })
        .collect();
    json!({
        "__typename": "TranslatableResource",
        "resourceId": gid.to_string(),
        "translatableContent": content,
        "_source": document,
    })
}

fn contents(document: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    KEYS.iter().filter_map(|(key, field)| Some((*key, document[*field].as_str()?)))
}

/// The digest of the text that a key has now.
pub(crate) fn current_digest(document: &Value, key: &str) -> Option<String> {
    contents(document).find(|(known, _)| *known == key).map(|(_, value)| digest(value))
}

/// Changes with the text, so that a translation can be told to be out of date.
fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The translations of a document into one language; out of date where the text has changed.
pub(super) fn into_locale(document: &Value, locale: &str, market: Option<&str>) -> Value {
    let translations = document.get("_translations").and_then(Value::as_array);
    translations
        .into_iter()
        .flatten()
        .filter(|known| known["locale"] == locale && known["_market"].as_str() == market)
        .map(|known| {
            let key = known["key"].as_str().unwrap_or_default();
            let mut known = known.clone();
            known["outdated"] =
                json!(current_digest(document, key).as_deref() != known["_digest"].as_str());
            known
        })
        .collect()
}
