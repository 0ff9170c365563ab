//! A Shopify that can be trusted in tests: a shop with a catalog and a past, an Admin API,
//! webhooks, and people, buyers and apps who change things. The same seed gives the same run.
#![recursion_limit = "256"]

pub mod access;
pub mod admin;
pub mod bulk_run;
pub mod catalog;
pub mod change;
pub mod dice;
pub mod dispatch;
pub mod disturbance;
pub mod events;
pub mod fault;
pub mod gid;
pub mod harm;
pub mod instant;
pub mod knowledge;
pub mod measure;
pub mod payload;
mod protected;
pub mod scenario;
pub mod server;
pub mod shop;
pub mod signing;
pub mod simulator;
pub mod store;
pub mod subscription;
pub mod traffic;
