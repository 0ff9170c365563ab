//! Which bytes belong to a state: the addresses in it, and the facet that says where those bytes are
//! kept.
//!
//! The facet's payload is `{"id", "blobs": [{"url", "blob", "v"}]}`. Bytes are known by the address
//! that a state gives them, so that they are never taken for those of another picture. `v` is the part
//! of the address that changes when the bytes may have, which a state does not hold, or the checksum
//! of a theme's file. What is itself a file has a `blob` of its own beside them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::kind::pull::address;
use crate::{Facet, Kind};

/// Where bytes are to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As the canonical state names it.
    pub url: String,
    /// As Shopify gave it.
    pub from: String,
    /// Which edition of it.
    pub v: Option<String>,
    /// Whether that is told by the bytes themselves: a copy without it may be of others.
    pub of_bytes: bool,
}

/// Bytes that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Their BLAKE3, hexadecimal.
    pub blob: String,
    /// Which edition of their address.
    pub v: Option<String>,
}

/// The bytes that are kept of a resource, by the address that its state gives them.
pub type Copies = BTreeMap<String, Copy>;

/// Whether we keep the bytes of this kind's media.
pub fn has_media(kind: &Kind) -> bool {
    kind.facets().any(|facet| facet == Facet::Blobs)
}

/// Whether a resource of this kind is one file.
fn is_file(kind: &Kind) -> bool {
    matches!(kind.as_str(), "file" | "theme_file")
}

/// The media of a canonical state. `said` is the document that it was read from: its addresses are
/// the ones to ask, since a canonical one is without what changes.
pub fn sources(state: &Value, said: &Value) -> Vec<Source> {
    let (mut given, mut signed) = (BTreeMap::new(), BTreeMap::new());
    addresses(said, &mut given, &mut signed);
    let mut urls = Vec::new();
    each(state, &mut |members| {
        if let Some(url) = own_address(members) {
            urls.push(url.to_owned());
        }
    });
    urls.sort();
    urls.dedup();
    // The address of a theme's file stays the same when its bytes do not.
    let checksum = state.get("checksumMd5").and_then(Value::as_str);
    let source = |url: String| {
        let from = given.get(&url).or_else(|| signed.get(&url));
        let from = from.cloned().unwrap_or_else(|| url.clone());
        let v = checksum.map(str::to_owned).or_else(|| edition(&from));
        Source { url, from, v, of_bytes: checksum.is_some() }
    };
    urls.into_iter().map(source).collect()
}

/// The addresses in a document as received that say which edition they are of.
pub fn editions(said: &Value) -> Vec<String> {
    let mut given = BTreeMap::new();
    addresses(said, &mut given, &mut BTreeMap::new());
    given.into_values().filter(|from| edition(from).is_some()).collect()
}

/// Whether a document as received has an address in another edition than the copy that is kept of it.
/// Where either does not say which, it is the same.
pub fn is_other_edition(said: &Value, copies: &Copies) -> bool {
    let mut given = BTreeMap::new();
    addresses(said, &mut given, &mut BTreeMap::new());
    copies.iter().any(|(url, copy)| {
        let now = given.get(url).and_then(|from| edition(from));
        now.is_some() && copy.v.is_some() && now != copy.v
    })
}

/// Whether every medium of a state has its bytes.
pub fn is_complete(state: &Value) -> bool {
    let mut complete = true;
    each(state, &mut |members| {
        complete &= own_address(members).is_none() || members.contains_key("blob");
    });
    complete
}

/// The facet's payload.
pub fn payload(kind: &Kind, gid: Option<&str>, copies: &Copies) -> Value {
    let blobs = copies.iter().map(|(url, copy)| match &copy.v {
        Some(v) => json!({"url": url, "blob": copy.blob, "v": v}),
        None => json!({"url": url, "blob": copy.blob}),
    });
    let mut payload = json!({"blobs": blobs.collect::<Value>()});
    if let Some(gid) = gid {
        payload["id"] = gid.into();
    }
    if let Some(copy) = copies.values().next().filter(|_| is_file(kind)) {
        payload["blob"] = copy.blob.clone().into();
    }
    payload
}

