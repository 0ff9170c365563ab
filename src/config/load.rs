//! Reads a configuration: the file, then the environment over it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Config, environment};

/// Where the configuration is looked for when no `--config` is given and this file exists.
const DEFAULT_FILE: &str = "backstock.toml";

/// Why the configuration cannot be used: one line for each fault.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct ConfigError(Vec<String>);

impl Config {
    /// Reads `file` (or [`DEFAULT_FILE`], if there is one), then the environment over it.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = match file {
            Some(path) => Some(path.to_owned()),
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|p| p.exists()),
        };
        let text = match &path {
            Some(path) => std::fs::read_to_string(path).map_err(|e| {
                ConfigError(vec![format!("{}: cannot be read: {e}", path.display())])
            })?,
            None => String::new(),
        };
        let shown = |path: &PathBuf| path.display().to_string();
        let name = path.as_ref().map_or_else(|| "configuration".to_owned(), shown);
        Ok(Self { file: path, ..Self::parse(&name, &text, std::env::vars())? })
    }

    /// Parses `text`, then applies the environment's `variables` over it.
    pub(crate) fn parse(
        name: &str,
        text: &str,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let refuse =
            |e: &dyn std::fmt::Display| ConfigError(vec![one_line(&format!("{name}: {e}"))]);
        let table = text.parse::<toml::Table>();
        let mut table = table.map_err(|e| refuse(&unread(text, &e)))?;
        let mut faults = environment::apply(&mut table, variables);
        let mut unknown = BTreeSet::new();
        let parsed = serde_ignored::deserialize(toml::Value::Table(table), |path| {
            unknown.insert(path.to_string().replace(".?", ""));
        });
        faults.extend(unknown.iter().map(|key| format!("{name}: unknown key {key}")));
        match parsed {
            Ok(config) => {
                let config: Self = config;
                config.check(name, &mut faults);
                if faults.is_empty() { Ok(config) } else { Err(ConfigError(faults)) }
            }
            Err(e) => {
                faults.push(one_line(&format!("{name}: {e}")));
                Err(ConfigError(faults))
            }
        }
    }
}

/// Where a text is no TOML, and why. Its line is not repeated: there may be a secret in it.
fn unread(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| format!("line {}: ", before.matches('\n').count() + 1));
    line.unwrap_or_default() + error.message()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
