//! One shop: its resources, what happens to them, and who is told.

mod answer;
mod collection;
mod company;
mod customer;
mod event;
mod file;
mod founding;
mod idempotency;
mod opening;
mod order;
mod product;
mod settings;
mod stock;
mod variant_limit;

pub use order::Cart;
pub use stock::available;
pub use variant_limit::VariantLimit;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::catalog::{Catalog, Size};
use crate::change::{Change, Deed, Touched, Write, gids};
use crate::dice::Dice;
use crate::events::Declared;
use crate::gid::Gid;
use crate::instant;
use crate::knowledge::{Answer, Said};
use crate::payload::{Detail, Renderer, Topic};
use crate::protected;
use crate::store::{Document, Store, targets};
use crate::subscription::{Delivery, Subscription};

/// Who does something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A person of the shop, by name.
    Staff(String),
    /// An app, by its title.
    App(String),
    /// Somebody who buys.
    Buyer,
}

/// The least time between two actions: what is told of them is dated no more finely by everybody.
const TICK: SignedDuration = SignedDuration::from_micros(1);

/// A shop and its past.
pub struct Shop {
    /// Its permanent name, `acme.myshopify.com`.
    pub domain: String,
    /// Its offset from UTC.
    pub offset: Offset,
    /// Everything in it.
    pub store: Store,
    /// Who is told of what.
    pub subscriptions: Vec<Subscription>,
    /// Bytes that were uploaded, by key.
    pub(crate) uploads: HashMap<String, Bytes>,
    /// Uploads that were staged.
    pub(crate) expected_uploads: HashSet<String>,
    /// The bytes of files that do not follow from their names.
    pub(crate) blobs: HashMap<Gid, Bytes>,
    /// Whose bytes are under a path of the CDN that does not follow from its file's number.
    paths: HashMap<String, Gid>,
    /// Bulk operations that wait to be run.
    pub(crate) bulk_started: Vec<Gid>,
    /// Whether bulk mutations are begun at all.
    pub(crate) bulk_mutations: bool,
    /// Whether a line of a bulk mutation is executed: some mutations are then always synchronous.
    pub(crate) in_bulk: bool,
    /// Whether the app is approved for customers' data. Without it, what identifies a customer
    /// comes as null: in answers with an error beside it, in webhooks without a word.
    pub protected_data: bool,
    /// Whether apps may see where things are published.
    pub publications: bool,
    /// Whether the app sees orders of any age. Without it, those older than sixty days are as if they
    /// were not there, except in webhooks.
    pub all_orders: bool,
    /// The longest that an entry of the shop's own log takes to show, in seconds.
    pub log_late: u64,
    /// How many variants apps may make; nothing for a shop on Plus.
    pub variant_limit: Option<VariantLimit>,
    /// Whether the app that asks may write theme files.
    pub(crate) theme_exemption: bool,
    /// What was asked with which idempotency key.
    pub(crate) idempotency: idempotency::Idempotency,
    base: String,
    dice: Dice,
    now: Timestamp,
    actor: Actor,
    actions: u64,
    webhooks: u64,
    tokens: u64,
    pending: Vec<(Topic, Gid, Detail)>,
    /// What the current action wrote, as it was before.
    touched: BTreeMap<Gid, Option<Document>>,
    /// The mutation that the current action is.
    writing: Option<Write>,
    /// Every mutation that was executed.
    pub writes: Vec<Write>,
    /// What was told to whoever asked for it by its id.
    pub answers: Vec<Answer>,
    /// What the app wants to be told of by the Events family.
    pub events: Option<Arc<Declared>>,
    /// What a query of those asked for that is not simulated.
    pub(crate) not_simulated: Vec<Value>,
    /// The end of the token that is being used.
    pub(crate) token_in_use: Option<String>,
    said: HashMap<(Topic, Gid), (Bytes, Timestamp)>,
    known: Said,
    outbox: Vec<Delivery>,
}

