//! A simulated shop, and the history that its webhooks make, in memory.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::canonical::Hash;
use backstock_proto::journal::{Change, Version};
use backstock_proto::kind::{self, Arrival};
use backstock_proto::merge::{self, OnConflict};
use backstock_proto::{Facet, Kind, Op, ResourceId, Source, Timestamp, diff};
use backstock_restorer::change_set::{AppMark, Entry, Evidence, Idle, Trace};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use shopify::catalog::Size;
use shopify::dice::Dice;
use shopify::gid::Gid;
use shopify::harm::Harm;
use shopify::payload::{Detail, Renderer, Topic};
use shopify::shop::{Actor, Shop};
use shopify::subscription::Subscription;
use shopify::traffic::Traffic;

mod life;

/// The app that does the damage.
pub(crate) const APP: &str = "Bulk Price Wizard";

/// The sorts of harm that a product's own webhooks show: what things cost, they do not tell.
pub(crate) fn harms() -> impl Iterator<Item = Harm> {
    Harm::ALL.into_iter().filter(|harm| *harm != Harm::PricesBelowCost)
}

/// How much of the shop's own log there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// Every deed.
    Whole,
    /// As Shopify's: some deeds are missing, and what shows late is not there yet.
    AsShopifys,
    /// Every other entry of that.
    Half,
    /// None, but somebody noted that the app comes.
    OnlyMark,
}

pub(crate) type Key = (Kind, ResourceId);

/// A state that a resource took.
#[derive(Clone)]
struct State {
    seq: u64,
    state: Option<Value>,
    theirs: bool,
}

/// What undoing gives.
pub(crate) struct Undone {
    pub(crate) states: BTreeMap<Key, Option<Value>>,
    pub(crate) kept: u64,
    /// Resources that only others touched, and that came out different.
    pub(crate) touched_by_others: Vec<String>,
}

pub(crate) struct World {
    shop: Shop,
    traffic: Traffic,
    dice: Dice,
    now: jiff::Timestamp,
    history: BTreeMap<Key, Vec<State>>,
    pub(crate) traces: Vec<Trace>,
    /// Deliveries that changed nothing.
    idle: Vec<Idle>,
    /// Who did what really, as the log would tell it.
    deeds: Vec<Entry>,
    began: Option<Timestamp>,
    seq: u64,
    deed: u64,
    products: u64,
}

impl World {
    pub(crate) fn new(seed: u64, products: u64) -> Self {
        let now: jiff::Timestamp = "2026-03-02T08:00:00Z".parse().expect("an instant");
        let size = Size { big_every: 0, ..Size::of_products(products) };
        let base = "http://127.0.0.1:9".to_owned();
        let mut shop = Shop::new("acme.myshopify.com", seed, size, now, base);
        shop.subscriptions = Subscription::of_app("http://127.0.0.1:9/webhooks", "2026-10");
        let mut world = Self {
            shop,
            traffic: Traffic::new(seed),
            dice: Dice::new(seed).of("world"),
            now,
            history: BTreeMap::new(),
            traces: Vec::new(),
            idle: Vec::new(),
            deeds: Vec::new(),
            began: None,
            seq: 1_000,
            deed: 0,
            products,
        };
        world.look();
        world
    }

    /// The same shop a while later, without its past.
    pub(crate) fn clone_at_rest(&self, seed: u64) -> Self {
        Self::new(seed + 1_000_000, self.products)
    }

    /// Learns everything that is there, as the first look at a shop does.
    fn look(&mut self) {
        let topics = [
            ("Product", "products/update"),
            ("Collection", "collections/update"),
            ("Customer", "customers/update"),
        ];
        let text = self.shop.now_text();
        for (type_name, topic) in topics {
            let ids: Vec<Gid> = self.shop.store.live_ids(type_name).collect();
            for gid in ids {
                let renderer = Renderer {
                    store: &self.shop.store,
                    offset: self.shop.offset,
                    now: &text,
                    at: None,
                };
                let topic = Topic::parse(topic).expect("a topic");
                let Some(body) = renderer.body(topic, gid, &Detail::default()) else { continue };
                let Some((key, op, state)) = read(topic.name(), body.to_string().as_bytes()) else {
                    continue;
                };
                assert_eq!(op, Op::Update);
                self.seq += 1;
                self.history.insert(key, vec![State { seq: self.seq, state, theirs: false }]);
            }
        }
    }

    /// Something is done, and its webhooks become history.
    fn act(&mut self, after: SignedDuration, actor: Actor, deed: impl FnOnce(&mut Shop)) {
        self.now += after;
        self.shop.act(self.now, actor, deed);
        self.hear();
    }

