//! What is counted of a variant (its inventory item, and how many there are of it where) comes and goes
//! with the variant. Nobody selects it, and no change-set has all of it: it is looked for by the items of
//! the variants that a plan makes anew, whatever was selected. What is gone cannot be overwritten, so
//! there are as many again as history knew of last.

use std::collections::{BTreeSet, HashMap};

use backstock_proto::journal::{AsOf, Resource};
use backstock_proto::kind::Spec;
use backstock_proto::{Kind, ResourceId, Timestamp, merge};
use futures::TryStreamExt as _;
use serde_json::Value;

use super::candidate::Candidate;
use super::gather::{Gather, Scope, just_before, living};
use super::row::{Policy, Subject, is_element};
use super::undo::Run;
use super::{Action, PlanError, Row, order};
use crate::gids::{Beginnings, Gids, Short, name};

const ITEM: &str = "inventory_item";
pub(super) const LEVEL: &str = "inventory_level";
const LOCATION: &str = "location";
/// Items that are read together.
pub(super) const ITEMS_TOGETHER: usize = 32;
/// Levels that are read together. Those of one item always are: as many as the shop has locations, which may
/// be a thousand.
const LEVELS_TOGETHER: usize = 500;

/// Whether a kind is what is counted, as opposed to how much of it there is.
pub(super) fn is_item(spec: &Spec) -> bool {
    spec.name == ITEM
}

/// Whether what a kind is about comes along with a variant that a plan makes anew.
pub(super) fn may_come_along(kind: &Kind) -> bool {
    [ITEM, LEVEL].contains(&kind.as_str())
}

/// The gids that the inventory items had of the variants that a row makes anew.
pub(super) fn items(subject: &Subject, row: &Row) -> Vec<String> {
    let mut items = Vec::new();
    match row.action {
        _ if row.kind.as_str() != "product" => {}
        Action::Create => find(&made(subject, row), &mut items),
        Action::Update => {
            let anew = row.fields.iter().filter(|field| is_element(field));
            anew.for_each(|field| find(&field.new, &mut items));
        }
        Action::Delete | Action::Keep | Action::Cannot => {}
    }
    items
}

fn find(value: &Value, items: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|element| find(element, items)),
        Value::Object(members) => {
            for (name, member) in members {
                match member["id"].as_str() {
                    Some(gid) if name == "inventoryItem" => items.push(gid.to_owned()),
                    _ => find(member, items),
                }
            }
        }
        _ => {}
    }
}

/// The state that a row makes anew.
pub(super) fn made(subject: &Subject, row: &Row) -> Value {
    let mut state = subject.of.as_ref().map(|(_, then)| then.clone()).unwrap_or_default();
    for field in &row.fields {
        merge::set(&mut state, &field.path, field.new.clone());
    }
    state
}

/// Items in the order of their rows.
pub(super) fn sorted(items: &Gids) -> Vec<ResourceId> {
    let parsed = items.iter().filter_map(|gid| ResourceId::parse(&gid).ok());
    let mut sorted: Vec<ResourceId> = parsed.collect();
    sorted.sort_by(order::by_number);
    sorted
}

/// Whether something is gone, and one of these items or stock of one.
pub(super) fn comes_with(subject: &Subject, items: &Gids) -> bool {
    let pointer = match subject.spec.name {
        ITEM => "/id",
        LEVEL => "/item/id",
        _ => return false,
    };
    let item = subject.runs.first().and_then(|run| run.before.pointer(pointer)?.as_str());
    subject.now.is_null() && item.is_some_and(|item| items.contains(item))
}

/// What there was of items that come back.
pub(super) struct Stock<'a> {
    gather: &'a Gather<'a>,
    scope: &'a Scope,
    /// Where stock may be, or may have been.
    locations: Vec<ResourceId>,
    /// Levels that something is taken back of anyway, by the names that they have now.
    listed: HashMap<Short, &'a Candidate>,
    beginnings: Beginnings,
    /// Whether of these the amount is taken back, too, and of which.
    policy: &'a Policy,
}

