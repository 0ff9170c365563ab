//! A resource read back whole, for whoever wants to know whether it could be restored.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Head;
use crate::ResourceId;

/// A resource as of an instant, each facet read back from its bytes as received and hashed anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rebuilt {
    /// Which one.
    pub id: ResourceId,
    /// The version of each facet that counts, `Core` first; of a resource that had ended, `Core` alone.
    pub facets: Vec<Head>,
    /// Its canonical state; `None` if it had ended by then, or cannot be read.
    pub state: Option<Value>,
    /// Why it cannot be read. Nothing else is then said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}
