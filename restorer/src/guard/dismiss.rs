//! A person's word that what the guard saw was meant.

use backstock_proto::Shop;
use backstock_proto::journal::{JournalError, Page};
use backstock_proto::publish::PutError;

use super::incident::{INCIDENT, Incident, IncidentState};
use crate::Desk;
use crate::record::{self, RecordError};

/// Why an incident is not dismissed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DismissError {
    #[error(
        "{shop} has no incident {id:?}; `backstock incidents --shop {}` lists them",
        shop.name()
    )]
    Missing { shop: Shop, id: String },
    #[error("{0}")]
    Late(String),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl From<JournalError> for DismissError {
    fn from(error: JournalError) -> Self {
        Self::Record(error.into())
    }
}

/// Puts on record that an incident was meant, behind the last that the guard said of it: if that is
/// about to act, one of the two gets through.
pub(crate) async fn dismiss(
    desk: &Desk,
    shop: &Shop,
    id: &str,
    by: String,
) -> Result<Incident, DismissError> {
    let newest = Page { limit: 1, cursor: None };
    let found = desk.journal.records(shop, INCIDENT, Some(id), &newest).await?;
    let Some(known) = found.items.into_iter().next() else {
        let id = id.chars().take(100).collect();
        return Err(DismissError::Missing { shop: shop.clone(), id });
    };
    let unreadable = |e| RecordError::unreadable(INCIDENT, id, &e);
    let incident: Incident = serde_json::from_value(known.payload).map_err(unreadable)?;
    if incident.state == IncidentState::Dismissed {
        return Ok(incident);
    }
    if let Some(why) = too_late(shop, &incident) {
        return Err(DismissError::Late(why));
    }
    let meant = Incident {
        state: IncidentState::Dismissed,
        updated_at: desk.clock.now(),
        dismissed_by: Some(by),
        ..incident
    };
    let payload = serde_json::to_value(&meant).map_err(unreadable)?;
    match desk.records.put_after(shop, INCIDENT, id, &payload, known.seq).await {
        Ok(seq) => {
            record::shown(&*desk.journal, shop, (INCIDENT, id), seq).await?;
            Ok(meant)
        }
        Err(PutError::Moved(_)) => {
            let why = format!("the guard did something about {id} just now; look at it again");
            Err(DismissError::Late(why))
        }
        Err(PutError::Publish(error)) => Err(RecordError::from(error).into()),
    }
}

/// Why nobody can say any more that it was meant.
fn too_late(shop: &Shop, incident: &Incident) -> Option<String> {
    let id = &incident.id;
    if let Some(job) = &incident.job {
        let back = format!("backstock undo --shop {} {job}", shop.name());
        return Some(format!("{id} of {shop} was undone; `{back}` brings it back"));
    }
    let whole = incident.part_of.as_ref()?;
    Some(format!("{id} of {shop} is a part of {whole}; dismiss that"))
}