    /// Staff, buyers: so many deeds of ordinary traffic, half a minute apart or so.
    pub(crate) fn work(&mut self, deeds: u64) {
        for _ in 0..deeds {
            self.deed += 1;
            let pause = 5 + self.dice.of("pause").below(self.deed, 50);
            self.now += SignedDuration::from_secs(pause.cast_signed());
            self.traffic.step(&mut self.shop, self.now);
            self.hear();
        }
    }

    /// The app harms so many things, one every second or two; the staff works on beside it, also
    /// on what the app has just harmed.
    pub(crate) fn harm(&mut self, harm: Harm, count: usize) {
        self.began = Some(instant(self.now));
        let ids: Vec<Gid> = self.shop.store.live_ids(harm.hits()).take(count).collect();
        for (n, gid) in ids.into_iter().enumerate() {
            let n = n as u64;
            let step =
                SignedDuration::from_millis(900 + self.dice.of("step").below(n, 900).cast_signed());
            self.act(step, Actor::App(APP.into()), |shop| harm.strike(shop, gid));
            if self.dice.of("beside").happens(n, 0.25) {
                self.work_on(gid, n, harm);
            }
        }
    }

    /// Somebody of the staff edits what the app has just harmed: something else, or the same.
    fn work_on(&mut self, gid: Gid, n: u64, harm: Harm) {
        let vendor = |shop: &mut Shop, gid: Gid| {
            shop.edit_product(gid, |p| p["vendor"] = json!(format!("Vendor {n}")));
        };
        if matches!(harm, Harm::Deleted | Harm::CollectionsDeleted) {
            let pause = SignedDuration::from_secs(1);
            let some = self.shop.store.live_ids("Product").last();
            let Some(some) = some else { return };
            return self.act(pause, staff(n), |shop| vendor(shop, some));
        }
        let pause = SignedDuration::from_secs(1 + self.dice.of("soon").below(n, 20).cast_signed());
        let same = self.dice.of("same").happens(n, 0.3);
        self.act(pause, staff(n), |shop| match (same, harm) {
            (true, Harm::PricesCollapsed) => shop.reprice(gid, 250),
            (true, Harm::TextsEmptied) => {
                shop.edit_product(gid, |p| {
                    p["descriptionHtml"] = json!(format!("<p>Again {n}.</p>"))
                });
            }
            (true, Harm::TextsReplaced) => {
                shop.edit_product(gid, |p| p["title"] = json!(format!("Mended by hand {n}")));
            }
            _ => vendor(shop, gid),
        });
    }

    /// When it is in this shop.
    pub(crate) fn now(&self) -> Timestamp {
        instant(self.now)
    }

    /// Webhooks → history, and what the log would say.
    fn hear(&mut self) {
        let actor = self.shop.actor().clone();
        let theirs = actor == Actor::App(APP.into());
        for delivery in self.shop.take_deliveries() {
            let Some((key, op, state)) = read(delivery.topic.name(), &delivery.body) else {
                continue;
            };
            let at = instant(delivery.triggered_at);
            self.seq += 1;
            let past = self.history.entry(key.clone()).or_default();
            let before = past.last().and_then(|last| last.state.clone());
            if past.last().is_some_and(|last| last.state == state) {
                let (kind, id) = key;
                let event_id = Some(delivery.event_id.as_str().into());
                self.idle.push(Idle { kind, id, at, event_id });
                continue;
            }
            past.push(State { seq: self.seq, state: state.clone(), theirs });
            let empty = Value::Object(Map::new());
            let changes =
                state.as_ref().map(|s| diff::fields(before.as_ref().unwrap_or(&empty), s));
            let shown = state.as_ref().or(before.as_ref()).unwrap_or(&Value::Null);
            let (kind, id) = key.clone();
            let change = Change {
                gid: kind.gid(&id),
                title: kind.listing(shown).title,
                kind: kind.clone(),
                id: id.clone(),
                version: version(self.seq, op, at, &delivery, state.as_ref()),
                changes: changes.unwrap_or_default(),
            };
            self.traces.push(Trace::of(change));
            let who = match &actor {
                Actor::App(title) => backstock_restorer::change_set::Who::app(title),
                Actor::Staff(name) => backstock_restorer::change_set::Who::staff(name),
                Actor::Buyer => continue,
            };
            // To the second, as Shopify dates them.
            let at = Timestamp::from_micros(at.as_micros() / 1_000_000 * 1_000_000);
            let logged = ["product", "collection", "customer", "order"].contains(&kind.as_str());
            if logged {
                self.deeds.push(Entry { kind, id, op, at, who });
            }
        }
    }

    pub(crate) fn evidence(&self, log: Log) -> Evidence {
        let mark = self.began.map(|at| AppMark { app: APP.into(), at, said: true });
        let told = match log {
            Log::Whole => self.deeds.clone(),
            Log::AsShopifys => self.shopifys_log(),
            Log::Half => self.shopifys_log().into_iter().step_by(2).collect(),
            Log::OnlyMark => Vec::new(),
        };
        let marks = mark.filter(|_| log == Log::OnlyMark).into_iter().collect();
        Evidence { log: told, idle: self.idle.clone(), marks, ..Evidence::default() }
    }

