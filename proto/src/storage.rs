//! Where bytes are kept that are no history themselves: blobs, checkpoints, exports. A directory, or
//! a bucket of S3, Google Cloud Storage or Azure.
//!
//! Credentials for a bucket come from the environment, under the names that the provider's own tools
//! use: `AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`, ….
//!
//! With [`Keys`] whoever keeps the storage can read nothing of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStoreScheme, parse_url_opts};
use url::Url;

mod keys;
mod seal;
mod sealed;

pub use keys::{Keys, KeysError};
pub use object_store::ObjectStore;
pub use sealed::is_damaged;

use sealed::Sealed;

/// Environment variables that configure buckets begin with one of these.
const VARIABLES: [&str; 3] = ["aws_", "google_", "azure_"];

/// Everything stands below one of these.
const ROOTS: [&str; 4] = ["blobs", "checkpoints", "erasures", "unnamed"];

/// A file of which nothing was written for so long is written by nobody.
const LEFT_AFTER: Duration = Duration::from_secs(3600);

/// The storage cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("storage at {place} cannot be used: {reason}")]
pub struct StorageError {
    /// Where it is.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Whether `url` names a storage, as far as that can be seen without asking it.
pub fn check(url: &str) -> Result<(), StorageError> {
    parse(url).map(|_| ())
}

fn parse(text: &str) -> Result<(Url, ObjectStoreScheme), StorageError> {
    let url = Url::parse(text).map_err(|e| failed(text, &e))?;
    let (scheme, _) = ObjectStoreScheme::parse(&url).map_err(|e| failed(text, &e))?;
    Ok((url, scheme))
}

fn failed(text: &str, reason: &dyn std::fmt::Display) -> StorageError {
    StorageError { place: shown(text), reason: reason.to_string().replace(text, &shown(text)) }
}

/// Opens the storage at `url`, such as `s3://bucket/prefix`; without one it is the directory `dir`. What
/// goes into it is sealed with the first of `keys`.
pub fn open(
    url: Option<&str>,
    dir: &Path,
    keys: &Keys,
) -> Result<Arc<dyn ObjectStore>, StorageError> {
    Ok(Arc::new(Sealed::new(unsealed(url, dir)?, keys.clone())))
}

fn unsealed(url: Option<&str>, dir: &Path) -> Result<Arc<dyn ObjectStore>, StorageError> {
    let Some(text) = url else { return directory(dir) };
    let (url, scheme) = parse(text)?;
    if scheme == ObjectStoreScheme::Local {
        let path = url.to_file_path().map_err(|()| failed(text, &"it names no directory"))?;
        return directory(&path);
    }
    let variables = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let variables = variables.filter(|(name, _)| VARIABLES.iter().any(|v| name.starts_with(v)));
    let (store, prefix) = parse_url_opts(&url, variables).map_err(|e| failed(text, &e))?;
    Ok(Arc::new(PrefixStore::new(store, prefix)))
}

/// A directory, which is made if it is not there. What is written is on the disk before it counts.
fn directory(dir: &Path) -> Result<Arc<dyn ObjectStore>, StorageError> {
    let failed = |reason: String| StorageError { place: dir.display().to_string(), reason };
    std::fs::create_dir_all(dir).map_err(|e| failed(e.to_string()))?;
    let store = LocalFileSystem::new_with_prefix(dir).map_err(|e| failed(e.to_string()))?;
    Ok(Arc::new(store.with_fsync(true)))
}

/// Removes what a killed process left half written in a storage that is a directory, and answers how much
/// that was. Nobody lists it, and no erasure reaches it. Reads the whole directory, which may take a while.
pub fn clear(url: Option<&str>, dir: &Path) -> std::io::Result<usize> {
    let named = url.and_then(|url| Url::parse(url).ok());
    let dir = match (url, named) {
        (None, _) => dir.to_owned(),
        (Some(_), Some(url)) if url.scheme() == "file" => match url.to_file_path() {
            Ok(path) => path,
            Err(()) => return Ok(0),
        },
        (Some(_), _) => return Ok(0),
    };
    let mut cleared = 0;
    let mut dirs: Vec<PathBuf> = ROOTS.iter().map(|root| dir.join(root)).collect();
    while let Some(dir) = dirs.pop() {
        if !dir.exists() {
            continue;
        }
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let of = entry.file_type()?;
            if of.is_dir() {
                dirs.push(entry.path());
            } else if of.is_file() && is_left(&entry) {
                std::fs::remove_file(entry.path())?;
                cleared += 1;
            }
        }
    }
    Ok(cleared)
}

/// Whether a file is one that [`LocalFileSystem`] begins to write, `<name>#<number>`, and that nobody
/// goes on with.
fn is_left(entry: &std::fs::DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    let number = name.rsplit_once('#').map(|(_, number)| number).unwrap_or_default();
    let begun = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    let written = || entry.metadata().and_then(|meta| meta.modified()).ok()?.elapsed().ok();
    begun && written().is_some_and(|ago| ago > LEFT_AFTER)
}

/// An address without what may be a secret.
fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "an address that is none".into() };
    let _no_host = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_and_an_address_that_is_none_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let none = Keys::default();
        open(None, &dir.path().join("a/b"), &none).expect("a directory of our own");
        let url = Url::from_directory_path(dir.path().join("c")).expect("an address");
        open(Some(url.as_str()), dir.path(), &none).expect("a directory by its address");
        assert!(dir.path().join("a/b").is_dir() && dir.path().join("c").is_dir());
        for wrong in ["bucket", "gopher://x/y", "file://host/x"] {
            let error = open(Some(wrong), dir.path(), &none).expect_err("refused").to_string();
            assert!(error.contains("cannot be used"), "{error}");
        }
        let secret = open(Some("gopher://me:hush@x/y?sig=hush"), dir.path(), &none);
        assert!(!secret.expect_err("refused").to_string().contains("hush"));
    }

    #[test]
    fn what_a_killed_process_left_half_written_goes_and_what_is_being_written_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join("blobs/acme").join(name);
        std::fs::create_dir_all(path("")).expect("made");
        let old = std::time::SystemTime::now() - 2 * LEFT_AFTER;
        for (name, is_old) in [("a#1", true), ("b#2", false), ("c", true), ("d#e", true)] {
            let file = std::fs::File::create(path(name)).expect("made");
            if is_old {
                file.set_modified(old).expect("aged");
            }
        }
        let url = Url::from_directory_path(dir.path()).expect("an address");
        let elsewhere = Path::new("/nowhere");
        assert_eq!(clear(Some("s3://bucket/prefix"), dir.path()).expect("nothing to do"), 0);
        assert_eq!(clear(Some(url.as_str()), elsewhere).expect("cleared"), 1);
        assert_eq!(clear(None, dir.path()).expect("cleared"), 0);
        assert!(!path("a#1").exists());
        assert!(["b#2", "c", "d#e"].iter().all(|name| path(name).exists()));
    }
}
