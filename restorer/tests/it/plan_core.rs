//! What a plan makes of random histories: everything of the app's is undone, everything that others
//! did stays, and every conflict is listed.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::Kind;
use backstock_proto::kind::Spec;
use backstock_proto::merge::{self, OnConflict};
use backstock_restorer::plan::row::{Left, Policy, Subject, Verdict, verdict};
use backstock_restorer::plan::select::Selection;
use backstock_restorer::plan::undo::{Run, undo};
use backstock_restorer::plan::{Action, Modes, Row, Select};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One edit of a product.
#[derive(Clone, Debug)]
struct Edit {
    by_app: bool,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// A text member, by its number.
    Text(u8),
    /// The price of a variant, by its number.
    Price(u8),
    /// A tag is added, or taken out if it is there.
    Tag(u8),
}

const TEXTS: [&str; 3] = ["title", "vendor", "descriptionHtml"];

fn base() -> Value {
    let variant = |n: u8| json!({"id": format!("gid://shopify/ProductVariant/{n}"), "price": "0"});
    json!({
        "id": "gid://shopify/Product/7", "title": "base", "vendor": "base",
        "descriptionHtml": "base", "tags": ["b"],
        "variants": [variant(0), variant(1), variant(2)],
    })
}

/// The state after an edit, which writes what nobody wrote before.
fn edited(state: &Value, edit: &Edit, n: usize) -> Value {
    let mut state = state.clone();
    match edit.what {
        What::Text(member) => {
            state[TEXTS[usize::from(member)]] = json!(format!("{n} by {}", edit.by_app));
        }
        What::Price(variant) => {
            state["variants"][usize::from(variant)]["price"] = n.to_string().into()
        }
        What::Tag(tag) => {
            let tag = format!("{}", char::from(b'a' + tag));
            let tags =
                state["tags"].as_array().expect("tags").iter().map(|t| t.as_str().expect("text"));
            let mut tags: BTreeSet<String> = tags.map(str::to_owned).collect();
            if !tags.remove(&tag) {
                tags.insert(tag);
            }
            state["tags"] = tags.into_iter().collect();
        }
    }
    state
}

/// What is edited, as one name.
fn name(what: &What) -> String {
    format!("{what:?}")
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let what = prop_oneof![
        (0..3u8).prop_map(What::Text),
        (0..3u8).prop_map(What::Price),
        (0..3u8).prop_map(What::Tag)
    ];
    let edit = (any::<bool>(), what).prop_map(|(by_app, what)| Edit { by_app, what });
    proptest::collection::vec(edit, 0..24)
}

/// The states of a history, first to last, and the app's stretches, newest first.
fn told(edits: &[Edit]) -> (Vec<Value>, Vec<Run>) {
    let mut states = vec![base()];
    for (n, edit) in edits.iter().enumerate() {
        let next = edited(&states[n], edit, n + 1);
        states.push(next);
    }
    let mut runs: Vec<Run> = Vec::new();
    let mut neighbour = false;
    for (n, edit) in edits.iter().enumerate().rev() {
        if edit.by_app {
            match runs.last_mut().filter(|_| neighbour) {
                Some(run) => run.before = states[n].clone(),
                None => runs.push(Run { before: states[n].clone(), after: states[n + 1].clone() }),
            }
        }
        neighbour = edit.by_app;
    }
    (states, runs)
}

fn spec() -> &'static Spec {
    Kind::parse("product").expect("a kind").spec().expect("understood")
}

fn subject(now: Value, runs: Vec<Run>) -> Subject {
    let kind = Kind::parse("product").expect("a kind");
    let of = runs.first().filter(|run| !run.before.is_null());
    let instant = "2026-11-20T12:00:00Z".parse().expect("an instant");
    Subject {
        spec: spec(),
        of: of.map(|run| (instant, run.before.clone())),
        kind,
        id: "7".to_owned().try_into().expect("an id"),
        now,
        runs,
        made_since: true,
        seen: Some(7),
        taken_by: None,
        comes_along: false,
    }
}

fn row(verdict: Verdict) -> Row {
    match verdict {
        Verdict::Row(row) => *row,
        other => panic!("no row: {other:?}"),
    }
}

