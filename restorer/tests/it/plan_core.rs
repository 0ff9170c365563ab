//! What a plan makes of what was, what is and what happened in between.

mod histories;
mod pictures;

use backstock_proto::Kind;
use backstock_restorer::plan::row::{Left, Policy, Subject, Verdict, verdict};
use backstock_restorer::plan::select::Selection;
use backstock_restorer::plan::undo::Run;
use backstock_restorer::plan::{Action, Modes, Row, Select};
use serde_json::{Value, json};

fn base() -> Value {
    let variant = |n: u8| json!({"id": format!("gid://shopify/ProductVariant/{n}"), "price": "0"});
    json!({
        "id": "gid://shopify/Product/7", "title": "base", "vendor": "base",
        "descriptionHtml": "base", "tags": ["b"],
        "variants": [variant(0), variant(1), variant(2)],
    })
}

/// A product as it is, and what was done to it.
fn subject(now: Value, runs: Vec<Run>) -> Subject {
    subject_of("product", now, runs)
}

/// The same of another kind.
fn subject_of(kind: &str, now: Value, runs: Vec<Run>) -> Subject {
    let kind = Kind::parse(kind).expect("a kind");
    let of = runs.first().filter(|run| !run.before.is_null());
    let instant = "2026-11-20T12:00:00Z".parse().expect("an instant");
    Subject {
        spec: kind.spec().expect("understood"),
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

fn paths(row: &Row) -> Vec<&str> {
    row.fields.iter().map(|field| field.path.as_str()).collect()
}

/// The fields that are written, with what.
fn set(row: &Row) -> Vec<(&str, &Value)> {
    row.fields.iter().map(|field| (field.path.as_str(), &field.new)).collect()
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
    let state = |phone: &str, motto: &str| {
        let motto = json!({"namespace": "custom", "key": "motto", "type": "json", "value": motto});
        json!({"id": "gid://shopify/Shop/7", "shopAddress": {"phone": phone},
               "metafields": [motto]})
    };
    let (was, now) = (state("1", "\"old\""), state("2", "\"new\""));
    let of_shop = |now: Value, before: Value| {
        subject_of("shop", now.clone(), vec![Run { before, after: now }])
    };
    let planned = row(verdict(&of_shop(now.clone(), was.clone()), &Policy::default()));
    assert_eq!(planned.action, Action::Update);
    let paths = paths(&planned);
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
    let of = |member: &str| format!("/options/{{gid:~1~1shopify~1ProductOption~11}}/{member}");
    let option = &linked["options"][0];
    assert_eq!(
        set(&parted),
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
    let item = json!({"id": "gid://shopify/InventoryItem/7", "tracked": true});
    let runs = vec![Run { before: Value::Null, after: item.clone() }];
    let made = subject_of("inventory_item", item, runs);
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
    let back = row(verdict(&subject, &Policy::default()));
    assert_eq!(paths(&back), ["/title"]);
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
    assert_eq!(set(&anew), [("/title", &json!("base"))]);
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
        let state = |name: &str, more: &Value| {
            let mut state = json!({ "id": "7", named: name });
            add(&mut state, more.clone());
            state
        };
        let planned = |was: &str| {
            let runs = vec![Run { before: state(was, &then), after: state("B", &now) }];
            verdict(&subject_of(kind, state("B", &now), runs), &Policy::default())
        };
        assert_eq!(planned("B"), Verdict::Same, "{kind}");
        let row = row(planned("A"));
        assert_eq!(paths(&row), [format!("/{named}")], "{kind}");
        assert!(row.unwritable.is_empty() && row.kept.is_empty(), "{kind}");
    }
}

fn add(state: &mut Value, more: Value) {
    let (Value::Object(state), Value::Object(more)) = (state, more) else { return };
    state.extend(more);
}
