//! What a pull sees, put down as it is seen and kept when the pull is complete: see
//! [`backstock_proto::witness`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use backstock_proto::blob::Blobs;
use backstock_proto::witness::{Digest, LineError, Seen, Witness};
use backstock_proto::{Facet, Kind, ResourceId, Shop, Timestamp};
use tokio_util::io::ReaderStream;

use crate::spill::{BUCKETS, Buckets, Spill, lines};

/// What was seen, put aside as it comes. Nothing of it is kept before it is complete.
pub(crate) struct Deposition {
    spill: Spill,
    scratch: PathBuf,
    /// When the first part of it began to be read.
    since: Timestamp,
}

impl Deposition {
    pub(crate) fn new(scratch: &Path, since: Timestamp) -> io::Result<Self> {
        Ok(Self { spill: Spill::new(scratch)?, scratch: scratch.to_owned(), since })
    }

    /// A part of it has everything that happened before.
    pub(crate) fn began(&mut self, at: Timestamp) {
        self.since = self.since.min(at);
    }

    /// Puts down a facet with its hash; without one, that it is there, and not how it is.
    pub(crate) fn saw(
        &mut self,
        id: &ResourceId,
        facet: Facet,
        hash: Option<&str>,
    ) -> io::Result<()> {
        let seen = Seen::new(id.clone(), facet, hash);
        self.spill.put(id.as_str(), seen.line().as_bytes())
    }

    /// Keeps the list of all that was seen.
    pub(crate) async fn keep(
        self,
        blobs: &Blobs,
        shop: &Shop,
        kind: &Kind,
    ) -> anyhow::Result<Witness> {
        let since = self.since;
        let sorting =
            tokio::task::spawn_blocking(move || sorted(self.spill.finish()?, &self.scratch));
        let (file, digest) = sorting.await??;
        let bytes = ReaderStream::new(tokio::fs::File::from_std(file));
        let (list, _) = blobs.put(shop, bytes, u64::MAX).await?;
        Ok(Witness {
            list: list.to_string(),
            facets: digest.facets(),
            digest: digest.to_string(),
            mapping: kind.mapping(),
            since,
        })
    }
}

/// All lines in one file without a name, in order and each once, and their digest. Holds one bucket in
/// memory, and then a line of each.
fn sorted(buckets: Buckets, scratch: &Path) -> io::Result<(File, Digest)> {
    let mut parts = Vec::new();
    for bucket in 0..BUCKETS {
        let lines = buckets.read(bucket)?;
        if !lines.is_empty() {
            parts.push(BufReader::new(part(&lines, scratch)?).lines());
        }
    }
    let mut firsts = BinaryHeap::new();
    let mut all = BufWriter::new(tempfile::tempfile_in(scratch)?);
    let mut digest = Digest::default();
    for (n, part) in parts.iter_mut().enumerate() {
        if let Some(line) = part.next() {
            firsts.push(Reverse((line?, n)));
        }
    }
    let unreadable = |error: LineError| io::Error::new(io::ErrorKind::InvalidData, error);
    while let Some(Reverse((line, n))) = firsts.pop() {
        digest.add(&Seen::parse(&line).map_err(unreadable)?);
        writeln!(all, "{line}")?;
        if let Some(next) = parts[n].next() {
            firsts.push(Reverse((next?, n)));
        }
    }
    let mut file = all.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok((file, digest))
}

/// A bucket's lines in order and each once, in a file without a name.
fn part(bucket: &[u8], scratch: &Path) -> io::Result<File> {
    let mut sorted: Vec<&[u8]> = lines(bucket).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut file = BufWriter::new(tempfile::tempfile_in(scratch)?);
    for line in sorted {
        file.write_all(line)?;
        file.write_all(b"\n")?;
    }
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> ResourceId {
        ResourceId::parse(&n.to_string()).expect("an id")
    }

    #[tokio::test]
    async fn what_is_kept_is_the_same_whatever_order_it_was_seen_in() {
        let (scratch, blobs) = (std::env::temp_dir(), Blobs::in_memory());
        let shop = Shop::from_name("acme").expect("a shop");
        let kind = Kind::parse("product").expect("a kind");
        let mut kept = Vec::new();
        for backwards in [false, true] {
            let began = |second: i64| Timestamp::from_micros(second * 1_000_000);
            let mut deposition = Deposition::new(&scratch, began(9)).expect("a place");
            [8, 10].into_iter().for_each(|second| deposition.began(began(second)));
            for n in 0..500 {
                let n = if backwards { 499 - n } else { n };
                let hash = format!("{n:064x}").chars().rev().collect::<String>();
                deposition.saw(&id(n), Facet::Metafields, Some(&hash)).expect("put aside");
                deposition.saw(&id(n), Facet::Core, None).expect("put aside");
                // Seen twice is seen.
                deposition.saw(&id(n), Facet::Core, None).expect("put aside");
            }
            kept.push(deposition.keep(&blobs, &shop, &kind).await.expect("kept"));
        }
        assert_eq!(kept[0], kept[1]);
        assert_eq!((kept[0].facets, kept[0].since.as_micros()), (500, 8_000_000));
        let list = blobs.get(&shop, kept[0].list.parse().expect("a name")).await.expect("read");
        let text = String::from_utf8(list.expect("there").to_vec()).expect("text");
        assert_eq!(text.lines().count(), 1_000);
        assert!(text.lines().is_sorted());
    }
}