proptest! {
    /// A history without the app's edits is what is left when they are taken back.
    #[test]
    fn the_app_is_undone_and_everybody_else_stays(edits in edits()) {
        let (states, runs) = told(&edits);
        let now = states.last().expect("a state").clone();
        let undone = undo(&now, &runs, OnConflict::Keep, |_| true);
        // A tag that somebody toggled is judged by whether it is there, not by who said so last.
        let tags = edits.iter().any(|edit| matches!(edit.what, What::Tag(_)));
        let mut last: BTreeMap<String, (usize, bool)> = BTreeMap::new();
        let mut want = base();
        for (n, edit) in edits.iter().enumerate() {
            last.insert(name(&edit.what), (n, edit.by_app));
            if !edit.by_app && !matches!(edit.what, What::Tag(_)) {
                want = edited(&want, edit, n + 1);
            }
        }
        want["tags"] = undone.state["tags"].clone();
        prop_assert_eq!(&undone.state, &want);
        for tag in 0..3u8 {
            let is_there = |state: &Value| {
                let name = json!(char::from(b'a' + tag).to_string());
                state["tags"].as_array().is_some_and(|tags| tags.contains(&name))
            };
            let toggled = |by_app: bool| {
                let of = |e: &Edit| e.by_app == by_app && matches!(e.what, What::Tag(t) if t == tag);
                edits.iter().any(of)
            };
            match (toggled(true), toggled(false)) {
                (true, true) => {}
                (true, false) => prop_assert_eq!(is_there(&undone.state), is_there(&base())),
                (false, _) => prop_assert_eq!(is_there(&undone.state), is_there(&now)),
            }
        }
        if !tags {
            let conflicts = last.iter().filter(|(what, (n, by_app))| {
                let app_before = |e: &Edit| e.by_app && name(&e.what) == **what;
                !by_app && edits[..*n].iter().any(app_before)
            });
            // Also where the app wrote over others, who had written over the app.
            let over: BTreeSet<String> = edits.iter().enumerate().filter_map(|(n, edit)| {
                let what = name(&edit.what);
                let earlier = |e: &Edit| e.by_app && name(&e.what) == what;
                (!edit.by_app && edits[..n].iter().any(earlier)).then(|| what.clone())
            }).collect();
            prop_assert!(conflicts.count() <= undone.kept.len());
            prop_assert_eq!(undone.kept.len(), over.len(), "{:?}", undone.kept);
        }
    }

    /// Whatever the rows say makes the state that is wanted of the one that is there.
    #[test]
    fn the_fields_of_a_row_make_what_is_wanted(edits in edits()) {
        let (states, runs) = told(&edits);
        let now = states.last().expect("a state").clone();
        let want = undo(&now, &runs, OnConflict::Keep, |_| true).state;
        let mut made = now.clone();
        match verdict(&subject(now.clone(), runs), &Policy::default()) {
            Verdict::Row(row) => {
                for field in &row.fields {
                    prop_assert_eq!(
                        merge::get(&now, &field.path).unwrap_or(&Value::Null), &field.old
                    );
                    merge::set(&mut made, &field.path, field.new.clone());
                }
            }
            other => prop_assert_eq!(other, Verdict::Same),
        }
        prop_assert_eq!(made, want);
    }

    /// Overwriting leaves nothing of the app's, and asks nobody.
    #[test]
    fn overwriting_keeps_nothing(edits in edits()) {
        let (states, _) = told(&edits);
        let now = states.last().expect("a state").clone();
        let all = vec![Run { before: base(), after: now.clone() }];
        let undone = undo(&now, &all, OnConflict::Overwrite, |_| true);
        prop_assert_eq!(undone.state, base());
        prop_assert!(undone.kept.is_empty());
    }
}

