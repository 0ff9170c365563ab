//! Who did what, out of a few changes made by hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use backstock_proto::journal::Page;
use backstock_proto::{Facet, Kind, Op, ResourceId, Source, Timestamp};
use serde_json::json;

use super::read::{Book, Sources, Wanted};
use super::*;
use crate::fake::{self, Fake};
use crate::job::written::Written;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros((1_700_000_000 + second) * 1_000_000)
}

fn trace(seq: u64, id: u64, second: i64, effects: Vec<Effect>) -> Trace {
    Trace {
        kind: Kind::parse("product").expect("a kind"),
        id: ResourceId::parse(&id.to_string()).expect("an id"),
        seq,
        facet: Facet::Core,
        op: Op::Update,
        source: Source::Webhook,
        valid_at: at(second),
        at: at(second),
        event_id: Some(format!("action {seq}").as_str().into()),
        contents: contents(&format!("Product {id}"), effects),
    }
}

fn contents(title: &str, effects: Vec<Effect>) -> Option<Arc<Contents>> {
    Some(Arc::new(Contents { title: title.into(), effects, brings: Vec::new() }))
}

fn price(old: i64, new: i64) -> Vec<Effect> {
    let turn = Turn::Amount(old * 100, new * 100);
    vec![Effect { field: "variants/price".into(), element: Some("v".into()), turn, made: 0 }]
}

fn text() -> Vec<Effect> {
    let turn = Turn::Text(50, 60, 7);
    vec![Effect { field: "descriptionHtml".into(), element: None, turn, made: 0 }]
}

fn entry(id: u64, second: i64, who: Who) -> Entry {
    Entry {
        kind: Kind::parse("product").expect("a kind"),
        id: ResourceId::parse(&id.to_string()).expect("an id"),
        op: Op::Update,
        at: at(second),
        who,
    }
}

fn sets(mut traces: Vec<Trace>, evidence: &Evidence) -> Vec<ChangeSet> {
    traces.sort_by_key(|trace| (trace.at, trace.seq));
    let mut sets: Vec<ChangeSet> =
        group(&traces, evidence).iter().filter_map(|g| ChangeSet::of(g, &traces)).collect();
    sets.sort_by_key(|set| set.id);
    sets
}

/// An app lowers the prices of products 1 to 10, one a second, while staff edit two of them.
fn day() -> Vec<Trace> {
    let mut traces: Vec<Trace> =
        (1..=10).map(|n| trace(n, n, n as i64, price(6_400, 640))).collect();
    traces.push(trace(20, 3, 20, text()));
    traces.push(trace(21, 99, 5, price(6_400, 6_000)));
    traces
}

fn log(ids: impl Iterator<Item = u64>) -> Vec<Entry> {
    let mut log: Vec<Entry> = ids.map(|n| entry(n, n as i64, Who::app("Bulk Editor"))).collect();
    log.push(entry(3, 20, Who::staff("Amelia Byrne")));
    log.push(entry(99, 5, Who::staff("Amelia Byrne")));
    log
}

#[test]
fn the_log_tells_an_app_from_the_staff_working_beside_it() {
    let evidence = Evidence { log: log(1..=10), ..Evidence::default() };
    let sets = sets(day(), &evidence);
    assert_eq!(sets.len(), 2);
    assert_eq!(sets[0].headline, "10 prices lowered by 90 %, by Bulk Editor");
    assert_eq!(sets[0].counts.changes, 10);
    assert_eq!(sets[0].risk, Risk::High);
    assert!(sets[0].actor.confidence < 1.0);
    assert_eq!(sets[1].actor.name, "Amelia Byrne");
    let money = sets[0].money.as_ref().expect("prices moved");
    assert_eq!((money.before.as_str(), money.after.as_str()), ("640.00", "64.00"));
}

#[test]
fn what_the_log_forgot_is_told_by_its_shape_and_is_less_sure() {
    let evidence = Evidence { log: log((1..=10).filter(|n| n % 3 != 0)), ..Evidence::default() };
    let sets = sets(day(), &evidence);
    assert_eq!(sets.len(), 2);
    assert_eq!(sets[0].counts.changes, 10);
    assert!((0.8..0.95).contains(&sets[0].actor.confidence), "{}", sets[0].actor.confidence);
    assert_eq!(sets[0].actor.evidence.len(), 2, "{:?}", sets[0].actor.evidence);
}

