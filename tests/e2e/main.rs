//! End to end: the real binary, a real nats-server, a real RocksDB on disk, spoken to as Shopify
//! and as a user's scripts do.
//!
//! Loops run a short form by default; `make torture` runs the long one. Every loop prints what it
//! did, its failures and its seed; `BACKSTOCK_SEED` repeats one.

#![allow(missing_docs)]

mod anew;
mod backstock;
mod bad_input;
mod cluster;
mod compactors;
mod daily_limit;
mod dashboards;
mod deeds;
mod disk;
mod drift;
mod erase;
mod gauge;
mod guard;
mod kills;
mod large;
mod ledger;
mod likeness;
mod moved;
mod orders;
mod partitions;
mod portrait;
mod ports;
mod proof;
mod pulls;
mod recover;
mod restore;
mod samples;
mod settings;
mod shopify;
mod simulator;
mod story;
mod subscriptions;
mod telemetry;
mod themes;
mod told;
mod truth;
mod upkeep;
mod wholesale;
mod wreck;