impl Shop {
    /// The shop of a seed, at the beginning; `base` is where it is served.
    #[must_use]
    pub fn new(domain: &str, seed: u64, size: Size, founded: Timestamp, base: String) -> Self {
        let dice = Dice::new(seed);
        let cdn = format!("{base}/cdn");
        let is_empty = size.is_empty();
        let mut shop = Self {
            domain: domain.to_owned(),
            base,
            offset: jiff::tz::offset(-5),
            store: Store::new(Box::new(Catalog::new(dice, size, founded, cdn))),
            subscriptions: Vec::new(),
            uploads: HashMap::new(),
            expected_uploads: HashSet::new(),
            blobs: HashMap::new(),
            paths: HashMap::new(),
            bulk_started: Vec::new(),
            bulk_mutations: true,
            in_bulk: false,
            protected_data: true,
            publications: true,
            all_orders: true,
            log_late: event::LATEST,
            said: HashMap::new(),
            known: Said::default(),
            variant_limit: Some(VariantLimit::default()),
            theme_exemption: false,
            idempotency: idempotency::Idempotency::default(),
            dice: dice.of("shop"),
            now: founded,
            actor: Actor::Buyer,
            actions: 0,
            webhooks: 0,
            tokens: 0,
            pending: Vec::new(),
            touched: BTreeMap::new(),
            writing: None,
            writes: Vec::new(),
            answers: Vec::new(),
            events: None,
            not_simulated: Vec::new(),
            token_in_use: None,
            outbox: Vec::new(),
        };
        match is_empty {
            true => shop.open(),
            false => shop.found(),
        }
        shop.pending.clear();
        shop.touched.clear();
        shop
    }

    /// Everything that one actor does in one go, at `at` or just after the action before.
    /// Each topic and resource is announced once, as it is at the end.
    pub fn act<T>(&mut self, at: Timestamp, actor: Actor, work: impl FnOnce(&mut Self) -> T) -> T {
        self.now = at.max(self.now + TICK);
        self.actor = actor;
        self.actions += 1;
        let outcome = work(self);
        let changes = self.take_changes();
        self.log_write(&changes);
        self.announce_pending(&changes);
        self.announce_events(&changes);
        outcome
    }