impl<'a> Stock<'a> {
    pub(super) async fn of(
        gather: &'a Gather<'a>,
        scope: &'a Scope,
        listed: &'a [Candidate],
        policy: &'a Policy,
    ) -> Result<Self, PlanError> {
        let mut places = BTreeSet::new();
        if let Some(spec) = spec(LOCATION) {
            let kind = Kind::of(spec);
            let mut heads = gather.journal.heads(gather.shop, &kind, None).await?;
            while let Some(head) = heads.try_next().await? {
                places.insert(head.id);
            }
        }
        let mut locations: Vec<ResourceId> = places.into_iter().collect();
        locations.sort_by(order::by_number);
        let mut beginnings = Beginnings::default();
        let now = |level: &'a Candidate| {
            let id = gather.anew.id_now(level.spec, &level.id);
            (beginnings.add(&name(&level.kind, &id)), level)
        };
        let listed = listed.iter().map(now).collect();
        Ok(Self { gather, scope, locations, listed, beginnings, policy })
    }

    /// Of how many items the levels are read together.
    pub(super) fn items_together(&self) -> usize {
        (LEVELS_TOGETHER / self.locations.len().max(1)).clamp(1, ITEMS_TOGETHER)
    }

    /// Items that are gone: each as it was before what is taken back, or else as it was last.
    pub(super) async fn items(&self, items: Vec<ResourceId>) -> Result<Vec<Subject>, PlanError> {
        let Some(spec) = spec(ITEM) else { return Ok(Vec::new()) };
        let mut subjects = Vec::with_capacity(items.len());
        for (item, found) in items.iter().zip(self.several(spec, &items, AsOf::Latest).await?) {
            let found = match told(found) {
                Some(found) => Some(found),
                None => self.earlier(spec, item).await?,
            };
            subjects.extend(found.map(|found| self.gone(spec, found)));
        }
        if let Scope::Span(span) = self.scope {
            let of = just_before(span.from);
            let ids: Vec<ResourceId> = subjects.iter().map(|subject| subject.id.clone()).collect();
            let then = self.several(spec, &ids, AsOf::At(of)).await?;
            for (subject, then) in subjects.iter_mut().zip(then) {
                let mut before = living(then);
                self.gather.anew.rewrite(&mut before);
                if before.is_object() {
                    subject.of = Some((of, before.clone()));
                    subject.runs = vec![Run { before, after: Value::Null }];
                }
            }
        }
        Ok(subjects)
    }

    /// How much of some items there was where, when they went.
    pub(super) async fn levels(&self, items: Vec<ResourceId>) -> Result<Vec<Subject>, PlanError> {
        let (Some(of_item), Some(of_level)) = (spec(ITEM), spec(LEVEL)) else {
            return Ok(Vec::new());
        };
        let mut places = Vec::new();
        let mut ids = Vec::new();
        for item in &items {
            for location in &self.locations {
                if let Some(id) = level_at(item, location) {
                    places.push((item, location));
                    ids.push(id);
                }
            }
        }
        let known = self.several(of_item, &items, AsOf::Latest).await?;
        let known = items.iter().zip(known);
        let ends: HashMap<&ResourceId, Timestamp> =
            known.filter_map(|(item, found)| Some((item, went(&told(found)?)))).collect();
        let found = self.several(of_level, &ids, AsOf::Latest).await?;
        let mut levels = Vec::new();
        for ((item, location), found) in places.into_iter().zip(found) {
            let known = match told(found) {
                Some(found) => Some((ends.get(item).copied(), found)),
                None => self.earlier_level(of_item, of_level, (item, location)).await?,
            };
            let Some((went, found)) = known else { continue };
            // What ended before was no longer stocked there.
            if !found.deleted || went.is_none_or(|went| found.version.valid_at >= went) {
                levels.extend(self.level(of_level, found).await?);
            }
        }
        Ok(levels)
    }

    /// How much there was of an item at a location under an id that it had before, and since when it may
    /// have been gone under that.
    async fn earlier_level(
        &self,
        of_item: &'static Spec,
        of_level: &'static Spec,
        (item, location): (&ResourceId, &ResourceId),
    ) -> Result<Option<(Option<Timestamp>, Resource)>, PlanError> {
        for earlier in self.gather.anew.ids_before(of_item, item) {
            let Some(id) = level_at(&earlier, location) else { continue };
            if let Some(found) = self.last(of_level, &id).await? {
                let went = self.last(of_item, &earlier).await?.map(|item| went(&item));
                return Ok(Some((went, found)));
            }
        }
        Ok(None)
    }

    /// A level that is gone, with the amount that was known last; without what is taken back of that.
    /// `None` where all of it is taken back anyway.
    async fn level(
        &self,
        spec: &'static Spec,
        found: Resource,
    ) -> Result<Option<Subject>, PlanError> {
        let mut subject = self.gone(spec, found);
        let now = self.gather.anew.id_now(spec, &subject.id);
        let now = self.beginnings.find(&name(&subject.kind, &now));
        match now.and_then(|now| self.listed.get(&now)) {
            Some(listed) if matches!(self.scope, Scope::Versions(_)) => {
                let runs = self.gather.subject((*listed).clone(), self.scope).await?.runs;
                match runs.first() {
                    Some(newest) if newest.after.is_null() => subject.runs = runs,
                    _ => subject.runs.extend(runs),
                }
            }
            Some(_) if self.policy.inventory && subject.is_in(&self.policy.selection) => {
                return Ok(None);
            }
            _ => {}
        }
        Ok(Some(subject))
    }

    /// Something that is gone, or is about to be heard of as gone, as it was last.
    fn gone(&self, spec: &'static Spec, found: Resource) -> Subject {
        let Resource { kind, id, deleted, version, mut state, .. } = found;
        self.gather.anew.rewrite(&mut state);
        let of = if deleted { just_before(version.valid_at) } else { version.valid_at };
        Subject {
            spec,
            kind,
            id,
            now: Value::Null,
            runs: vec![Run { before: state.clone(), after: Value::Null }],
            of: Some((of, state)),
            made_since: false,
            seen: Some(version.seq),
            taken_by: None,
            comes_along: true,
        }
    }

    /// What history knows of something, gone or not.
    async fn last(
        &self,
        spec: &'static Spec,
        id: &ResourceId,
    ) -> Result<Option<Resource>, PlanError> {
        let key = self.gather.key(&Kind::of(spec), id);
        Ok(told(self.gather.journal.resource(&key, AsOf::Latest).await?))
    }

    /// The same under the last of the ids that it had before under which there is any.
    async fn earlier(
        &self,
        spec: &'static Spec,
        id: &ResourceId,
    ) -> Result<Option<Resource>, PlanError> {
        for id in self.gather.anew.ids_before(spec, id) {
            if let Some(found) = self.last(spec, &id).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn several(
        &self,
        spec: &'static Spec,
        ids: &[ResourceId],
        at: AsOf,
    ) -> Result<Vec<Option<Resource>>, PlanError> {
        let Gather { journal, shop, .. } = *self.gather;
        Ok(journal.several(shop, &Kind::of(spec), ids, at).await?)
    }
}

/// What is known of something, if what it was is.
fn told(found: Option<Resource>) -> Option<Resource> {
    found.filter(|found| found.state.is_object())
}

/// What names the level of an item at a location.
fn level_at(item: &ResourceId, location: &ResourceId) -> Option<ResourceId> {
    ResourceId::parse(&format!("{item}-{location}")).ok()
}

/// Since when an item may have been gone: not yet, as far as is known of one that is.
fn went(item: &Resource) -> Timestamp {
    let version = &item.version;
    match item.deleted {
        true => version.earliest_at.unwrap_or(version.valid_at),
        false => Timestamp::MAX,
    }
}

fn spec(name: &str) -> Option<&'static Spec> {
    Kind::parse(name).ok()?.spec()
}