#[test]
fn what_is_gone_is_made_anew_and_what_is_new_goes_only_if_asked() {
    let gone = subject(Value::Null, vec![Run { before: base(), after: Value::Null }]);
    let anew = row(verdict(&gone, &Policy::default()));
    assert_eq!((anew.action, anew.fields.as_slice()), (Action::Create, &[][..]));
    assert!(anew.of.is_some() && anew.title == "base");
    assert!(anew.notes.iter().any(|note| note.contains("new id")), "{:?}", anew.notes);

    let made = subject(base(), vec![Run { before: Value::Null, after: base() }]);
    assert_eq!(verdict(&made, &Policy::default()), Verdict::Left(Left::Delete));
    let modes = Modes { delete_new: true, ..Modes::default() };
    let deleting = Policy { modes, ..Policy::default() };
    assert_eq!(row(verdict(&made, &deleting)).action, Action::Delete);
}

#[test]
fn of_a_shop_its_metafields_are_planned_and_its_settings_are_told() {
    let kind = Kind::parse("shop").expect("a kind");
    let state = |phone: &str, motto: &str| {
        let motto = json!({"namespace": "custom", "key": "motto", "type": "json", "value": motto});
        json!({"id": "gid://shopify/Shop/7", "shopAddress": {"phone": phone},
               "metafields": [motto]})
    };
    let (was, now) = (state("1", "\"old\""), state("2", "\"new\""));
    let of_shop = |now: Value, before: Value| {
        let runs = vec![Run { before, after: now.clone() }];
        let spec = kind.spec().expect("understood");
        Subject { spec, kind: kind.clone(), ..subject(now, runs) }
    };
    let planned = row(verdict(&of_shop(now.clone(), was.clone()), &Policy::default()));
    assert_eq!(planned.action, Action::Update);
    let paths: Vec<&str> = planned.fields.iter().map(|field| field.path.as_str()).collect();
    assert!(matches!(paths[..], [path] if path.starts_with("/metafields/")), "{paths:?}");
    let told: Vec<&str> = planned.unwritable.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(told, ["/shopAddress/phone"]);

    let only = row(verdict(&of_shop(now, state("1", "\"new\"")), &Policy::default()));
    assert_eq!((only.action, only.unwritable.len()), (Action::Cannot, 1));
    let gone = row(verdict(&of_shop(Value::Null, was), &Policy::default()));
    assert_eq!(gone.action, Action::Cannot, "no shop is made anew");
}

#[test]
fn an_option_that_was_parted_from_its_metafield_is_linked_again_and_parted_by_hand_only() {
    let product = |link: Value, values: Value| {
        json!({"id": "gid://shopify/Product/7", "title": "Poster", "options": [{
            "id": "gid://shopify/ProductOption/1", "name": "Designer", "position": 1,
            "values": ["Ana"], "linkedMetafield": link, "optionValues": values,
        }]})
    };
    let ana = json!({"name": "Ana", "linkedMetafieldValue": "gid://shopify/Metaobject/1"});
    let linked = product(json!({"namespace": "custom", "key": "designer"}), json!([ana]));
    let plain = product(Value::Null, Value::Null);
    let taken_back = |before: &Value, after: &Value| {
        let runs = vec![Run { before: before.clone(), after: after.clone() }];
        row(verdict(&subject(after.clone(), runs), &Policy::default()))
    };
    let parted = taken_back(&linked, &plain);
    assert_eq!(parted.action, Action::Update);
    let set: Vec<(&str, &Value)> =
        parted.fields.iter().map(|field| (field.path.as_str(), &field.new)).collect();
    let of = |member: &str| format!("/options/{{gid:~1~1shopify~1ProductOption~11}}/{member}");
    let option = &linked["options"][0];
    assert_eq!(
        set,
        [
            (of("linkedMetafield").as_str(), &option["linkedMetafield"]),
            (of("optionValues").as_str(), &option["optionValues"]),
        ]
    );
    let joined = taken_back(&plain, &linked);
    assert_eq!((joined.action, joined.unwritable.len()), (Action::Cannot, 2));
}

#[test]
fn stock_keeping_goes_with_its_variant_and_has_no_row_of_its_own() {
    let kind = Kind::parse("inventory_item").expect("a kind");
    let item = json!({"id": "gid://shopify/InventoryItem/7", "tracked": true});
    let made = subject(item.clone(), vec![Run { before: Value::Null, after: item }]);
    let made = Subject { spec: kind.spec().expect("understood"), kind, ..made };
    let modes = Modes { delete_new: true, ..Modes::default() };
    assert_eq!(verdict(&made, &Policy { modes, ..Policy::default() }), Verdict::Same);
}

