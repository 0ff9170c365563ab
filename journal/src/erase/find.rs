//! What speaks of a person.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use backstock_proto::erase::{
    Concerned, ConcernedResource, ERASED_MESSAGES, ERASURE, Erased, Seeker, sweep, telling,
};
use backstock_proto::{Facet, Kind, ResourceId, ResourceKey, Shop, Timestamp, media};
use serde_json::Value;

use crate::append::shown;
use crate::decode::Message;
use crate::keys::{self, meta, ops as ops_keys};
use crate::ops;
use crate::options::Family;
use crate::quarantine;
use crate::read::{View, current};
use crate::record::{Body, Record};
use crate::store::{At, Store, StoreError};

const CUSTOMER: &str = "customer";
const ORDER: &str = "order";

/// What speaks of a person, and by what else the person is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Resources, with how many versions they have.
    pub(super) resources: BTreeMap<(Kind, ResourceId), u64>,
    /// Texts that tell who it is, wherever they stand.
    pub(super) telling: BTreeSet<String>,
}

impl Found {
    /// The same, as what is to be recognised.
    pub(super) fn erased(&self) -> Erased {
        let mut erased = Erased::default();
        for (kind, id) in self.resources.keys() {
            erased.add(kind.clone(), id.clone());
        }
        erased
    }
}

impl View<'_> {
    /// Reads everything in a shop that may speak of people.
    pub(super) fn speaking_of(
        &self,
        shop: &Shop,
        customer: &ResourceId,
        orders: &[ResourceId],
    ) -> Result<Found, StoreError> {
        let mut seeker = Seeker {
            customers: [customer.clone()].into(),
            orders: orders.iter().cloned().collect(),
            ..Seeker::default()
        };
        let mut found = Found::default();
        let kinds: Vec<Kind> = self.kinds_of(shop)?;
        let kinds = kinds.into_iter().filter(Kind::may_speak_of_people);
        let (of_orders, mut others): (Vec<Kind>, Vec<Kind>) =
            kinds.partition(Kind::belongs_to_orders);
        // The customer tells by what else to look for, and orders what belongs to them.
        others.sort_by_key(|kind| kind.as_str() != CUSTOMER);
        for kind in others.into_iter().chain(of_orders) {
            self.look_through(shop, &kind, &mut seeker, &mut found)?;
        }
        Ok(found)
    }

    fn look_through(
        &self,
        shop: &Shop,
        kind: &Kind,
        seeker: &mut Seeker,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let prefix = keys::of_kind(shop, kind);
        let mut entries = self.scan_of(Family::Versions, &prefix);
        entries.seek(&prefix);
        let mut resource: Vec<u8> = Vec::new();
        let (mut versions, mut speaks) = (0, false);
        let mut tells = BTreeSet::new();
        let mut id = ResourceId::unknown();
        loop {
            let entry = current(&entries, &prefix)?;
            let goes_on =
                entry.is_some_and(|(key, _)| !resource.is_empty() && key.starts_with(&resource));
            if !goes_on && !resource.is_empty() {
                if speaks {
                    if kind.as_str() == ORDER {
                        seeker.orders.insert(id.clone());
                    }
                    found.resources.insert((kind.clone(), id.clone()), versions);
                    found.telling.append(&mut tells);
                }
                (versions, speaks) = (0, false);
                tells.clear();
            }
            let Some((key, value)) = entry else { return Ok(()) };
            let (facet, _) = keys::split(key).at(|| shown(key))?;
            if !goes_on {
                let (of, _) = keys::parse_facet(facet).at(|| shown(key))?;
                resource = keys::of_resource(&of);
                id = of.id;
            }
            versions += 1;
            let record = Record::read(value).at(|| shown(key))?;
            if let Body::Own(_) = record.body {
                let payload = record.body.payload().at(|| shown(key))?;
                let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
                if seeker.finds(kind, &id, &payload) {
                    speaks = true;
                    if kind.as_str() == CUSTOMER {
                        emails(&payload, &mut seeker.emails);
                    }
                }
                tells.extend(telling(kind, &payload));
            }
            entries.next();
        }
    }

    /// The kinds that a shop has versions of.
    fn kinds_of(&self, shop: &Shop) -> Result<Vec<Kind>, StoreError> {
        let mut kinds = Vec::new();
        self.each_meta(&meta::kinds_of(shop), |key, _| {
            let kind = Kind::parse(meta::last_text(key)?);
            kinds.push(kind.map_err(|_| crate::record::RecordError::Key)?);
            Ok(())
        })?;
        Ok(kinds)
    }

    /// Records that speak of a person, each with what is left of it.
    pub(super) fn records_of(
        &self,
        shop: &Shop,
        erased: &Erased,
        telling: &BTreeSet<String>,
        mut each: impl FnMut(&[u8], &[u8], Value) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let mut records = 0;
        self.each_of(Family::Ops, &keys::of_shop(shop), |key, value| {
            let (said, seq) = ops_keys::split(key).at(|| shown(key))?;
            if !ops_keys::is_newest(said) {
                let (_, what, id) = ops_keys::parse(said).at(|| shown(key))?;
                if !matches!(what, ERASURE | ERASED_MESSAGES) {
                    let record = ops::said_from_bytes(value, (what, id, seq));
                    let mut payload = record.at(|| shown(key))?.payload;
                    if sweep(&mut payload, erased, telling) {
                        if what == AUDIT {
                            // Its place in the chain stays; what it says is not what was hashed.
                            payload["erased"] = true.into();
                        }
                        records += 1;
                        each(key, value, payload)?;
                    }
                }
            }
            Ok(())
        })?;
        Ok(records)
    }

    /// Messages kept aside that speak of a person.
    pub(super) fn quarantined_of(
        &self,
        shop: &Shop,
        (customer, erased): (&ResourceId, &Erased),
        telling: &BTreeSet<String>,
        mut each: impl FnMut(&[u8], String, Message) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let mut entries = self.entries(Family::Meta, meta::QUARANTINE);
        entries.seek(meta::QUARANTINE);
        let mut messages = 0;
        while let Some((key, value)) = current(&entries, meta::QUARANTINE)? {
            let seq = meta::number(key).at(|| shown(key))?;
            let kept = quarantine::from_bytes(seq, value).at(|| shown(key))?;
            let of = backstock_proto::stream::parse_event_subject(&kept.message.subject);
            let its_own = quarantine::shop_of(&kept.message.subject).as_ref() == Some(shop);
            let text = String::from_utf8_lossy(&kept.message.payload);
            let speaks = its_own
                && !text.is_empty()
                && (of.is_some_and(|of| erased.has(&of.kind, &of.id))
                    || text.contains(customer.as_str())
                    || telling.iter().any(|telling| text.contains(telling.as_str())));
            if speaks {
                messages += 1;
                each(key, kept.reason, kept.message)?;
            }
            entries.next();
        }
        Ok(messages)
    }

    /// What an erasure would reach.
    pub(crate) fn concerned(
        &self,
        shop: &Shop,
        customer: Option<&ResourceId>,
        orders: &[ResourceId],
    ) -> Result<Concerned, StoreError> {
        let Some(customer) = customer else { return self.all_concerned(shop) };
        let found = self.speaking_of(shop, customer, orders)?;
        let erased = found.erased();
        let records = self.records_of(shop, &erased, &found.telling, |_, _, _| Ok(()))?;
        let quarantined =
            self.quarantined_of(shop, (customer, &erased), &found.telling, |_, _, _| Ok(()))?;
        let resources = found.resources.into_iter();
        let resources =
            resources.map(|((kind, id), versions)| ConcernedResource { kind, id, versions });
        Ok(Concerned { resources: resources.collect(), records, quarantined })
    }

    /// Everything of a shop, by kind.
    fn all_concerned(&self, shop: &Shop) -> Result<Concerned, StoreError> {
        let mut all = Concerned::default();
        let prefix = keys::of_shop(shop);
        let mut counts: BTreeMap<Kind, BTreeSet<ResourceId>> = BTreeMap::new();
        self.each_of(Family::Heads, &prefix, |key, _| {
            let (ResourceKey { kind, id, .. }, _) = keys::parse_facet(key).at(|| shown(key))?;
            counts.entry(kind).or_default().insert(id);
            Ok(())
        })?;
        for (kind, ids) in counts {
            for id in ids {
                all.resources.push(ConcernedResource { kind: kind.clone(), id, versions: 0 });
            }
        }
        self.each_of(Family::Ops, &prefix, |key, _| {
            let (said, _) = ops_keys::split(key).at(|| shown(key))?;
            all.records += u64::from(!ops_keys::is_newest(said));
            Ok(())
        })?;
        Ok(all)
    }
}

