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

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    /// Fields that another name is used for everywhere else.
    const OTHER_NAMES: [&str; 8] =
        ["cause", "domain", "e", "err", "seq", "sequence", "trace", "why"];

    /// The sources of every role.
    fn sources() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let crates =
            ["src", "proto/src", "ingest/src", "journal/src", "compactor/src", "restorer/src"];
        let mut dirs: Vec<PathBuf> = crates.map(|name| root.join(name)).into();
        let mut files = Vec::new();
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => dirs.push(path),
                    false => {
                        files.extend(path.extension().is_some_and(|e| e == "rs").then_some(path))
                    }
                }
            }
        }
        files
    }

    /// The log lines of a source: the names of the fields that stand before the message, and the message.
    fn lines(source: &str) -> Vec<(Vec<&str>, &str)> {
        let levels = ["error!(", "warn!(", "info!(", "debug!("];
        let begins = levels.iter().flat_map(|level| source.match_indices(level));
        let line = |(at, level): (usize, &str)| {
            let (fields, rest) = source[at + level.len()..].split_once('"')?;
            let (message, _) = rest.split_once('"')?;
            let names = fields.split(',').map(|field| {
                let field = field.split('=').next().unwrap_or_default();
                field.trim().trim_start_matches(['%', '?'])
            });
            Some((names.collect(), message))
        };
        begins.filter_map(line).collect()
    }

    #[test]
    fn what_went_wrong_is_a_field_and_the_same_thing_has_the_same_name() {
        let mut found = 0;
        for path in sources() {
            let source = std::fs::read_to_string(&path).expect("a source");
            for (fields, message) in lines(&source) {
                let path = path.display();
                let other = fields.iter().find(|field| OTHER_NAMES.contains(field));
                assert!(other.is_none(), "{path}: {message:?} has the field {other:?}");
                let within =
                    ["{error", "{e}", "{e:", "{why"].iter().find(|it| message.contains(**it));
                let alone = message.starts_with('{') && message.ends_with('}');
                assert!(within.is_none() || alone, "{path}: {message:?} says what a field should");
                found += 1;
            }
        }
        assert!(found > 80, "only {found} were found");
        let [(fields, message)] = &lines("warn!(shop = %it, %error, \"not done\")")[..] else {
            panic!("not one")
        };
        assert_eq!((fields[..2].to_vec(), *message), (vec!["shop", "error"], "not done"));
    }
}
