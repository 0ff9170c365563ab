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
    // The first look reads it again: it may have changed while everything else started.
    let mut seen = None;
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

#[cfg(test)]
mod tests {
    use super::*;
    use backstock_restorer::Token;

    #[tokio::test]
    async fn a_token_that_was_taken_out_while_everything_started_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("backstock.toml");
        std::fs::write(&file, "").expect("written");
        let token = Token::parse("ops", &"ab".repeat(32), &["read".into()], &["*".into()]);
        let token = token.expect("a token");
        let (tokens, stop) = (Tokens::new(vec![token.clone()]), CancellationToken::new());
        let refused = async {
            while tokens.still_valid(&token) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(watch(&file, tokens.clone(), stop.clone()), refused) };
        tokio::time::timeout(Duration::from_secs(10), both).await.expect("refused by then");
    }
}
