//! How much there is, from the tallies: no scan.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use backstock_proto::journal::{
    Gap, Healing, JournalError, KindStatus, MEDIA, MediaReport, PAGE_LIMIT_MAX, PULL, Page,
    PullReport, PullState, ShopStatus, ShopSummary,
};
use backstock_proto::kind::{FEW_MAX, GLIMPSED_MAX, Heard};
use backstock_proto::{Kind, Shop, Timestamp};

use super::{View, current};
use crate::keys::meta;
use crate::ops;
use crate::options::Family;
use crate::quarantine;
use crate::record::RecordError;
use crate::store::{At, Store, StoreError};
use crate::tally::{KindTally, ShopTally};

/// Reports of a kind's pulls that are read together: mostly the newest are enough.
const REPORTS_TOGETHER: usize = 16;

/// The ends of a gap, and when it was healed.
type HealedGap = ((u64, u64), Timestamp);

/// What the complete pulls of a kind healed, as far as their reports were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Healed {
    /// The newest report that was read.
    seq: u64,
    /// Newest first.
    gaps: Vec<HealedGap>,
}

impl View<'_> {
    /// The shops that have any history, by name.
    pub(crate) fn shops(&self, lag_seconds: f64) -> Result<Vec<ShopSummary>, JournalError> {
        let mut shops = Vec::new();
        self.each_meta(meta::SHOPS, |key, value| {
            let shop = Shop::from_name(meta::last_text(key)?).map_err(|_| RecordError::Key)?;
            shops.push((shop, ShopTally::from_bytes(value)?));
            Ok(())
        })?;
        shops
            .into_iter()
            .map(|(shop, tally)| {
                let kinds = self.kinds(&shop)?;
                Ok(summary(shop, &tally, &kinds, lag_seconds))
            })
            .collect()
    }

    /// One shop, per kind. `None` if it has no history.
    pub(crate) fn status(
        &self,
        shop: &Shop,
        lag_seconds: f64,
    ) -> Result<Option<ShopStatus>, JournalError> {
        let tally = self.get(Family::Meta, &meta::shop(shop))?;
        let mut pulls = self.pulls(shop)?;
        if tally.is_none() && pulls.is_empty() {
            return Ok(None);
        }
        let tally = tally.as_deref().map(ShopTally::from_bytes).transpose();
        let tally = tally.at(|| format!("tally of {shop}"))?.unwrap_or_default();
        let tallies = self.kinds(shop)?;
        let summary = summary(shop.clone(), &tally, &tallies, lag_seconds);
        let mut kinds: BTreeMap<Kind, KindTally> = tallies.into_iter().collect();
        for kind in pulls.keys() {
            kinds.entry(kind.clone()).or_default();
        }
        let mut gaps: Vec<Gap> = Vec::new();
        self.each_meta(meta::GAPS, |_, value| {
            gaps.push(quarantine::gap_from_bytes(value)?);
            Ok(())
        })?;
        let mut whole = BTreeMap::new();
        for (kind, newest) in &pulls {
            if let Some(complete) = self.last_complete(shop, newest)? {
                whole.insert(kind.clone(), complete);
            }
        }
        self.heal(shop, &whole, &mut gaps)?;
        let mut media = self.media(shop)?;
        let kinds = kinds.into_iter().map(|(kind, tally)| {
            let (media, pull) = (media.remove(&kind), pulls.remove(&kind));
            let complete = whole.remove(&kind);
            KindStatus { media, ..kind_status(kind, &tally, pull, complete) }
        });
        Ok(Some(ShopStatus {
            summary,
            kinds: kinds.collect(),
            gaps,
            quarantined: tally.quarantined,
        }))
    }

    /// What the newest pull of each kind says of itself.
    fn pulls(&self, shop: &Shop) -> Result<BTreeMap<Kind, PullReport>, JournalError> {
        let mut pulls = BTreeMap::new();
        self.each_report(shop, None, |_, report| {
            pulls.insert(report.kind.clone(), report);
            true
        })?;
        Ok(pulls)
    }

    /// What is said of the bytes of each kind's media.
    fn media(&self, shop: &Shop) -> Result<BTreeMap<Kind, MediaReport>, JournalError> {
        let page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        let records = self.records(shop, MEDIA, None, &page)?.items.into_iter();
        let reports = records.filter_map(|r| serde_json::from_value(r.payload).ok());
        Ok(reports.map(|report: MediaReport| (report.kind.clone(), report)).collect())
    }

    /// The newest pull that read everything.
    fn last_complete(
        &self,
        shop: &Shop,
        newest: &PullReport,
    ) -> Result<Option<PullReport>, JournalError> {
        if newest.state == PullState::Complete {
            return Ok(Some(newest.clone()));
        }
        let id = newest.kind.as_str();
        if let Some(noted) = self.get(Family::Meta, &meta::whole(shop, id))? {
            let seq = ops::whole_from_bytes(&noted).at(|| format!("last pull of {shop} {id}"))?;
            let record = seq.map(|seq| self.record(shop, (PULL, id, seq))).transpose()?;
            return Ok(record.and_then(|record| serde_json::from_value(record.payload).ok()));
        }
        let mut complete = None;
        self.each_report(shop, Some(&newest.kind), |_, report| {
            complete = Some(report).filter(|report| report.state == PullState::Complete);
            complete.is_none()
        })?;
        Ok(complete)
    }

    /// Says which kinds were read anew since each gap. It is healed when all are that ever were read
    /// whole: of the others a gap hides no more than is not known anyway.
    fn heal(
        &self,
        shop: &Shop,
        whole: &BTreeMap<Kind, PullReport>,
        gaps: &mut [Gap],
    ) -> Result<(), JournalError> {
        let Some(oldest) = gaps.iter().map(|gap| gap.from_seq).min() else { return Ok(()) };
        for kind in whole.keys() {
            let healed = self.healed(shop, kind, oldest)?;
            for gap in gaps.iter_mut() {
                let has = |(from, to): (u64, u64)| from <= gap.from_seq && gap.to_seq <= to;
                // Newest first: the last one is the pull that healed it.
                let healing = healed.iter().rev().find(|(ends, _)| has(*ends));
                let healing = healing.map(|(_, at)| Healing { kind: kind.clone(), at: *at });
                gap.healed_by.extend(healing);
            }
        }
        for gap in gaps {
            let is_read = |kind: &Kind| gap.healed_by.iter().any(|by| by.kind == *kind);
            gap.healed = !whole.is_empty() && whole.keys().all(is_read);
        }
        Ok(())
    }

    /// The gaps that a kind's complete pulls healed, and when, newest first. A report is read once: there
    /// are more every day.
    fn healed(
        &self,
        shop: &Shop,
        kind: &Kind,
        oldest: u64,
    ) -> Result<Vec<HealedGap>, JournalError> {
        let of = (shop.clone(), kind.clone());
        let all = || self.store.healed.lock().unwrap_or_else(PoisonError::into_inner);
        let Healed { seq: known, gaps: before } = all().get(&of).cloned().unwrap_or_default();
        let (mut newest, mut gaps) = (known, Vec::new());
        self.each_report(shop, Some(kind), |seq, report| {
            if seq > known && report.state == PullState::Complete {
                let at = report.finished_at.unwrap_or(report.started_at);
                gaps.extend(report.healed_gaps.iter().map(|ends| (*ends, at)));
            }
            newest = newest.max(seq);
            // What was said before knows of no gap.
            seq > oldest.max(known)
        })?;
        gaps.extend(before);
        all().insert(of, Healed { seq: newest, gaps: gaps.clone() });
        Ok(gaps)
    }

    /// Calls `each` with the reports of a kind's pulls, or with the newest of each kind, newest
    /// first, until it says stop. What is no such report is passed over.
    fn each_report(
        &self,
        shop: &Shop,
        kind: Option<&Kind>,
        mut each: impl FnMut(u64, PullReport) -> bool,
    ) -> Result<(), JournalError> {
        let limit = if kind.is_some() { REPORTS_TOGETHER } else { PAGE_LIMIT_MAX };
        let mut page = Page { limit, cursor: None };
        loop {
            let list = self.records(shop, PULL, kind.map(Kind::as_str), &page)?;
            for record in list.items {
                let report = serde_json::from_value::<PullReport>(record.payload);
                let report = report.ok().filter(|report| report.kind.as_str() == record.id);
                if report.is_some_and(|report| !each(record.seq, report)) {
                    return Ok(());
                }
            }
            page.cursor = list.next;
            if page.cursor.is_none() {
                return Ok(());
            }
        }
    }

    fn kinds(&self, shop: &Shop) -> Result<Vec<(Kind, KindTally)>, JournalError> {
        let mut kinds = Vec::new();
        self.each_meta(&meta::kinds_of(shop), |key, value| {
            let kind = Kind::parse(meta::last_text(key)?).map_err(|_| RecordError::Key)?;
            kinds.push((kind, KindTally::from_bytes(value)?));
            Ok(())
        })?;
        Ok(kinds)
    }

    /// Calls `each` with every entry of `meta` that begins with `prefix`.
    pub(crate) fn each_meta(
        &self,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), RecordError>,
    ) -> Result<(), StoreError> {
        let mut entries = self.entries(Family::Meta, prefix);
        entries.seek(prefix);
        while let Some((key, value)) = current(&entries, prefix)? {
            each(key, value).at(|| "meta".into())?;
            entries.next();
        }
        Ok(())
    }
}