/// The facet's canonical state: without editions, which say nothing of the bytes.
pub(crate) fn canonical(mut payload: Value) -> Value {
    for entry in payload["blobs"].as_array_mut().into_iter().flatten() {
        if let Some(members) = entry.as_object_mut() {
            members.remove("v");
        }
    }
    payload
}

/// What a payload of the facet says.
pub fn copies(payload: &Value) -> Copies {
    let text = |entry: &Value, name: &str| entry.get(name)?.as_str().map(str::to_owned);
    let entries = payload.get("blobs").and_then(Value::as_array).into_iter().flatten();
    let copies = entries.filter_map(|entry| {
        let copy = Copy { blob: text(entry, "blob")?, v: text(entry, "v") };
        Some((text(entry, "url")?, copy))
    });
    copies.collect()
}

/// Lays the facet over a state: wherever an address stands whose bytes are kept, `blob` names them.
pub(crate) fn lay(state: &mut Value, facet: &Value) {
    let copies = copies(facet);
    if !place(state, &copies) {
        return;
    }
    if let (Some(members), Some(blob)) = (state.as_object_mut(), facet.get("blob")) {
        members.insert("blob".into(), blob.clone());
    }
}

/// Whether there was any.
fn place(value: &mut Value, copies: &Copies) -> bool {
    match value {
        Value::Object(members) => {
            let copy = own_address(members).and_then(|url| copies.get(url));
            let here = copy.map(|copy| members.insert("blob".into(), copy.blob.clone().into()));
            let inner = members.values_mut().fold(false, |any, value| place(value, copies) | any);
            here.is_some() | inner
        }
        Value::Array(items) => items.iter_mut().fold(false, |any, item| place(item, copies) | any),
        _ => false,
    }
}

/// The address of an object's own bytes. That of a product's video is its preview's.
fn own_address(members: &Map<String, Value>) -> Option<&str> {
    let of_preview = members.get("mediaContentType").is_some_and(|sort| *sort != "IMAGE");
    let url = members.get("url")?.as_str().filter(|_| !of_preview)?;
    (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
}

/// Every address in a document as received, by its canonical form; and by what is left of it without
/// its query, which is how a state has one that is signed.
fn addresses(
    said: &Value,
    found: &mut BTreeMap<String, String>,
    signed: &mut BTreeMap<String, String>,
) {
    each(said, &mut |members| {
        for name in ["url", "src"] {
            if let Some(Value::String(from)) = members.get(name) {
                found.insert(address(from), from.clone());
                let bare = from.split('?').next().unwrap_or_default();
                signed.insert(bare.to_owned(), from.clone());
            }
        }
    });
}

fn each(value: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            look(members);
            members.values().for_each(|value| each(value, look));
        }
        Value::Array(items) => items.iter().for_each(|item| each(item, look)),
        _ => {}
    }
}

