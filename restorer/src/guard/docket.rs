//! The incidents of a shop, on record. Each record of one is put after the last that is known of it,
//! so that of several guards that act on the same incident one gets through.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use backstock_proto::journal::{JournalError, PAGE_LIMIT_MAX, Page};
use backstock_proto::publish::PutError;
use backstock_proto::{Shop, Timestamp};

use super::incident::{INCIDENT, Incident};
use crate::Desk;
use crate::change_set::Trace;
use crate::record::{self, RecordError};

/// Incidents, and the record that each is known by.
pub(super) struct Docket {
    desk: Arc<Desk>,
    shop: Shop,
    held: BTreeMap<String, (Incident, u64)>,
}

impl Docket {
    pub(super) fn new(desk: Arc<Desk>, shop: Shop) -> Self {
        Self { desk, shop, held: BTreeMap::new() }
    }

    /// Reads which incidents there are.
    pub(super) async fn read(&mut self) -> Result<(), JournalError> {
        let page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        let records = self.desk.journal.records(&self.shop, INCIDENT, None, &page).await?;
        for record in records.items {
            if let Ok(incident) = serde_json::from_value::<Incident>(record.payload) {
                self.held.insert(incident.id.clone(), (incident, record.seq));
            }
        }
        Ok(())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Incident> {
        self.held.values().map(|(incident, _)| incident)
    }

    /// Whether one of them is to be looked at again although nothing new happened.
    pub(super) fn waits(&self, now: Timestamp) -> bool {
        self.all().any(|incident| incident.is_waiting(now) || incident.is_untold())
    }

    /// The incidents of which the change that they are known by is one of some changes.
    pub(super) fn of(&self, changes: &[&Trace]) -> Vec<Incident> {
        // Each change is looked at once: there may be millions of them.
        let known: HashSet<u64> = self.all().map(|incident| incident.change_set.id.seq).collect();
        let seqs = changes.iter().map(|trace| trace.seq);
        let there: HashSet<u64> = seqs.filter(|seq| known.contains(seq)).collect();
        let holds = |incident: &&Incident| {
            incident.part_of.is_none() && there.contains(&incident.change_set.id.seq)
        };
        self.all().filter(holds).cloned().collect()
    }

    /// An incident as it is on record by now.
    pub(super) async fn read_again(&mut self, id: &str) -> Result<Option<Incident>, RecordError> {
        let newest = Page { limit: 1, cursor: None };
        let found = self.desk.journal.records(&self.shop, INCIDENT, Some(id), &newest).await?;
        let Some(record) = found.items.into_iter().next() else { return Ok(None) };
        let incident: Incident = serde_json::from_value(record.payload)
            .map_err(|e| RecordError::unreadable(INCIDENT, id, &e))?;
        self.held.insert(id.to_owned(), (incident.clone(), record.seq));
        Ok(Some(incident))
    }

    /// Puts an incident on record. False: another guard did so since, and it is as that one says.
    pub(super) async fn put(&mut self, incident: &Incident) -> Result<bool, RecordError> {
        let id = incident.id.as_str();
        let after = self.held.get(id).map_or(0, |(_, seq)| *seq);
        let payload = serde_json::to_value(incident)
            .map_err(|e| RecordError::unreadable(INCIDENT, id, &e))?;
        match self.desk.records.put_after(&self.shop, INCIDENT, id, &payload, after).await {
            Ok(seq) => {
                self.held.insert(id.to_owned(), (incident.clone(), seq));
                record::shown(&*self.desk.journal, &self.shop, (INCIDENT, id), seq).await?;
                Ok(true)
            }
            Err(PutError::Moved(_)) => {
                self.read_again(id).await?;
                Ok(false)
            }
            Err(PutError::Publish(error)) => Err(error.into()),
        }
    }

    /// Lets go of what was noticed before an instant.
    pub(super) fn forget(&mut self, before: Timestamp) {
        self.held.retain(|_, (incident, _)| incident.at >= before);
    }
}
