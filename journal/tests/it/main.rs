//! The journal on a real RocksDB, and where it matters behind a real nats-server.

mod checkpoint;
mod contract;
mod damage;
mod disk;
mod erase;
mod golden;
mod history;
mod older;
mod poison;
mod records;
mod retain;
mod stream;
mod support;
mod thin;
