//! What went together with something, as long as nobody has read it again: no webhook tells of it, and
//! history still has it.

use std::collections::BTreeSet;

use backstock_proto::journal::AsOf;
use backstock_proto::kind::metafield_definition::{self, VALUES_GO_WITHIN};
use backstock_proto::{Kind, ResourceId, Timestamp};

use super::PlanError;
use super::gather::Gather;

/// The kind whose values may go with it.
pub(super) const DEFINITION: &str = "metafield_definition";

impl Gather<'_> {
    /// What a person should know of definitions that are made anew: that their values may have gone as
    /// well, where those were not read since.
    pub(super) async fn unread(&self, anew: &[ResourceId]) -> Result<Option<String>, PlanError> {
        let kind = Kind::parse(DEFINITION).ok();
        let Some((kind, spec)) = kind.and_then(|kind| kind.spec().map(|spec| (kind, spec))) else {
            return Ok(None);
        };
        if anew.is_empty() {
            return Ok(None);
        }
        let status = self.journal.status(self.shop).await?;
        let known = status.map(|status| status.kinds).unwrap_or_default();
        let (mut unread, mut definitions) = (BTreeSet::new(), 0);
        for id in anew {
            let key = self.key(&kind, &self.anew.id_now(spec, id));
            let Some(gone) = self.journal.resource(&key, AsOf::Latest).await? else { continue };
            let of = gone.state["ownerType"].as_str().and_then(metafield_definition::owner);
            let Some(of) = of else { continue };
            let went_by = gone.version.valid_at.as_micros() + VALUES_GO_WITHIN;
            let read = known.iter().find(|known| known.kind.as_str() == of.name);
            let read = read.and_then(|known| known.last_complete_pull.as_ref());
            if read.is_none_or(|read| read.started_at < Timestamp::from_micros(went_by)) {
                unread.insert(of.name);
                definitions += 1;
            }
        }
        let plural = if definitions == 1 { "" } else { "s" };
        let kinds: Vec<String> = unread.iter().map(|name| format!(" --kind {name}")).collect();
        Ok((definitions > 0).then(|| {
            format!(
                "Values may have gone with {definitions} metafield definition{plural}, some minutes \
                 later: no webhook tells of that, and what has them was not read since. Have it read \
                 (`backstock reconcile --shop {}{}`), then plan again.",
                self.shop.name(),
                kinds.concat()
            )
        }))
    }
}
