//! `backstock subscribe`

use backstock_proto::subscribe::Subscriptions;
use serde::Deserialize;

use super::api::{self, Api, Target};
use super::{Answer, Exit, Failure, page};

#[derive(clap::Args)]
#[command(after_help = "\
Subscribes the shop to every topic that is kept, mends subscriptions that are missing or wrong, and
prints what only an app can subscribe itself to, for its shopify.app.toml. Needs http.public_url in
the configuration and a token with the scope admin. Backstock does the same by itself every ten
minutes. Exit code 1 if the shop refuses a topic.

Examples:
  backstock subscribe --dry-run
  backstock subscribe
  backstock subscribe --dry-run --app >> shopify.app.toml   # all topics, in the app's own file")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Change nothing, say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Print the app's configuration for all topics, and nothing else
    #[arg(long, requires = "dry_run")]
    app: bool,
}

#[derive(Deserialize)]
struct Subscribed {
    #[serde(flatten)]
    subscriptions: Subscriptions,
    app_toml: String,
    app_toml_whole: String,
}

pub(super) async fn answer(args: Args) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let path = format!("/v1/shops/{shop}/subscriptions");
    let body = match args.dry_run {
        true => api.get(&path, &[]).await?,
        false => api.post(&path, None).await?,
    };
    let subscribed: Subscribed = api::read(&body)?;
    let mut answer = match (args.target.server.json, args.app) {
        (true, _) => Answer::json(&body),
        (false, true) => return Ok(Answer::done(subscribed.app_toml_whole)),
        (false, false) => Answer::done(shown(&subscribed, args.dry_run)),
    };
    if !subscribed.subscriptions.refused.is_empty() {
        answer.exit = Exit::Failed;
    }
    Ok(answer)
}

fn shown(subscribed: &Subscribed, dry_run: bool) -> String {
    let Subscriptions { uri, wanted, good, done, refused, other_version, .. } =
        &subscribed.subscriptions;
    let mut text = format!("{good} of {wanted} topics are delivered to {uri} as they should be.\n");
    for step in done {
        let would = if dry_run { "would " } else { "" };
        text += &format!("  {would}{step}\n");
    }
    for one in refused {
        text += &format!("  {} {}: {}\n", page::bad("refused"), one.topic, one.reason);
    }
    if !other_version.is_empty() {
        let topics = other_version.join(", ");
        text += &format!("  In the app's own API version, not in the shop's: {topics}\n");
    }
    text += "\nOnly the app can subscribe itself to this; for its shopify.app.toml:\n\n";
    text + &subscribed.app_toml
}