    /// The log as the simulated shop keeps it, as far as it shows by now.
    fn shopifys_log(&self) -> Vec<Entry> {
        let ids: Vec<Gid> = self.shop.store.live_ids("BasicEvent").collect();
        let mut log: Vec<Entry> = ids
            .into_iter()
            .filter_map(|gid| {
                let event = self.shop.store.get(gid)?;
                let visible: jiff::Timestamp = event["_visibleAt"].as_str()?.parse().ok()?;
                if visible > self.now {
                    return None;
                }
                let at = Timestamp::parse(event["createdAt"].as_str()?).ok()?;
                Entry::read(&|name| event.get(name).cloned(), at)
            })
            .collect();
        log.sort_by_key(|entry| entry.at);
        log
    }

    pub(crate) fn is_theirs(&self, seq: u64) -> bool {
        self.history.values().flatten().any(|state| state.seq == seq && state.theirs)
    }

    pub(crate) fn living(&self) -> BTreeMap<Kind, u64> {
        let mut living = BTreeMap::new();
        for ((kind, _), past) in &self.history {
            if past.last().is_some_and(|last| last.state.is_some()) {
                *living.entry(kind.clone()).or_default() += 1;
            }
        }
        living
    }

    /// Takes back some versions, newest first, in what is there now.
    pub(crate) fn undo(&self, seqs: &[u64]) -> Undone {
        let seqs: BTreeSet<u64> = seqs.iter().copied().collect();
        let mut undone = Undone { states: BTreeMap::new(), kept: 0, touched_by_others: Vec::new() };
        for (key, past) in &self.history {
            let now = past.last().and_then(|last| last.state.clone());
            let mut state = now.clone().unwrap_or(Value::Null);
            for at in (1..past.len()).rev().filter(|at| seqs.contains(&past[*at].seq)) {
                let of = |state: &State| state.state.clone().unwrap_or(Value::Null);
                let (before, after) = (of(&past[at - 1]), of(&past[at]));
                let (back, kept) = merge::revert(&state, &before, &after, OnConflict::Keep);
                undone.kept += kept.len() as u64;
                state = back;
            }
            let state = Some(state).filter(|state| !state.is_null());
            if !past.iter().any(|state| state.theirs) && state != now {
                undone.touched_by_others.push(format!("{key:?}"));
            }
            undone.states.insert(key.clone(), state);
        }
        undone
    }

    /// What a resource would be if the app had never been: everything that others did, in order.
    pub(crate) fn without_app(&self, key: &Key) -> Option<Value> {
        let past = &self.history[key];
        let of = |state: &State| state.state.clone().unwrap_or(Value::Null);
        let mut state = of(&past[0]);
        for pair in past.windows(2).filter(|pair| !pair[1].theirs) {
            // Doing something is taking back its undoing.
            state = merge::revert(&state, &of(&pair[1]), &of(&pair[0]), OnConflict::Overwrite).0;
        }
        Some(state).filter(|state| !state.is_null())
    }
}

fn staff(n: u64) -> Actor {
    let names = ["Amelia Byrne", "Lukas Weber", "Priya Patel"];
    Actor::Staff(names[usize::try_from(n % 3).expect("small")].into())
}

fn instant(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_microsecond())
}

/// A body as a state of something; `None` for what is no state.
fn read(topic: &str, body: &[u8]) -> Option<(Key, Op, Option<Value>)> {
    let route = kind::route(topic);
    if route.facet != Facet::Core || route.kind.spec().is_none() {
        return None;
    }
    let id = kind::identify(&route.kind, body);
    let arrival = Arrival { source: Source::Webhook, facet: route.facet, op: route.op };
    let document = route.kind.read(arrival, &id, body).expect("a body that is understood");
    Some(((route.kind, id), route.op, document.state))
}

fn version(
    seq: u64,
    op: Op,
    at: Timestamp,
    delivery: &shopify::subscription::Delivery,
    state: Option<&Value>,
) -> Version {
    Version {
        seq,
        op,
        source: Source::Webhook,
        facet: Facet::Core,
        valid_at: at,
        recorded_at: at,
        received_at: at,
        triggered_at: Some(at),
        earliest_at: None,
        topic: delivery.topic.name().into(),
        api_version: Some(delivery.api_version.clone()),
        webhook_id: Some(delivery.webhook_id.clone()),
        event_id: Some(delivery.event_id.clone()),
        hash: Hash::of(state).to_hex(),
        unchanged: false,
        erased: false,
    }
}
