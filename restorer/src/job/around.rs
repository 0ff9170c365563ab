//! What a writer has around it: the shop, the ids of now, and the job's record of what it is about to
//! do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backstock_proto::Timestamp;
use backstock_proto::admin::{AdminError, Answer, Call, Client, Repeat};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::lane::Heard;
use super::ledger::{LedgerError, Step};
use super::place::Place;
use super::runner::{RunError, Runner};
use crate::write::{Around, WriteError};

/// Around the writing of one row.
pub(super) struct AroundRow<'a> {
    pub(super) runner: &'a Runner,
    /// The row.
    pub(super) n: u64,
    /// Whether it is on record that it was begun, and did not come to an end since.
    begun: tokio::sync::Mutex<bool>,
    /// Whether it was begun before, in whichever attempt.
    begun_before: bool,
    /// The row's place, if its mutations may go in bulk.
    place: Option<Place>,
    /// Whether that is on record by this one, for the first time.
    began_here: AtomicBool,
    /// Whether what makes something was sent, and not refused, as far as anybody knows.
    may_be_made: AtomicBool,
    /// Whether a mutation came back undone, since the job is to end.
    is_back: AtomicBool,
    broken: Mutex<Option<LedgerError>>,
    notes: Mutex<Vec<String>>,
}

impl<'a> AroundRow<'a> {
    pub(super) fn new(runner: &'a Runner, n: u64, begun: bool, place: Option<Place>) -> Self {
        Self {
            runner,
            n,
            begun: tokio::sync::Mutex::new(begun),
            begun_before: runner.begun.at(n).is_some(),
            place,
            began_here: AtomicBool::new(false),
            may_be_made: AtomicBool::new(false),
            is_back: AtomicBool::new(false),
            broken: Mutex::default(),
            notes: Mutex::default(),
        }
    }

    /// Whether the row is left open, since the job is to end.
    pub(super) fn is_back(&self) -> bool {
        self.is_back.load(Ordering::Relaxed)
    }

    /// Puts on record that what this one began was never made, where that is certain.
    pub(super) async fn takes_back(&self) -> Result<(), LedgerError> {
        let began_here = self.began_here.load(Ordering::Relaxed);
        if began_here && !self.may_be_made.load(Ordering::Relaxed) {
            self.runner.ledger().put(Step::Back(self.n), None).await?;
            self.runner.begun.ends(self.n);
        }
        Ok(())
    }

    async fn sent(&self, mut call: Call<'_>) -> Result<Answer, AdminError> {
        let (Some(lane), Some(place)) = (self.runner.lane(), &self.place) else {
            return self.admin().ask(call).await;
        };
        let variables = std::mem::take(&mut call.variables);
        let heard = lane.send(&call, variables, place).await;
        match heard {
            Heard::Answer(answer) => answer,
            Heard::NotTaken(variables) => self.admin().ask(Call { variables, ..call }).await,
            Heard::Back => {
                self.is_back.store(true, Ordering::Relaxed);
                let shop = self.admin().access().shop.clone();
                let last = "the job stands still".into();
                Err(AdminError::Unavailable { shop, waited: Duration::ZERO, last })
            }
        }
    }

    /// Why nothing can be put on record any more, if that is so: then nothing may be written.
    pub(super) fn broken(&self) -> Option<LedgerError> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a mutation may have been sent.
    pub(super) async fn begun(&self) -> bool {
        self.begun_before || *self.begun.lock().await
    }

    /// What a person should know, as one text.
    pub(super) fn notes(&self) -> Option<String> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

#[async_trait]
impl Around for AroundRow<'_> {
    fn admin(&self) -> &Client {
        self.runner.client()
    }

    async fn mutate(&self, call: Call<'_>) -> Result<Answer, AdminError> {
        let makes = call.repeat == Repeat::Never;
        let answer = self.sent(call).await;
        let is_refused = answer.as_ref().is_ok_and(|answer| !answer.user_errors().is_empty());
        if makes && !is_refused && !self.is_back() {
            self.may_be_made.store(true, Ordering::Relaxed);
        }
        answer
    }

    fn gid_now(&self, gid: &str) -> String {
        self.runner.written().now(gid).unwrap_or_else(|| gid.to_owned())
    }

    async fn blob(&self, hash: &str) -> Option<Bytes> {
        self.runner.blob(hash).await
    }

    async fn blob_length(&self, hash: &str) -> Option<u64> {
        self.runner.blob_length(hash).await
    }

    async fn parts(&self, gid: &str) -> Result<Vec<Value>, WriteError> {
        self.runner.parts(gid).await.map_err(unread)
    }

    fn asked(&self, gid: &str, old: Option<&Arc<OnceCell<Value>>>) -> Arc<OnceCell<Value>> {
        self.runner.asked.about(gid, old)
    }

    async fn counted(&self, items: &[&str]) -> Result<Vec<Vec<(u64, Value)>>, WriteError> {
        self.runner.counted(items).await.map_err(unread)
    }

    async fn before(&self, _what: &str) -> Result<(), WriteError> {
        let mut begun = self.begun.lock().await;
        if *begun {
            return Ok(());
        }
        match self.runner.ledger().put(Step::Begun(self.n), None).await {
            Ok(()) => {
                *begun = true;
                self.began_here.store(!self.begun_before, Ordering::Relaxed);
                self.runner.begun.begins(self.n, self.runner.tools.clock.now());
                Ok(())
            }
            Err(error) => {
                let why = format!("nothing was written: {error}");
                *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(WriteError::Missing(why))
            }
        }
    }

    fn began_at(&self) -> Timestamp {
        self.runner.began_at()
    }

    async fn may_be_ours(&self, gid: &str) -> bool {
        self.begun().await && self.runner.written().first(gid).is_none()
    }

    fn key(&self, what: &str) -> String {
        let named = format!("{}\n{}\n{what}", self.runner.job_id(), self.n);
        blake3::hash(named.as_bytes()).to_hex()[..32].to_owned()
    }

    fn stocked(&self, whole: Option<&[u64]>) {
        self.runner.counted.hears(whole);
    }

    fn note(&self, text: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&text) {
            notes.push(text);
        }
    }
}

fn unread(error: RunError) -> WriteError {
    WriteError::Refused(vec![format!("history cannot be read: {error}")])
}
