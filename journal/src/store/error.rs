//! Why the store did not do what was asked.

use std::path::PathBuf;

use backstock_proto::journal::JournalError;

use super::STORE_FORMAT;
use crate::record::RecordError;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error(
        "{path} is open in another process; two journals never share a directory. Stop the other \
         one first"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be opened as it is.
    #[error(
        "{path} cannot be opened: {source}. Nothing was changed. Bring back the last checkpoint, or \
         start with an empty directory: the stream still holds what came after the checkpoint"
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
    /// Written by a newer binary.
    #[error("{path} is in format {found}, this binary knows {STORE_FORMAT}; run a newer Backstock")]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// The format found.
        found: u8,
    },
    /// The stream is not the one that the store was filled from.
    #[error("{0}")]
    OtherStream(String),
    /// There is nowhere to work beside it.
    #[error("there is no directory to work in beside {path}: {source}")]
    Beside {
        /// The store.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The disk is full. Nothing was written; the same append may be tried again later.
    #[error("the disk under the journal is full: {0}")]
    DiskFull(rocksdb::Error),
    /// Writing or syncing failed. What is on disk is unknown until the store is opened anew, so
    /// nothing may be tried again in this process.
    #[error("writing the journal failed: {0}")]
    Write(rocksdb::Error),
    /// Reading failed.
    #[error("reading the journal failed: {0}")]
    Read(rocksdb::Error),
    /// What is stored does not make sense.
    #[error("stored history is damaged at {at}: {source}")]
    Damaged {
        /// Where.
        at: String,
        /// How.
        source: RecordError,
    },
}

impl StoreError {
    /// Sorts a failed write: a full disk passes, anything else does not.
    pub(super) fn of_write(error: rocksdb::Error) -> Self {
        // RocksDB tells a full disk apart in its message only.
        if error.to_string().contains("No space left on device") {
            Self::DiskFull(error)
        } else {
            Self::Write(error)
        }
    }
}

impl From<rocksdb::Error> for StoreError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Read(error)
    }
}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        let damaged = match &error {
            StoreError::Damaged { .. } => true,
            StoreError::Read(source) => source.kind() == rocksdb::ErrorKind::Corruption,
            StoreError::Locked { .. }
            | StoreError::Open { .. }
            | StoreError::NewerFormat { .. }
            | StoreError::OtherStream(_)
            | StoreError::Beside { .. }
            | StoreError::DiskFull(_)
            | StoreError::Write(_) => false,
        };
        if damaged { Self::Damaged(error.to_string()) } else { Self::Storage(error.to_string()) }
    }
}

/// Says where a record that cannot be read stands.
pub(crate) trait At<T> {
    fn at(self, place: impl FnOnce() -> String) -> Result<T, StoreError>;
}

impl<T> At<T> for Result<T, RecordError> {
    fn at(self, place: impl FnOnce() -> String) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Damaged { at: place(), source })
    }
}