#[test]
fn what_was_known_in_part_only_says_so() {
    let notes = |second: Value| {
        let mut then = base();
        then["variants"] = json!([{"id": "gid://shopify/ProductVariant/1", "title": "S"}, second]);
        let gone = subject(Value::Null, vec![Run { before: then, after: Value::Null }]);
        row(verdict(&gone, &Policy::default())).notes
    };
    let is_said = |note: &String| note.contains("only a part of it");
    assert!(notes(json!({"id": "gid://shopify/ProductVariant/2"})).iter().any(is_said));
    let whole = json!({"id": "gid://shopify/ProductVariant/2", "title": "M"});
    assert!(!notes(whole).iter().any(is_said));
}

#[test]
fn what_was_made_and_edited_since_is_kept() {
    let mut edited = base();
    edited["title"] = json!("better");
    let subject = subject(edited, vec![Run { before: Value::Null, after: base() }]);
    let modes = Modes { delete_new: true, ..Modes::default() };
    let kept = row(verdict(&subject, &Policy { modes, ..Policy::default() }));
    assert_eq!(kept.action, Action::Keep);
    let fields: Vec<&str> = kept.kept.iter().map(|kept| kept.path.as_str()).collect();
    assert_eq!(fields, ["/title"]);
}

#[test]
fn what_was_learned_of_something_new_only_afterwards_is_no_edit() {
    let mut known = base();
    known["publications"] = json!([{"id": "gid://shopify/Publication/1"}]);
    known["metafields"] = json!([]);
    known["updatedAt"] = json!("2026-11-20T12:00:09Z");
    let mut made = base();
    made["updatedAt"] = json!("2026-11-20T12:00:00Z");
    let subject = subject(known, vec![Run { before: Value::Null, after: made }]);
    let modes = Modes { delete_new: true, ..Modes::default() };
    let row = row(verdict(&subject, &Policy { modes, ..Policy::default() }));
    assert_eq!(row.action, Action::Delete);
}

#[test]
fn what_history_did_not_see_begin_is_never_deleted() {
    let mut unknown = subject(base(), vec![Run { before: Value::Null, after: base() }]);
    unknown.made_since = false;
    let modes = Modes { delete_new: true, ..Modes::default() };
    let verdict = verdict(&unknown, &Policy { modes, ..Policy::default() });
    assert_eq!(verdict, Verdict::Left(Left::Unknown));
}

#[test]
fn a_part_that_was_not_known_then_is_left_alone() {
    let mut now = base();
    now["metafields"] = json!([{"namespace": "care", "key": "wash", "value": "cold"}]);
    now["title"] = json!("bad");
    let subject = subject(now.clone(), vec![Run { before: base(), after: now }]);
    let fields = row(verdict(&subject, &Policy::default())).fields;
    let paths: Vec<&str> = fields.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(paths, ["/title"]);
}

#[test]
fn an_edit_between_two_of_the_apps_survives_a_deletion() {
    let with = |title: &str, vendor: &str| {
        let mut state = base();
        (state["title"], state["vendor"]) = (json!(title), json!(vendor));
        state
    };
    // The app wrote the title, somebody the vendor, and then the app deleted it.
    let runs = vec![
        Run { before: with("app", "staff"), after: Value::Null },
        Run { before: with("base", "base"), after: with("app", "base") },
    ];
    let anew = row(verdict(&subject(Value::Null, runs), &Policy::default()));
    assert_eq!(anew.action, Action::Create);
    let fields: Vec<(&str, &Value)> =
        anew.fields.iter().map(|field| (field.path.as_str(), &field.new)).collect();
    assert_eq!(fields, [("/title", &json!("base"))]);
}

