//! What was read of a kind against what history has of it, bucket by bucket.

use std::collections::HashMap;
use std::io;

use backstock_proto::admin::ask::dated;
use backstock_proto::erase::Erased;
use backstock_proto::journal::Head;
use backstock_proto::kind::pull::Pull;
use backstock_proto::kind::{Personal, Spec};
use backstock_proto::stream::EVENT_BYTES_MAX;
use backstock_proto::{Facet, Kind, ResourceId, Timestamp};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::PullError;
use super::nodes::Nodes;
use super::witness::Deposition;
use crate::media::Editions;
use crate::reconcile::{self, Dated, Finding, Gone, Moves, Seen, Since, Window};
use crate::room::Room;
use crate::spill::{BUCKETS, Buckets, bucket_of, lines};

/// Resources that are told of together: it costs more to hand one on than to compare it.
const TOGETHER: usize = 250;

/// A difference to be published.
pub(super) struct Correction {
    pub(super) id: ResourceId,
    pub(super) facet: Facet,
    pub(super) hash: String,
    pub(super) dated: Dated,
    pub(super) payload: Vec<u8>,
    pub(super) since: Since,
    pub(super) missed: bool,
    /// Whether it tells all of it: where an app may not see whom something is about, bulk results have
    /// nothing in that place, and say nothing of it.
    pub(super) is_whole: bool,
    /// The room that it takes until it is published.
    pub(super) taken: Option<OwnedSemaphorePermit>,
}

/// Heads by resource and facet.
pub(super) type Heads = HashMap<(ResourceId, Facet), Head>;

/// What a bucket gave.
pub(super) enum Found {
    Correction(Correction),
    /// In the shop.
    Resources(Vec<ResourceId>),
    /// Of something that is in the shop a facet was not given.
    LeftOut(Facet),
    /// Of something that is in the shop a facet is more than the stream takes.
    TooLarge(Facet),
    /// In history, not in the shop as far as this pull saw.
    Suspect(Gone),
    Broken(PullError),
}

/// The heads of some facets in a bucket.
pub(super) fn heads_of(
    heads: &Buckets,
    bucket: usize,
    facets: &[Facet],
) -> Result<Heads, PullError> {
    let bytes = heads.read(bucket)?;
    let read = |line| {
        serde_json::from_slice::<Head>(line)
            .map_err(|e| PullError::Unreadable(format!("a head cannot be read: {e}")))
    };
    let mut of_bucket = Heads::new();
    for line in lines(&bytes) {
        let head = read(line)?;
        if facets.contains(&head.facet) {
            of_bucket.insert((head.id.clone(), head.facet), head);
        }
    }
    Ok(of_bucket)
}

/// What is compared.
pub(super) struct Compared<'a> {
    pub(super) spec: &'static Spec,
    pub(super) kind: &'a Kind,
    pub(super) pull: &'a Pull,
    pub(super) nodes: &'a Nodes,
    pub(super) heads: &'a Buckets,
    pub(super) window: Window,
    pub(super) erased: &'a Erased,
    pub(super) room: &'a Room,
}

/// Compares bucket by bucket, until nobody listens.
pub(super) fn compare_all(
    all: &Compared<'_>,
    deposition: &mut Deposition,
    editions: &mut Option<Editions>,
    send: &mpsc::Sender<Found>,
) -> Result<(), PullError> {
    let Compared { spec, kind, pull, nodes, heads, window, erased, room } = *all;
    let finds_gone = pull.facets.contains(&Facet::Core);
    let mut there = Vec::new();
    for bucket in 0..BUCKETS {
        let mut heads = heads_of(heads, bucket, pull.facets)?;
        let lines = nodes.lines(bucket)?;
        for node in nodes.of_lines(pull, &lines)? {
            let mut node = node?;
            let Some(id) = (spec.id)(&node) else {
                return Err(PullError::Unreadable(format!("a {kind} does not say which it is")));
            };
            if bucket_of(&(spec.ask_for)(&id)) != bucket {
                return Err(PullError::Unreadable(format!("{kind} {id} came with another's id")));
            }
            let about = (kind, &id, erased);
            for facet in looked_at(spec, about, pull.facets, &mut node, &heads, window)? {
                facet.put_down(deposition, &id)?;
                if facet.is_too_large {
                    let _nobody_listens = send.blocking_send(Found::TooLarge(facet.facet));
                }
                let Some(mut correction) = facet.correction else { continue };
                correction.taken = room.take(correction.payload.len());
                if send.blocking_send(Found::Correction(correction)).is_err() {
                    return Ok(());
                }
            }
            for facet in left_out(spec, pull.facets, &node) {
                let _nobody_listens = send.blocking_send(Found::LeftOut(facet));
            }
            if finds_gone {
                if let Some(editions) = editions {
                    editions.saw(&id, &node)?;
                }
                let _known = heads.remove(&(id.clone(), Facet::Core));
                there.push(id);
                if there.len() == TOGETHER {
                    let there = std::mem::take(&mut there);
                    let _nobody_listens = send.blocking_send(Found::Resources(there));
                }
            }
        }
        for ((id, _), head) in heads.into_iter().filter(|((_, facet), _)| *facet == Facet::Core) {
            if finds_gone && reconcile::is_suspect(&head, window) {
                let gone = Gone { id, last_seen: head.valid_at };
                let _nobody_listens = send.blocking_send(Found::Suspect(gone));
            }
        }
    }
    let _nobody_listens = send.blocking_send(Found::Resources(there));
    Ok(())
}

