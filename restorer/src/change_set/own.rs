//! What our own jobs did, told from what others did by what stands in a version alone: where a job makes
//! thousands of things anew, nobody has to read what each of them is.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use backstock_proto::journal::Change;
use backstock_proto::{Facet, Kind, Op, ResourceId};

use super::evidence::{Entry, LEARNED_MICROS};
use super::read::Sources;
use super::{ActorKind, EventId, OwnWrite, Trace};
use crate::job::written::Written;

/// Tells what is our own in one window.
pub(super) struct Own<'a> {
    written: &'a Written,
    /// To what the log says that somebody else did something: that is looked at closely.
    others: HashSet<(Kind, ResourceId)>,
    /// The actions that were ours.
    actions: Mutex<HashSet<EventId>>,
}

impl<'a> Own<'a> {
    /// By what jobs wrote and what the log says. While the shop has not said which app we are, an app
    /// may be us.
    pub(super) fn of(from: Sources<'a>, log: Vec<Entry>) -> Self {
        let is_other = |entry: &Entry| match entry.who.kind {
            ActorKind::Backstock => false,
            ActorKind::App => from.ours.is_some(),
            ActorKind::Staff | ActorKind::Customers | ActorKind::Unknown => true,
        };
        let others = log.into_iter().filter(is_other).map(|entry| (entry.kind, entry.id));
        Self { written: from.written, others: others.collect(), actions: Mutex::default() }
    }

    /// Whether a change is our own without a doubt: of something that a job made anew or deleted just
    /// then, or the beginning of a part of it.
    pub(super) fn is(&self, change: &Change) -> bool {
        let Change { kind, id, version, .. } = change;
        let delivered = version.source.is_delivered();
        let at = version.triggered_at.filter(|_| delivered).unwrap_or(version.valid_at);
        // A core that dates itself was changed then; all else that is pulled may be dated by the look.
        let is_dated = version.facet == Facet::Core && version.earliest_at.is_none();
        let later = if delivered || is_dated { 0 } else { LEARNED_MICROS.unsigned_abs() };
        let wrote = self.written.wrote_all((kind, id, version.op), at, later);
        let begins =
            || version.op == Op::Create && came_as(kind, id).is_some_and(|gid| self.made(&gid));
        if !(wrote || begins()) || self.others.contains(&(kind.clone(), id.clone())) {
            return false;
        }
        if let Some(action) = version.event_id.as_deref().filter(|_| wrote && delivered) {
            let mut actions = self.actions.lock().unwrap_or_else(PoisonError::into_inner);
            actions.insert(action.into());
        }
        true
    }

    fn made(&self, gid: &str) -> bool {
        self.written.is_made(gid)
    }

    /// What came of the same actions as what was our own.
    pub(super) fn with(&self, traces: &[Trace]) -> Vec<OwnWrite> {
        let actions = self.actions.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours =
            |trace: &&Trace| trace.event_id.is_some_and(|action| actions.contains(&action));
        traces.iter().filter(is_ours).map(OwnWrite::of).collect()
    }
}

/// The gid of what a job would have made for this to begin: of stock its item, which is made with it.
fn came_as(kind: &Kind, id: &ResourceId) -> Option<String> {
    match (kind.as_str(), id.as_str().split_once('-')) {
        ("inventory_level", Some((item, _))) => Some(format!("gid://shopify/InventoryItem/{item}")),
        _ => kind.gid(id),
    }
}

#[cfg(test)]
mod tests {
    use backstock_proto::journal::Span;
    use backstock_proto::publish::Records as _;
    use serde_json::json;

    use crate::change_set::read::{Book, Sources, Whose};
    use crate::fake::{self, Fake};
    use crate::job::written::{Books, WRITTEN};

    #[tokio::test]
    async fn what_a_job_makes_anew_is_left_out_and_what_others_do_to_it_is_not() {
        let mut journal = Fake::default();
        let (at, later) = ("2026-11-22T11:58:01Z", "2026-11-22T11:58:04Z");
        let product = |n: u32| json!({"id": format!("gid://shopify/Product/{n}"), "title": "Mug"});
        for n in [11, 12, 13] {
            journal.make("product", &n.to_string(), at, &product(n));
        }
        journal.make("inventory_item", "21", at, &json!({"id": "gid://shopify/InventoryItem/21"}));
        journal.forget("product", "13", later);
        journal.log("Bulk Editor", "destroy", "gid://shopify/Product/13", later);
        journal.remember("product", "1", at, &product(1));
        // Nobody names who did these, and no job did.
        journal.forget("product", "12", later);
        let emptied = json!({"id": "gid://shopify/Product/11", "title": ""});
        journal.remember("product", "11", "2026-11-22T11:59:01Z", &emptied);
        journal.found();
        let wrote = |n: u32| {
            let gid = |kind: &str, n: u32| format!("gid://shopify/{kind}/{n}");
            let was = n + 1_000;
            let ids = json!({
                gid("Product", was): gid("Product", n),
                gid("InventoryItem", was + 10): gid("InventoryItem", n + 10),
            });
            json!({
                "job": "job-1", "kind": "product", "id": n.to_string(), "was": was.to_string(),
                "ids": ids, "from": at, "to": at, "hash": "00",
            })
        };
        let shop = fake::shop("acme");
        let batch = json!({"rows": [wrote(11), wrote(12), wrote(13)]});
        journal.put(&shop, WRITTEN, "job-1.1", &batch).await.expect("on record");
        let written = Books::default().of(&journal, &shop).await.expect("read");
        let ours = Some("Backstock");
        let from = Sources { journal: &journal, shop: &shop, ours, written: &written };
        let ids = async |whose: Whose| {
            let grouped = Book::default().grouped(from, Span::default(), whose).await;
            let traces = grouped.expect("answered").traces;
            traces.iter().map(|trace| trace.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ids(Whose::All).await, ["11", "12", "13", "21", "1", "13", "12", "11"]);
        assert_eq!(ids(Whose::Others).await, ["13", "1", "13", "12", "11"]);
    }
}
