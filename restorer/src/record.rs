//! Putting on record what is done, so that whoever asks next sees it.

use std::time::Duration;

use backstock_proto::journal::{Journal, JournalError, Page};
use backstock_proto::publish::{PublishError, Records};
use backstock_proto::{Shop, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long the journal may take to read what was put on record.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// How often it is asked.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Why something is not on record, or cannot be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The stream did not take it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The journal does not answer.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It is on the stream, and the journal has not read so far in time.
    #[error("{what} {id} is on record, but the journal lags behind; ask again in a while")]
    Lagging {
        /// What was recorded.
        what: String,
        /// Which one.
        id: String,
    },
    /// What is on record cannot be written or read as what it should be.
    #[error("the record of {what} {id} cannot be read: {reason}")]
    Unreadable {
        /// What it is.
        what: String,
        /// Which one.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// Some rows of a plan that was whole once are gone.
    #[error("piece {n} of plan {plan} of {shop} is not on record any more; make a new plan")]
    Missing {
        /// The plan.
        plan: String,
        /// Of which shop.
        shop: Shop,
        /// Which of its pieces.
        n: u64,
    },
}

impl RecordError {
    /// What is on record is not what it should be.
    pub(crate) fn unreadable(what: &str, id: &str, error: &serde_json::Error) -> Self {
        Self::Unreadable { what: what.into(), id: id.into(), reason: error.to_string() }
    }
}

/// Puts on record and waits until the journal shows it. Answers its sequence.
pub(crate) async fn put(
    (journal, records): (&dyn Journal, &dyn Records),
    shop: &Shop,
    (what, id): (&str, &str),
    payload: &impl Serialize,
) -> Result<u64, RecordError> {
    let payload: Value = serde_json::to_value(payload).map_err(|e| unreadable(what, id, &e))?;
    let seq = records.put(shop, what, id, &payload).await?;
    shown(journal, shop, (what, id), seq).await
}

/// Waits until the journal shows a record, and with it everything that was put before. Answers its
/// sequence.
pub(crate) async fn shown(
    journal: &dyn Journal,
    shop: &Shop,
    (what, id): (&str, &str),
    seq: u64,
) -> Result<u64, RecordError> {
    let newest = Page { limit: 1, cursor: None };
    let seen = async {
        loop {
            let there = journal.records(shop, what, Some(id), &newest).await?;
            if there.items.first().is_some_and(|record| record.seq >= seq) {
                return Ok(seq);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let lagging = || RecordError::Lagging { what: what.into(), id: id.into() };
    tokio::time::timeout(SEEN_WITHIN, seen).await.map_err(|_| lagging())?
}

/// The newest record of something; `None` if there never was one.
pub(crate) async fn get<T: DeserializeOwned>(
    journal: &dyn Journal,
    shop: &Shop,
    (what, id): (&str, &str),
) -> Result<Option<T>, RecordError> {
    let newest = Page { limit: 1, cursor: None };
    let found = journal.records(shop, what, Some(id), &newest).await?.items.pop();
    found
        .map(|record| serde_json::from_value(record.payload).map_err(|e| unreadable(what, id, &e)))
        .transpose()
}

fn unreadable(what: &str, id: &str, error: &serde_json::Error) -> RecordError {
    RecordError::unreadable(what, id, error)
}

/// A new id for something of this sort, such as `plan-019dc3f2a41b-5f2a`: they sort by time, and two
/// made at once differ.
pub(crate) fn new_id(what: &str, now: Timestamp) -> String {
    use std::hash::{BuildHasher, RandomState};
    let dice = RandomState::new().hash_one(now.as_micros()) & 0xffff;
    format!("{what}-{:012x}-{dice:04x}", now.as_micros().max(0) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Entry;
    use crate::change_set::{ActorKind, Harm};
    use crate::export::Import;
    use crate::guard::{Action as Most, Incident, IncidentState};
    use crate::job::run::{Want, Wanted};
    use crate::job::{Job, JobState};
    use crate::mark::Mark;
    use crate::plan::{Action, Plan, Row};
    use crate::proof::{Proof, ProofState};
    use golden::{Golden, means};

    const RECORDS: &str = "records-v1.txt";

    fn golden() -> Golden {
        Golden::of(env!("CARGO_MANIFEST_DIR"))
    }

    fn at() -> Timestamp {
        Timestamp::parse("2026-11-24T03:00:00Z").expect("an instant")
    }

    #[test]
    fn plans_and_jobs_on_record() {
        let plan: Plan = golden().json(RECORDS, "plan");
        means((plan.counts.rows(), plan.records), (16, vec![0, 2_000]));
        means((plan.request.at, plan.request.inventory), (Some(at()), true));
        let rows: Vec<Row> = golden().json(RECORDS, "plan_rows");
        let actions: Vec<Action> = rows.iter().map(|row| row.action).collect();
        means(actions, [Action::Update, Action::Create]);
        means((rows[0].fields[0].path.as_str(), rows[0].seen), ("/title", Some(17)));
        means((rows[1].fields[0].path.as_str(), rows[1].of), ("", Some(at())));
        let job: Job = golden().json(RECORDS, "job");
        means((job.state, job.counts.total(), job.resume_at), (JobState::Paused, 28, Some(at())));
        let wanted: Wanted = golden().json(RECORDS, "job_order");
        means((wanted.want, wanted.by.as_str(), wanted.at), (Want::Pause, "ops", at()));
    }

    #[test]
    fn what_people_and_the_guard_put_on_record() {
        let mark: Mark = golden().json(RECORDS, "mark");
        means((mark.app.as_deref(), mark.inferred), (Some("Bulk Editor"), true));
        let incident: Incident = golden().json(RECORDS, "incident");
        means((incident.state, incident.allowed), (IncidentState::Applied, Most::Plan));
        let set = incident.change_set;
        means((set.id.to_string().as_str(), set.id.seq), ("cs-6437f0a2b1c40-1a2f", 0x1a2f));
        means((set.actor.kind, set.damage[0].harm), (ActorKind::App, Harm::PricesCollapsed));
        let entry: Entry = golden().json(RECORDS, "audit");
        means(entry.computed(), entry.hash);
        let import: Import = golden().json(RECORDS, "export");
        means((import.manifest.parts.len(), import.bytes), (1, 4_096));
        let proof: Proof = golden().json(RECORDS, "proof");
        means((proof.state, proof.references.first.len()), (ProofState::Refuted, 1));
    }
}
