//! A plan from an export: what it holds is wanted, whatever happened since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use backstock_proto::blob::BlobHash;
use backstock_proto::journal::AsOf;
use backstock_proto::problem::Problem;
use backstock_proto::{Kind, ResourceId, ResourceKey, Shop};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use serde_json::Value;
use tokio::sync::mpsc;

use super::PlanError;
use super::consequence::{SETTINGS_STAY, leading_nowhere, not_brought_in};
use super::gather::Anew;
use super::row::{Policy, Subject};
use super::stock;
use super::undo::Run;
use crate::Desk;
use crate::export::adopt::{self, Adopted, Stays};
use crate::export::unpack::{Entry, Pieces, UnpackError, unpack};
use crate::export::{EXPORT, Exported, Import};
use crate::record;

/// Resources that are read ahead of their use.
const AHEAD: usize = 64;

/// What is wrong with the storage is the log's to say, not the caller's to hear.
fn unreadable(shop: &Shop, error: &dyn std::fmt::Display) -> PlanError {
    tracing::error!(%shop, %error, "failed to read an export");
    let detail = "the file of the export could not be read; the restorer's log says why";
    PlanError::Refused(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
}

/// An export, and what of it is in the shop.
pub(crate) struct Foreign<'a> {
    desk: &'a Desk,
    shop: &'a Shop,
    hash: BlobHash,
    /// Kinds of which it holds something. Of others it does not say that there are none: whoever made
    /// it may not have been allowed to see them.
    kinds: BTreeSet<Kind>,
    adopted: Adopted,
    /// What of it cannot be brought into this shop, as far as it was asked for.
    left: Mutex<Left>,
}

/// What of an export stays outside.
#[derive(Default)]
struct Left {
    /// How many of each kind, and why.
    resources: BTreeMap<Stays, BTreeMap<Kind, u64>>,
    /// References that lead to nothing here, and how many resources have them.
    references: (u64, u64),
    /// Whether it holds the settings of another shop.
    settings: bool,
}

impl<'a> Foreign<'a> {
    /// Finds the resources of an export in the shop.
    pub(crate) async fn open(
        desk: &'a Desk,
        shop: &'a Shop,
        id: &str,
        (anew, policy): (&dyn Anew, &Policy),
    ) -> Result<Self, PlanError> {
        let missing = || {
            PlanError::Missing(format!(
                "{shop} has no export {:?}; `backstock import --shop {} FILE` brings one in",
                id.chars().take(100).collect::<String>(),
                shop.name()
            ))
        };
        let import: Option<Import> = record::get(desk.journal.as_ref(), shop, (EXPORT, id)).await?;
        let import = import.ok_or_else(missing)?;
        let hash = import.id.parse().map_err(|_| missing())?;
        let mut adopted = Adopted::new(shop, &import.manifest.shop);
        let mut living = desk.journal.snapshot(shop, AsOf::Latest, None).await?;
        while let Some(resource) = living.next().await.transpose()? {
            adopted.there(&resource.kind, &resource.id, &resource.state);
        }
        let kinds = import.manifest.kinds.into_keys().collect();
        let mut foreign = Self { desk, shop, hash, kinds, adopted, left: Mutex::default() };
        let mut exported = foreign.read();
        while let Some(exported) = exported.recv().await {
            foreign.take(&exported?, anew, policy).await?;
        }
        Ok(foreign)
    }

    /// Finds what stands for a resource of the export, or takes note that the plan makes it.
    async fn take(
        &mut self,
        exported: &Exported,
        anew: &dyn Anew,
        policy: &Policy,
    ) -> Result<(), PlanError> {
        match self.adopted.find(exported, anew) {
            Some(found) if self.adopted.has_parts(exported) => {
                let key = self.key(&exported.kind, &found);
                let there = self.desk.journal.resource(&key, AsOf::Latest).await?;
                if let Some(there) = there {
                    self.adopted.find_parts(exported, &there.state, anew);
                }
            }
            None if self.is_made(exported, policy) => self.adopted.comes(exported),
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Whether the plan makes something anew that is not here.
    fn is_made(&self, exported: &Exported, policy: &Policy) -> bool {
        let Exported { kind, id, state, .. } = exported;
        let Some(spec) = kind.spec() else { return false };
        policy.modes.create
            && !policy.selection.has_fields()
            && policy.selection.has(kind, id)
            && policy.selection.has_text(id, &kind.listing(state))
            && spec.writable.stays().is_none()
            && self.adopted.stays(spec, exported).is_none()
    }

    /// The export's resources, one by one, in the order in which they are restored.
    fn read(&self) -> mpsc::Receiver<Result<Exported, PlanError>> {
        let (send, receive) = mpsc::channel(AHEAD);
        let (blobs, shop, hash) = (self.desk.blobs.clone(), self.shop.clone(), self.hash);
        tokio::spawn(async move {
            let failed =
                |why: String| PlanError::Missing(format!("export {hash} of {shop}: {why}"));
            let file = match blobs.read(&shop, hash).await {
                Ok(Some(reading)) => reading.pieces.map_err(std::io::Error::other),
                Ok(None) => {
                    let gone = failed("its file is no longer kept; import it again".into());
                    return drop(send.send(Err(gone)).await);
                }
                Err(error) => return drop(send.send(Err(unreadable(&shop, &error))).await),
            };
            let file = Pieces::of(file);
            let sender = send.clone();
            let read = tokio::task::spawn_blocking(move || {
                unpack(file, |entry| match entry {
                    Entry::Resource(exported) => sender
                        .blocking_send(Ok(*exported))
                        .map_err(|_| UnpackError::Wrong("nobody reads any more".into())),
                    Entry::Medium(..) => Ok(()),
                })
            });
            let outcome = match read.await {
                Ok(Ok(_)) => return,
                Ok(Err(UnpackError::Wrong(why))) => failed(why),
                Ok(Err(error @ UnpackError::Newer(_))) => failed(error.to_string()),
                Ok(Err(error)) => unreadable(&shop, &error),
                Err(error) => unreadable(&shop, &error),
            };
            let _nobody_reads = send.send(Err(outcome)).await;
        });
        receive
    }

    /// Every selected resource of the export, what is counted of variants and may come along, and where
    /// deleting is asked for those of the shop that the export does not hold.
    pub(crate) fn subjects<'p>(
        &'p self,
        policy: &'p Policy,
    ) -> BoxStream<'p, Result<Subject, PlanError>> {
        let exported = futures::stream::unfold(self.read(), async |mut exported| {
            exported.recv().await.map(|found| (found, exported))
        });
        let subjects = exported.try_filter_map(async |exported| {
            let found = self.adopted.found(&exported);
            let selected = policy.selection.has(&exported.kind, &exported.id)
                || found.as_ref().is_some_and(|id| policy.selection.has(&exported.kind, id));
            match selected || found.is_none() && stock::may_come_along(&exported.kind) {
                true => self.subject(exported, found, (policy, selected)).await,
                false => Ok(None),
            }
        });
        match policy.modes.delete_new {
            true => subjects.chain(self.beyond(policy)).boxed(),
            false => subjects.boxed(),
        }
    }

