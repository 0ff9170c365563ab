//! A watch over a shop in memory, with a clock, a stream and a way back that do as they are told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backstock_proto::blob::Blobs;
use backstock_proto::journal::{Journal as _, Page, Record};
use backstock_proto::lease::LocalLeases;
use backstock_proto::listen::Readiness;
use backstock_proto::publish::{PublishError, PutError, Records};
use backstock_proto::time::Clock;
use backstock_proto::{Shop, Timestamp};
use prometheus::Registry;
use serde_json::Value;

use crate::change_set::{ChangeSet, Undone};
use crate::fake::{self, Fake, NoPulls, instant};
use crate::guard::outbox::Postman;
use crate::guard::watch::Watch;
use crate::guard::{INCIDENT, Incident, Policy, WayBack};
use crate::{Config, Desk, Restorer, SessionKey, Tokens};

pub(super) struct Hands(Mutex<Timestamp>);

impl Hands {
    pub(super) fn set(&self, at: &str) {
        *self.0.lock().expect("not poisoned") = instant(at);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("not poisoned")
    }
}

/// Puts on record unless it is cut off.
pub(super) struct Line {
    journal: Arc<Fake>,
    pub(super) cut: AtomicBool,
}

#[async_trait]
impl Records for Line {
    async fn put(&self, s: &Shop, what: &str, id: &str, p: &Value) -> Result<u64, PublishError> {
        self.journal.put(s, what, id, p).await
    }

    async fn put_after(
        &self,
        shop: &Shop,
        what: &str,
        id: &str,
        payload: &Value,
        after: u64,
    ) -> Result<u64, PutError> {
        if self.cut.load(Ordering::Relaxed) {
            let (subject, reason) = (id.to_owned(), "no stream".to_owned());
            return Err(PutError::Publish(PublishError { subject, reason }));
        }
        self.journal.put_after(shop, what, id, payload, after).await
    }
}

/// Counts plans and what is applied.
#[derive(Default)]
pub(super) struct Way {
    pub(super) plans: Mutex<Vec<u64>>,
    applied: Mutex<Vec<String>>,
    /// Up to which message webhooks left nothing open; of all of them, if not said.
    pub(super) asked_until: Mutex<Option<u64>>,
}

#[async_trait]
impl WayBack for Way {
    async fn plan(&self, _: &Shop, set: &ChangeSet, _: Vec<Undone>) -> Result<String, String> {
        let mut plans = self.plans.lock().expect("not poisoned");
        plans.push(set.counts.changes);
        Ok(format!("plan-{}", plans.len()))
    }

    async fn apply(&self, _: &Shop, plan: &str) -> Result<String, String> {
        self.applied.lock().expect("not poisoned").push(plan.to_owned());
        Ok(format!("job of {plan}"))
    }

    async fn asked_until(&self, _: &Shop) -> Result<u64, String> {
        Ok(self.asked_until.lock().expect("not poisoned").unwrap_or(u64::MAX))
    }
}

pub(super) struct World {
    pub(super) desk: Arc<Desk>,
    pub(super) journal: Arc<Fake>,
    pub(super) line: Arc<Line>,
    pub(super) clock: Arc<Hands>,
    pub(super) way: Arc<Way>,
}

impl World {
    pub(super) fn new(journal: Fake) -> Self {
        let journal = Arc::new(journal);
        let line = Arc::new(Line { journal: journal.clone(), cut: AtomicBool::new(false) });
        let clock = Arc::new(Hands(Mutex::new(instant(fake::NOW))));
        let restorer = Restorer {
            config: Config { session_key: SessionKey::default(), ..Config::default() },
            journal: journal.clone(),
            pulls: Arc::new(NoPulls),
            records: line.clone(),
            blobs: Blobs::in_memory(),
            leases: Arc::new(LocalLeases::default()),
            admins: Vec::new(),
            tokens: Tokens::new(Vec::new()),
            registry: Registry::new(),
            readiness: Readiness::new(),
            clock: clock.clone(),
        };
        let (desk, _) = crate::desk(restorer).expect("a desk");
        Self { desk, journal, line, clock, way: Arc::default() }
    }

    pub(super) async fn watch(&self, policy: &Policy) -> (Watch, Postman) {
        let (desk, way) = (self.desk.clone(), self.way.clone());
        let (mut watch, postman) = Watch::new(desk, way, &fake::shop("acme"), policy);
        watch.begin().await.expect("a past");
        (watch, postman)
    }

    pub(super) async fn incidents(&self) -> Vec<Incident> {
        let page = Page { limit: 100, cursor: None };
        let records = self.journal.records(&fake::shop("acme"), INCIDENT, None, &page).await;
        let read = |record: Record| serde_json::from_value(record.payload).expect("an incident");
        let mut incidents: Vec<Incident> =
            records.expect("records").items.into_iter().map(read).collect();
        incidents.sort_by(|a, b| a.id.cmp(&b.id));
        incidents
    }

    pub(super) async fn only(&self) -> Incident {
        let mut incidents = self.incidents().await;
        assert_eq!(incidents.len(), 1, "{incidents:?}");
        incidents.remove(0)
    }

    pub(super) fn applied(&self) -> Vec<String> {
        self.way.applied.lock().expect("not poisoned").clone()
    }
}
