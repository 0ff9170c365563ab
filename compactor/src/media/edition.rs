//! Bytes that were replaced in place: the address stays, and only its edition (`?v=`) is another, which no
//! state holds. Nothing tells of it where no webhook does, and a pull finds the same state as before. So a
//! whole pull puts aside the editions that it sees, and these are held against those of the copies that
//! are kept, once what it brought is readable.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use backstock_proto::journal::AsOf;
use backstock_proto::{Facet, Kind, ResourceId, Timestamp, media};
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;

use super::{Keeper, MediaError, Named, look};

/// Resources that are held in memory together.
const TOGETHER: usize = 1_000;
/// Resources at once.
const RESOURCES: usize = 8;

/// What a pull sees of editions, in a file without a name.
#[derive(Debug)]
pub(crate) struct Editions {
    seen: BufWriter<File>,
    /// When the pull began.
    since: Timestamp,
}

/// The addresses of a resource that say which edition they are of.
#[derive(Deserialize, Serialize)]
struct Line {
    id: ResourceId,
    addresses: Vec<String>,
}

impl Editions {
    /// Of a pull of some kind that began at `since`; `None` where addresses say nothing of editions: those
    /// of a theme's files are known by a checksum, which is part of their state.
    pub(crate) fn of(kind: &Kind, scratch: &Path, since: Timestamp) -> io::Result<Option<Self>> {
        if !media::has_media(kind) || look::is_signed(kind) {
            return Ok(None);
        }
        let seen = BufWriter::new(tempfile::tempfile_in(scratch)?);
        Ok(Some(Self { seen, since }))
    }

    /// Puts aside what a resource looks like.
    pub(crate) fn saw(&mut self, id: &ResourceId, node: &Value) -> io::Result<()> {
        let addresses = media::editions(node);
        if addresses.is_empty() {
            return Ok(());
        }
        serde_json::to_writer(&mut self.seen, &Line { id: id.clone(), addresses })?;
        self.seen.write_all(b"\n")
    }

    /// All of it, from the beginning.
    fn finish(self) -> io::Result<File> {
        let mut file = self.seen.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    }
}

/// Keeps the bytes of what is there in another edition than the copy that is kept of it.
pub(super) async fn look(
    keeper: &Keeper,
    kind: &Kind,
    editions: Editions,
) -> Result<(), MediaError> {
    let since = editions.since;
    let file = tokio::fs::File::from_std(editions.finish()?);
    let mut lines = tokio::io::BufReader::new(file).lines();
    loop {
        let mut some: Vec<Line> = Vec::new();
        while some.len() < TOGETHER
            && let Some(line) = lines.next_line().await?
        {
            some.push(serde_json::from_str(&line).map_err(io::Error::from)?);
        }
        if some.is_empty() {
            return Ok(());
        }
        let looked = futures::stream::iter(some).map(|seen| one(keeper, kind, seen, since).boxed());
        looked.buffer_unordered(RESOURCES).try_collect::<()>().await?;
    }
}

/// One resource. What history has learned since the pull began is left alone.
async fn one(
    keeper: &Keeper,
    kind: &Kind,
    Line { id, addresses }: Line,
    since: Timestamp,
) -> Result<(), MediaError> {
    let key = keeper.puller.key(kind, &id);
    let said: Value = addresses.iter().map(|from| json!({"url": from})).collect();
    let copies = keeper.with_remembered(&key, keeper.recorded(&key).await?);
    if !media::is_other_edition(&said, &copies) {
        return Ok(());
    }
    let (core, blobs) = (keeper.head(&key, Facet::Core), keeper.head(&key, Facet::Blobs));
    let Some((core, blobs)) = core.await?.zip(blobs.await?) else { return Ok(()) };
    if blobs.triggered_at.max(blobs.valid_at) >= since {
        return Ok(());
    }
    let known = keeper.puller.journal.resource(&key, AsOf::Latest).await?;
    let Some(known) = known.filter(|known| !known.deleted) else { return Ok(()) };
    // Where the state that history has was read with these very editions, they came with it. Otherwise
    // they came later, and were seen by this pull first.
    let named = media::editions(&keeper.said(&key, core.seq).await?.unwrap_or_default());
    let came_with_it = core.valid_at >= blobs.valid_at
        && !named.is_empty()
        && named.iter().all(|address| addresses.contains(address));
    let (valid_at, triggered_at) =
        if came_with_it { (core.valid_at, core.triggered_at) } else { (since, since) };
    let (key, state, said) = (&key, &known.state, &said);
    let named = Named { key, state, said, valid_at, triggered_at, is_told: false };
    if !keeper.resource(named).await?.failures.is_empty() {
        keeper.puller.media.later(kind);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;

    use super::*;

    fn kind(name: &str) -> Kind {
        Kind::parse(name).expect("a kind")
    }

    #[test]
    fn what_a_pull_sees_of_editions_is_put_aside_and_nothing_else() {
        let scratch = std::env::temp_dir();
        let of = |name| Editions::of(&kind(name), &scratch, Timestamp::MIN).expect("a place");
        assert!(of("page").is_none(), "it has no media");
        assert!(of("theme_file").is_none(), "its checksum tells");
        let mut editions = of("file").expect("they are put aside");
        let id = |n: u32| ResourceId::parse(&n.to_string()).expect("an id");
        let picture = json!({"id": "a", "image": {"url": "https://c/a.jpg?v=2", "width": 600}});
        editions.saw(&id(1), &picture).expect("put aside");
        editions.saw(&id(2), &json!({"url": "https://c/a.pdf"})).expect("nothing to put aside");
        let file = io::BufReader::new(editions.finish().expect("all of it"));
        let lines: Vec<String> = file.lines().map(|line| line.expect("a line")).collect();
        assert_eq!(lines, [r#"{"id":"1","addresses":["https://c/a.jpg?v=2"]}"#]);
    }
}
