//! What a plan makes anew and is not there yet, and what refers to it: that waits, or is left out at first.

use std::sync::{MutexGuard, PoisonError};

use backstock_proto::merge::Field;
use backstock_proto::resource::gid_type;
use serde_json::Value;

use super::runner::{RunError, Runner};
use super::{RowState, gid};
use crate::gids::Gids;
use crate::plan::{Action, Row, TRANSLATION};

/// Why nothing is put back into something.
pub(super) const NOTHING_CAME: &str = "what was to be put into it again did not come back";
/// What is said of something into which not all is put back.
pub(super) const SOME_CAME: &str =
    "some of what was to be put into it again did not come back. Make a new plan once it is there";

/// What a plan makes anew and is not there yet.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// By the gid that each had first.
    gids: Gids,
    /// How many of them are products.
    products: usize,
    /// Whether the plan makes any product, there or not.
    any_product: bool,
}

impl Missing {
    /// The plan makes this anew, if it is not made already.
    pub(super) fn comes(&mut self, first: &str, is_made: bool) {
        let is_product = is_product(first);
        self.any_product |= is_product;
        if !is_made && self.gids.insert(first) {
            self.products += usize::from(is_product);
        }
    }

    /// It is there now.
    pub(super) fn came(&mut self, first: &str) {
        self.products -= usize::from(self.gids.remove(first) && is_product(first));
    }

    pub(super) fn has(&self, first: &str) -> bool {
        self.gids.contains(first)
    }
}

impl Runner {
    /// Whether it is there: this job made it, or found that it came with something, or that another one had
    /// made it. What another one made may have been deleted again.
    pub(super) fn is_made(&self, row: &Row, gid: &str) -> bool {
        let Some(spec) = row.kind.spec() else { return false };
        let id = self.id_now(spec, row);
        let over = self.standing.over.state(row.n);
        let found = matches!(over, Some(RowState::Skipped | RowState::Created));
        self.written.when(&self.job, &row.kind, &id).is_some()
            || found && self.written.now(gid).is_some()
    }

    pub(super) fn missing(&self) -> MutexGuard<'_, Missing> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something that is referred to is not there yet, or may not be: which variants come with
    /// a product is known once all of them are there.
    pub(super) fn is_missing(&self, missing: &Missing, gid: &str) -> bool {
        let may_come = || {
            let now = self.written.now(gid);
            is_variant(gid) && !self.written.is_made_by(&self.job, now.as_deref().unwrap_or(gid))
        };
        missing.has(&self.first(gid)) || missing.products > 0 && may_come()
    }

    /// Whether a reference may have been left out of something that was made anew.
    pub(super) fn may_be_left_out(&self) -> impl Fn(&str) -> bool {
        let any_product = self.missing().any_product;
        move |gid: &str| self.anew.contains(&self.first(gid)) || any_product && is_variant(gid)
    }

    /// Whether what was left out of a row refers to something that is not there even now.
    pub(super) async fn still_lacks(&self, row: &Row) -> Result<bool, RunError> {
        let whole = self.as_it_was(row).await?;
        let missing = self.missing();
        let is = |gid: &str| self.is_missing(&missing, gid);
        Ok(whole.is_some_and(|whole| gid::refers(&whole, &is)))
    }

    /// Whether a field is to refer to something that is not there yet, and the row may wait for it.
    pub(super) fn is_early(&self, row: &Row) -> bool {
        let is_product = row.kind.as_str() == "product";
        let refers = {
            let missing = self.missing();
            let is = |gid: &str| missing.has(&self.first(gid));
            let may_be = |gid: &str| self.is_missing(&missing, gid);
            row.fields.iter().any(|field| {
                // Its own variants are there, or come with it.
                let own = is_product && field.path.member() == "variants";
                gid::field_refers(field, &is) || !own && gid::field_refers(field, &may_be)
            })
        };
        refers && self.may_wait(row)
    }

    /// Whether it is a translation of what this job made: then an earlier try registered it, which does no
    /// harm twice.
    pub(super) fn is_of_new(&self, row: &Row, now: &Value) -> bool {
        let of = now.pointer("/resource/id").and_then(Value::as_str);
        row.kind.as_str() == TRANSLATION
            && of.is_some_and(|gid| self.written.is_made_by(&self.job, gid))
    }

    /// Whether a field puts into a list what the plan makes anew and what is not there: it was waited for,
    /// and did not come.
    pub(super) fn is_absent(&self, field: &Field) -> bool {
        let missing = self.missing();
        field.old.is_null() && gid::names(&field.path, &|gid| missing.has(&self.first(gid)))
    }

    /// Whether some of what a row puts into lists is left out for that.
    pub(super) fn goes_without(&self, row: &Row) -> bool {
        row.action == Action::Update && row.fields.iter().any(|field| self.is_absent(field))
    }
}

fn is_product(gid: &str) -> bool {
    gid_type(gid) == Some("Product")
}

fn is_variant(gid: &str) -> bool {
    gid_type(gid) == Some("ProductVariant")
}
