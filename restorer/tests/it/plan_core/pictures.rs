//! Pictures, which are their bytes: what was replaced where it is comes back as it was.

use backstock_restorer::plan::Action;
use backstock_restorer::plan::row::{Policy, Subject, Verdict, verdict};
use backstock_restorer::plan::undo::Run;
use serde_json::{Value, json};

use super::{base, paths, row, set, subject, subject_of};

/// A file whose bytes are these, with a text and a width.
fn file(blob: Option<&str>, alt: &str, width: u32) -> Value {
    let mut state = json!({"id": "gid://shopify/MediaImage/5", "alt": alt,
        "image": {"url": "https://c/mug.png", "width": width}});
    if let Some(blob) = blob {
        (state["blob"], state["image"]["blob"]) = (json!(blob), json!(blob));
    }
    state
}

fn of_file(now: Value, before: Value, after: Value) -> Subject {
    subject_of("file", now, vec![Run { before, after }])
}

#[test]
fn a_file_that_was_replaced_where_it_is_gets_the_bytes_that_it_had() {
    let (was, is) = (file(Some("aa"), "Mug", 800), file(Some("bb"), "Mug", 600));
    let subject = of_file(is.clone(), was.clone(), is.clone());
    let back = row(verdict(&subject, &Policy::default()));
    assert_eq!((back.action, back.unwritable.as_slice()), (Action::Update, &[][..]));
    assert_eq!(set(&back), [("/blob", &json!("aa")), ("/image/blob", &json!("aa"))]);
    assert_eq!(back.notes.len(), 1, "{:?}", back.notes);

    // What was only learned later was there all the time.
    let unknown = of_file(is.clone(), file(None, "Mug", 600), is);
    assert_eq!(verdict(&unknown, &Policy::default()), Verdict::Same);
}

#[test]
fn bytes_that_somebody_replaced_later_are_left_alone() {
    let now = file(Some("cc"), "Ad", 600);
    let edited = of_file(now.clone(), file(Some("bb"), "Mug", 600), file(Some("bb"), "Ad", 600));
    let back = row(verdict(&edited, &Policy::default()));
    assert_eq!(paths(&back), ["/alt"]);
    let replaced = of_file(now, file(Some("aa"), "Ad", 600), file(Some("bb"), "Ad", 600));
    let kept = row(verdict(&replaced, &Policy::default()));
    assert_eq!((kept.action, kept.fields.len()), (Action::Keep, 0), "{kept:?}");
    assert_eq!(kept.kept[0].path.as_str(), "/image/blob");
}

#[test]
fn a_picture_of_a_product_that_was_replaced_where_it_is_gets_the_bytes_that_it_had() {
    let with = |blob: &str| {
        let mut state = base();
        state["media"] = json!([{"id": "gid://shopify/MediaImage/5", "mediaContentType": "IMAGE",
            "alt": "Mug", "url": "https://c/mug.png", "blob": blob}]);
        state
    };
    let runs = vec![Run { before: with("aa"), after: with("bb") }];
    let back = row(verdict(&subject(with("bb"), runs), &Policy::default()));
    let news: Vec<&Value> = back.fields.iter().map(|field| &field.new).collect();
    assert_eq!(news, [&json!("aa")]);
}

#[test]
fn a_picture_comes_back_with_the_bytes_that_it_had() {
    let with = |file: &str, blob: Option<&str>| {
        let mut image = json!({"altText": "Bags", "url": format!("https://c/{file}.png")});
        if let Some(blob) = blob {
            image["blob"] = json!(blob);
        }
        json!({"id": "gid://shopify/Collection/7", "title": "Bags", "ruleSet": null, "image": image})
    };
    // The bytes of the other one were kept a moment after it was put there.
    let runs = vec![Run { before: with("bags", Some("aa")), after: with("ad", None) }];
    let subject = subject_of("collection", with("ad", Some("bb")), runs);
    let back = row(verdict(&subject, &Policy::default()));
    assert_eq!(
        set(&back),
        [("/image/blob", &json!("aa")), ("/image/url", &json!("https://c/bags.png"))]
    );
}
