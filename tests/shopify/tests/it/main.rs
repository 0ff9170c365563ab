//! The simulated shop, over its own interfaces.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod admin;
mod client;
mod delivery;
mod events;
mod http;
mod kinds;
mod product_documents;
mod pulled;
mod same_seed;
mod subscriber;
mod webhook_bodies;
