//! Change-sets: single changes put together by who made them, and what each did in one line that a
//! merchant understands.
//!
//! Shopify does not say who changed a resource. What says something are its own log (late and not
//! complete), the ids of actions that deliveries share, what our own jobs put on record, what people
//! note down, and the shape of what happens: the same thing done to many resources in one go. So an
//! actor always comes with how sure that is and why, and "unknown" is an answer.
//!
//! A change-set is known by its first change: when later evidence moves changes between sets or joins
//! two of them, an id that somebody noted still leads to the set that holds that change.

use std::collections::BTreeMap;

use backstock_proto::{Kind, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod damage;
mod event_id;
mod evidence;
mod group;
pub(crate) mod made;
mod own;
pub(crate) mod read;
mod shelf;
mod tell;
mod trace;

pub use damage::{Damage, Harm, count as damage, kinds as kinds_hurt};
pub use event_id::EventId;
pub use evidence::{ActorKind, AppMark, Entry, Evidence, Idle, OwnWrite, Sign, Who};
pub use group::{Group, group};
pub use read::Undone;
pub(crate) use trace::amount;
pub use trace::{Contents, Effect, Trace, Turn};

/// How sure it is who did something that is said without a doubt.
const SURE: f64 = 0.9;

/// Changes that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeSet {
    /// Names it: the change that it is known by.
    #[schema(value_type = String, example = "cs-6437f0a2b1c40-1a2f")]
    pub id: ChangeSetId,
    /// When its first change happened.
    pub from: Timestamp,
    /// When its last change happened.
    pub to: Timestamp,
    /// How many of what.
    pub counts: Counts,
    /// How many changes of each kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// Who did it.
    pub actor: Actor,
    /// What was done, in one line.
    pub headline: String,
    /// How much there is to worry about.
    pub risk: Risk,
    /// What harm it did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<Damage>,
    /// What it did to prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
}

/// What names a change-set: when and in which place of the stream the change stands that it is known
/// by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChangeSetId {
    /// The change's place in time.
    pub valid_at: Timestamp,
    /// Its version's sequence.
    pub seq: u64,
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Single changes.
    pub changes: u64,
    /// Resources that were changed.
    pub resources: u64,
    /// Of the changes: resources made.
    pub created: u64,
    /// Of the changes: resources edited.
    pub updated: u64,
    /// Of the changes: resources deleted.
    pub deleted: u64,
}

/// Who did it, how sure that is, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// What sort of actor.
    pub kind: ActorKind,
    /// What they are called; `unknown` where nothing says.
    pub name: String,
    /// From 0 to below 1: nothing that Shopify says is certain.
    pub confidence: f64,
    /// What says so, most first.
    pub evidence: Vec<String>,
}

impl Actor {
    /// What a person should know before taking all of it for theirs; `None` where that is sure
    /// enough, and where nobody is named.
    pub fn doubt(&self) -> Option<String> {
        let named = matches!(self.kind, ActorKind::App | ActorKind::Staff);
        doubt(&self.name, self.confidence).filter(|_| named)
    }
}

/// As [`Actor::doubt`], for several change-sets of one actor.
pub(crate) fn doubt(name: &str, confidence: f64) -> Option<String> {
    (confidence < SURE).then(|| {
        let percent = confidence * 100.0;
        format!("It is not certain that all of this was done by {name}: {percent:.0} % sure.")
    })
}

/// How much there is to worry about.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Trade, what we did ourselves, and what was seen for the first time.
    None,
    /// Ordinary work.
    Low,
    /// Much, or something that may be a mistake.
    Medium,
    /// What nobody does on purpose.
    High,
}

/// What happened to prices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Money {
    /// Prices that fell.
    pub lowered: u64,
    /// Prices that rose.
    pub raised: u64,
    /// Prices that are zero now.
    pub zero: u64,
    /// New price by old, in the middle.
    pub median_ratio: f64,
    /// What one of each thing cost before, together, in the shop's currency.
    pub before: String,
    /// What one of each costs now.
    pub after: String,
}

/// A text is no id of a change-set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{given:?} names no change-set: one is like \"cs-6437f0a2b1c40-1a2f\"")]
pub struct ChangeSetIdError {
    given: String,
}

impl ChangeSetId {
    /// Reads it back.
    pub fn parse(text: &str) -> Result<Self, ChangeSetIdError> {
        let wrong = || ChangeSetIdError { given: text.chars().take(60).collect() };
        let (at, seq) =
            text.strip_prefix("cs-").and_then(|t| t.split_once('-')).ok_or_else(wrong)?;
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| wrong());
        let at = i64::try_from(number(at)?).map_err(|_| wrong())?;
        Ok(Self { valid_at: Timestamp::from_micros(at), seq: number(seq)? })
    }
}

impl std::fmt::Display for ChangeSetId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cs-{:x}-{:x}", self.valid_at.as_micros(), self.seq)
    }
}

impl TryFrom<String> for ChangeSetId {
    type Error = ChangeSetIdError;
    fn try_from(text: String) -> Result<Self, ChangeSetIdError> {
        Self::parse(&text)
    }
}

impl From<ChangeSetId> for String {
    fn from(id: ChangeSetId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests;
