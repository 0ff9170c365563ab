//! Whether a change-set is harm, and what is to be done: a pure decision.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::Kind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::normal::Normal;
use super::{Action, Policy};
use crate::change_set::{ActorKind, ChangeSet, Damage, Harm};

/// How much more than normal it must be.
pub(crate) const ABOVE_NORMAL: u64 = 2;
/// People do much at once on purpose: so much more than an app it must be.
pub(crate) const STAFF: u64 = 3;

/// How things stand when a change-set is judged.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// How many living resources the shop has of each kind.
    pub living: BTreeMap<Kind, u64>,
    /// Of which kinds is what it hurt; of harm that is not here, of any that it touched.
    pub hurt: BTreeMap<Harm, BTreeSet<Kind>>,
    /// Harm that only a look beyond the change-set shows.
    pub further: Vec<Damage>,
    /// Why history may not be complete for what it touched; empty where it is.
    pub gaps: Vec<String>,
    /// Whether its actor was rolled back by the guard within a day.
    pub again: bool,
    /// Whether it was over long before it was first seen: people may have come to terms with it.
    pub late: bool,
}

/// A threshold that was passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trip {
    /// What harm.
    pub harm: Harm,
    /// How many resources.
    pub count: u64,
    /// From how many on.
    pub limit: u64,
    /// The most that was normal.
    pub normal: u64,
    /// Some of them, by name.
    pub examples: Vec<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Which thresholds were passed; none: there is nothing to do.
    pub trips: Vec<Trip>,
    /// What is to be done.
    pub action: Action,
    /// Why so much and no more.
    pub why: Vec<String>,
}

/// Judges a change-set.
pub fn judge(set: &ChangeSet, policy: &Policy, normal: &Normal, at: &Situation) -> Verdict {
    let nobodys = matches!(set.actor.kind, ActorKind::Backstock | ActorKind::Customers);
    if nobodys || policy.action == Action::Off {
        return Verdict { trips: Vec::new(), action: Action::Off, why: Vec::new() };
    }
    let mut trips = Vec::new();
    let mut action = Action::Off;
    for damage in set.damage.iter().chain(&at.further) {
        if let Some(trip) = trip(set, damage, policy, normal, at) {
            let wanted = policy.threshold(damage.harm).action.unwrap_or(policy.action);
            action = action.max(wanted.min(policy.action));
            trips.push(trip);
        }
    }
    if trips.is_empty() || action == Action::Off {
        return Verdict { trips: Vec::new(), action: Action::Off, why: Vec::new() };
    }
    let mut why = vec![format!("the policy allows {}", action.said())];
    let mut at_most = |most: Action, reason: String| {
        if action > most {
            action = most;
            why.push(reason);
        }
    };
    match set.actor.kind {
        ActorKind::Staff => {
            at_most(policy.staff, format!("{} is a person of the shop", set.actor.name));
        }
        ActorKind::Unknown => at_most(Action::Plan, "nothing says who did it".into()),
        _ if set.actor.confidence < policy.confidence_min => {
            let sure = set.actor.confidence;
            at_most(Action::Plan, format!("it is not sure enough who did it ({sure:.2})"));
        }
        _ => {}
    }
    if at.again {
        let name = &set.actor.name;
        at_most(Action::Plan, format!("{name} was rolled back within a day and does it again"));
    }
    if at.late {
        at_most(Action::Plan, "it was over for long when it was first seen".into());
    }
    for gap in &at.gaps {
        at_most(Action::Plan, format!("history may not be complete: {gap}"));
    }
    Verdict { trips, action, why }
}

fn trip(
    set: &ChangeSet,
    damage: &Damage,
    policy: &Policy,
    normal: &Normal,
    at: &Situation,
) -> Option<Trip> {
    let staff = set.actor.kind == ActorKind::Staff;
    // People write themes all day, and Shopify's log does not say so.
    if damage.harm == Harm::ThemeCode && set.actor.kind != ActorKind::App {
        return None;
    }
    let threshold = policy.threshold(damage.harm);
    let of = concerned(damage.harm, set, at);
    let living: u64 = of.iter().filter_map(|kind| at.living.get(*kind)).sum();
    let part = (threshold.share * living as f64).ceil() as u64;
    let usual = threshold.min.max(part) * if staff { STAFF } else { 1 };
    let most = normal.most(damage.harm, set);
    let limit = usual.max(most * ABOVE_NORMAL);
    (damage.count >= limit).then(|| Trip {
        harm: damage.harm,
        count: damage.count,
        limit,
        normal: most,
        examples: damage.examples.clone(),
    })
}

