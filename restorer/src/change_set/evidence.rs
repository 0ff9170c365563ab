//! What says who made a change, and how much can be built on it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backstock_proto::journal::Change;
use backstock_proto::kind;
use backstock_proto::resource::gid_type;
use backstock_proto::{Kind, Op, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::EventId;
use super::trace::Trace;

/// How far Shopify's log and a webhook about the same deed may be apart.
const JOIN_MICROS: i64 = 10_000_000;
/// How long after a deed a pull may have learned of it.
pub(super) const LEARNED_MICROS: i64 = 120_000_000;
/// A second.
const SECOND_MICROS: i64 = 1_000_000;
/// Documents date themselves in whole seconds, deliveries do not.
const DATED_MICROS: i64 = 2_000_000;
/// Kinds that buyers make and change, where Shopify's log names neither an app nor a person.
const BY_BUYERS: [&str; 3] = ["order", "customer", "draft_order"];

/// Who changes things in a shop.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// An app, by its title.
    App,
    /// A person of the shop.
    Staff,
    /// Buyers, by what they order.
    Customers,
    /// This Backstock.
    Backstock,
    /// Nobody can say.
    Unknown,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who {
    /// What sort of actor.
    pub kind: ActorKind,
    /// What they are called.
    pub name: Arc<str>,
}

impl Who {
    /// An app.
    pub fn app(title: &str) -> Self {
        Self { kind: ActorKind::App, name: title.into() }
    }

    /// A person of the shop.
    pub fn staff(name: &str) -> Self {
        Self { kind: ActorKind::Staff, name: name.into() }
    }

    /// This Backstock.
    pub fn backstock() -> Self {
        Self { kind: ActorKind::Backstock, name: "Backstock".into() }
    }

    /// Buyers.
    pub fn customers() -> Self {
        Self { kind: ActorKind::Customers, name: "customers".into() }
    }
}

/// An entry of the shop's own log: who did something to what, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// What was done.
    pub op: Op,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: Who,
}

impl Entry {
    /// Reads an event as Shopify tells it. `None` for what names nobody or no kind that is known.
    pub fn read(member: &dyn Fn(&str) -> Option<serde_json::Value>, at: Timestamp) -> Option<Self> {
        let text = |name: &str| Some(member(name)?.as_str()?.to_owned());
        let flag = |name: &str| member(name).and_then(|v| v.as_bool()).unwrap_or(false);
        let gid = text("subjectId")?;
        let subject = gid_type(&gid)?;
        let spec = kind::ALL.iter().copied().find(|spec| spec.gid_type == subject)?;
        let who = match (flag("attributeToApp"), flag("attributeToUser")) {
            (true, _) => Who::app(&text("appTitle").or_else(|| text("author"))?),
            (false, true) => Who::staff(&text("author")?),
            // Of anything else it says nothing: nobody buys the deletion of a product.
            (false, false) if BY_BUYERS.contains(&spec.name) => Who::customers(),
            (false, false) => return None,
        };
        let op = match text("action")?.as_str() {
            "create" => Op::Create,
            "destroy" | "delete" => Op::Delete,
            _ => Op::Update,
        };
        Some(Self { kind: Kind::of(spec), id: ResourceId::parse(&gid).ok()?, op, at, who })
    }
}

/// A delivery about a resource that changed nothing of it: somebody did something all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idle {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// When.
    pub at: Timestamp,
    /// Shopify's id of the action behind it.
    pub event_id: Option<EventId>,
}

impl Idle {
    /// A version that changed nothing; `None` if it was not delivered.
    pub(super) fn of(change: Change) -> Option<Self> {
        let Change { kind, id, version, .. } = change;
        let at = version.triggered_at.filter(|_| version.source.is_delivered())?;
        let event_id = version.event_id.as_deref().map(EventId::from);
        Some(Self { kind, id, at, event_id })
    }
}

/// A write of ours: what one of our jobs did to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnWrite {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one, by the id that it has now.
    pub id: ResourceId,
    /// Not before then.
    pub from: Timestamp,
    /// Not after then.
    pub to: Timestamp,
}

impl OwnWrite {
    /// The write that a change is.
    pub(super) fn of(trace: &Trace) -> Self {
        let Trace { kind, id, at, .. } = trace;
        Self { kind: kind.clone(), id: id.clone(), from: *at, to: *at }
    }
}

/// Something that a person said, or that was inferred, about an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppMark {
    /// The app.
    pub app: Box<str>,
    /// When.
    pub at: Timestamp,
    /// Whether a person said so.
    pub said: bool,
}

/// Everything that says who did what around some changes.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The shop's own log.
    pub log: Vec<Entry>,
    /// Deliveries that changed nothing, of which the log tells too.
    pub idle: Vec<Idle>,
    /// What our jobs wrote.
    pub own: Vec<OwnWrite>,
    /// What was said about apps.
    pub marks: Vec<AppMark>,
    /// The title of the app that Backstock is, if the shop has said so.
    pub ours: Option<Box<str>>,
}

