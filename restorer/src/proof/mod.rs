//! Proves that a shop could be restored, without writing anything: takes the moment at which each kind
//! was last read whole, rebuilds from history what was there then, and holds it against what the pull
//! saw, which was put down apart from history ([`backstock_proto::witness`]).
//!
//! `held` decides about one resource, `restorable` whether a plan would make it anew in an empty shop,
//! `follow` where its references lead, `media` whether its bytes are kept: none of them asks a clock,
//! and the first three no network. `prove` goes through a shop, one resource after the other; `nightly`
//! says when, and has of several restorers one do it.
//!
//! What must not happen:
//! - a proof that passes without having read the bytes that a restore would read;
//! - one that fails because somebody changed something while the shop was being read;
//! - a shop's proof in memory as a whole, or at the cost of those who wait for answers.

use std::time::Duration;

use backstock_proto::cron::Cron;
use backstock_proto::{Kind, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod follow;
mod held;
mod media;
pub(crate) mod nightly;
mod prove;
mod restorable;
mod seen;

/// What a record of a proof stands under.
pub const PROOF: &str = "proof";
/// Who orders the proofs that nobody asks for.
pub const NIGHTLY: &str = "nightly";
/// Most mismatches that a proof spells out.
const MISMATCHES_MAX: usize = 100;

/// When proofs are made, and what they may cost.
#[derive(Clone, Debug)]
pub struct Config {
    /// When every shop is proved; `None`: only when somebody asks.
    pub at: Option<Cron>,
    /// Over how long shops are spread, each at a time of its own.
    pub spread: Duration,
    /// About how many bytes of media one proof reads back. All are read in turn, night by night.
    pub media_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { at: None, spread: Duration::from_secs(3 * 3600), media_bytes: 1 << 30 }
    }
}

/// How a proof gets on, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProofState {
    /// Ordered.
    Waiting,
    /// Under way.
    Running,
    /// All that could be compared is there and the same.
    Proved,
    /// Something is not as it should be: see the mismatches.
    Refuted,
    /// It could not be made; the reason says why.
    Failed,
}

impl ProofState {
    /// Whether it is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Proved | Self::Refuted | Self::Failed)
    }
}

/// That a shop could be restored as it was, or what stands against it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    /// Names it.
    pub id: String,
    /// How it gets on, or how it ended.
    pub state: ProofState,
    /// Who ordered it: a token, or `nightly`.
    pub by: String,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// When it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why it could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The moment that it speaks of: the end of the oldest pull that it compares with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Resources that were compared.
    pub compared: u64,
    /// Those of them that are there, the same, and could be restored.
    pub proved: u64,
    /// Resources that changed while the shop was being read, and could not be compared.
    pub moved: u64,
    /// Resources that history says were gone, and that the shop did not have.
    pub absent: u64,
    /// Resources that are not as they should be.
    pub mismatches: u64,
    /// The first of them.
    pub mismatched: Vec<Mismatch>,
    /// Resources that a plan would make anew in an empty shop.
    pub restorable: u64,
    /// Points of the cost budget that this would take, about.
    pub cost: f64,
    /// Resources that are kept and cannot be made anew.
    pub archived: u64,
    /// Which, and why.
    pub archives: Vec<Archive>,
    /// Where references lead.
    pub references: References,
    /// What is kept of media.
    pub media: Media,
    /// How long it took.
    pub seconds: f64,
    /// Kind by kind, in the order of restoring.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<KindProof>,
}

/// What a proof found of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KindProof {
    /// Which kind.
    pub kind: Kind,
    /// The moment: the end of its last whole pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Resources that were compared.
    pub compared: u64,
    /// Those of them that hold.
    pub proved: u64,
    /// Why nothing of it could be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unproved: Option<String>,
}

/// A resource that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mismatch {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// What is wrong with it.
    pub why: String,
}

/// Resources that are kept and cannot be made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Archive {
    /// What sort of thing.
    pub kind: Kind,
    /// Why.
    pub why: String,
    /// How many.
    pub resources: u64,
}

/// Where references lead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct References {
    /// References to resources of kinds that were compared.
    pub followed: u64,
    /// What they lead to that was not there. The shop itself had it so: it is no mismatch.
    pub dangling: u64,
    /// The first of these, each with something that refers to it.
    pub first: Vec<Dangling>,
}

/// A reference that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dangling {
    /// What sort of thing refers.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// To what.
    pub to: String,
}

/// What is kept of media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Media {
    /// Different bytes that states name.
    pub named: u64,
    /// Those of them that are not kept, or are no longer what they were.
    pub lost: u64,
    /// Those of them that were read back whole this time.
    pub read: u64,
    /// Their bytes.
    pub read_bytes: u64,
}

impl Proof {
    /// One that was just ordered.
    pub(crate) fn ordered(id: String, by: &str, at: Timestamp) -> Self {
        Self {
            id,
            state: ProofState::Waiting,
            by: by.into(),
            ordered_at: at,
            started_at: None,
            finished_at: None,
            reason: None,
            at: None,
            compared: 0,
            proved: 0,
            moved: 0,
            absent: 0,
            mismatches: 0,
            mismatched: Vec::new(),
            restorable: 0,
            cost: 0.0,
            archived: 0,
            archives: Vec::new(),
            references: References::default(),
            media: Media::default(),
            seconds: 0.0,
            kinds: Vec::new(),
        }
    }

    /// Kinds of which nothing could be compared.
    pub fn unproved(&self) -> usize {
        self.kinds.iter().filter(|kind| kind.unproved.is_some()).count()
    }

    /// Counts a resource that is not as it should be.
    fn mismatch(&mut self, kind: &Kind, id: &ResourceId, why: String) {
        self.mismatches += 1;
        if self.mismatched.len() < MISMATCHES_MAX {
            self.mismatched.push(Mismatch { kind: kind.clone(), id: id.clone(), why });
        }
    }

    /// Counts a resource that is kept and cannot be made anew.
    fn archive(&mut self, kind: &Kind, why: String) {
        self.archived += 1;
        match self.archives.iter_mut().find(|known| known.kind == *kind && known.why == why) {
            Some(known) => known.resources += 1,
            None => self.archives.push(Archive { kind: kind.clone(), why, resources: 1 }),
        }
    }
}