/// The kinds of which a harm hurts a part. What else was touched is no measure of it: a shop has a
/// hundred times as many orders as products.
fn concerned<'a>(harm: Harm, set: &'a ChangeSet, at: &Situation) -> Vec<&'a Kind> {
    let is = |kind: &&Kind| match harm {
        Harm::PricesBelowCost => kind.as_str() == "product",
        Harm::CollectionsBroken => kind.as_str() == "collection",
        Harm::ThemeCode => kind.as_str() == "theme_file",
        _ => !matches!(kind.as_str(), "inventory_item" | "inventory_level"),
    };
    let hurt = |kind: &&Kind| at.hurt.get(&harm).is_none_or(|kinds| kinds.contains(*kind));
    set.kinds.keys().filter(is).filter(hurt).collect()
}

/// What a person is told of it, in one line.
pub(super) fn text(shop: &str, set: &ChangeSet, trips: &[Trip]) -> String {
    let harm: Vec<String> = trips.iter().map(|trip| trip.harm.said(trip.count)).collect();
    let by = match set.actor.kind {
        ActorKind::Unknown => String::new(),
        _ => format!(" ({}, {:.0} % sure)", set.actor.name, set.actor.confidence * 100.0),
    };
    format!("{shop}: {}{by}. {}.", harm.join(", "), set.headline)
}

/// Whether a set is one that people make all the time and nobody judges.
pub(super) fn is_idle(set: &ChangeSet) -> bool {
    set.damage.is_empty() && set.money.as_ref().is_none_or(|money| money.lowered == 0)
}

#[cfg(test)]
mod tests {
    use super::super::Threshold;
    use super::*;
    use crate::change_set::{Actor, ChangeSetId, Counts, Risk};
    use backstock_proto::Timestamp;

    fn set(kind: ActorKind, confidence: f64, harm: Harm, count: u64) -> ChangeSet {
        let name = "Bulk Editor".to_owned();
        ChangeSet {
            id: ChangeSetId { valid_at: Timestamp::MIN, seq: 1 },
            from: Timestamp::MIN,
            to: Timestamp::MIN,
            counts: Counts::default(),
            kinds: [(Kind::parse("product").expect("a kind"), count)].into(),
            actor: Actor { kind, name, confidence, evidence: Vec::new() },
            headline: "Prices lowered".into(),
            risk: Risk::High,
            damage: vec![Damage { harm, count, examples: Vec::new() }],
            money: None,
        }
    }

    fn apply() -> Policy {
        Policy { action: Action::Apply, ..Policy::default() }
    }

    fn action(set: &ChangeSet, policy: &Policy, at: &Situation) -> Action {
        judge(set, policy, &Normal::default(), at).action
    }

    #[test]
    fn an_app_that_does_harm_is_undone_only_where_everything_is_sure() {
        let sure = set(ActorKind::App, 0.93, Harm::PricesCollapsed, 50);
        let calm = Situation::default();
        assert_eq!(action(&sure, &apply(), &calm), Action::Apply);
        assert_eq!(action(&sure, &Policy::default(), &calm), Action::Plan);
        let guess = set(ActorKind::App, 0.45, Harm::PricesCollapsed, 50);
        assert_eq!(action(&guess, &apply(), &calm), Action::Plan);
        let unknown = set(ActorKind::Unknown, 0.0, Harm::PricesCollapsed, 50);
        assert_eq!(action(&unknown, &apply(), &calm), Action::Plan);
        let gap = Situation { gaps: vec!["product was never pulled".into()], ..calm.clone() };
        let verdict = judge(&sure, &apply(), &Normal::default(), &gap);
        assert_eq!(verdict.action, Action::Plan);
        assert!(verdict.why.iter().any(|why| why.contains("never pulled")), "{:?}", verdict.why);
        let again = Situation { again: true, ..calm };
        assert_eq!(action(&sure, &apply(), &again), Action::Plan);
    }

    #[test]
    fn nobody_is_undone_who_belongs_here() {
        let calm = Situation::default();
        let staff = set(ActorKind::Staff, 0.95, Harm::Deleted, 500);
        assert_eq!(action(&staff, &apply(), &calm), Action::Alert);
        for kind in [ActorKind::Backstock, ActorKind::Customers] {
            assert_eq!(action(&set(kind, 0.99, Harm::Deleted, 500), &apply(), &calm), Action::Off);
        }
        for (kind, sure) in [(ActorKind::Staff, 0.95), (ActorKind::Unknown, 0.0)] {
            let theme = set(kind, sure, Harm::ThemeCode, 50);
            assert_eq!(action(&theme, &apply(), &calm), Action::Off);
        }
        let noted = set(ActorKind::App, 0.45, Harm::ThemeCode, 1);
        assert_eq!(action(&noted, &apply(), &calm), Action::Plan);
    }

