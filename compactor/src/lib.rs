//! Reconciles history with what the Admin API says: backfill, missed webhooks, kinds that have no
//! webhook, retention, media bytes.
//!
//! So far it only has its place in the process and its metrics, which stand at zero.

use tokio_util::sync::CancellationToken;

mod metrics;

pub use metrics::Metrics;

/// Runs until `shutdown`.
pub async fn run(
    registry: &prometheus::Registry,
    shutdown: CancellationToken,
) -> prometheus::Result<()> {
    let _metrics = Metrics::register(registry)?;
    shutdown.cancelled().await;
    Ok(())
}
