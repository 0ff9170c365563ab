//! History is the same whatever the order, the repetition and the batches in which it arrives.

use std::sync::Arc;

use crate::support::model::Model;
use crate::support::{Delivery, at, deleted, metafield, product, pulled, signal, titled, variants};
use backstock_journal::Store;
use backstock_proto::journal::{AsOf, ChangeFilter, Journal, Page, Span};
use backstock_proto::{Facet, Kind, Op, ResourceKey, Shop, Source};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const HOUR: i64 = 3_600;

/// A store that histories are written into, each into a shop of its own.
struct Bench {
    runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
    store: Option<Arc<Store>>,
    shops: u64,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let store = Some(crate::support::open(dir.path()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { runtime: runtime.expect("runtime"), dir, store, shops: 0 }
    }

    fn store(&self) -> &Arc<Store> {
        self.store.as_ref().expect("open")
    }

    fn shop(&mut self) -> Shop {
        self.shops += 1;
        Shop::from_name(&format!("s{}", self.shops)).expect("shop")
    }

    /// As after a crash: nothing is flushed, the log is replayed.
    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(crate::support::open(self.dir.path()));
    }

    /// Appends deliveries in the order given and compares with the model. Each number in `batches`
    /// is the size of a batch; what is left over is the last one.
    fn check(&mut self, shop: &Shop, arrival: &[Delivery], plan: &Plan) {
        let mut model = Model::default();
        let mut rest = arrival;
        let mut sizes = plan.batches.iter().copied();
        let mut last: (u64, Vec<Delivery>) = (0, Vec::new());
        while !rest.is_empty() {
            let size = sizes.next().unwrap_or(rest.len()).clamp(1, rest.len());
            let (batch, after) = rest.split_at(size);
            rest = after;
            let first = self.store().applied_seq() + 1;
            for (seq, delivery) in (first..).zip(batch) {
                model.apply(seq, delivery);
            }
            // What was delivered before comes again in front of what is new, as after a crash
            // between the write and its acknowledgement.
            let mut messages = Vec::new();
            if plan.redeliver && last.0 + last.1.len() as u64 == first {
                messages = crate::support::decoded(last.0, last.1.clone());
            }
            let repeated = messages.len() as u64;
            messages.extend(crate::support::decoded(first, batch.to_vec()));
            let appended = self.store().append(&messages, at(0)).expect("append");
            assert_eq!(appended.redelivered, repeated);
            assert!(appended.gaps.is_empty() && appended.quarantined.is_empty());
            last = (first, batch.to_vec());
            if plan.crash {
                self.reopen();
            }
        }
        let reader = crate::support::reader(self.store());
        self.runtime.block_on(model.check(&reader, shop, plan.limit));
    }

    fn verify(&self) {
        let reader = crate::support::reader(self.store());
        let report = self.runtime.block_on(reader.verify()).expect("verify");
        assert_eq!(report.faults, Vec::<String>::new());
        assert!(report.versions > 0);
    }
}

/// How a history arrives and is read.
#[derive(Clone, Debug)]
struct Plan {
    batches: Vec<usize>,
    redeliver: bool,
    crash: bool,
    limit: usize,
}

const PLAIN: Plan = Plan { batches: Vec::new(), redeliver: false, crash: false, limit: 1_000 };

/// One thing that is learned of one of a few products.
#[derive(Clone, Debug)]
struct Step {
    product: u8,
    part: Part,
    op: Op,
    title: u8,
    /// Shopify's `updated_at` has seconds only, so that many of these are equal.
    second: i64,
    triggered_micros: i64,
    webhook: Option<u8>,
}

/// Which part, and from whom.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Its core, by webhook.
    Core,
    /// The same core, by a pull.
    Pulled,
    Metafields,
    Variants,
    Signal,
}

