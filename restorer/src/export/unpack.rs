//! Reading an export. Everything here blocks, and nothing of the file is believed before it was
//! checked.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Read};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use super::{Exported, FORMAT, MANIFEST, MEDIA, Manifest, Part, RESOURCES};

/// Largest file of resources, and largest manifest.
const PART_BYTES_MAX: u64 = 64 << 20;
/// Pieces of a file that are read ahead.
const PIECES_AHEAD: usize = 4;
/// Largest medium.
const MEDIUM_BYTES_MAX: u64 = 1 << 30;

/// Something in an export.
pub(crate) enum Entry {
    /// A resource.
    Resource(Box<Exported>),
    /// A medium, whose bytes are what its name says.
    Medium(Vec<u8>),
}

/// Why an export is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// It is not what it should be.
    #[error("this is no whole export: {0}")]
    Wrong(String),
    /// It could not be read.
    #[error("the export could not be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads all of an export, and answers its manifest once everything was there.
pub(crate) fn unpack(
    file: impl Read,
    mut each: impl FnMut(Entry) -> Result<(), UnpackError>,
) -> Result<Manifest, UnpackError> {
    let mut archive = tar::Archive::new(Unpacked::new(file));
    let (mut manifest, mut parts, mut media) = (None, Vec::new(), 0);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        let mut read = |max: u64| -> Result<Vec<u8>, UnpackError> {
            if size > max {
                return Err(wrong(format!("{name} is larger than {max} bytes")));
            }
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            entry.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        if name == MANIFEST {
            let bytes = read(PART_BYTES_MAX)?;
            let read: Manifest = serde_json::from_slice(&bytes)
                .map_err(|e| wrong(format!("its manifest is not understood: {e}")))?;
            manifest = Some(read);
        } else if name.starts_with(RESOURCES) {
            let bytes = read(PART_BYTES_MAX)?;
            let blake3 = blake3::hash(&bytes).to_hex().to_string();
            let resources = lines(&name, &bytes, &mut each)?;
            parts.push(Part { name, blake3, resources });
        } else if let Some(hash) = name.strip_prefix(MEDIA) {
            let bytes = read(MEDIUM_BYTES_MAX)?;
            if blake3::hash(&bytes).to_hex().as_str() != hash {
                return Err(wrong(format!("{name} is damaged")));
            }
            each(Entry::Medium(bytes))?;
            media += 1;
        }
    }
    let manifest =
        manifest.ok_or_else(|| wrong("it has no manifest.json, so it was cut".into()))?;
    check(&manifest, &parts, media)?;
    Ok(manifest)
}

fn lines(
    name: &str,
    bytes: &[u8],
    each: &mut impl FnMut(Entry) -> Result<(), UnpackError>,
) -> Result<u64, UnpackError> {
    let mut count = 0;
    for line in bytes.lines() {
        count += 1;
        let exported = serde_json::from_str(&line?)
            .map_err(|e| wrong(format!("line {count} of {name} is not understood: {e}")))?;
        each(Entry::Resource(Box::new(exported)))?;
    }
    Ok(count)
}

fn check(manifest: &Manifest, parts: &[Part], media: u64) -> Result<(), UnpackError> {
    if manifest.format > FORMAT {
        let format = manifest.format;
        return Err(wrong(format!(
            "its format {format} is newer than {FORMAT}: a newer Backstock wrote it, and one has to \
             read it"
        )));
    }
    let by_name = |parts: &[Part]| -> BTreeMap<String, Part> {
        parts.iter().map(|part| (part.name.clone(), part.clone())).collect()
    };
    if by_name(parts) != by_name(&manifest.parts) {
        return Err(wrong("its resources are not those that its manifest names".into()));
    }
    if manifest.media != media {
        return Err(wrong(format!("it holds {media} media instead of {}", manifest.media)));
    }
    Ok(())
}

fn wrong(why: String) -> UnpackError {
    UnpackError::Wrong(why)
}

/// A stream, read by a thread that may block.
pub(crate) struct Pieces {
    from: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Pieces {
    /// Reads the stream as it is asked for, a few pieces ahead.
    pub(crate) fn of(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        let (send, from) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(piece) = stream.next().await {
                if send.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Self { from, piece: Bytes::new() }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let some = self.piece.split_to(into.len().min(self.piece.len()));
        into[..some.len()].copy_from_slice(&some);
        Ok(some.len())
    }
}

/// What Zstandard frames hold, one after the other.
struct Unpacked<R> {
    from: R,
    frames: zstd_safe::DCtx<'static>,
    packed: Vec<u8>,
    at: usize,
    filled: usize,
    /// Whether a frame has begun and not ended.
    within: bool,
}

impl<R: Read> Unpacked<R> {
    fn new(from: R) -> Self {
        let packed = vec![0; zstd_safe::DCtx::in_size()];
        let frames = zstd_safe::DCtx::create();
        Self { from, frames, packed, at: 0, filled: 0, within: false }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            if self.at == self.filled {
                (self.at, self.filled) = (0, self.from.read(&mut self.packed)?);
            }
            let at_end = self.filled == 0;
            let mut input = zstd_safe::InBuffer::around(&self.packed[self.at..self.filled]);
            let mut output = zstd_safe::OutBuffer::around(&mut into[..]);
            let hint = self
                .frames
                .decompress_stream(&mut output, &mut input)
                .map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
            let (read, written) = (input.pos(), output.pos());
            self.at += read;
            if read > 0 || written > 0 {
                self.within = hint != 0;
            }
            match (written, at_end) {
                (0, true) if self.within => return Err(io::ErrorKind::UnexpectedEof.into()),
                (0, true) => return Ok(0),
                (0, false) => {}
                (written, _) => return Ok(written),
            }
        }
    }
}
