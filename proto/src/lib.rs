//! What is said on every wire and in every key.
//!
//! The modules read in order: who ([`shop`]), when ([`time`]), what ([`resource`], [`kind`]),
//! what happened ([`event`], as it travels on the [`stream`]), what it means ([`canonical`],
//! [`known`], [`diff`], [`merge`]), and how it is asked for ([`journal`]). [`listen`] is how every role
//! answers HTTP.
//!
//! [`admin`] is how a shop is asked and written to, [`blob`] where the bytes of media are kept,
//! [`witness`] what a whole look at the shop saw, [`erase`] what is left once a person is taken out,
//! [`lease`] how several processes keep out of each other's way, [`trace`] which work of theirs belongs
//! together.
//!
//! Nothing but [`admin`], [`blob`], [`lease`], [`publish`] and [`trace`] does work of its own: no retries,
//! no clock.

pub mod ack;
pub mod admin;
pub mod blob;
pub mod canonical;
pub mod cron;
pub mod diff;
pub mod erase;
pub mod event;
pub mod journal;
pub mod kind;
pub mod known;
pub mod lease;
pub mod listen;
pub mod media;
pub mod merge;
pub mod mode;
pub mod problem;
pub mod publish;
pub mod pulls;
pub mod resource;
pub mod retain;
pub mod shop;
pub mod storage;
pub mod stream;
pub mod subscribe;
pub mod time;
pub mod trace;
pub mod union;
pub mod webhook;
pub mod witness;

pub use event::{Event, Op, Source};
pub use kind::Kind;
pub use mode::Mode;
pub use resource::{Facet, ResourceId, ResourceKey};
pub use shop::Shop;
pub use time::Timestamp;
