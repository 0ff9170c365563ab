//! What a watch puts on record, and what it does.

use std::sync::atomic::Ordering;

use backstock_proto::publish::Records as _;
use serde_json::{Value, json};

use super::*;
use crate::fake::{self, Fake, instant};
use crate::guard;

mod world;

use world::World;

/// When the app begins, every second of the minute one product.
const MINUTE: &str = "2026-11-22T11:58:";
const APP: &str = "Bulk Price Wizard";

fn product(n: usize, price: &str) -> Value {
    json!({"id": format!("gid://shopify/Product/{n}"), "title": format!("Product {n}"),
           "variants": [{"id": format!("gid://shopify/ProductVariant/{n}"), "price": price}]})
}

/// A shop of so many products, that was looked at last night.
fn shop_of(products: usize) -> Fake {
    let mut fake = Fake::default();
    for n in 1..=products {
        fake.remember("product", &n.to_string(), "2026-11-22T08:00:00Z", &product(n, "64.00"));
    }
    fake.look();
    fake
}

fn at(second: usize) -> String {
    format!("{MINUTE}{second:02}Z")
}

/// Somebody gives products another price, one a second.
fn reprice(fake: &mut Fake, products: std::ops::RangeInclusive<usize>, price: &str) {
    for n in products {
        fake.remember("product", &n.to_string(), &at(n), &product(n, price));
    }
}

/// Shopify's log says that an app did it.
fn log(fake: &mut Fake, products: std::ops::RangeInclusive<usize>) {
    for n in products {
        let entry = json!({
            "subjectId": format!("gid://shopify/Product/{n}"), "action": "update",
            "attributeToApp": true, "attributeToUser": false, "appTitle": APP,
        });
        fake.remember("event", &format!("9{n:03}"), &at(n), &entry);
    }
}

/// An app makes everything cheap, and the log says so.
fn attacked() -> Fake {
    let mut fake = shop_of(30);
    reprice(&mut fake, 1..=20, "6.40");
    log(&mut fake, 1..=20);
    fake
}

fn apply() -> Policy {
    Policy { action: Action::Apply, ..Policy::default() }
}

async fn look(watch: &mut Watch) {
    watch.look(WIDE_MICROS).await.expect("a look");
}

#[tokio::test]
async fn an_app_is_undone_once_it_has_been_quiet() {
    let world = World::new(attacked());
    let (mut watch, _) = world.watch(&apply()).await;
    look(&mut watch).await;
    assert_eq!(world.only().await.state, IncidentState::Planned);
    world.clock.set("2026-11-22T12:00:16Z");
    look(&mut watch).await;
    look(&mut watch).await;
    let incident = world.only().await;
    assert_eq!(
        (incident.state, incident.job.as_deref()),
        (IncidentState::Applied, Some("job of plan-1"))
    );
    assert_eq!(incident.change_set.actor.name, APP);
    assert_eq!(world.applied(), ["plan-1"]);
}

#[tokio::test]
async fn the_way_back_waits_until_what_webhooks_left_open_is_asked() {
    let world = World::new(attacked());
    let (mut watch, _) = world.watch(&apply()).await;
    *world.way.asked_until.lock().expect("not poisoned") = Some(1);
    look(&mut watch).await;
    world.clock.set("2026-11-22T12:00:16Z");
    look(&mut watch).await;
    assert_eq!(world.only().await.state, IncidentState::Planned, "quiet, and questions are open");
    *world.way.asked_until.lock().expect("not poisoned") = None;
    world.clock.set("2026-11-22T12:00:18Z");
    look(&mut watch).await;
    assert_eq!(world.only().await.state, IncidentState::Applied);
}

#[tokio::test]
async fn what_the_shop_never_answers_does_not_keep_the_harm_in_it() {
    let world = World::new(attacked());
    let (mut watch, _) = world.watch(&apply()).await;
    *world.way.asked_until.lock().expect("not poisoned") = Some(1);
    look(&mut watch).await;
    world.clock.set("2026-11-22T12:00:40Z");
    look(&mut watch).await;
    assert_eq!(world.only().await.state, IncidentState::Planned);
    world.clock.set("2026-11-22T12:00:50Z");
    look(&mut watch).await;
    assert_eq!(world.only().await.state, IncidentState::Applied);
}