/// How a change came to be ascribed to somebody, surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sign {
    /// One of our jobs wrote it.
    Job,
    /// Shopify's log names who changed this resource then.
    Log,
    /// It is part of an action of which the log names who did it.
    SameAction,
    /// A pull learned of it right after a change that is ascribed.
    Followed,
    /// It looks like, and happened amid, changes that are ascribed.
    Alike,
    /// It began after a person, or a sign, said that this app comes.
    Mark,
    /// It is what only buyers do.
    Trade,
}

impl Sign {
    /// How much a change that has it counts towards being sure.
    pub fn weight(self) -> f64 {
        match self {
            Self::Job => 0.99,
            Self::Log => 0.95,
            Self::SameAction => 0.92,
            Self::Followed => 0.85,
            Self::Alike => 0.7,
            Self::Trade => 0.7,
            Self::Mark => 0.45,
        }
    }
}

/// Who made a change, and what says so, if anything does.
pub(super) type Found = Option<(Arc<Who>, Sign)>;

/// Who made each change, as far as something names it; in the order of the traces.
pub(super) fn named(traces: &[Trace], evidence: &Evidence) -> Vec<Found> {
    let mut found: Vec<Found> = vec![None; traces.len()];
    by_log(traces, evidence, &mut found);
    by_job(traces, evidence, &mut found);
    by_action(traces, &mut found);
    by_following(traces, &mut found);
    by_trade(traces, &mut found);
    found
}

/// What names a resource: its kind and its id.
type Name<'a> = (&'a str, &'a str);

fn name(trace: &Trace) -> Name<'_> {
    (trace.kind.as_str(), trace.id.as_str())
}

/// The places of those among some changes that are of `wanted` resources, by resource.
fn by_resource<'a>(
    all: impl Iterator<Item = Name<'a>>,
    wanted: &HashSet<Name<'a>>,
) -> HashMap<Name<'a>, Vec<usize>> {
    let mut of: HashMap<Name<'a>, Vec<usize>> = HashMap::with_capacity(wanted.len());
    for (n, name) in all.enumerate().filter(|(_, name)| wanted.contains(name)) {
        of.entry(name).or_default().push(n);
    }
    of
}

/// Something that the log may tell of.
struct Deed {
    at: Timestamp,
    op: Op,
    is_delivered: bool,
    action: Option<EventId>,
}

impl Deed {
    fn of(trace: &Trace) -> Self {
        Self {
            at: trace.at,
            op: trace.op,
            is_delivered: trace.source.is_delivered(),
            action: trace.event_id,
        }
    }

    fn of_idle(idle: &Idle) -> Self {
        Self { at: idle.at, op: Op::Update, is_delivered: true, action: idle.event_id }
    }
}

/// Joins the shop's log with what was done to the same resource at about the same time, nearest first.
/// One entry explains one action, also one that changed nothing: what somebody else changed seconds
/// later is then not its.
fn by_log(traces: &[Trace], evidence: &Evidence, found: &mut [Found]) {
    // The changes in their places, then what changed nothing.
    let idle = &evidence.idle;
    let deed = |d: usize| match traces.get(d) {
        Some(trace) => Deed::of(trace),
        None => Deed::of_idle(&idle[d - traces.len()]),
    };
    let told = evidence.log.iter().map(|entry| (entry.kind.as_str(), entry.id.as_str()));
    let names = traces.iter().map(name);
    let names = names.chain(idle.iter().map(|idle| (idle.kind.as_str(), idle.id.as_str())));
    let of = by_resource(names, &told.collect());
    // A pull that learned something after a write of ours learned of that, too.
    let mut own: HashMap<(&str, &str), Vec<Timestamp>> = HashMap::new();
    for write in &evidence.own {
        own.entry((write.kind.as_str(), write.id.as_str())).or_default().push(write.from);
    }
    let mut pairs: Vec<(i64, bool, i64, usize, usize)> = Vec::new();
    for (e, entry) in evidence.log.iter().enumerate() {
        let resource = (entry.kind.as_str(), entry.id.as_str());
        let (of_it, written) = (of.get(&resource), own.get(&resource));
        for &d in of_it.into_iter().flatten() {
            let deed = deed(d);
            if (deed.op == Op::Delete) != (entry.op == Op::Delete) {
                continue;
            }
            let between = |from: &Timestamp| (entry.at..=deed.at).contains(from);
            if !deed.is_delivered && written.is_some_and(|own| own.iter().any(between)) {
                continue;
            }
            let apart = deed.at.as_micros() - entry.at.as_micros();
            let learned = if deed.is_delivered { JOIN_MICROS } else { LEARNED_MICROS };
            if (-JOIN_MICROS..=learned).contains(&apart) {
                // The log is dated in whole seconds: within its second nothing is nearer, and what
                // changed something is the likelier.
                let outside = if apart < 0 { -apart } else { (apart - SECOND_MICROS).max(0) };
                pairs.push((outside, d >= traces.len(), apart.abs(), d, e));
            }
        }
    }
    pairs.sort_unstable();
    // Which action an entry explains, and what is explained.
    let mut used: HashMap<usize, Option<EventId>> = HashMap::new();
    let mut explained = vec![false; traces.len() + idle.len()];
    for (.., d, e) in pairs {
        let Deed { action, is_delivered, .. } = deed(d);
        let free = match used.get(&e) {
            None => true,
            // What a pull learned besides belongs to the same deed.
            Some(known) => *known == action && action.is_some() || !is_delivered,
        };
        if free && !std::mem::replace(&mut explained[d], true) {
            used.entry(e).or_insert(action);
            if let Some(found) = found.get_mut(d) {
                *found = Some((Arc::new(evidence.log[e].who.clone()), Sign::Log));
            }
        }
    }
}

