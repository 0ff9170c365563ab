//! Reading an export. Everything here blocks, and nothing of the file is believed before it was
//! checked.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Read};

use backstock_proto::blob::BlobError;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Exported, FORMAT, MANIFEST, MEDIA, Manifest, Part, RESOURCES};

/// Largest file of resources, and largest manifest.
const PART_BYTES_MAX: u64 = 64 << 20;
/// Pieces of a file that are read ahead.
const PIECES_AHEAD: usize = 4;
/// Largest medium.
pub(crate) const MEDIUM_BYTES_MAX: u64 = 1 << 30;
/// How much larger what a file holds may be than the file, beside what any file may hold. Text that
/// repeats itself becomes a hundredth; what becomes less is made to fill a disk.
const RATIO_MAX: u64 = 256;
const ANY_BYTES: u64 = 1 << 30;

/// Something in an export.
pub(crate) enum Entry<'a> {
    /// A resource.
    Resource(Box<Exported>),
    /// A medium. What its name says is known to be true once all of the export was read.
    Medium(&'a mut dyn Read),
}

/// Why an export is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// It is not what it should be.
    #[error("this is no whole export: {0}")]
    Wrong(String),
    /// Written by a newer binary.
    #[error("the export is in format {0}, this binary knows {FORMAT}; run a newer Backstock")]
    Newer(u32),
    /// It could not be read.
    #[error("the export could not be read: {0}")]
    Io(#[from] io::Error),
    /// Its media could not be kept.
    #[error(transparent)]
    Keep(#[from] BlobError),
}

/// Reads all of an export, and answers its manifest once everything was there. It takes no more
/// memory than a file of resources, whatever the export holds.
pub(crate) fn unpack(
    file: impl Read,
    mut each: impl FnMut(Entry<'_>) -> Result<(), UnpackError>,
) -> Result<Manifest, UnpackError> {
    let mut archive = tar::Archive::new(Unpacked::new(file));
    let (mut manifest, mut parts, mut media) = (None, Vec::new(), 0);
    // What is not understood may be of a newer format, which the manifest says at the end.
    let mut strange = None;
    // Names of any length, links and holes are none of ours; undone, they would cost memory.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(wrong(format!("{name} is no plain file")));
        }
        let max = if name.starts_with(MEDIA) { MEDIUM_BYTES_MAX } else { PART_BYTES_MAX };
        if entry.size() > max {
            return Err(wrong(format!("{name} is larger than {max} bytes")));
        }
        if name == MANIFEST {
            manifest = Some(self::manifest(&whole(&mut entry)?)?);
        } else if name.starts_with(RESOURCES) {
            let bytes = whole(&mut entry)?;
            let blake3 = blake3::hash(&bytes).to_hex().to_string();
            let resources = lines(&name, &bytes, &mut strange, &mut each)?;
            parts.push(Part { name, blake3, resources });
        } else if let Some(hash) = name.strip_prefix(MEDIA) {
            let mut medium = Hashed { from: &mut entry, hasher: blake3::Hasher::new() };
            each(Entry::Medium(&mut medium))?;
            io::copy(&mut medium, &mut io::sink())?;
            if medium.hasher.finalize().to_hex().as_str() != hash {
                return Err(wrong(format!("{name} is damaged")));
            }
            media += 1;
        }
    }
    if let Some(why) = strange {
        return Err(wrong(why));
    }
    let manifest =
        manifest.ok_or_else(|| wrong("it has no manifest.json, so it was cut".into()))?;
    check(&manifest, &parts, media)?;
    Ok(manifest)
}

/// What every manifest says, of whatever format.
#[derive(Deserialize)]
struct Told {
    format: u32,
}

fn manifest(bytes: &[u8]) -> Result<Manifest, UnpackError> {
    let strange = |e| wrong(format!("its manifest is not understood: {e}"));
    let Told { format } = serde_json::from_slice(bytes).map_err(strange)?;
    if format > FORMAT {
        return Err(UnpackError::Newer(format));
    }
    serde_json::from_slice(bytes).map_err(strange)
}

fn whole(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What was read so far, and what its hash is.
struct Hashed<R> {
    from: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.hasher.update(&into[..read]);
        Ok(read)
    }
}