fn edition(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    url.query_pairs().find(|(name, _)| name == "v").map(|(_, v)| v.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Kind {
        Kind::parse(name).expect("a kind")
    }

    #[test]
    fn a_picture_is_asked_for_where_shopify_said_it_is() {
        let said = json!({"media": [
            {"id": 1, "media_content_type": "IMAGE",
             "preview_image": {"src": "https://cdn.shopify.com/s/a.jpg?v=17"}},
            {"id": 2, "media_content_type": "VIDEO",
             "preview_image": {"src": "https://cdn.shopify.com/s/film.jpg?v=18"}},
        ]});
        let state = json!({"media": [
            {"id": "a", "mediaContentType": "IMAGE", "url": "https://cdn.shopify.com/s/a.jpg"},
            {"id": "b", "mediaContentType": "VIDEO", "url": "https://cdn.shopify.com/s/film.jpg"},
        ]});
        let expected = Source {
            url: "https://cdn.shopify.com/s/a.jpg".into(),
            from: "https://cdn.shopify.com/s/a.jpg?v=17".into(),
            v: Some("17".into()),
            of_bytes: false,
        };
        assert_eq!(sources(&state, &said), [expected]);
    }

    #[test]
    fn a_file_of_a_theme_is_asked_for_with_its_signature_and_known_by_its_checksum() {
        let said = json!({"filename": "assets/a.png", "checksumMd5": "aa",
            "body": {"url": "https://cdn.shopify.com/t/a.png?X-Signature=s&v=3"}});
        let state = json!({"filename": "assets/a.png", "checksumMd5": "aa",
            "body": {"url": "https://cdn.shopify.com/t/a.png"}});
        let expected = Source {
            url: "https://cdn.shopify.com/t/a.png".into(),
            from: "https://cdn.shopify.com/t/a.png?X-Signature=s&v=3".into(),
            v: Some("aa".into()),
            of_bytes: true,
        };
        assert_eq!(sources(&state, &said), [expected]);
    }

    #[test]
    fn bytes_belong_to_their_address_and_to_no_other() {
        let copy = |blob: &str| Copy { blob: blob.into(), v: Some("1".into()) };
        let copies: Copies =
            [("https://c/a.jpg".to_owned(), copy("aa")), ("https://c/old.jpg".into(), copy("bb"))]
                .into();
        let payload = payload(&kind("product"), Some("gid://shopify/Product/1"), &copies);
        assert_eq!(super::copies(&payload), copies);
        let facet = canonical(payload);
        assert!(!facet.to_string().contains("\"v\""));
        let mut state = json!({"id": "p", "image": null, "media": [
            {"id": "m", "url": "https://c/a.jpg"}, {"id": "n", "url": "https://c/new.jpg"}]});
        lay(&mut state, &facet);
        let expected = json!({"id": "p", "image": null, "media": [
            {"id": "m", "url": "https://c/a.jpg", "blob": "aa"},
            {"id": "n", "url": "https://c/new.jpg"}]});
        assert_eq!(state, expected);
    }

    #[test]
    fn other_bytes_at_an_address_are_known_by_its_edition() {
        let copy = |v: Option<&str>| Copy { blob: "aa".into(), v: v.map(str::to_owned) };
        let kept = |v| Copies::from([("https://c/a.jpg".to_owned(), copy(v))]);
        let seen =
            json!({"id": "f", "image": {"url": "https://c/a.jpg?v=2"}, "url": "https://c/b"});
        let addresses = editions(&seen);
        assert_eq!(addresses, ["https://c/a.jpg?v=2"]);
        // What was put aside of a document stands for it.
        let aside = json!([{"url": addresses[0]}]);
        for said in [&seen, &aside] {
            assert!(is_other_edition(said, &kept(Some("1"))));
            assert!(!is_other_edition(said, &kept(Some("2"))));
            assert!(!is_other_edition(said, &kept(None)), "which it is of was not told");
        }
        assert!(!is_other_edition(&json!({"url": "https://c/a.jpg"}), &kept(Some("1"))));
        assert!(!is_other_edition(&json!({"url": "https://c/z.jpg?v=2"}), &kept(Some("1"))));
    }

    #[test]
    fn a_file_has_its_bytes_at_hand_while_they_are_its_own() {
        let copy = Copy { blob: "aa".into(), v: None };
        let copies: Copies = [("https://c/a.jpg".to_owned(), copy)].into();
        let facet = canonical(payload(&kind("file"), None, &copies));
        let mut state = json!({"image": {"url": "https://c/a.jpg"}});
        lay(&mut state, &facet);
        assert_eq!(state, json!({"image": {"url": "https://c/a.jpg", "blob": "aa"}, "blob": "aa"}));
        let mut other = json!({"image": {"url": "https://c/b.jpg"}});
        lay(&mut other, &facet);
        assert_eq!(other, json!({"image": {"url": "https://c/b.jpg"}}));
    }
}