impl Step {
    fn delivery(&self, shop: &Shop) -> Delivery {
        let key = product(shop.name(), &self.product.to_string());
        let updated_at = at(self.second);
        let triggered_at =
            backstock_proto::Timestamp::from_micros(updated_at.as_micros() + self.triggered_micros);
        let title = self.title.to_string();
        let delivery = match (self.part, self.op) {
            (Part::Core, Op::Delete) => deleted(&key, triggered_at),
            (Part::Core, op) => titled(&key, &title, updated_at).triggered(triggered_at).op(op),
            (Part::Pulled, op) => pulled(&key, &title, updated_at).op(op).earliest(at(-1)),
            (Part::Metafields, op) => metafield(&key, &title, updated_at).op(op),
            (Part::Variants, op) => variants(&key, &title, updated_at).op(op),
            (Part::Signal, _) => signal(&key, &title, triggered_at),
        };
        if !delivery.source.is_delivered() {
            return delivery;
        }
        match self.webhook {
            Some(id) => delivery.webhook(&format!("w{id}")),
            None => delivery,
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let op = prop_oneof![
        1 => Just(Op::Create),
        6 => Just(Op::Update),
        1 => Just(Op::Delete),
    ];
    let second = prop_oneof![
        8 => 0_i64..6,
        1 => Just(4 * HOUR),
        1 => Just(24 * HOUR),
    ];
    let webhook = proptest::option::of(0_u8..3);
    let part = prop_oneof![
        5 => Just(Part::Core),
        2 => Just(Part::Pulled),
        2 => Just(Part::Metafields),
        2 => Just(Part::Variants),
        1 => Just(Part::Signal),
    ];
    (0_u8..3, part, op, 0_u8..3, second, 0_i64..3, webhook).prop_map(
        |(product, part, op, title, second, triggered_micros, webhook)| Step {
            product,
            part,
            op,
            title,
            second,
            triggered_micros,
            webhook,
        },
    )
}

/// A history in the order of its arrival, with some deliveries arriving more than once.
fn history() -> impl Strategy<Value = Vec<Step>> {
    let repeats = proptest::collection::vec(any::<prop::sample::Index>(), 0..3);
    (proptest::collection::vec(step(), 1..12), repeats)
        .prop_map(|(mut steps, repeats)| {
            for repeat in repeats {
                steps.push(repeat.get(&steps).clone());
            }
            steps
        })
        .prop_shuffle()
}

fn plan() -> impl Strategy<Value = Plan> {
    let batches = proptest::collection::vec(1_usize..5, 0..3);
    let crash = prop_oneof![60 => Just(false), 1 => Just(true)];
    (batches, any::<bool>(), crash, 1_usize..6)
        .prop_map(|(batches, redeliver, crash, limit)| Plan { batches, redeliver, crash, limit })
}

/// How many histories: `BACKSTOCK_CASES`, else what takes well under a minute.
fn cases() -> u32 {
    std::env::var("BACKSTOCK_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500)
}

#[test]
fn any_history_agrees_with_the_model() {
    let bench = std::cell::RefCell::new(Bench::new());
    let config = Config { cases: cases(), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let run = runner.run(&(history(), plan()), |(steps, plan)| {
        let mut bench = bench.borrow_mut();
        let shop = bench.shop();
        let arrival: Vec<Delivery> = steps.iter().map(|step| step.delivery(&shop)).collect();
        bench.check(&shop, &arrival, &plan);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
    bench.borrow().verify();
}

/// Six events of one product, in every order of arrival: created, renamed, unchanged, back to the
/// first name within the same second, deleted, created again.
#[test]
fn every_order_of_six_events_gives_the_same_history() {
    let mut bench = Bench::new();
    let story = |key: &ResourceKey| {
        [
            titled(key, "A", at(1)).op(Op::Create).webhook("1"),
            titled(key, "B", at(2)).webhook("2"),
            titled(key, "B", at(3)).webhook("3"),
            titled(key, "A", at(3)).triggered(at(4)).webhook("4"),
            deleted(key, at(5)).webhook("5"),
            titled(key, "C", at(6)).op(Op::Create).webhook("6"),
        ]
    };
    for order in permutations(6) {
        let shop = bench.shop();
        let story = story(&product(shop.name(), "1"));
        let arrival: Vec<Delivery> = order.iter().map(|n| story[*n].clone()).collect();
        bench.check(&shop, &arrival, &PLAIN);
    }
    bench.verify();
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(n - 1);
    let with = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, n - 1);
        order
    };
    (0..n).flat_map(|at| shorter.iter().map(move |order| with(order, at))).collect()
}

/// A webhook and a pull of the same state are one state, whichever comes first.
#[test]
fn a_pull_of_what_a_webhook_said_changes_nothing() {
    let mut bench = Bench::new();
    let story = |key: &ResourceKey| {
        [
            titled(key, "A", at(1)).webhook("1"),
            pulled(key, "A", at(2)),
            pulled(key, "A", at(2)).source(Source::Reconcile),
            titled(key, "B", at(3)).webhook("2"),
            metafield(key, "cold", at(0)),
            metafield(key, "warm", at(3)),
        ]
    };
    for order in permutations(6) {
        let shop = bench.shop();
        let story = story(&product(shop.name(), "1"));
        let arrival: Vec<Delivery> = order.iter().map(|n| story[*n].clone()).collect();
        bench.check(&shop, &arrival, &PLAIN);
        let reader = crate::support::reader(bench.store());
        let status = bench.runtime.block_on(reader.status(&shop)).expect("status").expect("there");
        // The second pull of the same state at the same moment is no version of its own.
        assert_eq!((status.kinds[0].resources, status.kinds[0].versions), (1, 5));
    }
    bench.verify();
}

/// A, B, A with B last: dropping the second A would make B the answer for ever.
#[test]
fn a_return_to_an_earlier_state_survives_a_late_event_between() {
    let mut bench = Bench::new();
    for hours in [4, 24] {
        let shop = bench.shop();
        let key = product(shop.name(), "1");
        let arrival = [
            titled(&key, "A", at(0)).webhook("1"),
            titled(&key, "A", at(2)).webhook("3"),
            // Hours of other news later:
            titled(&key, "C", at(hours * HOUR)).webhook("4"),
            titled(&key, "B", at(1)).webhook("2"),
        ];
        bench.check(&shop, &arrival, &PLAIN);
    }
}

/// The same delivery, ten times, in one batch, in several, and after a restart.
#[test]
fn a_delivery_is_one_version_however_often_it_arrives() {
    let mut bench = Bench::new();
    for batches in [vec![], vec![1; 9], vec![5]] {
        let shop = bench.shop();
        let key = product(shop.name(), "1");
        let arrival = vec![titled(&key, "A", at(0)).webhook("1"); 10];
        bench.check(&shop, &arrival, &Plan { batches, crash: true, ..PLAIN });
    }
    let reader = crate::support::reader(bench.store());
    let shops = bench.runtime.block_on(reader.shops()).expect("shops");
    assert!(shops.iter().all(|shop| shop.versions == 1), "{shops:?}");
}

/// What happened in a shop is asked for without what its backfill brought.
#[test]
fn what_a_pull_saw_when_nothing_was_known_is_a_first_look() {
    let mut bench = Bench::new();
    let shop = bench.shop();
    let of = |id: &str| product(shop.name(), id);
    let arrival = [
        pulled(&of("1"), "Seen first", at(1)).source(Source::Reconcile),
        metafield(&of("1"), "warm", at(1)),
        pulled(&of("2"), "Missed by the last look", at(3)).earliest(at(2)),
        titled(&of("3"), "Told", at(4)).webhook("1"),
        pulled(&of("1"), "Corrected", at(5)).source(Source::Reconcile),
    ];
    // An entry of the shop's log is only ever read by asking for it.
    let entry = crate::support::key(shop.name(), "event", "1");
    let entry = Delivery::of(&entry, Op::Create, &serde_json::json!({"id": 1}), at(6));
    let entry = Delivery { valid_at: Some(at(6)), triggered_at: None, ..entry };
    let entry = entry.source(Source::Pull);
    let all = arrival.into_iter().chain([entry]);
    bench.store().append(&crate::support::decoded(1, all), at(0)).expect("append");
    let reader = crate::support::reader(bench.store());
    let kind = Kind::parse("event").expect("a kind");
    let log =
        ChangeFilter { kind: Some(kind), without_first_looks: true, ..ChangeFilter::default() };
    let page = Page::default();
    let told = bench.runtime.block_on(reader.changes(&shop, &log, &page)).expect("changes");
    assert_eq!(told.items.len(), 1, "{told:?}");
    for (without_first_looks, expected) in [(false, vec![5, 4, 3, 2, 1]), (true, vec![5, 4, 3])] {
        let filter = ChangeFilter { without_first_looks, ..ChangeFilter::default() };
        let page = Page::default();
        let changes = bench.runtime.block_on(reader.changes(&shop, &filter, &page));
        let list = changes.expect("changes");
        let mut seqs: Vec<u64> = list.items.iter().map(|change| change.version.seq).collect();
        seqs.sort_by_key(|seq| std::cmp::Reverse(*seq));
        assert_eq!(seqs, expected);
    }
}

#[test]
fn a_page_of_changes_does_not_grow_with_what_changed() {
    let mut bench = Bench::new();
    let shop = bench.shop();
    let product = product(shop.name(), "1");
    let long = |n: i64| titled(&product, &format!("{n}{}", "x".repeat(1 << 20)), at(n * HOUR));
    let messages = crate::support::decoded(1, (1..=4).map(long));
    bench.store().append(&messages, at(0)).expect("append");
    let reader = crate::support::reader(bench.store());
    let (mut page, mut pages, mut seen) = (Page::default(), 0, 0);
    loop {
        let filter = ChangeFilter::default();
        let changes = bench.runtime.block_on(reader.changes(&shop, &filter, &page));
        let changes = changes.expect("changes");
        assert!(changes.items.len() <= 2, "{} changes of megabytes each", changes.items.len());
        (pages, seen, page.cursor) = (pages + 1, seen + changes.items.len(), changes.next);
        if page.cursor.is_none() {
            break;
        }
    }
    assert!(pages > 1);
    assert_eq!(seen, 4, "all of them, each once");
}

#[test]
fn what_an_app_may_not_see_of_somebody_is_no_edit() {
    let mut bench = Bench::new();
    let shop = bench.shop();
    let customer = crate::support::key(shop.name(), "customer", "7");
    let told = |name: Option<&str>, note: &str, second: i64| {
        let body = serde_json::json!({
            "id": 7, "admin_graphql_api_id": "gid://shopify/Customer/7", "first_name": name,
            "last_name": null, "email": null, "phone": null, "note": note,
            "updated_at": at(second),
        });
        Delivery::of(&customer, Op::Update, &body, at(second)).webhook(&second.to_string())
    };
    // As long as nothing else is known, it is what there is.
    let batches = [
        vec![told(None, "first", 1)],
        vec![told(Some("Mai"), "whole", 2), told(None, "hidden", 3)],
        vec![told(None, "hidden again", 4)],
    ];
    let mut seq = 1;
    for batch in batches {
        let messages = crate::support::decoded(seq, batch);
        seq += messages.len() as u64;
        bench.store().append(&messages, at(0)).expect("append");
    }
    let reader = crate::support::reader(bench.store());
    let known = bench.runtime.block_on(reader.resource(&customer, AsOf::Latest)).expect("read");
    let known = known.expect("a customer").state;
    assert_eq!(known["firstName"], "Mai");
    assert_eq!(known["note"], "whole");
    let page = Page::default();
    let versions = bench.runtime.block_on(reader.versions(&customer, Span::default(), &page));
    let versions = versions.expect("versions").items;
    let facets: Vec<Facet> = versions.iter().map(|version| version.facet).collect();
    assert_eq!(facets, [Facet::Signal, Facet::Signal, Facet::Core, Facet::Core]);
    bench.verify();
}