impl Store {
    pub(crate) fn each_meta(
        &self,
        prefix: &[u8],
        each: impl FnMut(&[u8], &[u8]) -> Result<(), RecordError>,
    ) -> Result<(), StoreError> {
        View::of(self).each_meta(prefix, each)
    }

    /// The shops that have any history, by name.
    pub(crate) fn shop_names(&self) -> Result<Vec<Shop>, StoreError> {
        let mut shops = Vec::new();
        self.each_meta(meta::SHOPS, |key, _| {
            shops.push(Shop::from_name(meta::last_text(key)?).map_err(|_| RecordError::Key)?);
            Ok(())
        })?;
        Ok(shops)
    }
}

fn summary(
    shop: Shop,
    tally: &ShopTally,
    kinds: &[(Kind, KindTally)],
    lag_seconds: f64,
) -> ShopSummary {
    let received = tally.newest_received_at;
    ShopSummary {
        shop,
        resources: kinds.iter().map(|(_, tally)| tally.living).sum(),
        versions: kinds.iter().map(|(_, tally)| tally.versions).sum(),
        newest_received_at: (received > Timestamp::MIN).then_some(received),
        lag_seconds,
    }
}

fn kind_status(
    kind: Kind,
    tally: &KindTally,
    pull: Option<PullReport>,
    last_complete_pull: Option<PullReport>,
) -> KindStatus {
    let heard = match kind.heard() {
        Heard::Hour if tally.living > FEW_MAX => Heard::Nightly,
        Heard::Mostly if tally.living > GLIMPSED_MAX => Heard::Nightly,
        heard => heard,
    };
    let not_covered = kind.spec().map(|spec| spec.not_covered).filter(|said| !said.is_empty());
    KindStatus {
        resources: tally.living,
        deleted: tally.deleted,
        versions: tally.versions,
        newest_version: (tally.versions > 0).then_some(tally.newest_valid_at),
        understood: kind.spec().is_some(),
        heard,
        pull,
        last_complete_pull,
        media: None,
        not_covered: not_covered.map(Into::into),
        kind,
    }
}
