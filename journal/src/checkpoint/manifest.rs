//! What stands beside the files of a checkpoint and says which they are: JSON.

use backstock_proto::Timestamp;
use backstock_proto::stream::Partition;
use serde::{Deserialize, Serialize};

use super::CheckpointError;

/// The format that this binary writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

/// Which files make up a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of this manifest.
    pub format: u32,
    /// Which partition it is, of how many is said by its stream.
    pub partition: Partition,
    /// When it was made.
    pub at: Timestamp,
    /// The last stream sequence that is surely in it.
    pub applied_seq: u64,
    /// Its files.
    pub files: Vec<File>,
}

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name in the store's directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes, hexadecimal.
    pub blake3: String,
}

/// What every manifest says, of whatever format.
#[derive(Deserialize)]
struct Told {
    format: u32,
}

impl Manifest {
    /// Reads one. Of a newer one nothing but its format is believed.
    pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let unreadable =
            |e: serde_json::Error| CheckpointError::Manifest(name.into(), e.to_string());
        match serde_json::from_slice(bytes).map_err(unreadable)? {
            Told { format } if format > FORMAT => {
                Err(CheckpointError::Newer { name: name.into(), found: format })
            }
            Told { .. } => serde_json::from_slice(bytes).map_err(unreadable),
        }
    }
}