/// A product into which a variant and a picture were put: before, just after, and once more was learned
/// of both.
fn put_in() -> [Value; 3] {
    let with = |variant: Option<Value>, medium: Option<Value>| {
        let mut state = base();
        state["variants"].as_array_mut().expect("variants").extend(variant);
        state["media"] = medium.into_iter().collect();
        state
    };
    let (variant, medium) = ("gid://shopify/ProductVariant/9", "gid://shopify/MediaImage/5");
    [
        with(None, None),
        with(
            Some(json!({"id": variant, "price": "5"})),
            Some(json!({"id": medium, "alt": "Mug", "url": "https://c/tmp/mug.png"})),
        ),
        with(
            Some(json!({"id": variant, "price": "5", "metafields": [], "mediaIds": []})),
            Some(json!({"id": medium, "alt": "Mug", "url": "https://c/mug.png", "blob": "aa"})),
        ),
    ]
}

#[test]
fn what_was_put_into_something_goes_although_more_was_learned_of_it_since() {
    let [before, after, now] = put_in();
    let runs = vec![Run { before: before.clone(), after: after.clone() }];
    let gone = row(verdict(&subject(now.clone(), runs.clone()), &Policy::default()));
    assert_eq!((gone.action, gone.kept.as_slice()), (Action::Update, &[][..]));
    let gone: Vec<(&str, bool)> =
        gone.fields.iter().map(|field| (field.path.member(), field.new.is_null())).collect();
    assert_eq!(gone, [("media", true), ("variants", true)]);
    // What somebody made of it since stays.
    let mut edited = now;
    edited["media"][0]["alt"] = json!("A mug on a table");
    let kept = row(verdict(&subject(edited, runs), &Policy::default()));
    let stays: Vec<&str> = kept.kept.iter().map(|kept| kept.path.member()).collect();
    assert_eq!(stays, ["media"]);
    assert!(kept.fields.iter().all(|field| field.path.member() == "variants"));
}

#[test]
fn what_is_back_already_is_as_wanted() {
    let mut was = base();
    was["createdAt"] = json!("2026-11-19T12:00:00Z");
    let mut is = base();
    is["createdAt"] = json!("2026-11-21T12:00:00Z");
    let runs = vec![Run { before: was, after: Value::Null }];
    assert_eq!(verdict(&subject(is, runs), &Policy::default()), Verdict::Same);
}

#[test]
fn of_what_is_gone_and_was_never_seen_nobody_says_that_it_is_as_wanted() {
    let runs = vec![Run { before: Value::Null, after: Value::Null }];
    let mut gone = subject(Value::Null, runs);
    assert_eq!(verdict(&gone, &Policy::default()), Verdict::Same, "it came and went");
    gone.made_since = false;
    assert_eq!(verdict(&gone, &Policy::default()), Verdict::Left(Left::Unknown));
}

#[test]
fn what_was_given_another_title_is_found_by_either() {
    let with = |title: &str| {
        let mut state = base();
        state["title"] = json!(title);
        state
    };
    let runs = vec![Run { before: with("Enamel Mug"), after: with("SALE!!!") }];
    let subject = subject(with("SALE!!!"), runs);
    let of = |q: &str| {
        let select = Select { q: Some(q.into()), ..Select::default() };
        let selection = Selection::parse(&select).expect("understood");
        verdict(&subject, &Policy { selection, ..Policy::default() })
    };
    assert_eq!(row(of("mug")).action, Action::Update);
    assert_eq!(row(of("sale")).action, Action::Update);
    assert_eq!(of("tote"), Verdict::Unselected);
}

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
    let kind = Kind::parse("file").expect("a kind");
    let subject = subject(now, vec![Run { before, after }]);
    Subject { spec: kind.spec().expect("understood"), kind, ..subject }
}

