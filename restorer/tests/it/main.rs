//! The restorer against a simulated shop, and against a journal in memory.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod api;
mod fake;
mod jobs;
mod plan_core;
mod simulated;
mod undo_that_app;
mod write;
