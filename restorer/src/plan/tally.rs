//! What was decided about the resources of a plan, added up.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::kind::Spec;
use backstock_proto::merge::{Field, FieldPath};
use backstock_proto::{Facet, Kind};
use serde_json::Value;

use super::row::{Left, Subject, Verdict, is_element};
use super::{Action, Counts, Row, stock, translated};
use crate::gids::Gids;
use crate::write;

/// Members that say who sees a resource.
const SEEN_BY: &[&str] =
    &["status", "publications", "isPublished", "publishedAt", "published", "role"];

/// What was decided about all resources of a plan, added up.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) cost: f64,
    pub(super) created: BTreeMap<Kind, u64>,
    pub(super) updated: BTreeMap<Kind, u64>,
    pub(super) deleted: BTreeMap<Kind, u64>,
    /// Items that come back with their stock, and how much that is.
    pub(super) stocked: Gids,
    pub(super) stock: i64,
    /// What gets new ids: everything that is made anew, and its parts.
    pub(crate) anew: Gids,
    /// Resources that refer to those, and how often.
    pub(super) referring: (u64, u64),
    /// Why how many cannot be written.
    pub(super) cannot: BTreeMap<(Kind, String), u64>,
    /// Why which fields cannot be written.
    pub(super) unwritable: BTreeMap<String, u64>,
    pub(super) kept_in: u64,
    pub(super) left: BTreeMap<Left, u64>,
    pub(super) archives: BTreeSet<Kind>,
    /// What people began themselves, and what stays therefore although what is new goes.
    pub(super) own_doings: BTreeMap<Kind, u64>,
    /// Resources that others see, or no longer see, afterwards.
    pub(super) seen: u64,
    pub(super) themes: u64,
    pub(super) theme_files: u64,
    pub(super) taken: u64,
    /// Catalogs that are made anew and showed some products only, nobody knows which.
    pub(super) catalogs: u64,
    /// Customers who are unsubscribed.
    pub(super) withdrawn: u64,
    /// Whether translations may stay away, since nobody can say what they are of now.
    pub(crate) untold: bool,
}

impl Tally {
    /// Adds what was decided about a resource.
    pub(crate) fn see(&mut self, subject: &Subject, verdict: &Verdict) {
        match verdict {
            Verdict::Unselected => {}
            Verdict::Same => self.counts.same += 1,
            Verdict::Left(left) => {
                *self.left.entry(*left).or_default() += 1;
                if *left == Left::Archive {
                    self.archives.insert(subject.kind.clone());
                }
                if *left == Left::OwnDoing {
                    *self.own_doings.entry(subject.kind.clone()).or_default() += 1;
                }
            }
            Verdict::Row(row) => self.row(subject, row),
        }
    }

    fn row(&mut self, subject: &Subject, row: &Row) {
        self.cost += row.cost;
        self.counts.kept_fields += row.kept.len() as u64;
        self.kept_in += u64::from(!row.kept.is_empty());
        for field in &row.unwritable {
            *self.unwritable.entry(field.why.clone()).or_default() += 1;
        }
        match row.action {
            Action::Create => self.create(subject, row),
            Action::Update => self.update(subject.spec, row),
            Action::Delete => {
                self.counts.delete += 1;
                *self.deleted.entry(row.kind.clone()).or_default() += 1;
                self.seen += 1;
                self.theme(subject.spec, row.action);
            }
            Action::Keep => self.counts.keep += 1,
            Action::Cannot => {
                self.counts.cannot += 1;
                if let Some(why) = row.notes.first() {
                    *self.cannot.entry((row.kind.clone(), why.clone())).or_default() += 1;
                }
            }
        }
    }

    fn create(&mut self, subject: &Subject, row: &Row) {
        self.counts.create += 1;
        if subject.comes_along && write::is_stock(subject.spec) {
            return self.restock(&stock::made(subject, row));
        }
        *self.created.entry(row.kind.clone()).or_default() += 1;
        self.seen += 1;
        self.theme(subject.spec, row.action);
        self.taken += u64::from(subject.taken_by.is_some());
        // What an export holds stands in the row.
        let whole = row.fields.iter().find(|field| field.path == FieldPath::root());
        let state = subject.of.as_ref().map(|(_, state)| state);
        let Some(state) = state.or(whole.map(|field| &field.new)) else { return };
        let chooses = row.kind.as_str() == "catalog" && state["publication"].is_object();
        self.catalogs += u64::from(chooses && !state["products"].is_array());
        self.untold |= translated::is_untold(&row.kind, state);
        self.refer(references(state, &self.anew));
        if !is_referred_to(&row.kind) {
            return;
        }
        self.anew.extend(row.gid.clone());
        self.anew.extend(state.get("id").and_then(Value::as_str));
        let lists = state.as_object().into_iter().flatten();
        let links = |name: &str| write::links(subject.spec, &format!("/{name}"));
        for (_, list) in lists.filter(|(name, _)| !links(name)) {
            let parts = list.as_array().into_iter().flatten();
            self.anew.extend(parts.filter_map(|part| part.get("id")?.as_str()));
        }
        self.anew.extend(write::menu_titles(state));
    }

