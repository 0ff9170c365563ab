//! The shops' webhook secrets, and the files that they are read from again when they change.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use backstock_ingest::ShopSecrets;
use backstock_proto::Shop;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::ShopConfig;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reads all secrets: those in the configuration and those in files.
pub(crate) fn read(shops: &[ShopConfig]) -> anyhow::Result<Vec<(Shop, Vec<SecretString>)>> {
    shops
        .iter()
        .map(|shop| {
            let mut secrets = shop.webhook_secrets.clone();
            if let Some(path) = &shop.webhook_secrets_file {
                secrets.extend(
                    read_file(path)
                        .with_context(|| format!("webhook secrets of {}", shop.domain))?,
                );
            }
            Ok((shop.domain.clone(), secrets))
        })
        .collect()
}

fn read_file(path: &Path) -> anyhow::Result<Vec<SecretString>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let secrets: Vec<SecretString> =
        text.lines().map(str::trim).filter(|l| !l.is_empty()).map(SecretString::from).collect();
    anyhow::ensure!(!secrets.is_empty(), "{} holds no secret", path.display());
    Ok(secrets)
}

/// Puts changed files into effect until `shutdown`. What cannot be read leaves everything as it was.
pub(crate) async fn watch(
    shops: Vec<ShopConfig>,
    secrets: ShopSecrets,
    shutdown: CancellationToken,
) {
    // The first look reads them again: they may have changed while everything else started.
    let mut seen: Vec<Option<(SystemTime, u64)>> = Vec::new();
    while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let now = stamps(&shops);
        if now == seen {
            continue;
        }
        seen = now;
        match read(&shops) {
            Ok(fresh) => {
                secrets.replace(fresh);
                info!("webhook secrets were read again");
            }
            Err(e) => error!(error = format!("{e:#}"), "webhook secrets stay as they were"),
        }
    }
}

fn stamps(shops: &[ShopConfig]) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    shops.iter().filter_map(|s| s.webhook_secrets_file.as_deref()).map(stamp).collect()
}
