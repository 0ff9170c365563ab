//! More lines than memory holds, put aside by a key: every line of a key ends up in the same bucket,
//! and a bucket fits into memory.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::TempDir;

/// Into how many parts everything is put: a million variants come in parts of some ten megabytes.
pub(crate) const BUCKETS: usize = 128;

/// What the name of a directory begins with in which lines are put aside.
const PREFIX: &str = "pull-";

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
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(dir)?;
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

/// Removes what a killed process had put aside under `dir`. Answers how much there was.
pub(crate) fn clear(dir: &Path) -> io::Result<usize> {
    if !dir.exists() {
        return Ok(0);
    }
    let mut cleared = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            std::fs::remove_dir_all(entry.path())?;
            cleared += 1;
        }
    }
    Ok(cleared)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_had_put_aside_goes_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut spill = Spill::new(dir.path()).expect("a place");
        spill.put("7", b"somebody").expect("put aside");
        // As if it had been killed.
        std::mem::forget(spill.finish().expect("finished"));
        std::fs::write(dir.path().join("other"), "stays").expect("written");
        assert_eq!(clear(dir.path()).expect("cleared"), 1);
        let left: Vec<_> = std::fs::read_dir(dir.path()).expect("a directory").collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(clear(&dir.path().join("nowhere")).expect("nothing to clear"), 0);
    }
}