    /// Adds a level that comes back with its item. Nobody points to one, or knows it by its id.
    fn restock(&mut self, level: &Value) {
        self.stocked.extend(level.pointer("/item/id").and_then(Value::as_str));
        self.stock += write::amount(level).unwrap_or_default();
    }

    /// Adds what only follows what it points to, or comes with what it is of.
    pub(crate) fn follows(&mut self, row: &Row) {
        self.cost += row.cost;
        if row.action == Action::Create {
            self.counts.create += 1;
            *self.created.entry(row.kind.clone()).or_default() += 1;
            self.refer(1);
        } else if let Some(spec) = row.kind.spec() {
            self.update(spec, row);
        }
    }

    /// Whether something with metafields of its own is made anew.
    pub(crate) fn makes_owners(&self) -> bool {
        self.created.keys().any(|kind| kind.facets().any(|facet| facet == Facet::Metafields))
    }

    fn update(&mut self, spec: &Spec, row: &Row) {
        self.counts.update += 1;
        *self.updated.entry(row.kind.clone()).or_default() += 1;
        self.theme(spec, row.action);
        let shows = |field: &Field| SEEN_BY.contains(&field.path.member());
        self.seen += u64::from(row.fields.iter().any(shows));
        let withdraws = |field: &Field| write::withdraws(spec, field);
        self.withdrawn += u64::from(row.fields.iter().any(withdraws));
        let found = row.fields.iter().map(|field| references(&field.new, &self.anew)).sum();
        self.refer(found);
        let is_part = |field: &&Field| {
            let list = field.path.as_str().rsplit_once('/').map_or("", |(list, _)| list);
            is_element(field) && !write::links(spec, list)
        };
        for field in row.fields.iter().filter(is_part) {
            self.anew.extend(field.new.get("id").and_then(Value::as_str));
            self.anew.extend(write::menu_titles(&field.new));
        }
    }

    fn theme(&mut self, spec: &Spec, action: Action) {
        self.themes += u64::from(spec.name == "theme" && action == Action::Create);
        self.theme_files += u64::from(spec.name == "theme_file");
    }

    fn refer(&mut self, found: u64) {
        self.referring.0 += u64::from(found > 0);
        self.referring.1 += found;
    }

    /// How many of those left out were left out for this.
    pub(crate) fn left(&self, left: Left) -> u64 {
        self.left.get(&left).copied().unwrap_or_default()
    }
}

/// Kinds that nothing refers to by their ids.
const BY_THEMSELVES: [&str; 3] = ["inventory_item", "inventory_level", translated::TRANSLATION];

/// Whether anything may refer to resources of a kind by their ids.
pub(crate) fn is_referred_to(kind: &Kind) -> bool {
    !BY_THEMSELVES.contains(&kind.as_str())
}

/// How many texts in a value name something that gets a new id.
fn references(value: &Value, anew: &Gids) -> u64 {
    if anew.is_empty() {
        return 0;
    }
    match value {
        Value::String(text) if text.starts_with("gid://") => u64::from(anew.contains(text)),
        // Lists of references stand in metafields as text.
        Value::String(text) if text.starts_with('[') && text.contains("gid://") => {
            serde_json::from_str(text).map_or(0, |inner: Value| references(&inner, anew))
        }
        Value::Array(list) => list.iter().map(|inner| references(inner, anew)).sum(),
        Value::Object(members) => members.values().map(|inner| references(inner, anew)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_found_wherever_they_stand() {
        let mut anew = Gids::default();
        anew.insert("gid://shopify/Product/1");
        let state = json!({
            "items": [{"resourceId": "gid://shopify/Product/1"}],
            "metafields": [
                {"value": "[\"gid://shopify/Product/1\",\"gid://shopify/Product/2\"]"},
                {"value": "gid://shopify/Product/11"}
            ],
        });
        assert_eq!(references(&state, &anew), 2);
        assert_eq!(references(&state, &Gids::default()), 0);
    }
}
