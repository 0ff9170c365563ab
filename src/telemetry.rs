//! Log lines: readable on a terminal, JSON elsewhere, to standard error. They never hold a body, a
//! secret or a token: what is logged are names, sequences and sizes.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

pub(crate) mod spans;

/// Begins logging. `RUST_LOG` goes before the configuration.
pub(crate) fn begin(config: &Log) -> anyhow::Result<()> {
    let configured = config.filter.clone().unwrap_or_else(|| "info,async_nats=warn".into());
    let filter = std::env::var("RUST_LOG").unwrap_or(configured);
    let filter = EnvFilter::builder().parse(&filter)?;
    let terminal = std::io::stderr().is_terminal();
    let format =
        config.format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => lines.with_ansi(terminal).with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
