//! Whether the bytes that states name are kept, and are still what they were.

use std::collections::HashMap;

use backstock_proto::blob::{BlobError, BlobHash, Blobs};
use backstock_proto::{Shop, Timestamp};
use futures::TryStreamExt as _;
use serde_json::Value;

use super::Media;

const DAY: i64 = 24 * 3600 * 1_000_000;

/// Looks after the media of one shop. Of each medium that is kept, some fifty bytes are held.
pub(super) struct Look<'a> {
    blobs: &'a Blobs,
    shop: &'a Shop,
    /// What is kept, and whether it was found to be lost, once it was named.
    kept: HashMap<BlobHash, Option<bool>>,
    /// Everything is read in so many turns, of which this is one.
    turns: u64,
    turn: u64,
    found: Media,
}

impl<'a> Look<'a> {
    /// Lists what is kept. About `bytes` of it are read this time: which, the day says.
    pub(super) async fn begin(
        blobs: &'a Blobs,
        shop: &'a Shop,
        bytes: u64,
        now: Timestamp,
    ) -> Result<Self, BlobError> {
        let (mut kept, mut total) = (HashMap::new(), 0);
        let mut listed = blobs.list(shop);
        while let Some(one) = listed.try_next().await? {
            kept.insert(one.hash, None);
            total += one.bytes;
        }
        let turns = total.div_ceil(bytes.max(1)).max(1);
        let turn = (now.as_micros() / DAY).unsigned_abs() % turns;
        Ok(Self { blobs, shop, kept, turns, turn, found: Media::default() })
    }

    /// What is wrong with the bytes that a state names.
    pub(super) async fn of(&mut self, state: &Value) -> Result<Vec<String>, BlobError> {
        let mut named = Vec::new();
        each(state, &mut |blob| named.push(blob.to_owned()));
        named.sort_unstable();
        named.dedup();
        let mut wrong = Vec::new();
        for blob in named {
            let Ok(hash) = blob.parse::<BlobHash>() else {
                wrong.push(format!("it names bytes by {blob:?}, which is no name"));
                continue;
            };
            if self.is_lost(hash).await? {
                wrong.push(format!(
                    "its bytes {blob} are not kept, or are no longer what they were"
                ));
            }
        }
        Ok(wrong)
    }

    async fn is_lost(&mut self, hash: BlobHash) -> Result<bool, BlobError> {
        if let Some(Some(lost)) = self.kept.get(&hash) {
            return Ok(*lost);
        }
        self.found.named += 1;
        // What was stored since it was listed is there as well.
        let listed = self.kept.contains_key(&hash);
        let there = listed || self.blobs.exists(self.shop, hash).await?;
        let lost = !there || (self.is_its_turn(hash) && !self.reads_back(hash).await?);
        self.found.lost += u64::from(lost);
        self.kept.insert(hash, Some(lost));
        Ok(lost)
    }

    /// Every medium has its turn, on one day of as many as it takes.
    fn is_its_turn(&self, hash: BlobHash) -> bool {
        let name = hash.to_string();
        let number = u64::from_str_radix(&name[..16], 16).unwrap_or_default();
        number % self.turns == self.turn
    }

    async fn reads_back(&mut self, hash: BlobHash) -> Result<bool, BlobError> {
        let Some(mut reading) = self.blobs.read(self.shop, hash).await? else { return Ok(false) };
        loop {
            match reading.pieces.try_next().await {
                Ok(Some(piece)) => self.found.read_bytes += piece.len() as u64,
                Ok(None) => break,
                Err(BlobError::Damaged(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.found.read += 1;
        Ok(true)
    }

    pub(super) fn finish(self) -> Media {
        self.found
    }
}

/// Every `blob` in a state.
fn each(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(blob) if name == "blob" => found(blob),
                    inner => each(inner, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| each(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn all_are_there_and_all_are_read_in_turn() {
        let (blobs, shop) = (Blobs::in_memory(), Shop::from_name("acme").expect("a shop"));
        let mut states = Vec::new();
        for n in 0..40_u8 {
            let bytes = futures::stream::iter([Ok(vec![n; 100].into())]);
            let (hash, _) = blobs.put(&shop, bytes, 1_000).await.expect("kept");
            states.push(json!({"media": [{"url": "https://c/a.jpg", "blob": hash.to_string()}]}));
        }
        let (mut read, mut turns) = (0, 0);
        for day in 0..4 {
            let now = Timestamp::from_micros(day * DAY);
            let mut look = Look::begin(&blobs, &shop, 1_000, now).await.expect("listed");
            for state in states.iter().chain(&states) {
                assert_eq!(look.of(state).await.expect("looked"), Vec::<String>::new());
            }
            turns = look.turns;
            let Media { named, lost, read: now_read, .. } = look.finish();
            assert_eq!((named, lost), (40, 0));
            assert!(now_read < 40, "a part of it each time");
            read += now_read;
        }
        assert_eq!((turns, read), (4, 40));
        let gone = BlobHash::of(b"never kept").to_string();
        let mut look = Look::begin(&blobs, &shop, 1_000, Timestamp::MIN).await.expect("listed");
        let wrong = look.of(&json!({"image": {"blob": gone}})).await.expect("looked");
        assert!(wrong.len() == 1 && wrong[0].contains(&gone), "{wrong:?}");
        assert_eq!(look.finish().lost, 1);
    }
}
