//! Translations of what comes back. They go with what they translate, and no webhook ends a translation:
//! until they are read again, history has those that the shop has dropped.

use std::collections::HashSet;

use backstock_proto::journal::{AsOf, Page, Resource, ResourceFilter, Span};
use backstock_proto::merge::{self, Field, FieldPath};
use backstock_proto::resource::gid_type;
use backstock_proto::{Kind, ResourceId, Timestamp};
use futures::TryStreamExt as _;
use serde_json::Value;

use super::consequence::translations_stay;
use super::follow::Back;
use super::gather::{Gather, Scope};
use super::select::Selection;
use super::{Action, PlanError, Row};
use crate::gids::Gids;
use crate::write;

/// The kind.
pub(crate) const TRANSLATION: &str = "translation";
/// What is translated and is known by an id that no state keeps: once it comes back, nobody can say as
/// which one.
const UNTOLD: [&str; 2] = ["Metafield", "ProductOptionValue"];

/// What a translation's state says it translates.
fn owner(state: &Value) -> Option<&str> {
    state.pointer("/resource/id")?.as_str()
}

impl Gather<'_> {
    /// The row that brings back a translation which history has, where what it translates comes back.
    pub(super) async fn translated(
        &self,
        back: &Back<'_>,
        found: &Resource,
    ) -> Result<Option<Row>, PlanError> {
        let Resource { kind, id, state, .. } = found;
        let Some(spec) = kind.spec() else { return Ok(None) };
        if !owner(state).is_some_and(|gid| back.comes(gid)) {
            return Ok(None);
        }
        // Of an earlier life of what it translates, where history knows of a later one.
        let now = self.anew.id_now(spec, id);
        let later = self.key(kind, &now);
        if now != *id && self.journal.resource(&later, AsOf::Latest).await?.is_some() {
            return Ok(None);
        }
        let mut row = Row::of(kind, id, Action::Create, state);
        row.of = Some(found.version.valid_at);
        row.seen = Some(found.version.seq);
        Ok(Some(row.comes_with_its_text(state)))
    }

    /// What a person should know who takes back what somebody did from an instant on: of translations that
    /// are others since, nobody tells who changed them.
    pub(super) async fn untold_since(
        &self,
        scope: &Scope,
        from: Timestamp,
        selection: &Selection,
    ) -> Result<Option<String>, PlanError> {
        let (Scope::Versions(undone), Ok(kind)) = (scope, Kind::parse(TRANSLATION)) else {
            return Ok(None);
        };
        if !selection.has_kind(&kind) {
            return Ok(None);
        }
        let undone: HashSet<&ResourceId> =
            undone.iter().filter(|undone| undone.kind == kind).map(|undone| &undone.id).collect();
        let span = Span { from, to: Timestamp::MAX };
        let mut touched = self.journal.touched(self.shop, span, Some(&kind)).await?;
        let mut others = 0;
        while let Some(touched) = touched.try_next().await? {
            others += u64::from(!undone.contains(&touched.id));
        }
        Ok(translations_stay(others))
    }

    /// Whether history has translations of what has another id once it comes back, and nobody can say which.
    pub(super) async fn has_untold(&self) -> Result<bool, PlanError> {
        let Ok(kind) = Kind::parse(TRANSLATION) else { return Ok(false) };
        for of in UNTOLD {
            let (kind, q) = (Some(kind.clone()), Some(format!("{of}-")));
            let filter = ResourceFilter { kind, q, at: None, deleted: Some(false) };
            let mut page = Page { limit: 1, cursor: None };
            loop {
                let found = self.journal.resources(self.shop, &filter, &page).await?;
                if !found.items.is_empty() {
                    return Ok(true);
                }
                let Some(next) = found.next else { break };
                page.cursor = Some(next);
            }
        }
        Ok(false)
    }
}

impl Row {
    /// Of a translation that differs: where what it translates is among what comes back, it is made anew
    /// with that, as it was to become.
    pub(super) fn of_what_comes(mut self, now: &Value, anew: &Gids) -> Self {
        let is_lost = self.kind.as_str() == TRANSLATION
            && self.action == Action::Update
            && owner(now).is_some_and(|gid| anew.contains(gid));
        if !is_lost {
            return self;
        }
        let mut want = now.clone();
        for field in std::mem::take(&mut self.fields) {
            merge::set(&mut want, &field.path, field.new);
        }
        let (path, old) = (FieldPath::root(), Value::Null);
        self.fields = vec![Field { path, old, new: want.clone() }];
        self.action = Action::Create;
        self.comes_with_its_text(&want)
    }

    fn comes_with_its_text(mut self, state: &Value) -> Self {
        if let Some(spec) = self.kind.spec() {
            self.cost = write::cost_of_making(spec, state);
        }
        self.notes.push("it went with what it translates, and comes back with that".into());
        self
    }
}

/// Whether a translation is of something that has another id once it went, and nobody can say which.
pub(super) fn is_untold(kind: &Kind, state: &Value) -> bool {
    let of = owner(state).and_then(gid_type);
    kind.as_str() == TRANSLATION && of.is_some_and(|of| UNTOLD.contains(&of))
}