/// The facets that a node was to bring and did not: something of them goes on beyond what was read, or may
/// not be seen.
pub(super) fn left_out(
    spec: &'static Spec,
    facets: &[Facet],
    node: &Value,
) -> impl Iterator<Item = Facet> {
    let wanted = spec.facets.iter().filter(move |members| facets.contains(&members.facet));
    wanted.filter(move |members| !members.is_given(node)).map(|members| members.facet)
}

/// A facet as it was seen, held against history.
pub(super) struct LookedAt {
    pub(super) facet: Facet,
    hash: String,
    /// Whether history is to say the same: it has not learned something newer meanwhile.
    vouched: bool,
    /// Whether it is otherwise than in history and stays so, since the stream does not take as much.
    pub(super) is_too_large: bool,
    /// What history has not, or has otherwise.
    pub(super) correction: Option<Correction>,
}

impl LookedAt {
    /// Puts down that it was seen.
    pub(super) fn put_down(&self, deposition: &mut Deposition, id: &ResourceId) -> io::Result<()> {
        deposition.saw(id, self.facet, self.vouched.then_some(&self.hash))
    }
}

/// The facets of a node, each held against what history has of it. A facet of which a member is
/// missing was not given, and says nothing. What was erased is not learned again. The node is as before,
/// unless this fails.
pub(super) fn looked_at(
    spec: &Spec,
    (kind, id, erased): (&Kind, &ResourceId, &Erased),
    facets: &[Facet],
    node: &mut Value,
    heads: &Heads,
    window: Window,
) -> Result<Vec<LookedAt>, PullError> {
    let mut all = Vec::new();
    if spec.personal == Personal::Subject && erased.has(kind, id) {
        return Ok(all);
    }
    let resource = dated(node);
    for members in spec.facets.iter().filter(|members| facets.contains(&members.facet)) {
        let facet = members.facet;
        let Some(lent) = members.lend(node) else { continue };
        let left = erased.left_of(kind, id, &lent);
        let part = left.as_ref().unwrap_or(&lent);
        let hash = kind
            .hash_of_part(spec, (facet, id), part)
            .map_err(|e| PullError::Unreadable(format!("{kind} {id}: {e}")))?
            .to_hex();
        let moves = match facet {
            Facet::Core => Moves::Always,
            _ if window.is_asked || spec.told.contains(&facet) => Moves::Told,
            _ => Moves::Perhaps,
        };
        let dated = Dated { resource, moves, part: dated_within(part) };
        let window = match facet {
            Facet::Core => window,
            // Whether there is such a part at all may have changed with us.
            _ => Window::at(window.started),
        };
        let seen = Seen { hash: &hash, dated };
        let finding = reconcile::compare(&seen, heads.get(&(id.clone(), facet)), window);
        let since = match finding {
            Finding::Same | Finding::Newer => None,
            Finding::Missed(since) => Some((since, true)),
            Finding::Changed(since) => Some((since, false)),
        };
        let mut correction = since.map(|(since, missed)| {
            let (id, hash, payload) = (id.clone(), hash.clone(), part.to_string().into_bytes());
            let is_whole = facet != Facet::Core || tells_all(spec, part);
            let taken = None;
            Correction { id, facet, hash, dated, payload, since, missed, is_whole, taken }
        });
        members.give_back(lent, node);
        let is_whole = correction.as_ref().is_none_or(|correction| correction.is_whole);
        let is_too_large = correction.take_if(|one| one.payload.len() > EVENT_BYTES_MAX).is_some();
        let vouched = finding != Finding::Newer && is_whole && !is_too_large;
        all.push(LookedAt { facet, hash, vouched, is_too_large, correction });
    }
    Ok(all)
}

/// Whether a core has everything that there is to it.
fn tells_all(spec: &Spec, core: &Value) -> bool {
    (spec.node)(Facet::Core, core).is_ok_and(|state| (spec.is_whole)(&state))
}

/// When the newest metafield within a part says that it was last changed.
fn dated_within(part: &Value) -> Option<Timestamp> {
    let variants = part["variantDetails"].as_array().into_iter().flatten();
    let owners = std::iter::once(part).chain(variants);
    let metafields = owners.filter_map(|owner| owner["metafields"].as_array()).flatten();
    metafields.filter_map(dated).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_stream_does_not_take_is_left_as_history_has_it_and_nothing_fails() {
        let kind = Kind::parse("theme").expect("a kind");
        let spec = kind.spec().expect("it is understood");
        let id = ResourceId::parse("7").expect("an id");
        let looked = |name: String| {
            let gid = "gid://shopify/OnlineStoreTheme/7";
            let mut node = json!({"id": gid, "name": name, "role": "MAIN", "processing": false});
            let (about, window) = (&Erased::default(), Window::at(Timestamp::MIN));
            let about = (&kind, &id, about);
            looked_at(spec, about, &[Facet::Core], &mut node, &Heads::new(), window)
        };
        let told = |name: String| {
            let looked = looked(name).expect("it can be read").pop().expect("a facet");
            (looked.correction.is_some(), looked.is_too_large, looked.vouched)
        };
        assert_eq!(told("Dawn".to_owned()), (true, false, true));
        assert_eq!(told("a".repeat(EVENT_BYTES_MAX)), (false, true, false));
    }
}