    /// The deliveries that are due since the last call.
    pub fn take_deliveries(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.outbox)
    }

    /// Where the shop is served.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The instant of the current action.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The instant of the current action, as documents hold it.
    #[must_use]
    pub fn now_text(&self) -> String {
        instant::graphql(self.now)
    }

    /// An instant some time after the current action.
    pub(crate) fn later(&self, by: SignedDuration) -> String {
        self.now.checked_add(by).unwrap_or(Timestamp::MAX).to_string()
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Records a new state.
    pub fn put(&mut self, gid: Gid, state: Value) {
        self.touch(gid);
        self.store.put(gid, self.now, Some(state));
    }

    fn touch(&mut self, gid: Gid) {
        self.touched.entry(gid).or_insert_with(|| self.store.get(gid));
    }

    fn take_changes(&mut self) -> Vec<Change> {
        let touched = std::mem::take(&mut self.touched).into_iter();
        touched.map(|(gid, before)| Change { gid, before, after: self.store.get(gid) }).collect()
    }

    /// Remembers which mutation the current action is.
    pub(crate) fn note_write(
        &mut self,
        mutation: &str,
        arguments: &Value,
        user_errors: Option<usize>,
    ) {
        let app = match &self.actor {
            Actor::App(title) | Actor::Staff(title) => title.clone(),
            Actor::Buyer => String::new(),
        };
        self.writing = Some(Write {
            at: instant::header(self.now),
            app,
            token: self.token_in_use.clone(),
            mutation: mutation.to_owned(),
            ids: gids(arguments).map(str::to_owned).collect(),
            touched: Vec::new(),
            user_errors: user_errors.unwrap_or_default(),
            refused: user_errors.is_none(),
        });
    }

    fn log_write(&mut self, changes: &[Change]) {
        let Some(mut write) = self.writing.take() else { return };
        let touched = changes.iter().filter_map(|change| {
            Some(Touched { gid: change.gid.to_string(), deed: change.deed()? })
        });
        write.touched = touched.collect();
        self.writes.push(write);
    }

    /// Changes what is there and dates it; says whether it was there.
    pub fn update(&mut self, gid: Gid, change: impl FnOnce(&mut Value)) -> bool {
        let Some(document) = self.store.get(gid) else { return false };
        let mut state = Document::unwrap_or_clone(document);
        change(&mut state);
        if state.get("updatedAt").is_some() {
            state["updatedAt"] = json!(self.now_text());
        }
        self.put(gid, state);
        true
    }

    /// Deletes a resource with all that it owns.
    pub fn remove(&mut self, gid: Gid) {
        let Some(document) = self.store.get(gid) else { return };
        let owned: Vec<Gid> = owned(&document).collect();
        self.touch(gid);
        self.store.put(gid, self.now, None);
        for gid in owned {
            self.remove(gid);
        }
    }

    /// Ends a subscription that was made through the Admin API.
    pub fn unsubscribe(&mut self, subscription: Gid) {
        self.remove(subscription);
        self.subscriptions.retain(|known| known.id != Some(subscription));
    }

    /// Tells the subscribers of a topic, once the action is over.
    pub fn announce(&mut self, topic: &'static str, gid: Gid) {
        self.announce_with(topic, gid, Detail::default());
    }

    /// Tells of everything that there is a topic for, as it is.
    pub fn announce_everything(&mut self) {
        for (topic, type_name) in TOLD {
            let Some(topic) = Topic::parse(topic) else { continue };
            let all: Vec<Gid> = self.store.live_ids(type_name).collect();
            self.pending.extend(all.into_iter().map(|gid| (topic, gid, Detail::default())));
        }
    }

    pub(crate) fn announce_with(&mut self, topic: &'static str, gid: Gid, detail: Detail) {
        let Some(topic) = Topic::parse(topic) else { return };
        if !self.pending.iter().any(|(known, of, _)| *known == topic && *of == gid) {
            self.pending.push((topic, gid, detail));
        }
    }

    /// A number that repeats only with the seed, for keys that must not be guessed.
    pub(crate) fn token(&mut self) -> String {
        self.tokens += 1;
        self.dice.of("token").uuid(self.tokens).replace('-', "")
    }

    fn announce_pending(&mut self, changes: &[Change]) {
        // What is new is not announced as changed as well.
        let new: Vec<Gid> = self
            .pending
            .iter()
            .filter(|(topic, ..)| topic.name().ends_with("/create"))
            .map(|(_, gid, _)| *gid)
            .collect();
        self.pending
            .retain(|(topic, gid, _)| !(topic.name().ends_with("/update") && new.contains(gid)));
        self.record_events(changes);
        let now = self.now_text();
        let event_id = self.dice.of("event").uuid(self.actions);
        for (topic, gid, detail) in std::mem::take(&mut self.pending) {
            let renderer =
                Renderer { store: &self.store, offset: self.offset, now: &now, at: None };
            if !self.subscriptions.iter().any(|subscription| subscription.topic == topic) {
                continue;
            }
            let Some(mut whole) = renderer.body(topic, gid, &detail) else { continue };
            if !self.protected_data {
                protected::redact_body(&mut whole);
            }
            let body = Bytes::from(whole.to_string());
            if is_repetition(&mut self.said, (topic, gid), &body, self.now) {
                continue;
            }
            let about = (topic, gid, &detail);
            let says = self.known.classic(renderer, about, &whole, (self.now, self.protected_data));
            for subscription in self.subscriptions.iter().filter(|s| s.topic == topic) {
                let namespaces = &subscription.metafield_namespaces;
                let metafields = renderer.metafields(gid, namespaces);
                let Some(body) = subscription.cut(&body, metafields) else { continue };
                self.webhooks += 1;
                self.outbox.push(Delivery {
                    subscription: subscription.id,
                    uri: subscription.uri.clone(),
                    name: subscription.name.clone(),
                    api_version: subscription.api_version.clone(),
                    topic,
                    gid,
                    webhook_id: self.dice.of("webhook").uuid(self.webhooks),
                    event_id: event_id.clone(),
                    event: None,
                    triggered_at: self.now,
                    body,
                    says: says.clone(),
                });
            }
        }
    }
}

