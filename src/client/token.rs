//! `backstock token`

use backstock_proto::Shop;
use rand::TryRngCore;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Answer, Failure, api, page};

/// What every token's text begins with, so that people and secret scanners recognise one.
const PREFIX: &str = "bst_";

pub(super) const HELP: &str = "\
A token is a [[token]] in the configuration's file, by its SHA-256. One that is taken out there is
refused at once.

Examples:
  backstock token new --name laptop --scope read";

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a token; its text is printed once and kept nowhere
    New(New),
}

#[derive(clap::Args)]
#[command(after_help = "\
Works without a server. The configuration holds the token's SHA-256 only: who reads it cannot use
the token.

Examples:
  backstock token new --name laptop --scope read
  backstock token new --name ops --scope read --scope restore --scope admin
  backstock token new --name agency --scope read --shop acme --shop acme-eu")]
pub(crate) struct New {
    /// What people call it; stands in the log of what it did
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What it may do: read history, restore (write to the shop), admin (look after Backstock)
    #[arg(long = "scope", value_name = "SCOPE", required = true, num_args = 1..)]
    scopes: Vec<Scope>,
    /// Which shop it sees, once for each; every shop by default
    #[arg(long = "shop", value_name = "SHOP", value_parser = api::shop)]
    shops: Vec<Shop>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Scope {
    Read,
    Restore,
    Admin,
}

/// A token as the configuration knows it.
#[derive(Serialize)]
struct Entry {
    name: String,
    sha256: String,
    scopes: Vec<Scope>,
    shops: Vec<String>,
}

#[derive(Serialize)]
struct Config<'a> {
    token: [&'a Entry; 1],
}

#[derive(Serialize)]
struct Made<'a> {
    token: &'a str,
    #[serde(flatten)]
    entry: &'a Entry,
}

pub(super) fn answer(verb: Verb) -> Result<Answer, Failure> {
    let Verb::New(args) = verb;
    let text = random()?;
    let json = args.json;
    let entry = entry(args, &text);
    let unwritten = |e: &dyn std::fmt::Display| Failure::new(format!("cannot be written: {e}"));
    if json {
        let made = serde_json::to_vec(&Made { token: &text, entry: &entry });
        return made.map(|made| Answer::json(&made)).map_err(|e| unwritten(&e));
    }
    let toml = toml::to_string(&Config { token: [&entry] }).map_err(|e| unwritten(&e))?;
    Ok(Answer::done(format!(
        "{}\n{text}\n\n{}\n{toml}",
        page::faint("# The token. Keep it now, it is not shown again:"),
        page::faint(
            "# Its entry in the configuration's file, which Backstock reads again at once:"
        ),
    )))
}

fn entry(mut args: New, text: &str) -> Entry {
    args.scopes.sort();
    args.scopes.dedup();
    let shops = match args.shops.as_slice() {
        [] => vec!["*".into()],
        shops => shops.iter().map(Shop::domain).collect(),
    };
    Entry { name: args.name, sha256: hex(&Sha256::digest(text)), scopes: args.scopes, shops }
}

/// 256 bits that nobody can guess.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    let filled = rand::rngs::OsRng.try_fill_bytes(&mut bytes);
    filled.map_err(|e| Failure::new(format!("the system gives no random bytes: {e}")))?;
    Ok(format!("{PREFIX}{}", hex(&bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
