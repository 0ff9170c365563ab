//! The tokens of the HTTP API, which are read again when the configuration's file changes: one that is
//! taken out of it is refused within a second or two.

use std::path::Path;
use std::time::{Duration, SystemTime};

use backstock_restorer::Tokens;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::Config;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Puts the tokens of a changed `file` into effect until `shutdown`. What is wrong with it leaves them
/// as they were, and nothing else of it counts before a restart.
pub(crate) async fn watch(file: &Path, tokens: Tokens, shutdown: CancellationToken) {
    let mut seen = stamp(file);
    while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let now = stamp(file);
        if now == seen {
            continue;
        }
        seen = now;
        match read(file) {
            Ok(fresh) => {
                let count = fresh.len();
                tokens.replace(fresh);
                info!("the tokens were read again: there are {count} now");
            }
            Err(e) => error!(error = format!("{e:#}"), "the tokens stay as they were"),
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<backstock_restorer::Token>> {
    Ok(Config::load(Some(file))?.tokens()?)
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}