#[test]
fn a_file_that_was_replaced_where_it_is_gets_the_bytes_that_it_had() {
    let (was, is) = (file(Some("aa"), "Mug", 800), file(Some("bb"), "Mug", 600));
    let subject = of_file(is.clone(), was.clone(), is.clone());
    let back = row(verdict(&subject, &Policy::default()));
    assert_eq!((back.action, back.unwritable.as_slice()), (Action::Update, &[][..]));
    let paths: Vec<(&str, &Value)> =
        back.fields.iter().map(|field| (field.path.as_str(), &field.new)).collect();
    assert_eq!(paths, [("/blob", &json!("aa")), ("/image/blob", &json!("aa"))]);
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
    let paths: Vec<&str> = back.fields.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(paths, ["/alt"]);
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
    let kind = Kind::parse("collection").expect("a kind");
    let with = |file: &str, blob: Option<&str>| {
        let mut image = json!({"altText": "Bags", "url": format!("https://c/{file}.png")});
        if let Some(blob) = blob {
            image["blob"] = json!(blob);
        }
        json!({"id": "gid://shopify/Collection/7", "title": "Bags", "ruleSet": null, "image": image})
    };
    // The bytes of the other one were kept a moment after it was put there.
    let runs = vec![Run { before: with("bags", Some("aa")), after: with("ad", None) }];
    let subject = subject(with("ad", Some("bb")), runs);
    let subject = Subject { spec: kind.spec().expect("understood"), kind, ..subject };
    let fields = row(verdict(&subject, &Policy::default())).fields;
    let fields: Vec<(&str, &Value)> =
        fields.iter().map(|field| (field.path.as_str(), &field.new)).collect();
    assert_eq!(
        fields,
        [("/image/blob", &json!("aa")), ("/image/url", &json!("https://c/bags.png"))]
    );
}

/// What history has of then may have been read by a version that did not ask for all that this one keeps.
#[test]
fn what_was_not_kept_then_is_neither_emptied_nor_taken_back() {
    let rules = |of: &[&str]| {
        let rule = |name: &&str| ((*name).to_owned(), json!("oak"));
        let rule: serde_json::Map<String, Value> = of.iter().map(rule).collect();
        json!({"ruleSet": {"appliedDisjunctively": false, "rules": [rule]}})
    };
    let enabled = |of: &[&str]| {
        let capability = |name: &&str| ((*name).to_owned(), json!({"enabled": true}));
        let capabilities: serde_json::Map<String, Value> = of.iter().map(capability).collect();
        json!({ "capabilities": capabilities })
    };
    let line = |more: Value| {
        let mut line = json!({"id": "l", "title": "Gift wrap", "quantity": 1});
        add(&mut line, more);
        json!({"lineItems": [line]})
    };
    let said = ["column", "relation", "condition"];
    for (kind, named, then, now) in [
        (
            "market",
            "name",
            json!({}),
            json!({"priceInclusions": {"inclusiveTaxPricingStrategy": "A"}}),
        ),
        (
            "metafield_definition",
            "name",
            enabled(&["uniqueValues"]),
            enabled(&["analyticsQueryable", "uniqueValues"]),
        ),
        (
            "collection",
            "title",
            rules(&said),
            rules(&["column", "relation", "condition", "conditionObjectId"]),
        ),
        (
            "draft_order",
            "note",
            line(json!({})),
            line(json!({"weight": {"unit": "GRAMS", "value": 40}})),
        ),
        (
            "location",
            "name",
            json!({}),
            json!({"metafields": [{"namespace": "custom", "key": "hours", "value": "9-5"}]}),
        ),
        ("catalog", "title", json!({}), json!({"products": [{"id": "p"}], "autoPublish": false})),
    ] {
        let kind = Kind::parse(kind).expect("a kind");
        let state = |name: &str, more: &Value| {
            let mut state = json!({ "id": "7", named: name });
            add(&mut state, more.clone());
            state
        };
        let planned = |was: &str| {
            let runs = vec![Run { before: state(was, &then), after: state("B", &now) }];
            let subject = subject(state("B", &now), runs);
            let subject =
                Subject { spec: kind.spec().expect("understood"), kind: kind.clone(), ..subject };
            verdict(&subject, &Policy::default())
        };
        assert_eq!(planned("B"), Verdict::Same, "{kind}");
        let row = row(planned("A"));
        let fields: Vec<&str> = row.fields.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(fields, [format!("/{named}")], "{kind}");
        assert!(row.unwritable.is_empty() && row.kept.is_empty(), "{kind}");
    }
}

fn add(state: &mut Value, more: Value) {
    let (Value::Object(state), Value::Object(more)) = (state, more) else { return };
    state.extend(more);
}
