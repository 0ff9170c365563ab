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
    /// Each is opened when the first line comes for it.
    files: Vec<Option<BufWriter<File>>>,
}

/// All lines, put aside.
pub(crate) struct Buckets {
    dir: TempDir,
    /// Those that there is a file of.
    filled: Vec<bool>,
}

impl Spill {
    /// Puts aside in a new directory under `dir`.
    pub(crate) fn new(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(dir)?;
        Ok(Self { dir, files: (0..BUCKETS).map(|_| None).collect() })
    }

    /// Adds a line without line breaks.
    pub(crate) fn put(&mut self, key: &str, line: &[u8]) -> io::Result<()> {
        let bucket = bucket_of(key);
        let file = match &mut self.files[bucket] {
            Some(file) => file,
            none => {
                let file = File::create(self.dir.path().join(name(bucket)))?;
                none.insert(BufWriter::new(file))
            }
        };
        file.write_all(line)?;
        file.write_all(b"\n")
    }

    /// No more lines come.
    pub(crate) fn finish(self) -> io::Result<Buckets> {
        let filled = self.files.iter().map(Option::is_some).collect();
        for mut file in self.files.into_iter().flatten() {
            file.flush()?;
        }
        Ok(Buckets { dir: self.dir, filled })
    }
}

impl Buckets {
    /// The lines of a bucket, in the order in which they came.
    pub(crate) fn read(&self, bucket: usize) -> io::Result<Vec<u8>> {
        match self.filled[bucket] {
            true => std::fs::read(self.dir.path().join(name(bucket))),
            false => Ok(Vec::new()),
        }
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
    fn only_what_lines_came_for_is_a_file_and_one_that_is_lost_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut spill = Spill::new(dir.path()).expect("a place");
        for line in [b"one", b"two"] {
            spill.put("7", line).expect("put aside");
        }
        let buckets = spill.finish().expect("finished");
        let files = || std::fs::read_dir(buckets.dir.path()).expect("a directory");
        assert_eq!(files().count(), 1);
        let bucket = bucket_of("7");
        assert_eq!(buckets.read(bucket).expect("read"), b"one\ntwo\n");
        assert_eq!(buckets.read((bucket + 1) % BUCKETS).expect("read"), b"");
        files().for_each(|file| std::fs::remove_file(file.expect("a file").path()).expect("gone"));
        assert!(buckets.read(bucket).is_err());
    }

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
