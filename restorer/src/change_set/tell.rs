//! What a group of changes did, as a merchant would say it.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::{Kind, Op};

use super::damage::{self, Harm};
use super::evidence::{ActorKind, Sign};
use super::group::Group;
use super::trace::{Effect, Trace, Turn};
use super::{Actor, ChangeSet, ChangeSetId, Counts, Money, Risk, SURE};
use crate::human::grouped;

/// The drop from which on a price has collapsed; a shop's guard may have its own.
const PRICE_DROP: f64 = 0.6;
/// From so many harmed resources on, the risk is high.
const HIGH_MIN: u64 = 5;
/// From so many resources on, ordinary work is worth a look.
const MANY: u64 = 50;
/// Phrases in a headline.
const PHRASES_MAX: usize = 3;

impl ChangeSet {
    /// Tells a group. `traces` is what was grouped; `None` of an empty group.
    pub fn of(group: &Group, traces: &[Trace]) -> Option<Self> {
        let changes = || group.members.iter().map(|n| &traces[*n]);
        let anchor = changes().min_by_key(|trace| trace.seq)?;
        let mut counts = Counts::default();
        let mut kinds: BTreeMap<Kind, u64> = BTreeMap::new();
        let mut resources = Vec::with_capacity(group.members.len());
        for trace in changes() {
            counts.changes += 1;
            match trace.op {
                Op::Create => counts.created += 1,
                Op::Update => counts.updated += 1,
                Op::Delete => counts.deleted += 1,
            }
            *kinds.entry(trace.kind.clone()).or_default() += 1;
            resources.push(trace.resource());
        }
        resources.sort_unstable();
        resources.dedup();
        counts.resources = resources.len() as u64;
        let damage = damage::count(changes(), PRICE_DROP);
        let actor = actor(group);
        let quiet = matches!(actor.kind, ActorKind::Customers | ActorKind::Backstock);
        let risk = match damage.iter().map(|damage| damage.count).max() {
            _ if quiet => Risk::None,
            Some(count) if count >= HIGH_MIN => Risk::High,
            Some(_) => Risk::Medium,
            None if counts.resources >= MANY => Risk::Medium,
            None => Risk::Low,
        };
        Some(Self {
            id: ChangeSetId { valid_at: anchor.valid_at, seq: anchor.seq },
            from: changes().map(|trace| trace.at).min()?,
            to: changes().map(|trace| trace.at).max()?,
            counts,
            kinds,
            headline: headline(group, traces, &actor),
            risk,
            damage: if quiet { Vec::new() } else { damage },
            money: money(changes()),
            actor,
        })
    }
}

fn actor(group: &Group) -> Actor {
    let Some(who) = &group.who else {
        let evidence = vec!["nothing says who did it".to_owned()];
        let (kind, name) = (ActorKind::Unknown, "unknown".to_owned());
        return Actor { kind, name, confidence: 0.0, evidence };
    };
    let mut signs: Vec<(&Sign, &usize)> = group.signs.iter().collect();
    signs.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let all = group.members.len();
    let evidence = signs.iter().map(|(sign, n)| said(**sign, **n, all, &who.name)).collect();
    Actor { kind: who.kind, name: who.name.to_string(), confidence: group.confidence(), evidence }
}

fn said(sign: Sign, n: usize, all: usize, name: &str) -> String {
    let of = match n == all {
        true if n == 1 => "the change".to_owned(),
        true => format!("all {} changes", grouped(all as u64)),
        false => format!("{} of {} changes", grouped(n as u64), grouped(all as u64)),
    };
    match sign {
        Sign::Job => format!("{of}: written by a job of Backstock"),
        Sign::Log => format!("{of}: Shopify's log names {name}"),
        Sign::SameAction => format!("{of}: part of actions for which Shopify's log names {name}"),
        Sign::Followed => format!("{of}: found by asking the shop right after changes by {name}"),
        Sign::Alike => format!("{of}: not in Shopify's log, but like those by {name} around them"),
        Sign::Mark => format!("{of}: began after it was noted that {name} comes"),
        Sign::Trade => format!("{of}: what only buyers do"),
    }
}