#[tokio::test]
async fn what_was_meant_is_left_alone_and_as_much_is_normal_from_then_on() {
    let world = World::new(attacked());
    let (mut watch, _) = world.watch(&apply()).await;
    look(&mut watch).await;
    let seen = world.only().await;
    let shop = fake::shop("acme");
    let dismissed = guard::dismiss(&world.desk, &shop, &seen.id, "ann".into()).await;
    assert_eq!(dismissed.expect("dismissed").state, IncidentState::Dismissed);
    world.clock.set("2026-11-22T12:00:16Z");
    for _ in 0..3 {
        look(&mut watch).await;
    }
    let incident = world.only().await;
    assert_eq!(
        (incident.state, incident.dismissed_by.as_deref()),
        (IncidentState::Dismissed, Some("ann"))
    );
    assert_eq!(world.applied(), Vec::<String>::new());
    let judged =
        |watch: &Watch| judge(&seen.change_set, &apply(), &watch.normal, &Situation::default());
    assert_eq!(judged(&watch).trips, []);
    let (after, _) = world.watch(&apply()).await;
    assert_ne!(judged(&after).trips, [], "it is learned with the first look");
    let mut after = after;
    look(&mut after).await;
    assert_eq!(judged(&after).trips, []);
}

#[tokio::test]
async fn what_was_meant_before_people_were_told_keeps_nobody_busy() {
    let world = World::new(attacked());
    let url = Some("https://hooks.example.com/x".to_owned());
    let policy = Policy { webhook_url: url, ..Policy::default() };
    // Nobody delivers.
    let (mut watch, _postman) = world.watch(&policy).await;
    look(&mut watch).await;
    let (id, shop) = (world.only().await.id, fake::shop("acme"));
    let dismissed = guard::dismiss(&world.desk, &shop, &id, "ann".into()).await;
    assert_eq!(dismissed.expect("dismissed").told.as_deref(), Some("being told"));
    look(&mut watch).await;
    world.clock.set("2026-11-22T12:30:00Z");
    assert!(!watch.is_watching());
}

#[tokio::test]
async fn what_was_undone_is_not_dismissed() {
    let world = World::new(attacked());
    let (mut watch, _) = world.watch(&apply()).await;
    look(&mut watch).await;
    world.clock.set("2026-11-22T12:00:16Z");
    look(&mut watch).await;
    let (id, shop) = (world.only().await.id, fake::shop("acme"));
    let refused = guard::dismiss(&world.desk, &shop, &id, "ann".into()).await;
    let why = refused.expect_err("it was undone").to_string();
    assert!(why.contains("`backstock undo --shop acme job of plan-1`"), "{why}");
    assert_eq!(world.only().await.state, IncidentState::Applied);
}

#[tokio::test]
async fn harm_that_could_not_be_put_on_record_is_not_forgotten() {
    let world = World::new(attacked());
    let (mut watch, _) = world.watch(&Policy::default()).await;
    world.line.cut.store(true, Ordering::Relaxed);
    look(&mut watch).await;
    assert!(world.incidents().await.is_empty());
    world.line.cut.store(false, Ordering::Relaxed);
    look(&mut watch).await;
    assert_eq!(world.only().await.state, IncidentState::Planned);
}

#[tokio::test]
async fn of_two_guards_one_acts_and_the_other_goes_on_when_that_is_gone() {
    let world = World::new(attacked());
    let (mut first, _) = world.watch(&apply()).await;
    let (mut second, _) = world.watch(&apply()).await;
    look(&mut first).await;
    look(&mut second).await;
    assert_eq!(world.only().await.by, first.respond.by);
    // The first is killed before it could go the way back.
    world.clock.set("2026-11-22T12:00:30Z");
    look(&mut second).await;
    assert_eq!(world.applied(), Vec::<String>::new(), "the first may still be there");
    world.clock.set("2026-11-22T12:01:05Z");
    look(&mut second).await;
    let incident = world.only().await;
    assert_eq!((incident.state, &incident.by), (IncidentState::Applied, &second.respond.by));
    // It was not killed: it was only slow.
    look(&mut first).await;
    assert_eq!(world.applied(), ["plan-1"]);
}

