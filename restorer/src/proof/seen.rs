//! The list of what a pull saw, read back resource by resource.

use std::io;

use backstock_proto::ResourceId;
use backstock_proto::blob::{BlobError, Reading};
use backstock_proto::witness::{Digest, Seen, Witness};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncBufReadExt as _, Lines};
use tokio_util::io::StreamReader;

/// A list that is being read.
pub(super) struct List {
    lines: Lines<StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>>,
    /// Read ahead.
    next: Option<Seen>,
    digest: Digest,
}

impl List {
    pub(super) async fn open(reading: Reading) -> io::Result<Self> {
        let pieces = reading.pieces.map_err(|error| match error {
            BlobError::Damaged(_) => io::Error::new(io::ErrorKind::InvalidData, error),
            error => io::Error::other(error),
        });
        let mut list = Self {
            lines: StreamReader::new(pieces.boxed()).lines(),
            next: None,
            digest: Digest::default(),
        };
        list.next = list.read().await?;
        Ok(list)
    }

    async fn read(&mut self) -> io::Result<Option<Seen>> {
        let Some(line) = self.lines.next_line().await? else { return Ok(None) };
        let seen = Seen::parse(&line);
        let seen = seen.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.digest.add(&seen);
        Ok(Some(seen))
    }

    /// The next resource.
    pub(super) fn id(&self) -> Option<&ResourceId> {
        self.next.as_ref().map(|seen| &seen.id)
    }

    /// What was seen of a resource, if it is the next one.
    pub(super) async fn of(&mut self, id: &ResourceId) -> io::Result<Vec<Seen>> {
        let mut of = Vec::new();
        while let Some(seen) = self.next.take_if(|seen| seen.id == *id) {
            of.push(seen);
            self.next = self.read().await?;
        }
        Ok(of)
    }

    /// Whether all that was read is what the pull's record says.
    pub(super) fn is(&self, witness: &Witness) -> bool {
        self.digest.facets() == witness.facets && self.digest.to_string() == witness.digest
    }
}