/// What was done, and by whom as far as that can be said.
fn headline(group: &Group, traces: &[Trace], actor: &Actor) -> String {
    let mut text = listed(phrases(group, traces));
    if let Some(first) = text.get(..1) {
        let upper = first.to_uppercase();
        text.replace_range(..1, &upper);
    }
    match actor.kind {
        ActorKind::Unknown | ActorKind::Customers => text,
        _ if actor.confidence >= SURE => format!("{text}, by {}", actor.name),
        _ if actor.confidence >= 0.6 => format!("{text}, likely {}", actor.name),
        _ => format!("{text}, perhaps {}", actor.name),
    }
}

fn listed(mut phrases: Vec<(u8, u64, String)>) -> String {
    phrases.sort_by(|a, b| (b.0, b.1, &a.2).cmp(&(a.0, a.1, &b.2)));
    let more = phrases.len() > PHRASES_MAX;
    phrases.truncate(PHRASES_MAX);
    let mut text: Vec<String> = phrases.into_iter().map(|(_, _, phrase)| phrase).collect();
    if more {
        text.push("and more".into());
    }
    text.join(", ")
}

/// Phrases, each with how much it matters and of how many it speaks.
fn phrases(group: &Group, traces: &[Trace]) -> Vec<(u8, u64, String)> {
    let changes = || group.members.iter().map(|n| &traces[*n]);
    let deleted_with_owner = changes().any(|t| t.kind.as_str() == "product" && t.op == Op::Delete);
    let mut out = Vec::new();
    let mut by: BTreeMap<(&str, Op), BTreeSet<_>> = BTreeMap::new();
    for trace in changes().filter(|trace| trace.op != Op::Update) {
        by.entry((trace.kind.as_str(), trace.op)).or_default().insert(&trace.id);
    }
    for ((kind, op), ids) in by {
        let count = ids.len() as u64;
        match op {
            Op::Delete if kind == "inventory_item" && deleted_with_owner => {}
            Op::Delete => out.push((9, count, format!("{} deleted", things(kind, count)))),
            _ if kind == "inventory_item" => {}
            _ if kind == "order" => out.push((3, count, format!("{} placed", things(kind, count)))),
            _ => out.push((3, count, format!("{} added", things(kind, count)))),
        }
    }
    out.extend(prices(changes()));
    out.extend(fields(changes().filter(|trace| trace.op == Op::Update)));
    out
}

fn price_effects<'a>(
    changes: impl Iterator<Item = &'a Trace>,
) -> impl Iterator<Item = (&'a Effect, i64, i64)> {
    let effects = changes.flat_map(Trace::effects).filter(|effect| effect.is_price());
    effects.filter_map(|effect| match effect.turn {
        Turn::Amount(old, new) if old != new => Some((effect, old, new)),
        _ => None,
    })
}

fn prices<'a>(changes: impl Iterator<Item = &'a Trace>) -> Vec<(u8, u64, String)> {
    let (mut lowered, mut raised, mut zero) = (Vec::new(), Vec::new(), 0);
    for (effect, old, new) in price_effects(changes) {
        match effect.ratio() {
            _ if new == 0 => zero += 1,
            Some(ratio) if new < old => lowered.push(1.0 - ratio),
            Some(ratio) => raised.push(ratio - 1.0),
            None => raised.push(f64::INFINITY),
        }
    }
    let mut out = Vec::new();
    for (mut parts, what, weight) in [(lowered, "lowered", 8), (raised, "raised", 4)] {
        if parts.is_empty() {
            continue;
        }
        parts.sort_by(f64::total_cmp);
        let count = parts.len() as u64;
        // The few at the ends say nothing about the many.
        let (low, high) = (parts[parts.len() / 20], parts[parts.len() - 1 - parts.len() / 20]);
        let percent = |part: f64| format!("{:.0} %", part * 100.0);
        let by = match high.is_finite() {
            false => String::new(),
            true if percent(low) == percent(high) => format!(" by {}", percent(high)),
            true => format!(" by {:.0} to {}", low * 100.0, percent(high)),
        };
        out.push((weight, count, format!("{} {what}{by}", things("price", count))));
    }
    if zero > 0 {
        out.push((9, zero, format!("{} set to zero", things("price", zero))));
    }
    out
}

