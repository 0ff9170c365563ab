//! Retention: what is kept says the same as before, whatever is removed around it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{
    Delivery, at, deleted, metafield, note, product, pulled, signal, titled, variants,
};
use backstock_journal::{Reader, Store};
use backstock_proto::journal::{AsOf, Journal, Page, Raw, Retention, Span, Thinned, Version};
use backstock_proto::{Facet, Mode, Op, ResourceKey, Shop, Timestamp};
use futures::FutureExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const RETENTION: Retention = Retention { keep_all_days: 3, keep_daily: 9, keep_weekly: 4 };
/// Days that the histories span, and the hours of the last day that are over.
const DAYS: i64 = 45;
const NOW: i64 = DAYS * DAY + 15 * HOUR;

fn micros(seconds: i64) -> i64 {
    at(seconds).as_micros()
}

/// Every instant at which history must say the same afterwards: the end of each week and day, the
/// last moment before each boundary, and everything since the last one.
fn kept_instants() -> Vec<Timestamp> {
    let day = DAY * 1_000_000;
    let back = |days: i64| micros(NOW) - days * day;
    let (all, daily, weekly) = (back(3), back(9), back(4 * 7));
    let mut instants: BTreeSet<i64> = [weekly - 1, daily - 1, all - 1, all].into();
    let days = (micros(0) / day)..=(micros(NOW) / day);
    for end in days.map(|n| (n + 1) * day - 1) {
        // 1970 began on a Thursday: weeks end with day 3, 10, 17, …
        let week_ends = (end / day) % 7 == 3;
        let counts = (end >= daily && end < all) || (week_ends && end >= weekly && end < daily);
        instants.extend(counts.then_some(end));
    }
    instants.extend((0..=(micros(NOW) - all) / (day / 24)).map(|hour| all + hour * (day / 24)));
    instants.into_iter().map(Timestamp::from_micros).collect()
}

/// One thing that is learned of one of two products, at an hour.
#[derive(Clone, Debug)]
struct Step {
    product: u8,
    what: u8,
    title: u8,
    hour: i64,
}

impl Step {
    fn delivery(&self, shop: &Shop) -> Delivery {
        let key = product(shop.name(), &self.product.to_string());
        let (title, then) = (self.title.to_string(), at(self.hour * HOUR));
        match self.what {
            0..5 => titled(&key, &title, then),
            5..7 => pulled(&key, &title, then),
            7..9 => metafield(&key, &title, then),
            9 => variants(&key, &title, then),
            10 => signal(&key, &title, then),
            _ => deleted(&key, then),
        }
    }
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let step = (0_u8..2, 0_u8..12, 0_u8..2, 0..=NOW / HOUR)
        .prop_map(|(product, what, title, hour)| Step { product, what, title, hour });
    proptest::collection::vec(step, 1..60)
}

/// What a resource is at some instants, but for what it says of its neighbours in history.
async fn states(
    journal: &dyn Journal,
    keys: &[ResourceKey],
    instants: &[Timestamp],
) -> Vec<Option<(bool, u64, Value)>> {
    let mut states = Vec::new();
    for key in keys {
        for at in instants.iter().map(|at| AsOf::At(*at)).chain([AsOf::Latest]) {
            let found = journal.resource(key, at).await.expect("read");
            states.push(found.map(|found| (found.deleted, found.version.seq, found.state)));
        }
    }
    states
}

async fn versions(journal: &dyn Journal, key: &ResourceKey) -> Vec<Version> {
    let mut page = Page { limit: 1_000, cursor: None };
    let mut all = Vec::new();
    loop {
        let list = journal.versions(key, Span::default(), &page).await.expect("versions");
        all.extend(list.items);
        page.cursor = list.next;
        if page.cursor.is_none() {
            return all;
        }
    }
}

