//! A resource that a plan may be about, before any state of it is read.

use std::sync::Arc;

use backstock_proto::journal::Began;
use backstock_proto::kind::Spec;
use backstock_proto::{Kind, ResourceId};

use super::Action;
use super::ours::Did;
use crate::change_set::Undone;

/// A resource that a plan may be about. There may be hundreds of thousands at once: what few of them have
/// is in a box.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) spec: &'static Spec,
    pub(crate) kind: Kind,
    pub(crate) id: ResourceId,
    /// Whether it was there before what is taken back.
    pub(crate) before: bool,
    /// Whether it was there after it.
    pub(crate) after: bool,
    /// How it began within what is taken back.
    pub(crate) began: Option<Box<Began>>,
    /// Of a list of versions: its own, in order.
    pub(crate) seqs: Box<[u64]>,
    /// Those that it has under ids of before, the last one first.
    pub(crate) earlier: Box<[Earlier]>,
    /// What a job did to it.
    pub(crate) did: Option<Arc<Did>>,
    /// Something new that has its natural key.
    pub(crate) taken_by: Option<Box<ResourceId>>,
    /// Whether it has the natural key of something that is made anew, and has to go first.
    pub(crate) frees: bool,
}

/// Versions of a resource under an id that it had.
pub(crate) type Earlier = (ResourceId, Box<[u64]>);

impl Candidate {
    /// `None` for a kind that is only kept as received.
    pub(crate) fn new(kind: Kind, id: ResourceId) -> Option<Self> {
        let spec = kind.spec()?;
        let (seqs, earlier) = (Box::default(), Box::default());
        let (before, after, frees) = (true, true, false);
        let (began, did, taken_by) = (None, None, None);
        Some(Self { spec, kind, id, before, after, began, seqs, earlier, did, taken_by, frees })
    }

    /// What a job wrote.
    pub(super) fn of_did(did: &Arc<Did>) -> Option<Self> {
        let candidate = Self::new(did.row.kind.clone(), did.id.clone())?;
        let (before, after) = (did.row.action != Action::Create, did.row.action != Action::Delete);
        Some(Self { before, after, did: Some(did.clone()), ..candidate })
    }

    /// Of a list of versions.
    pub(super) fn of_versions(of: &Undone) -> Option<Self> {
        let candidate = Self::new(of.kind.clone(), of.id.clone())?;
        let mut seqs = of.seqs.clone();
        seqs.sort_unstable();
        Some(Self { seqs: seqs.into(), before: !of.made, after: !of.gone, ..candidate })
    }
}