#[tokio::test]
async fn what_comes_to_light_after_a_restart_is_undone_to_its_end() {
    let mut fake = shop_of(30);
    reprice(&mut fake, 1..=20, "6.40");
    log(&mut fake, 1..=20);
    let heard = 30 + 20 + 20;
    reprice(&mut fake, 21..=28, "6.40");
    log(&mut fake, 21..=28);
    let world = World::new(fake);
    world.journal.hear(heard);
    let (mut watch, _) = world.watch(&apply()).await;
    look(&mut watch).await;
    world.clock.set("2026-11-22T12:00:16Z");
    look(&mut watch).await;
    assert_eq!(world.only().await.state, IncidentState::Applied);
    drop(watch);
    world.clock.set("2026-11-22T12:10:00Z");
    world.journal.hear(usize::MAX);
    let (mut after, _) = world.watch(&apply()).await;
    look(&mut after).await;
    world.clock.set("2026-11-22T12:11:10Z");
    look(&mut after).await;
    look(&mut after).await;
    let incident = world.only().await;
    assert_eq!((incident.state, incident.planned), (IncidentState::Applied, 28), "{incident:?}");
    assert_eq!(incident.earlier_jobs, ["job of plan-1"]);
}

#[tokio::test]
async fn telling_people_holds_up_nothing_and_is_made_good_after_a_restart() {
    let world = World::new(attacked());
    let url = Some("https://hooks.example.com/x".to_owned());
    let policy = Policy { webhook_url: url, ..Policy::default() };
    // Nobody delivers.
    let (mut watch, _postman) = world.watch(&policy).await;
    look(&mut watch).await;
    let incident = world.only().await;
    assert_eq!(
        (incident.state, incident.told.as_deref()),
        (IncidentState::Planned, Some("being told"))
    );
    assert!(watch.respond.outbox.holds(&incident.id));
    drop(watch);
    let (mut after, _postman) = world.watch(&policy).await;
    look(&mut after).await;
    world.clock.set("2026-11-22T12:01:10Z");
    look(&mut after).await;
    assert!(after.respond.outbox.holds(&incident.id), "it is told by whoever goes on");
    assert_eq!(world.way.plans.lock().expect("not poisoned").len(), 1);
}

#[tokio::test]
async fn incidents_that_turn_out_to_be_one_are_joined() {
    let mut fake = shop_of(50);
    reprice(&mut fake, 1..=12, "6.40");
    for n in 31..=42 {
        let at = format!("2026-11-22T12:01:{:02}Z", n - 30);
        fake.remember("product", &n.to_string(), &at, &product(n, "6.40"));
    }
    let heard = 50 + 24;
    log(&mut fake, 1..=12);
    for n in 31..=42 {
        let at = format!("2026-11-22T12:01:{:02}Z", n - 30);
        let entry = json!({
            "subjectId": format!("gid://shopify/Product/{n}"), "action": "update",
            "attributeToApp": true, "attributeToUser": false, "appTitle": APP,
        });
        fake.remember("event", &format!("9{n:03}"), &at, &entry);
    }
    let world = World::new(fake);
    world.journal.hear(heard);
    world.clock.set("2026-11-22T12:01:30Z");
    let (mut watch, _) = world.watch(&Policy::default()).await;
    look(&mut watch).await;
    let told: Vec<IncidentState> = world.incidents().await.iter().map(|i| i.state).collect();
    assert_eq!(told, [IncidentState::Planned; 2], "nobody knows yet who it was");
    world.journal.hear(usize::MAX);
    world.clock.set("2026-11-22T12:02:30Z");
    look(&mut watch).await;
    world.clock.set("2026-11-22T12:03:30Z");
    look(&mut watch).await;
    let incidents = world.incidents().await;
    let [main, part] = incidents.as_slice() else { panic!("{incidents:?}") };
    assert_eq!((part.state, part.part_of.as_ref()), (IncidentState::Joined, Some(&main.id)));
    assert_eq!((main.state, main.planned), (IncidentState::Planned, 24));
    assert_eq!(main.change_set.actor.name, APP);
    look(&mut watch).await;
    assert_eq!(world.way.plans.lock().expect("not poisoned").as_slice(), [12, 12, 24]);
}

#[tokio::test]
async fn a_way_back_is_made_anew_when_what_it_undoes_is_over() {
    let mut fake = shop_of(50);
    reprice(&mut fake, 1..=40, "6.40");
    let world = World::new(fake);
    let (mut watch, _) = world.watch(&Policy::default()).await;
    for (heard, at) in [(62, "00"), (66, "02"), (71, "04"), (80, "06"), (90, "08"), (90, "24")] {
        world.journal.hear(heard);
        world.clock.set(&format!("2026-11-22T12:00:{at}Z"));
        look(&mut watch).await;
    }
    assert_eq!(world.way.plans.lock().expect("not poisoned").as_slice(), [12, 40]);
    assert_eq!(world.only().await.state, IncidentState::Planned);
}