    fn on_day(day: i64, set: ChangeSet) -> ChangeSet {
        ChangeSet { to: Timestamp::from_micros(day * 24 * 3600 * 1_000_000), ..set }
    }

    #[test]
    fn what_happened_once_is_not_normal() {
        let mut normal = Normal::default();
        let attack = || set(ActorKind::App, 0.93, Harm::Deleted, 400);
        normal.learn(&on_day(1, attack()));
        normal.learn(&on_day(1, attack()));
        let calm = Situation::default();
        assert_eq!(judge(&attack(), &apply(), &normal, &calm).action, Action::Apply);
        normal.learn(&on_day(2, attack()));
        assert_eq!(judge(&attack(), &apply(), &normal, &calm).action, Action::Off);
    }

    #[test]
    fn what_was_over_before_it_was_seen_is_not_undone_by_itself() {
        let old = set(ActorKind::App, 0.93, Harm::PricesCollapsed, 50);
        let late = Situation { late: true, ..Situation::default() };
        assert_eq!(action(&old, &apply(), &late), Action::Plan);
    }

    #[test]
    fn what_is_below_its_cost_may_be_a_clearance() {
        let below = Damage { harm: Harm::PricesBelowCost, count: 50, examples: Vec::new() };
        let further = Situation { further: vec![below], ..Situation::default() };
        let mut sale = set(ActorKind::App, 0.93, Harm::PricesCollapsed, 50);
        sale.damage.clear();
        assert_eq!(action(&sale, &apply(), &further), Action::Plan);
    }

    #[test]
    fn what_is_normal_here_is_no_harm_unless_somebody_else_does_it() {
        let mut normal = Normal::default();
        let known = || set(ActorKind::App, 0.93, Harm::Unpublished, 40);
        normal.learn(&on_day(1, known()));
        normal.learn(&on_day(2, known()));
        let calm = Situation::default();
        let as_ever = set(ActorKind::App, 0.93, Harm::Unpublished, 60);
        assert_eq!(judge(&as_ever, &apply(), &normal, &calm).action, Action::Off);
        let far_more = set(ActorKind::App, 0.93, Harm::Unpublished, 80);
        assert_eq!(judge(&far_more, &apply(), &normal, &calm).action, Action::Apply);
        let mut new = as_ever;
        new.actor.name = "Popup Master".into();
        assert_eq!(judge(&new, &apply(), &normal, &calm).action, Action::Apply);
    }

    #[test]
    fn a_few_of_very_many_are_not_much() {
        let living = [(Kind::parse("product").expect("a kind"), 100_000)].into();
        let at = Situation { living, ..Situation::default() };
        assert_eq!(
            action(&set(ActorKind::App, 0.93, Harm::Deleted, 150), &apply(), &at),
            Action::Off
        );
        assert_eq!(
            action(&set(ActorKind::App, 0.93, Harm::Deleted, 200), &apply(), &at),
            Action::Apply
        );
    }

    #[test]
    fn how_much_a_part_is_depends_on_what_was_hurt_and_on_nothing_else() {
        let kind = |name: &str| Kind::parse(name).expect("a kind");
        let mut harmed = set(ActorKind::App, 0.93, Harm::Deleted, 150);
        harmed.kinds.insert(kind("order"), 1);
        let living = [(kind("product"), 5_000), (kind("order"), 1_000_000)].into();
        let hurt = [(Harm::Deleted, [kind("product")].into())].into();
        let at = Situation { living, hurt, ..Situation::default() };
        assert_eq!(action(&harmed, &apply(), &at), Action::Apply);
        harmed.damage.clear();
        let below_cost = Harm::PricesBelowCost;
        let below = Damage { harm: below_cost, count: 150, examples: Vec::new() };
        let at = Situation { further: vec![below], ..at };
        let threshold = Threshold { min: 10, share: 0.002, action: None };
        let policy = Policy { thresholds: [(below_cost, threshold)].into(), ..apply() };
        assert_eq!(action(&harmed, &policy, &at), Action::Apply);
    }

    #[test]
    fn each_harm_may_have_its_own_answer() {
        let own = Threshold { min: 5, share: 0.0, action: Some(Action::Alert) };
        let policy = Policy { thresholds: [(Harm::Deleted, own)].into(), ..apply() };
        let calm = Situation::default();
        assert_eq!(
            action(&set(ActorKind::App, 0.93, Harm::Deleted, 5), &policy, &calm),
            Action::Alert
        );
        assert_eq!(
            action(&set(ActorKind::App, 0.93, Harm::Deleted, 4), &policy, &calm),
            Action::Off
        );
    }
}