impl Store {
    /// The exports that were brought into a shop, by the names of their files.
    pub(super) fn exports(&self, shop: &Shop) -> Result<Vec<String>, StoreError> {
        let view = View::of(self);
        let prefix = ops_keys::newest(shop, EXPORT);
        let mut entries = view.entries(Family::Ops, &prefix);
        entries.seek(&prefix);
        let mut exports = Vec::new();
        while let Some((key, value)) = current(&entries, &prefix)? {
            exports.push(ops::newest_from_bytes(value).at(|| shown(key))?.to_owned());
            entries.next();
        }
        Ok(exports)
    }

    /// The files that a shop's history names: media, and exports that were brought in. And since when there
    /// is any history of it.
    pub(super) fn named_files(
        &self,
        shop: &Shop,
    ) -> Result<(HashSet<String>, Option<Timestamp>), StoreError> {
        let mut named: HashSet<String> = self.exports(shop)?.into_iter().collect();
        let mut since: Option<Timestamp> = None;
        View::of(self).each_of(Family::Versions, &keys::of_shop(shop), |stored, value| {
            let (facet, _) = keys::split(stored).at(|| shown(stored))?;
            let record = Record::read(value).at(|| shown(stored))?;
            since = since.into_iter().chain([record.received_at]).min();
            if facet.last() == Some(&Facet::Blobs.byte())
                && let Body::Own(_) = record.body
            {
                let payload = record.body.payload().at(|| shown(stored))?;
                let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
                named.extend(media::copies(&payload).into_values().map(|copy| copy.blob));
            }
            Ok(())
        })?;
        Ok((named, since))
    }
}

/// What the record of an export that was brought in stands under.
const EXPORT: &str = "export";
/// What an entry of the audit stands under.
const AUDIT: &str = "audit";

fn emails(payload: &Value, into: &mut BTreeSet<String>) {
    match payload {
        Value::String(text) if text.contains('@') && !text.contains(char::is_whitespace) => {
            into.insert(text.to_lowercase());
        }
        Value::Array(items) => items.iter().for_each(|item| emails(item, into)),
        Value::Object(members) => members.values().for_each(|member| emails(member, into)),
        _ => {}
    }
}