#[tokio::test]
async fn what_the_policy_did_not_allow_then_is_not_done_when_it_does() {
    let mut fake = attacked();
    let heard = 30 + 20 + 20;
    reprice(&mut fake, 21..=28, "6.40");
    log(&mut fake, 21..=28);
    let world = World::new(fake);
    world.journal.hear(heard);
    let (mut watch, _) = world.watch(&Policy::default()).await;
    look(&mut watch).await;
    drop(watch);
    world.journal.hear(usize::MAX);
    world.clock.set("2026-11-22T12:05:00Z");
    let (mut after, _) = world.watch(&apply()).await;
    look(&mut after).await;
    world.clock.set("2026-11-22T12:07:00Z");
    look(&mut after).await;
    assert_eq!(world.applied(), Vec::<String>::new());
    let incident = world.only().await;
    assert_eq!((incident.state, incident.planned), (IncidentState::Planned, 28));
}

#[tokio::test]
async fn a_shop_says_itself_from_when_on_a_price_has_collapsed() {
    let mut fake = shop_of(30);
    reprice(&mut fake, 1..=20, "40.00");
    let world = World::new(fake);
    let (mut usual, _) = world.watch(&Policy::default()).await;
    look(&mut usual).await;
    assert!(world.incidents().await.is_empty());
    let strict = Policy { price_drop: 0.3, ..Policy::default() };
    let (mut strict, _) = world.watch(&strict).await;
    look(&mut strict).await;
    assert_eq!(world.only().await.trips[0].count, 20);
}

#[tokio::test]
async fn a_drop_of_prices_that_is_usual_is_known_as_such_after_a_restart() {
    let mut fake = shop_of(0);
    for (day, price) in [(15, "64.00"), (16, "40.00"), (17, "64.00"), (19, "40.00"), (20, "64.00")]
    {
        for n in 1..=20 {
            let at = format!("2026-11-{day}T09:00:{n:02}Z");
            fake.remember("product", &n.to_string(), &at, &product(n, price));
        }
    }
    reprice(&mut fake, 1..=20, "40.00");
    let world = World::new(fake);
    let strict = Policy { price_drop: 0.3, ..Policy::default() };
    let (mut watch, _) = world.watch(&strict).await;
    look(&mut watch).await;
    assert!(world.incidents().await.is_empty());
}

#[tokio::test]
async fn harm_is_seen_while_a_job_works() {
    let mut fake = shop_of(30);
    reprice(&mut fake, 1..=20, "6.40");
    let world = World::new(fake);
    let shop = fake::shop("acme");
    // However many wait behind it.
    for n in 1..=12 {
        let (id, state) = (format!("job-{n}"), if n == 1 { "running" } else { "queued" });
        let job = json!({
            "id": id, "plan": "plan-0", "state": state, "by": "me",
            "started_at": "2026-11-22T11:00:00Z", "finished_at": null, "counts": {},
            "eta_seconds": null, "cost": 0.0,
        });
        world.line.put(&shop, crate::job::JOB, &id, &job).await.expect("on record");
    }
    let (mut watch, _) = world.watch(&Policy::default()).await;
    world.clock.set("2026-11-22T11:58:40Z");
    look(&mut watch).await;
    assert!(world.incidents().await.is_empty(), "it may be the job's");
    world.clock.set("2026-11-22T12:00:00Z");
    look(&mut watch).await;
    assert_eq!(world.only().await.trips[0].count, 20);
}

#[tokio::test]
async fn what_is_left_of_an_incident_is_not_learned_as_normal() {
    let world = World::new(attacked());
    let (mut watch, _) = world.watch(&Policy::default()).await;
    look(&mut watch).await;
    let incident = world.only().await;
    let mut rest = incident.change_set.clone();
    rest.id.seq += 1;
    watch.learn(&rest);
    assert!(!watch.normal.knows(APP));
    rest.to = instant("2026-11-21T12:00:00Z");
    rest.from = rest.to;
    watch.learn(&rest);
    assert!(watch.normal.knows(APP));
}
