//! What a job wrote, taken back. It is known from the job's own plan, row by row, and so also before
//! history has heard of it: whoever presses "undo" does not wait for a webhook.

use backstock_proto::journal::{AsOf, Page, Span};
use backstock_proto::merge;
use backstock_proto::{ResourceId, ResourceKey, Timestamp};
use serde_json::Value;

use super::gather::{Gather, just_before, living};
use super::row::Subject;
use super::undo::Run;
use super::{Action, PlanError, Row};

/// How long after a write Shopify may date what it did.
const SETTLES_MICROS: i64 = 10_000_000;
/// Most versions of something new that are looked at for a later edit.
const VERSIONS_MAX: usize = 200;

/// A row of a plan that a job wrote.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Did {
    /// The plan's row.
    pub(crate) row: Row,
    /// The id that the resource has since.
    pub(crate) id: ResourceId,
    /// When its writing began.
    pub(crate) from: Timestamp,
    /// When its writing ended.
    pub(crate) to: Timestamp,
}

impl Gather<'_> {
    /// Fills in what taking a row back is about. The shop is asked again when that is applied, and
    /// what is as wanted already is left alone then.
    pub(super) async fn did(&self, subject: &mut Subject, did: &Did) -> Result<(), PlanError> {
        match did.row.action {
            Action::Create => self.made(subject, did).await,
            Action::Delete => self.deleted(subject, did).await,
            Action::Update | Action::Keep | Action::Cannot => {
                self.changed(subject, did);
                Ok(())
            }
        }
    }

    /// Fields that it wrote. One that history still knows as it was before has not been heard of yet,
    /// or is back already.
    fn changed(&self, subject: &mut Subject, did: &Did) {
        if subject.now.is_null() {
            return;
        }
        let mut fields = did.row.fields.clone();
        fields.iter_mut().for_each(|field| self.anew.rewrite_field(field));
        let now = &mut subject.now;
        for field in &fields {
            if merge::get(now, &field.path).unwrap_or(&Value::Null) == &field.old {
                merge::set(now, &field.path, field.new.clone());
            }
        }
        let with = |value: fn(&merge::Field) -> &Value| {
            let mut state = now.clone();
            for field in &fields {
                merge::set(&mut state, &field.path, value(field).clone());
            }
            state
        };
        let (before, after) = (with(|field| &field.old), with(|field| &field.new));
        subject.runs = vec![Run { before, after }];
    }

    /// Something that it made anew goes again, unless somebody changed it since.
    async fn made(&self, subject: &mut Subject, did: &Did) -> Result<(), PlanError> {
        subject.made_since = true;
        let key = self.key(&subject.kind, &did.id);
        let known = self.journal.resource(&key, AsOf::Latest).await?;
        let settled = settled(did);
        let after = match known {
            None => {
                let key = self.key(&subject.kind, &did.row.id);
                let at = did.row.of.map_or(AsOf::Latest, AsOf::At);
                let mut state = living(self.journal.resource(&key, at).await?);
                for field in &did.row.fields {
                    merge::set(&mut state, &field.path, field.new.clone());
                }
                self.anew.rewrite(&mut state);
                subject.now = state.clone();
                state
            }
            Some(_) if self.is_edited_after(&key, settled).await? => {
                self.state(&key, AsOf::At(settled)).await?
            }
            Some(_) => subject.now.clone(),
        };
        subject.runs = vec![Run { before: Value::Null, after }];
        Ok(())
    }

    /// Something that it deleted comes back as it was.
    async fn deleted(&self, subject: &mut Subject, did: &Did) -> Result<(), PlanError> {
        let of = just_before(did.from);
        let key = self.key(&subject.kind, &did.row.id);
        let before = self.state(&key, AsOf::At(of)).await?;
        // A file of a theme may have been made again since, under the same name.
        if subject.id == did.row.id && !self.is_edited_after(&key, settled(did)).await? {
            subject.now = Value::Null;
        }
        subject.of = (!before.is_null()).then(|| (of, before.clone()));
        subject.runs = vec![Run { before, after: Value::Null }];
        Ok(())
    }

    /// Whether Shopify told of a change after an instant. What a pull only learned then is no change.
    async fn is_edited_after(&self, key: &ResourceKey, at: Timestamp) -> Result<bool, PlanError> {
        let page = Page { limit: VERSIONS_MAX, cursor: None };
        let span = Span { from: at, to: Timestamp::MAX };
        let later = self.journal.versions(key, span, &page).await?.items;
        Ok(later.iter().any(|v| v.source.is_delivered() && v.facet.is_state() && !v.unchanged))
    }
}

/// Until when Shopify may date what a row did.
fn settled(did: &Did) -> Timestamp {
    Timestamp::from_micros(did.to.as_micros() + SETTLES_MICROS)
}