/// What became of the other fields, each with how many resources.
fn fields<'a>(changes: impl Iterator<Item = &'a Trace>) -> Vec<(u8, u64, String)> {
    let mut by: BTreeMap<(&str, &str, &str), BTreeSet<_>> = BTreeMap::new();
    for trace in changes {
        let kind = trace.kind.as_str();
        let mut told = false;
        for effect in trace.effects().iter().filter(|effect| !effect.is_price()) {
            let what = match &effect.turn {
                _ if kind == "theme_file" => continue,
                Turn::Emptied(_) if effect.element.is_none() => "emptied",
                _ => "changed",
            };
            by.entry((kind, name_of(&effect.field), what)).or_default().insert(&trace.id);
            told = true;
        }
        told |= trace.effects().iter().any(Effect::is_price);
        if !told {
            by.entry((kind, "", "changed")).or_default().insert(&trace.id);
        }
    }
    let mut out = Vec::new();
    for ((kind, field, what), ids) in by {
        let count = ids.len() as u64;
        let weight = if what == "emptied" { 7 } else { 2 };
        let phrase = match field {
            "" => format!("{} {what}", things(kind, count)),
            "publication" if what == "emptied" => format!("{} unpublished", things(kind, count)),
            field => format!("{field} of {} {what}", things(kind, count)),
        };
        out.push((weight, count, phrase));
    }
    out
}

/// A field as a merchant calls it.
fn name_of(field: &str) -> &str {
    match field {
        "descriptionHtml" => "description",
        "productType" => "type",
        "publishedAt" | "publications" | "isPublished" => "publication",
        "variants/sku" => "SKU",
        "sku" => "SKU",
        "quantities" | "quantities/quantity" => "stock",
        "variants/compareAtPrice" => "price before",
        "seo/title" | "seo/description" => "search text",
        other => other.split('/').next().unwrap_or(other),
    }
}

/// What a sort of thing is called, of so many: `4,112 products`.
pub(crate) fn things(kind: &str, count: u64) -> String {
    let name = kind.replace('_', " ");
    let name = match (count, name.strip_suffix('y')) {
        (1, _) => name,
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o']) => format!("{stem}ies"),
        _ if name.ends_with('s') => name,
        _ => format!("{name}s"),
    };
    format!("{} {name}", grouped(count))
}

fn money<'a>(changes: impl Iterator<Item = &'a Trace>) -> Option<Money> {
    let (mut lowered, mut raised, mut zero) = (0, 0, 0);
    let (mut before, mut after) = (0_i128, 0_i128);
    let mut ratios = Vec::new();
    for (effect, old, new) in price_effects(changes) {
        match new < old {
            true => lowered += 1,
            false => raised += 1,
        }
        zero += u64::from(new == 0);
        ratios.extend(effect.ratio());
        before += i128::from(old);
        after += i128::from(new);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or(1.0);
    let amount = |n: i128| format!("{}.{:02}", n / 10_000, (n % 10_000).abs() / 100);
    (lowered + raised > 0).then(|| Money {
        lowered,
        raised,
        zero,
        median_ratio: (median * 1000.0).round() / 1000.0,
        before: amount(before),
        after: amount(after),
    })
}

impl ChangeSet {
    /// Counts its harm anew, of the changes that it is made of, by another drop of prices.
    pub fn count_harm<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Trace> + Clone,
        price_drop: f64,
    ) {
        if price_drop != PRICE_DROP && self.risk != Risk::None {
            self.damage = damage::count(changes, price_drop);
        }
    }

    /// How many resources it hurt in this way.
    pub fn hurt(&self, harm: Harm) -> u64 {
        self.damage.iter().find(|damage| damage.harm == harm).map_or(0, |damage| damage.count)
    }
}
