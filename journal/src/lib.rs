//! The journal: every version of everything, and what it was at any moment.
//!
//! The modules read in the order in which an event passes through them: it stands on the
//! [`stream`], a [`consumer`] takes it, [`decode`] gives it meaning, [`append`] puts it where it
//! belongs, and [`read`] answers what was. [`erase`] takes people out again. [`keys`] and [`record`] say how all of it lies on disk.
//!
//! - Only this crate opens RocksDB, and one process at a time.
//! - A version's bytes never change once the stream has been acknowledged, but when somebody of whom
//!   they speak is erased.
//! - The stream is acknowledged only after a synced write.

pub mod append;
pub mod checkpoint;
pub mod consumer;
pub mod decode;
pub mod erase;
pub mod http;
pub mod quarantine;
pub mod store;
pub mod stream;
pub mod verify;

mod facts;
mod keys;
mod lag;
mod metrics;
mod ops;
mod options;
mod read;
mod reader;
mod record;
mod tally;
mod thin;

pub use consumer::{Config, Failure, run};
pub use options::{Options, bare_rocksdb};
pub use reader::{CheckpointsTo, Reader};
pub use record::RecordError;
pub use store::{Store, StoreError};
