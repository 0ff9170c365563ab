//! Ingest against a real nats-server.

mod answers;
mod hostile;
mod nats;
mod outages;
mod rounds;
mod signatures;
mod world;

/// How often a test repeats itself: a few times, or as the environment says.
fn times(variable: &str, few: u64) -> u64 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(few)
}
