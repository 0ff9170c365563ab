//! Wishes as they are put on record: on the stream for other copies, and beside checkpoints for whoever
//! comes back from one when the stream has forgotten.

use std::collections::HashMap;

use backstock_proto::Shop;
use backstock_proto::erase::{Whom, Wish};
use backstock_proto::storage::is_damaged;
use backstock_proto::stream::Partition;
use futures::TryStreamExt;
use object_store::path::Path as Place;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};

use super::Case;

/// A wish as it is kept beside the checkpoints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) shop: Shop,
    pub(crate) wish: OnRecord,
}

/// A wish as it is put on record, on the stream as well.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OnRecord {
    #[serde(flatten)]
    pub(crate) wish: Wish,
    /// Of a shop: the sequence of the message that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upto: Option<u64>,
}

impl OnRecord {
    pub(super) fn of(case: &Case) -> Self {
        Self { wish: case.wish.clone(), upto: Some(case.upto).filter(|upto| *upto > 0) }
    }
}

fn kept_place(partition: Partition, shop: &Shop, name: &str) -> Place {
    // A name may hold what a path may not.
    let name = blake3::hash(name.as_bytes()).to_hex();
    Place::from(format!("erasures/{partition}/{}/{}.json", shop.name(), &name[..32]))
}

/// What is kept of a case, and where.
pub(super) fn kept_of(
    partition: Partition,
    case: &Case,
) -> Result<(Place, Vec<u8>), object_store::Error> {
    let kept = Kept { shop: case.shop.clone(), wish: OnRecord::of(case) };
    let failed =
        |e: serde_json::Error| object_store::Error::Generic { store: "erasures", source: e.into() };
    let place = kept_place(partition, &case.shop, &case.wish.whom.name());
    Ok((place, serde_json::to_vec(&kept).map_err(failed)?))
}

/// Puts what was erased beside the checkpoints in `storage`, as far as it is not there. Its length tells
/// whether it is the same: orders and somebody's word are what comes to it. It says nothing of how far a
/// shop goes.
pub(crate) async fn keep(
    storage: &dyn ObjectStore,
    partition: Partition,
    cases: Vec<Case>,
) -> Result<(), object_store::Error> {
    let place = Place::from(format!("erasures/{partition}"));
    let listed: Vec<ObjectMeta> = storage.list(Some(&place)).try_collect().await?;
    let there: HashMap<Place, u64> =
        listed.into_iter().map(|meta| (meta.location, meta.size)).collect();
    for case in cases {
        let (place, kept) = kept_of(partition, &case)?;
        if case.wish.whom == Whom::Shop || there.get(&place) != Some(&(kept.len() as u64)) {
            storage.put(&place, PutPayload::from(kept)).await?;
        }
    }
    Ok(())
}

/// What was erased in a partition, as it is kept beside its checkpoints.
pub(crate) async fn kept(
    storage: &dyn ObjectStore,
    partition: Partition,
) -> Result<Vec<Kept>, object_store::Error> {
    let place = Place::from(format!("erasures/{partition}"));
    let listed: Vec<_> = storage.list(Some(&place)).try_collect().await?;
    let mut all = Vec::new();
    let unreadable = |place: &Place, error: &dyn std::fmt::Display| {
        tracing::error!(
            %place, %error,
            "what was erased cannot be read, and is not erased again"
        );
    };
    for meta in listed {
        let read = async { storage.get(&meta.location).await?.bytes().await };
        match read.await {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(kept) => all.push(kept),
                Err(error) => unreadable(&meta.location, &error),
            },
            Err(error) if is_damaged(&error) => unreadable(&meta.location, &error),
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use backstock_proto::Timestamp;
    use backstock_proto::erase::Via;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn how_far_a_shop_goes_is_kept_anew() {
        let storage = InMemory::new();
        let shop = Shop::from_name("acme").expect("a shop");
        let wish = Wish {
            whom: Whom::Shop,
            orders: Vec::new(),
            via: Via::Api,
            by: String::new(),
            requested_at: Timestamp::from_micros(0),
            confirmed: true,
        };
        for upto in [1_100, 1_200] {
            let case = Case::new(shop.clone(), wish.clone(), upto);
            keep(&storage, 0, vec![case]).await.expect("kept");
            let all = kept(&storage, 0).await.expect("readable");
            let reach: Vec<Option<u64>> = all.iter().map(|one| one.wish.upto).collect();
            assert_eq!(reach, [Some(upto)]);
        }
    }

    /// It is read by whoever comes back from a checkpoint, with whichever version of Backstock.
    #[tokio::test]
    async fn what_is_kept_beside_checkpoints_stands_as_it_always_did() {
        let golden = r#"{"shop":"acme.myshopify.com","wish":{"whom":{"customer":"7"},"orders":["8"],"via":"webhook","by":"ops","requested_at":"2026-10-01T00:00:00Z","confirmed":true}}"#;
        let place = "erasures/0/acme/c0b04ee956b3fe09b860a35bc6d326d2.json";
        let storage = InMemory::new();
        storage.put(&place.into(), golden.into()).await.expect("put");
        let all = kept(&storage, 0).await.expect("readable");
        let [one] = all.as_slice() else { panic!("{all:?}") };
        golden::means(serde_json::to_string(one).expect("JSON"), golden);
        golden::means(kept_place(0, &one.shop, &one.wish.wish.whom.name()).to_string(), place);
    }
}