impl Shop {
    fn announce_events(&mut self, changes: &[Change]) {
        let Some(declared) = self.events.clone() else { return };
        for event in declared.tell(self, changes) {
            self.webhooks += 1;
            let webhook_id = self.dice.of("webhook").uuid(self.webhooks);
            let topic = Topic::of_events(event.topic);
            let about = (topic, event.gid, event.handle.as_str());
            let gone = event.action == Deed::Delete;
            let says = self.known.event(about, &event.data, gone, &webhook_id);
            self.outbox.push(Delivery {
                subscription: None,
                uri: event.uri,
                name: None,
                api_version: declared.version.name().to_owned(),
                topic,
                gid: event.gid,
                webhook_id,
                event_id: self.dice.of("event").uuid(self.actions),
                event: Some((event.handle, event.action.name())),
                triggered_at: self.now,
                body: event.body,
                says,
            });
        }
    }
}

/// Which topic tells of a type.
const TOLD: [(&str, &str); 21] = [
    ("products/update", "Product"),
    ("collections/update", "Collection"),
    ("customers/update", "Customer"),
    ("orders/updated", "Order"),
    ("inventory_items/update", "InventoryItem"),
    ("inventory_levels/update", "InventoryLevel"),
    ("themes/update", "OnlineStoreTheme"),
    ("metaobjects/update", "Metaobject"),
    ("segments/update", "Segment"),
    ("discounts/update", "DiscountCodeNode"),
    ("discounts/update", "DiscountAutomaticNode"),
    ("locations/update", "Location"),
    ("markets/update", "Market"),
    ("profiles/update", "DeliveryProfile"),
    ("metafield_definitions/update", "MetafieldDefinition"),
    ("companies/update", "Company"),
    ("company_locations/update", "CompanyLocation"),
    ("company_contacts/update", "CompanyContact"),
    ("selling_plan_groups/update", "SellingPlanGroup"),
    ("draft_orders/update", "DraftOrder"),
    ("shop/update", "Shop"),
];

/// The same body for the same thing is not sent again within this time.
const DEBOUNCE: SignedDuration = SignedDuration::from_secs(1);
/// So many last words are remembered.
const SAID_MAX: usize = 50_000;

/// Whether this was said just now; remembers it otherwise.
fn is_repetition(
    said: &mut HashMap<(Topic, Gid), (Bytes, Timestamp)>,
    about: (Topic, Gid),
    body: &Bytes,
    now: Timestamp,
) -> bool {
    let last = said.get(&about);
    if last.is_some_and(|(last, at)| last == body && now.duration_since(*at) < DEBOUNCE) {
        return true;
    }
    if said.len() >= SAID_MAX {
        said.clear();
    }
    said.insert(about, (body.clone(), now));
    false
}

/// What a document owns, at any depth.
fn owned(value: &Value) -> Box<dyn Iterator<Item = Gid> + '_> {
    match value {
        Value::Object(map) => match map.get("$own").and_then(Value::as_str) {
            Some(id) => Box::new(id.parse().ok().into_iter()),
            None => Box::new(map.values().flat_map(owned)),
        },
        Value::Array(items) => Box::new(items.iter().flat_map(owned)),
        _ => Box::new(std::iter::empty()),
    }
}

/// Takes a link out of a list field; says whether it was there.
fn unlink(document: &mut Value, field: &str, gid: Gid) -> bool {
    let kept: Vec<Value> = document[field]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| crate::store::target(entry) != Some(gid))
        .cloned()
        .collect();
    let found = targets(document, field).any(|other| other == gid);
    document[field] = Value::Array(kept);
    found
}