/// The sequences that must be kept, found instant by instant.
async fn wanted(journal: &dyn Journal, key: &ResourceKey, instants: &[Timestamp]) -> BTreeSet<u64> {
    let all = versions(journal, key).await;
    let mut facets: BTreeMap<Facet, Vec<&Version>> = BTreeMap::new();
    for version in &all {
        facets.entry(version.facet).or_default().push(version);
    }
    let ended = |v: &&&Version| v.facet == Facet::Core && v.op == Op::Delete;
    let ends: Vec<usize> =
        all.iter().enumerate().filter(|(_, v)| ended(&v)).map(|(at, _)| at).collect();
    let mut wanted = BTreeSet::new();
    for newest_first in facets.values() {
        wanted.insert(newest_first[0].seq);
        for at in instants {
            let then = newest_first.iter().find(|v| v.valid_at <= *at);
            wanted.extend(then.map(|v| v.seq));
        }
        let since = instants.iter().find(|at| at.as_micros() == micros(NOW) - 3 * DAY * 1_000_000);
        let recent = newest_first.iter().filter(|v| v.valid_at >= *since.expect("a boundary"));
        wanted.extend(recent.map(|v| v.seq));
        for (place, version) in newest_first.iter().enumerate() {
            if version.op == Op::Delete {
                wanted.insert(version.seq);
                let before = newest_first[place..].iter().find(|v| v.op != Op::Delete);
                wanted.extend(before.map(|v| v.seq));
            }
        }
        if newest_first[0].facet.is_state() {
            for end in &ends {
                let facet = newest_first[0].facet;
                wanted.extend(all[*end..].iter().find(|v| v.facet == facet).map(|v| v.seq));
            }
        }
    }
    for version in all {
        // Whatever is kept keeps its payload.
        if wanted.contains(&version.seq)
            && let Some(Raw::SameAs { seq }) = journal.raw(key, version.seq).await.expect("raw")
        {
            wanted.insert(seq);
        }
    }
    wanted
}

/// Thins a shop, and compares. Answers how many versions went.
async fn check(store: &Arc<Store>, shop: &Shop, keys: &[ResourceKey]) -> u64 {
    let reader = crate::support::reader(store);
    let instants = kept_instants();
    let mut expected = Vec::new();
    for key in keys {
        expected.push(wanted(&reader, key, &instants).await);
    }
    // The end of a resource still shows what it was.
    let mut moments = instants.clone();
    for key in keys {
        let ends = versions(&reader, key).await.into_iter();
        moments.extend(ends.filter(|v| v.op == Op::Delete).map(|v| v.valid_at));
    }
    let ends: Vec<_> = moments.split_off(instants.len());
    let before = states(&reader, keys, &instants).await;
    let before_ends = states(&reader, keys, &ends).await;
    let thin = |mode| reader.thin(shop, RETENTION, at(NOW), mode);
    let dry = thin(Mode::DryRun).await.expect("dry run");
    let real = thin(Mode::Apply).await.expect("real run");
    assert_eq!(dry, real);
    let mut kept = 0;
    for (key, expected) in keys.iter().zip(expected) {
        let found: BTreeSet<u64> = versions(&reader, key).await.iter().map(|v| v.seq).collect();
        assert_eq!(found, expected, "{key}");
        kept += found.len() as u64;
    }
    assert_eq!(real.seen - real.removed, kept);
    assert_eq!(states(&reader, keys, &instants).await, before);
    for (before, after) in before_ends.into_iter().zip(states(&reader, keys, &ends).await) {
        // Unless it lived again in the same instant, which is not one that is kept.
        if before.as_ref().is_some_and(|(deleted, ..)| *deleted) {
            assert_eq!(after, before);
        }
    }
    let again = thin(Mode::Apply).await.expect("again");
    assert_eq!(again, Thinned { seen: kept, ..Thinned::default() });
    real.removed
}

