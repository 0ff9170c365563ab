//! More lines than memory holds, put aside by a key: every line of a key ends up in the same bucket,
//! and a bucket fits into memory.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::TempDir;

/// Into how many parts everything is put: a million variants come in parts of some ten megabytes.
pub(crate) const BUCKETS: usize = 128;

/// Lines being put aside. They are gone when this is dropped.
pub(crate) struct Spill {
    dir: TempDir,
    files: Vec<BufWriter<File>>,
}

/// All lines, put aside.
pub(crate) struct Buckets {
    dir: TempDir,
}

impl Spill {
    /// Puts aside in a new directory under `dir`.
    pub(crate) fn new(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let dir = tempfile::Builder::new().prefix("pull-").tempdir_in(dir)?;
        let open = |bucket| Ok(BufWriter::new(File::create(dir.path().join(name(bucket)))?));
        let files = (0..BUCKETS).map(open).collect::<io::Result<_>>()?;
        Ok(Self { dir, files })
    }

    /// Adds a line without line breaks.
    pub(crate) fn put(&mut self, key: &str, line: &[u8]) -> io::Result<()> {
        let file = &mut self.files[bucket_of(key)];
        file.write_all(line)?;
        file.write_all(b"\n")
    }

    /// No more lines come.
    pub(crate) fn finish(self) -> io::Result<Buckets> {
        for mut file in self.files {
            file.flush()?;
        }
        Ok(Buckets { dir: self.dir })
    }
}

impl Buckets {
    /// The lines of a bucket, in the order in which they came.
    pub(crate) fn read(&self, bucket: usize) -> io::Result<Vec<u8>> {
        std::fs::read(self.dir.path().join(name(bucket)))
    }
}

/// The lines of a bucket's bytes.
pub(crate) fn lines(bucket: &[u8]) -> impl Iterator<Item = &[u8]> {
    bucket.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// The same key is in the same bucket, in every spill of this process.
pub(crate) fn bucket_of(key: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    (hasher.finish() % BUCKETS as u64) as usize
}

fn name(bucket: usize) -> String {
    format!("{bucket:03}")
}