#[test]
fn without_a_log_nobody_is_named_and_shapes_are_kept_apart() {
    let sets = sets(day(), &Evidence::default());
    let told: Vec<(&str, u64)> =
        sets.iter().map(|set| (set.actor.name.as_str(), set.counts.changes)).collect();
    assert_eq!(told, [("unknown", 10), ("unknown", 1), ("unknown", 1)]);
    assert_eq!(sets[0].actor.confidence, 0.0);
}

#[test]
fn a_mark_makes_a_burst_an_apps_perhaps() {
    let mark = AppMark { app: "Bulk Editor".into(), at: at(-60), said: true };
    let evidence = Evidence { marks: vec![mark], ..Evidence::default() };
    let sets = sets(day(), &evidence);
    assert!(sets[0].headline.ends_with("perhaps Bulk Editor"), "{}", sets[0].headline);
    assert_eq!(sets[1].actor.name, "unknown", "one edit is no burst");
}

#[test]
fn an_id_stays_when_evidence_arrives() {
    let before = sets(day(), &Evidence::default());
    let after = sets(day(), &Evidence { log: log(1..=10), ..Evidence::default() });
    assert_eq!(before[0].id, after[0].id);
    let id = before[0].id;
    assert_eq!(ChangeSetId::parse(&id.to_string()), Ok(id));
    for wrong in ["", "cs-", "cs-1", "cs-g-1", "set-1-1", "cs-ffffffffffffffff-1"] {
        assert!(ChangeSetId::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_pause_ends_a_set_and_a_window_that_ends_in_one_changes_nothing() {
    let mut late: Vec<Trace> = (1..=10).map(|n| trace(100 + n, n, 5_000, price(640, 64))).collect();
    late.extend(day());
    let evidence = Evidence { log: log(1..=10), ..Evidence::default() };
    let whole = sets(late, &evidence);
    let first = sets(day(), &evidence);
    assert_eq!(whole.len(), 3);
    assert_eq!(whole[..2], first[..]);
}

#[test]
fn what_our_jobs_write_is_ours() {
    let own = (1..=10).map(|n| OwnWrite {
        kind: Kind::parse("product").expect("a kind"),
        id: ResourceId::parse(&n.to_string()).expect("an id"),
        from: at(0),
        to: at(11),
    });
    let evidence = Evidence { own: own.collect(), ..Evidence::default() };
    let sets = sets(day(), &evidence);
    assert_eq!((sets[0].actor.kind, sets[0].risk), (ActorKind::Backstock, Risk::None));
    assert!(sets[0].damage.is_empty());
}

#[test]
fn while_it_is_not_known_which_app_we_are_our_writes_are_still_ours() {
    let own: Vec<OwnWrite> = (1..=10)
        .map(|n| OwnWrite {
            kind: Kind::parse("product").expect("a kind"),
            id: ResourceId::parse(&n.to_string()).expect("an id"),
            from: at(0),
            to: at(11),
        })
        .collect();
    let told = |ours: Option<&str>| {
        let evidence = Evidence {
            own: own.clone(),
            log: log(1..=10),
            ours: ours.map(Into::into),
            ..Evidence::default()
        };
        sets(day(), &evidence)[0].actor.clone()
    };
    assert_eq!(told(None).kind, ActorKind::Backstock);
    assert_eq!(told(Some("Backstock")).name, "Bulk Editor", "it wrote in between");
}

#[test]
fn what_is_taken_back_already_hides_nothing_of_the_rest() {
    // The log names the app for four of ten changes, and these are taken back first.
    let mut traces = day();
    traces.extend((1..=4).map(|n| trace(100 + n, n, 20 + n as i64, price(640, 6_400))));
    let own = (1..=4).map(|n| OwnWrite {
        kind: Kind::parse("product").expect("a kind"),
        id: ResourceId::parse(&n.to_string()).expect("an id"),
        from: at(20 + n),
        to: at(20 + n),
    });
    let evidence = Evidence { log: log(1..=4), own: own.collect(), ..Evidence::default() };
    let found = sets(traces, &evidence);
    let by_app = found.iter().find(|set| set.actor.name == "Bulk Editor").expect("the app's");
    assert_eq!(by_app.counts.changes, 10, "{found:?}");
}

#[test]
fn two_apps_that_do_the_same_sort_of_thing_are_told_apart_by_their_rules() {
    let mut traces = day();
    traces.extend((1..=10).map(|n| trace(100 + n, n, 120 + n as i64, price(640, 0))));
    let mut evidence = Evidence { log: log(1..=10), ..Evidence::default() };
    evidence.log.extend((1..=4).map(|n| entry(n, 120 + n as i64, Who::app("Free Gifts"))));
    let found = sets(traces, &evidence);
    for app in ["Bulk Editor", "Free Gifts"] {
        let theirs = found.iter().find(|set| set.actor.name == app).expect("its set");
        assert_eq!(theirs.counts.changes, 10, "{app}: {found:?}");
    }
}

#[test]
fn who_did_the_same_long_before_is_not_who_does_it_now() {
    let at = |n: u64| n as i64 + if n > 10 { 1_200 } else { 0 };
    let traces = (1..=5).chain(11..=16).map(|n| trace(n, n, at(n), price(6_400, 640)));
    let zebra = (1..=5).map(|n| entry(n, at(n), Who::app("Zebra")));
    let aardvark = (11..=15).map(|n| entry(n, at(n), Who::app("Aardvark")));
    let evidence = Evidence { log: zebra.chain(aardvark).collect(), ..Evidence::default() };
    let found = sets(traces.collect(), &evidence);
    let theirs = found.iter().find(|set| set.actor.name == "Aardvark").expect("its set");
    assert_eq!(theirs.counts.changes, 6, "{found:?}");
}

#[test]
fn by_which_rule_somebody_worked_long_before_says_nothing_of_now() {
    let at = |n: u64| n as i64 + if n > 20 { 1_200 } else { 0 };
    // Twenty prices by one rule, and later six, each by another.
    let new = |n: i64| if n > 20 { 320 * (2 * (n - 20) + 1) } else { 640 };
    let traces = (1..=26).map(|n| trace(n, n, at(n), price(6_400, new(n as i64))));
    let named = (1..=25).map(|n| entry(n, at(n), Who::app("Zebra")));
    let evidence = Evidence { log: named.collect(), ..Evidence::default() };
    let found = sets(traces.collect(), &evidence);
    let counts: Vec<u64> = found.iter().map(|set| set.counts.changes).collect();
    assert_eq!(counts, [20, 6], "{found:?}");
}

#[test]
fn a_few_entries_do_not_make_a_long_burst_sure() {
    let traces: Vec<Trace> = (1..=100).map(|n| trace(n, n, n as i64, price(6_400, 640))).collect();
    let evidence = Evidence { log: log(40..=60), ..Evidence::default() };
    let few = Evidence { log: log(40..=44), ..Evidence::default() };
    assert!(sets(traces.clone(), &evidence)[0].actor.confidence >= 0.75);
    let sure = sets(traces, &few)[0].actor.confidence;
    assert!((0.5..0.75).contains(&sure), "{sure}");
}

#[test]
fn what_a_pull_learned_after_a_write_of_ours_is_not_the_apps() {
    // The app lowers prices, we raise them again, and a pull is what tells of some of that.
    let mut traces = day();
    let mut told = trace(40, 1, 40, price(640, 6_400));
    traces.push(told.clone());
    told = trace(41, 1, 45, price(640, 6_400));
    (told.source, told.event_id) = (Source::Pull, None);
    traces.push(told);
    let own = OwnWrite {
        kind: Kind::parse("product").expect("a kind"),
        id: ResourceId::parse("1").expect("an id"),
        from: at(38),
        to: at(41),
    };
    let evidence = Evidence { log: log(1..=10), own: vec![own], ..Evidence::default() };
    let found = sets(traces, &evidence);
    let by_app = found.iter().find(|set| set.actor.name == "Bulk Editor").expect("the app's");
    assert_eq!(by_app.counts.changes, 10, "{found:?}");
}

#[test]
fn an_entry_of_a_deed_that_changed_nothing_does_not_name_whoever_came_next() {
    // The app writes what is there already; seconds later somebody edits the text, and the log does
    // not tell of that.
    let mut traces = day();
    traces.push(trace(30, 50, 18, text()));
    let mut evidence = Evidence { log: log(1..=10), ..Evidence::default() };
    evidence.log.push(entry(50, 10, Who::app("Bulk Editor")));
    evidence.idle.push(Idle {
        kind: Kind::parse("product").expect("a kind"),
        id: ResourceId::parse("50").expect("an id"),
        at: at(10),
        event_id: Some("action 29".into()),
    });
    let found = sets(traces.clone(), &evidence);
    assert_eq!(found[0].counts.changes, 10, "{found:?}");
    // Of what happened within its second, an entry is about what changed something.
    evidence.log.push(entry(50, 18, Who::app("Bulk Editor")));
    evidence.idle.push(Idle { at: at(18), ..evidence.idle[0].clone() });
    assert_eq!(sets(traces, &evidence)[0].counts.changes, 11);
}

#[test]
fn a_log_that_names_nobody_names_no_buyer_of_a_deletion() {
    let read = |gid: &str| {
        let member = |name: &str| match name {
            "subjectId" => Some(gid.into()),
            "action" => Some("destroy".into()),
            _ => None,
        };
        Entry::read(&member, at(0)).map(|entry| entry.who)
    };
    assert_eq!(read("gid://shopify/Product/1"), None);
    assert_eq!(read("gid://shopify/Order/1"), Some(Who::customers()));
}

#[test]
fn a_theme_file_that_is_written_after_a_mark_is_that_apps_perhaps() {
    let file = Trace {
        kind: Kind::parse("theme_file").expect("a kind"),
        contents: contents("layout/theme.liquid", text()),
        ..trace(1, 1, 0, text())
    };
    let mark = AppMark { app: "Popup Master".into(), at: at(-60), said: true };
    let evidence = Evidence { marks: vec![mark], ..Evidence::default() };
    let actor = sets(vec![file], &evidence)[0].actor.clone();
    assert_eq!((actor.name.as_str(), actor.confidence), ("Popup Master", 0.45));
    let doubt = actor.doubt().expect("nothing names it");
    assert!(doubt.contains("45 %"), "{doubt}");
}

#[test]
fn a_sale_that_shows_the_price_before_is_no_harm() {
    let sale = |n: u64| {
        let mut effects = price(6_400, 1_900);
        let before = Effect {
            field: "variants/compareAtPrice".into(),
            turn: Turn::Filled,
            ..effects[0].clone()
        };
        effects.push(before);
        trace(n, n, n as i64, effects)
    };
    let sets = sets((1..=10).map(sale).collect(), &Evidence::default());
    assert_eq!(sets[0].hurt(Harm::PricesCollapsed), 0);
    let bare = self::sets(
        (1..=10).map(|n| trace(n, n, n as i64, price(6_400, 1_900))).collect(),
        &Evidence::default(),
    );
    assert_eq!(bare[0].hurt(Harm::PricesCollapsed), 10);
}

#[test]
fn of_what_was_hurt_the_kinds_are_told() {
    let kind = |name: &str| Kind::parse(name).expect("a kind");
    let gone = Trace { op: Op::Delete, ..trace(1, 1, 0, Vec::new()) };
    let tagged = Trace { kind: kind("order"), ..trace(2, 2, 1, text()) };
    let hurt = kinds_hurt([&gone, &tagged].into_iter(), 0.6);
    assert_eq!(hurt, BTreeMap::from([(Harm::Deleted, BTreeSet::from([kind("product")]))]));
}

#[test]
fn things_are_counted_as_people_say_it() {
    let said: Vec<String> =
        [("product", 1), ("company", 2), ("inventory_item", 4_112), ("article", 0)]
            .iter()
            .map(|(kind, n)| tell::things(kind, *n))
            .collect();
    assert_eq!(said, ["1 product", "2 companies", "4,112 inventory items", "0 articles"]);
}

#[tokio::test]
async fn a_set_that_goes_on_for_long_is_found_whole_by_its_id() {
    let mut journal = Fake::default();
    let product =
        |n: u32, title: &str| json!({"id": format!("gid://shopify/Product/{n}"), "title": title});
    for n in 1..=10 {
        journal.make("product", &n.to_string(), "2026-11-20T09:00:00Z", &product(n, "Mug"));
    }
    for n in 1..=10 {
        let minute = format!("2026-11-22T09:{:02}", 5 * n);
        journal.remember("product", &n.to_string(), &format!("{minute}:01Z"), &product(n, "Mog"));
        journal.triggered(&format!("{minute}:01.7Z"));
        let gid = format!("gid://shopify/Product/{n}");
        journal.log("Bulk Editor", "update", &gid, &format!("{minute}:01Z"));
    }
    let (shop, written, book) = (fake::shop("acme"), Written::default(), Book::default());
    let from = Sources { journal: &journal, shop: &shop, ours: None, written: &written };
    let listed = book.list(from, &Wanted::default(), &Page::default()).await.expect("listed");
    let newest = &listed.items[0];
    assert_eq!((newest.actor.name.as_str(), newest.counts.changes), ("Bulk Editor", 10));
    let (found, changes) = book.find(from, newest.id).await.expect("answered").expect("found");
    assert_eq!((found.id, found.counts.changes, changes.len()), (newest.id, 10, 10));
}