    /// What of it could not be brought in, once all subjects were read.
    pub(crate) fn left(&self) -> Vec<String> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut said = not_brought_in(&left.resources);
        said.extend(leading_nowhere(left.references));
        said.extend(left.settings.then(|| SETTINGS_STAY.to_owned()));
        said
    }

    async fn subject(
        &self,
        exported: Exported,
        found: Option<ResourceId>,
        (policy, selected): (&Policy, bool),
    ) -> Result<Option<Subject>, PlanError> {
        let Some(spec) = exported.kind.spec() else { return Ok(None) };
        let stays = self.adopted.stays(spec, &exported).filter(|_| found.is_none());
        let Exported { kind, id, state, .. } = exported;
        let is_asked = selected && policy.selection.has_text(&id, &kind.listing(&state));
        if let Some(why) = stays {
            if is_asked && spec.writable.stays().is_none() {
                let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
                *left.resources.entry(why).or_default().entry(kind).or_default() += 1;
            }
            return Ok(None);
        }
        let there = match &found {
            Some(found) => {
                self.desk.journal.resource(&self.key(&kind, found), AsOf::Latest).await?
            }
            None => None,
        };
        let there = there.filter(|there| !there.deleted);
        let seen = there.as_ref().map(|there| there.version.seq);
        let now = there.map(|there| there.state).unwrap_or_default();
        let (before, references) = self.adopted.translated(&kind, &state, &now);
        if is_asked && references > 0 {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            left.references.0 += references;
            left.references.1 += 1;
        }
        if is_asked && kind.as_str() == "shop" && self.adopted.is_of_another() {
            self.left.lock().unwrap_or_else(PoisonError::into_inner).settings = true;
        }
        Ok(Some(Subject {
            spec,
            kind,
            id: found.or_else(|| adopt::id_here(spec, &before)).unwrap_or(id),
            runs: vec![Run { before, after: now.clone() }],
            now,
            of: None,
            made_since: false,
            seen,
            taken_by: None,
            // What was not selected is read for that alone.
            comes_along: !selected,
        }))
    }

    /// What the shop has and the export has not, of the kinds that could have come from it.
    fn beyond<'p>(
        &'p self,
        policy: &'p Policy,
    ) -> impl Stream<Item = Result<Subject, PlanError>> + Send + 'p {
        let living = self.desk.journal.snapshot(self.shop, AsOf::Latest, None);
        let living = futures::stream::once(living).try_flatten().map_err(PlanError::from);
        living.try_filter_map(async |resource| {
            let (kind, id, now) = (resource.kind, resource.id, resource.state);
            let Some(spec) = kind.spec() else { return Ok(None) };
            let told = self.kinds.contains(&kind) && self.adopted.tells_of(spec);
            let claimed = self.adopted.is_claimed(&kind, &id);
            if !told || claimed || !policy.selection.has(&kind, &id) {
                return Ok(None);
            }
            let runs = vec![Run { before: Value::Null, after: now.clone() }];
            let seen = Some(resource.version.seq);
            Ok(Some(Subject {
                spec,
                kind,
                id,
                now,
                runs,
                of: None,
                made_since: true,
                seen,
                taken_by: None,
                comes_along: false,
            }))
        })
    }

    fn key(&self, kind: &Kind, id: &ResourceId) -> ResourceKey {
        ResourceKey { shop: self.shop.clone(), kind: kind.clone(), id: id.clone() }
    }
}