#[test]
fn what_is_kept_is_as_it_was() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("runtime");
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let (shops, removed) = (std::cell::Cell::new(0_u64), std::cell::Cell::new(0_u64));
    let config = Config { cases: 120, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&history(), |steps| {
        shops.set(shops.get() + 1);
        let shop = Shop::from_name(&format!("s{}", shops.get())).expect("shop");
        let arrival: Vec<Delivery> = steps.iter().map(|step| step.delivery(&shop)).collect();
        let keys: BTreeSet<ResourceKey> = arrival.iter().map(|d| d.key.clone()).collect();
        let keys: Vec<ResourceKey> = keys.into_iter().collect();
        let first = store.applied_seq() + 1;
        store.append(&crate::support::decoded(first, arrival), at(0)).expect("append");
        removed.set(removed.get() + runtime.block_on(check(&store, &shop, &keys)));
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
    assert!(removed.get() > 0, "nothing was removed in {} shops", shops.get());
    let report = runtime.block_on(crate::support::reader(&store).verify()).expect("verify");
    assert_eq!(report.faults, Vec::<String>::new());
}

/// A version each hour, so that more goes than fits into one write.
fn hourly(key: &ResourceKey) -> Vec<Delivery> {
    let title = |hour: i64| (hour / 5 % 3).to_string();
    (0..=NOW / HOUR).map(|hour| titled(key, &title(hour), at(hour * HOUR))).collect()
}

#[tokio::test]
async fn a_long_history_is_thinned_in_many_writes() {
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let keys = [product("acme", "1"), product("acme", "2")];
    for key in &keys {
        let first = store.applied_seq() + 1;
        store.append(&crate::support::decoded(first, hourly(key)), at(0)).expect("append");
    }
    assert!(check(&store, &keys[0].shop, &keys).await > 1_000, "too little for many writes");
    let reader = crate::support::reader(&store);
    assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
    // What comes late finds its place among what was kept.
    let late = [titled(&keys[0], "late", at(5 * HOUR)), titled(&keys[0], "0", at(6 * HOUR))];
    store.append(&crate::support::decoded(store.applied_seq() + 1, late), at(0)).expect("append");
    assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
}

/// How many versions there are of everything in a shop.
async fn counted(reader: &Reader, shop: &Shop) -> u64 {
    let status = reader.status(shop).await.expect("status").expect("a shop");
    status.kinds.iter().map(|kind| kind.versions).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn thinning_beside_a_writer_and_broken_off_leaves_nothing_half_done() {
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let keys: Vec<_> = (0..6).map(|id| product("acme", &id.to_string())).collect();
    for key in &keys {
        let first = store.applied_seq() + 1;
        store.append(&crate::support::decoded(first, hourly(key)), at(0)).expect("append");
    }
    let over = Arc::new(AtomicBool::new(false));
    let writing = {
        let (store, keys, over) = (store.clone(), keys.clone(), over.clone());
        tokio::task::spawn_blocking(move || {
            let mut written = 0_i64;
            while !over.load(Ordering::Relaxed) || written < 200 {
                // Late, and often the same as what is there: a marker of something old.
                let (key, hour) = (&keys[2 + (written % 4) as usize], written * 7 % (NOW / HOUR));
                let late = titled(key, &(written % 3).to_string(), at(hour * HOUR + 60));
                let first = store.applied_seq() + 1;
                store.append(&crate::support::decoded(first, [late]), at(0)).expect("append");
                written += 1;
            }
        })
    };
    let reader = crate::support::reader(&store);
    let mut broken_off = 0;
    for at_once in [true, false].repeat(10) {
        let before = counted(&reader, &keys[0].shop).await;
        let thinning = reader.thin(&keys[0].shop, RETENTION, at(NOW), Mode::Apply);
        // Given up at some point: whatever was done stands, the rest is done later.
        if at_once {
            let _maybe_done = thinning.now_or_never();
        } else {
            let removes = async { while counted(&reader, &keys[0].shop).await >= before {} };
            tokio::select! {
                biased;
                _maybe_done = thinning => {}
                () = removes => broken_off += 1,
            }
        }
        assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
    }
    assert!(broken_off > 0, "nothing was broken off in the middle");
    over.store(true, Ordering::Relaxed);
    writing.await.expect("written");
    loop {
        // The one broken off last may still be about to notice.
        match reader.thin(&keys[0].shop, RETENTION, at(NOW), Mode::Apply).await {
            Ok(_) => break,
            Err(error) => assert!(error.retryable(), "{error}"),
        }
        tokio::task::yield_now().await;
    }
    check(&store, &keys[0].shop, &keys).await;
    assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_removed_while_somebody_holds_it() {
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let key = product("acme", "1");
    store.append(&crate::support::decoded(1, hourly(&key)), at(0)).expect("append");
    let reader = crate::support::reader(&store);
    let hold = |id: &str, on: bool| {
        let seq = store.applied_seq() + 1;
        let message = note("acme", "hold", id, &json!({"on": on}), seq).decode();
        store.append(&[message], at(0)).expect("append");
    };
    let thin = |mode| reader.thin(&key.shop, RETENTION, at(NOW), mode);
    hold("court", true);
    hold("audit", true);
    hold("audit", false);
    assert_eq!(thin(Mode::Apply).await.expect("held"), Thinned::default());
    assert_eq!(thin(Mode::DryRun).await.expect("held"), Thinned::default());
    hold("court", false);
    let dry = thin(Mode::DryRun).await.expect("dry run");
    assert!(dry.removed > 0 && dry.bytes > 0);
    assert_eq!(thin(Mode::Apply).await.expect("real run"), dry);
}

#[tokio::test]
async fn what_a_kept_version_leaves_open_is_kept_with_it() {
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let key = product("acme", "1");
    let gid = |n: u64| format!("gid://shopify/ProductVariant/{n}");
    let whole = |price: &str, then: Timestamp| {
        let variant = |n: u64, price: &str| {
            json!({"id": gid(n), "title": format!("V{n}"), "position": n, "price": price,
                   "selectedOptions": []})
        };
        let node = json!({"id": "gid://shopify/Product/1", "title": "Mug", "updatedAt": then,
            "variants": [variant(1, "10.00"), variant(2, price)]});
        crate::support::facet(&key, Facet::Core, &node, then)
    };
    let in_part = |title: &str, then: Timestamp| {
        let gids = [1, 2].map(|n| json!({"admin_graphql_api_id": gid(n)}));
        let body = json!({"id": 1, "admin_graphql_api_id": "gid://shopify/Product/1",
            "title": title, "updated_at": then, "variant_gids": gids,
            "variants": [{"id": 1, "title": "V1", "position": 1, "price": "10.00"}]});
        Delivery::of(&key, Op::Update, &body, then)
    };
    let day = |day: i64, hour: i64| at(day * DAY + hour * HOUR);
    let arrival = vec![
        whole("20.00", day(38, 10)),
        whole("30.00", day(39, 10)),
        titled(&key, "Other", day(39, 11)),
        whole("40.00", day(39, 12)),
        in_part("Cup", day(39, 13)),
        in_part("Bowl", day(39, 14)),
        whole("50.00", day(40, 10)),
        whole("60.00", day(44, 10)),
    ];
    store.append(&crate::support::decoded(1, arrival), at(0)).expect("append");
    let reader = crate::support::reader(&store);
    let instants = kept_instants();
    let before = states(&reader, std::slice::from_ref(&key), &instants).await;
    let then = reader.resource(&key, AsOf::At(day(39, 23))).await.expect("read").expect("there");
    assert_eq!(then.state["variants"][1]["price"], "40.00", "{}", then.state);
    let thinned = reader.thin(&key.shop, RETENTION, at(NOW), Mode::Apply).await.expect("thinned");
    assert_eq!(thinned.removed, 2, "what nothing needs goes");
    assert_eq!(states(&reader, std::slice::from_ref(&key), &instants).await, before);
    assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
    let again = reader.thin(&key.shop, RETENTION, at(NOW), Mode::Apply).await.expect("again");
    assert_eq!((again.removed, again.seen), (0, 6));
}

/// Every record of a shop of one sort: id, sequence and what it says, newest first.
async fn records(journal: &dyn Journal, shop: &Shop, what: &str) -> Vec<(String, u64, Value)> {
    let page = Page { limit: 1_000, cursor: None };
    let newest = journal.records(shop, what, None, &page).await.expect("newest").items;
    let mut all = Vec::new();
    for id in newest.iter().map(|record| &record.id) {
        let of_id = journal.records(shop, what, Some(id), &page).await.expect("records").items;
        all.extend(of_id.into_iter().map(|record| (record.id, record.seq, record.payload)));
    }
    all
}

#[tokio::test]
async fn records_of_how_something_went_go_and_what_came_of_it_stays() {
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let (shop, other) = (product("acme", "1").shop, product("bolt", "1").shop);
    // Of each: what it is, which one, what it says, and whether it stays once it is old.
    let said = |state: &str| json!({"state": state});
    let mut told = vec![
        ("pull", "product", said("running"), false),
        ("pull", "product", said("failed"), false),
        ("pull", "product", said("running"), false),
        ("pull", "product", said("complete"), true),
        ("pull", "product", said("running"), true),
        ("pull", "page", said("running"), true),
        ("job_row", "j1-1", said("begun"), false),
        ("job_row", "j1-1", said("done"), true),
        ("job_row", "j1-10", said("done"), true),
        ("plan_rows", "p1", said("first"), false),
        ("plan_rows", "p1", said("second"), true),
    ];
    for what in ["order", "order_by_id", "order_later", "order_untold"] {
        told.push((what, "product", json!({"at": at(1)}), false));
        told.push((what, "product", json!({"at": at(2)}), true));
    }
    for what in ["job", "audit", "incident", "mark", "hold", "plan", "change_set"] {
        told.extend([(what, "1", said("first"), true), (what, "1", said("second"), true)]);
    }
    // What is young stays whatever it is.
    let young = ("media", "product", said("first"), true);
    let week = 7 * DAY;
    let now = at(told.len() as i64 + week);
    let message = |(seq, (what, id, said, _)): (u64, &(&str, &str, Value, bool))| {
        note("acme", what, id, said, seq).decode()
    };
    let mut messages: Vec<_> = (1..).zip(&told).map(message).collect();
    let first_young = told.len() as u64 + 1;
    for seq in [first_young, first_young + 1] {
        messages.push(note("acme", young.0, young.1, &young.2, seq).decode());
    }
    messages.push(note("bolt", "job_row", "j1-1", &said("begun"), first_young + 2).decode());
    messages.push(note("bolt", "job_row", "j1-1", &said("done"), first_young + 3).decode());
    store.append(&messages, at(0)).expect("append");

    let reader = crate::support::reader(&store);
    let sorts: BTreeSet<&str> = told.iter().map(|(what, ..)| *what).chain([young.0]).collect();
    let newest = async |what: &str| {
        let page = Page { limit: 1_000, cursor: None };
        reader.records(&shop, what, None, &page).await.expect("newest").items
    };
    let mut before = BTreeMap::new();
    for what in &sorts {
        before.insert(*what, (newest(what).await, records(&reader, &shop, what).await));
    }
    let of_other = records(&reader, &other, "job_row").await;
    let gone = told.iter().filter(|(.., stays)| !stays).count() as u64;
    let thin = |mode| reader.thin(&shop, RETENTION, now, mode);
    assert_eq!(thin(Mode::DryRun).await.expect("dry run").records, gone);
    assert_eq!(thin(Mode::Apply).await.expect("real run").records, gone);
    assert_eq!(thin(Mode::Apply).await.expect("again").records, 0);
    for (what, (newest_before, mut all)) in before {
        assert_eq!(newest(what).await, newest_before, "the newest of each {what} stays");
        all.retain(|(_, seq, _)| told.get(*seq as usize - 1).is_none_or(|(.., stays)| *stays));
        assert_eq!(records(&reader, &shop, what).await, all, "{what}");
    }
    assert_eq!(records(&reader, &other, "job_row").await, of_other, "another shop's");
    assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
    // What comes next is the newest.
    let next = note("acme", "job_row", "j1-1", &said("undone"), first_young + 4).decode();
    store.append(&[next], at(0)).expect("append");
    assert_eq!(newest("job_row").await[0].payload, said("undone"));
}