/// Reads resources, and answers how many there are; `strange` is the first that is not understood.
fn lines(
    name: &str,
    bytes: &[u8],
    strange: &mut Option<String>,
    each: &mut impl FnMut(Entry<'_>) -> Result<(), UnpackError>,
) -> Result<u64, UnpackError> {
    let mut count = 0;
    for line in bytes.lines() {
        count += 1;
        match serde_json::from_str(&line?) {
            Ok(exported) => each(Entry::Resource(Box::new(exported)))?,
            Err(e) => {
                let why = || format!("line {count} of {name} is not understood: {e}");
                strange.get_or_insert_with(why);
            }
        }
    }
    Ok(count)
}

fn check(manifest: &Manifest, parts: &[Part], media: u64) -> Result<(), UnpackError> {
    let by_name = |parts: &[Part]| -> BTreeMap<String, Part> {
        parts.iter().map(|part| (part.name.clone(), part.clone())).collect()
    };
    if parts.len() != manifest.parts.len() || by_name(parts) != by_name(&manifest.parts) {
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
    /// How much was read, and how much came of it.
    read: u64,
    unpacked: u64,
}

impl<R: Read> Unpacked<R> {
    fn new(from: R) -> Self {
        let packed = vec![0; zstd_safe::DCtx::in_size()];
        let frames = zstd_safe::DCtx::create();
        Self { from, frames, packed, at: 0, filled: 0, within: false, read: 0, unpacked: 0 }
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
            self.read += read as u64;
            self.unpacked += written as u64;
            if self.unpacked > ANY_BYTES + self.read.saturating_mul(RATIO_MAX) {
                let why = format!("it holds more than {RATIO_MAX} times what it is long");
                return Err(io::Error::other(why));
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut packed = vec![0; zstd_safe::compress_bound(plain.len())];
        let length = zstd_safe::compress(&mut packed[..], plain, 1).expect("compressed");
        packed.truncate(length);
        packed
    }

    fn header(name: &str, bytes: u64, sort: tar::EntryType) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).expect("a name");
        header.set_entry_type(sort);
        header.set_size(bytes);
        header.set_cksum();
        header
    }

    /// An export of nothing but these files.
    fn export(files: &[(&str, &[u8])], media: usize) -> Vec<u8> {
        let manifest = json!({
            "format": 1, "shop": "acme.myshopify.com", "at": "2026-11-22T12:00:00Z",
            "resources": 0, "kinds": {}, "parts": [], "media": media, "media_missing": 0
        });
        tarred(files, &manifest)
    }

    fn tarred(files: &[(&str, &[u8])], manifest: &serde_json::Value) -> Vec<u8> {
        let manifest = manifest.to_string();
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files.iter().copied().chain([(MANIFEST, manifest.as_bytes())]) {
            let mut header = header(name, bytes.len() as u64, tar::EntryType::Regular);
            archive.append_data(&mut header, name, bytes).expect("written");
        }
        packed(&archive.into_inner().expect("written"))
    }

    fn refused(file: &[u8]) -> String {
        let read = unpack(file, |_| Ok(()));
        read.expect_err("no export").to_string()
    }

    #[test]
    fn a_medium_is_what_its_name_says_whether_it_is_read_or_not() {
        let good = format!("{MEDIA}{}", blake3::hash(b"mug").to_hex());
        let file = export(&[(&good, b"mug")], 1);
        assert_eq!(unpack(&file[..], |_| Ok(())).expect("an export").media, 1);
        let mut found = Vec::new();
        let read = unpack(&file[..], |entry| match entry {
            Entry::Medium(bytes) => Ok(bytes.read_to_end(&mut found).map(|_| ())?),
            Entry::Resource(_) => Ok(()),
        });
        assert!(read.is_ok() && found == b"mug");
        assert!(refused(&export(&[(&good, b"gum")], 1)).contains("damaged"));
    }

    #[test]
    fn a_newer_export_is_refused_whatever_is_in_it() {
        let newer = json!({"format": 2, "shops": ["acme.myshopify.com"]});
        let unknown = [("resources/000000.ndjson", &b"{\"resource\": {}}\n"[..])];
        for files in [&unknown[..], &[]] {
            let why = refused(&tarred(files, &newer));
            let said = "the export is in format 2, this binary knows 1; run a newer Backstock";
            assert_eq!(why, said);
        }
        let cut = &tarred(&unknown, &json!({"format": 1}))[..];
        assert!(refused(cut).contains("manifest is not understood"), "{}", refused(cut));
        let why = refused(&export(&unknown, 0));
        assert!(why.contains("line 1 of resources/000000.ndjson"), "{why}");
    }

    #[test]
    fn what_fills_a_disk_or_memory_is_not_unpacked() {
        // Each frame of a mebibyte has some 50 bytes.
        let frame = packed(&vec![0; 1 << 20]);
        let zeros = || io::Cursor::new(frame.repeat(1_200));
        let read = io::copy(&mut Unpacked::new(zeros()), &mut io::sink());
        assert!(read.expect_err("a bomb").to_string().contains("256 times"));
        let begun = |sort| {
            let header = header("resources/000000.ndjson", 1 << 30, sort);
            io::Cursor::new(packed(header.as_bytes()))
        };
        let name = begun(tar::EntryType::GNULongName).chain(zeros());
        assert!(unpack(name, |_| Ok(())).expect_err("a bomb").to_string().contains("plain file"));
        let part = begun(tar::EntryType::Regular).chain(zeros());
        assert!(unpack(part, |_| Ok(())).expect_err("a bomb").to_string().contains("larger"));
    }

    #[test]
    fn only_plain_files_are_read_and_each_once() {
        for sort in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Directory] {
            let mut file = header("media/passwd", 0, sort).as_bytes().to_vec();
            file.extend([0; 1024]);
            assert!(refused(&packed(&file)).contains("plain file"));
        }
        let twice =
            export(&[("resources/000000.ndjson", b""), ("resources/000000.ndjson", b"")], 0);
        assert!(refused(&twice).contains("manifest names"));
    }
}