/// What our jobs wrote is nobody else's, unless the log says so. While the shop has not said which
/// app we are, an app that the log names for such a write may be us.
fn by_job(traces: &[Trace], evidence: &Evidence, found: &mut [Found]) {
    let own = evidence.own.iter().map(|write| (write.kind.as_str(), write.id.as_str()));
    let of = by_resource(traces.iter().map(name), &own.collect());
    let us = Arc::new(Who::backstock());
    let may_be_us = |who: &Who| match who.kind {
        ActorKind::Backstock => true,
        ActorKind::App => evidence.ours.is_none(),
        ActorKind::Staff | ActorKind::Customers | ActorKind::Unknown => false,
    };
    for write in &evidence.own {
        for &n in of.get(&(write.kind.as_str(), write.id.as_str())).into_iter().flatten() {
            let within = (write.from..=write.to).contains(&traces[n].at);
            let another = found[n].as_ref().is_some_and(|(who, _)| !may_be_us(who));
            if within && !another {
                found[n] = Some((us.clone(), Sign::Job));
            }
        }
    }
    for (n, trace) in traces.iter().enumerate() {
        if trace.source == backstock_proto::Source::Restore {
            found[n] = Some((us.clone(), Sign::Job));
        }
    }
}

/// Deliveries of one action have one cause.
fn by_action(traces: &[Trace], found: &mut [Found]) {
    let mut of: HashMap<EventId, Arc<Who>> = HashMap::new();
    for (trace, who) in traces.iter().zip(found.iter()) {
        if let (Some(action), Some((who, _))) = (trace.event_id, who) {
            of.entry(action).or_insert_with(|| who.clone());
        }
    }
    for (trace, found) in traces.iter().zip(found.iter_mut()) {
        let known = trace.event_id.and_then(|action| of.get(&action));
        if let (None, Some(who)) = (&found, known) {
            *found = Some((who.clone(), Sign::SameAction));
        }
    }
}

/// What a pull learned of a resource right after a delivery about it.
fn by_following(traces: &[Trace], found: &mut [Found]) {
    let open = traces.iter().zip(found.iter());
    let open = open.filter(|(trace, found)| found.is_none() && !trace.source.is_delivered());
    let open: HashSet<Name<'_>> = open.map(|(trace, _)| name(trace)).collect();
    let delivered = traces.iter().filter(|trace| trace.source.is_delivered()).map(name);
    let both: HashSet<Name<'_>> = delivered.filter(|name| open.contains(name)).collect();
    drop(open);
    for changes in by_resource(traces.iter().map(name), &both).into_values() {
        for &n in &changes {
            let trace = &traces[n];
            if found[n].is_some() || trace.source.is_delivered() {
                continue;
            }
            let before = changes.iter().rev().find(|&&other| {
                let apart = trace.at.as_micros() - traces[other].at.as_micros();
                traces[other].source.is_delivered()
                    && (-DATED_MICROS..=LEARNED_MICROS).contains(&apart)
            });
            if let Some((who, _)) = before.and_then(|&other| found[other].clone()) {
                found[n] = Some((who, Sign::Followed));
            }
        }
    }
}

/// Orders, and stock that moves with them.
fn by_trade(traces: &[Trace], found: &mut [Found]) {
    let customers = Arc::new(Who::customers());
    let by_customers = || (customers.clone(), Sign::Trade);
    let mut actions: HashSet<EventId> = HashSet::new();
    let is_order = |trace: &Trace| trace.kind.as_str() == "order" && trace.op == Op::Create;
    for (n, trace) in traces.iter().enumerate() {
        if is_order(trace) {
            found[n].get_or_insert_with(by_customers);
            actions.extend(trace.event_id);
        }
    }
    for (n, trace) in traces.iter().enumerate() {
        let with_order = trace.event_id.is_some_and(|action| actions.contains(&action));
        if with_order && trace.kind.as_str() != "order" {
            found[n].get_or_insert_with(by_customers);
        }
    }
}
