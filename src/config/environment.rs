//! Configuration from the environment: `BACKSTOCK_<PATH>`, levels joined by `__`, elements of
//! lists by their number.

use toml::{Table, Value};

const PREFIX: &str = "BACKSTOCK_";

/// Variables under our prefix that are not configuration: the command-line client's own, and those
/// that tests and scripts use.
const NOT_CONFIGURATION: &[&str] =
    &["URL", "TOKEN", "SHOP", "CONFIG", "NATS_SERVER", "CASES", "SEED", "WRITE"];

/// Sets each variable's value in `table`; answers what cannot be set, one line each.
pub(super) fn apply(
    table: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    let mut settings: Vec<(String, String)> = variables
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)))
        .filter(|(path, _)| !NOT_CONFIGURATION.contains(&path.as_str()))
        .collect();
    settings.sort();
    let mut faults = Vec::new();
    for (path, text) in settings {
        let keys: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
        let mut root = Value::Table(std::mem::take(table));
        if set(&mut root, &keys, value(&text)).is_none() {
            faults.push(format!("environment: {PREFIX}{path} does not name a setting"));
        }
        if let Value::Table(changed) = root {
            *table = changed;
        }
    }
    faults
}

/// Numbers, booleans, lists and quoted texts as TOML writes them; anything else is a text.
fn value(text: &str) -> Value {
    let parsed: Option<Table> = format!("v = {text}").parse().ok();
    match parsed.and_then(|mut table| table.remove("v")) {
        Some(Value::Datetime(_)) | None => Value::String(text.to_owned()),
        Some(value) => value,
    }
}

fn set(at: &mut Value, keys: &[String], value: Value) -> Option<()> {
    let Some((key, rest)) = keys.split_first() else {
        *at = value;
        return Some(());
    };
    let child = match at {
        Value::Array(items) => {
            let index: usize = key.parse().ok().filter(|i| *i <= items.len())?;
            if index == items.len() {
                items.push(Value::Table(Table::new()));
            }
            items.get_mut(index)?
        }
        Value::Table(members) => members.entry(key.clone()).or_insert_with(|| match rest.first() {
            Some(next) if next.parse::<usize>().is_ok() => Value::Array(Vec::new()),
            _ => Value::Table(Table::new()),
        }),
        _ => return None,
    };
    set(child, rest, value)
}
