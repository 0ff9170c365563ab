//! How much there is, from the tallies: no scan.

use backstock_proto::journal::{Gap, JournalError, KindStatus, ShopStatus, ShopSummary};
use backstock_proto::{Kind, Shop, Timestamp};

use super::{View, current};
use crate::keys::meta;
use crate::options::Family;
use crate::quarantine;
use crate::record::RecordError;
use crate::store::{At, Store, StoreError};
use crate::tally::{KindTally, ShopTally};

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
        let Some(tally) = self.get(Family::Meta, &meta::shop(shop))? else { return Ok(None) };
        let tally = ShopTally::from_bytes(&tally).at(|| format!("tally of {shop}"))?;
        let kinds = self.kinds(shop)?;
        let mut gaps: Vec<Gap> = Vec::new();
        self.each_meta(meta::GAPS, |_, value| {
            gaps.push(quarantine::gap_from_bytes(value)?);
            Ok(())
        })?;
        Ok(Some(ShopStatus {
            summary: summary(shop.clone(), &tally, &kinds, lag_seconds),
            kinds: kinds.into_iter().map(|(kind, tally)| kind_status(kind, &tally)).collect(),
            gaps,
            quarantined: tally.quarantined,
        }))
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

fn kind_status(kind: Kind, tally: &KindTally) -> KindStatus {
    KindStatus {
        resources: tally.living,
        deleted: tally.deleted,
        versions: tally.versions,
        newest_version: (tally.versions > 0).then_some(tally.newest_valid_at),
        understood: kind.spec().is_some(),
        pull: None,
        last_complete_pull: None,
        not_covered: kind
            .spec()
            .map(|spec| spec.not_covered.into())
            .filter(|s: &String| !s.is_empty()),
        kind,
    }
}
