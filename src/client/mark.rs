//! `backstock mark`

use backstock_proto::Timestamp;
use backstock_restorer::mark::Mark;
use jiff::Zoned;
use serde_json::json;

use super::api::{self, Api, Target};
use super::{Answer, Failure, instant, moment, page};

#[derive(clap::Args)]
#[command(after_help = "\
Notes down a named safety point: `backstock plan --at` takes its time. With --app, what begins soon
after it counts as likely that app's, also where Shopify's log does not name it. Needs a token with
the scope restore.

Examples:
  backstock mark \"about to install Bulk Editor\" --app \"Bulk Editor\"
  backstock mark \"before the spring import\" --at \"20 minutes ago\"")]
pub(crate) struct Args {
    /// What it says
    label: String,
    /// The app that it is about, by its title
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// The moment that it marks; now by default
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let mark = json!({"label": args.label, "app": args.app, "at": args.at});
    let body = api.post(&format!("/v1/shops/{shop}/marks"), Some(&mark)).await?;
    if args.target.server.json {
        return Ok(Answer::json(&body));
    }
    let mark: Mark = api::read(&body)?;
    let when = moment::shown(mark.at, now);
    let back = format!("backstock plan --shop {} --at {}", shop.name(), mark.at);
    Ok(Answer::done(format!(
        "{when}  {}\n{}\n",
        page::strong(&mark.label),
        page::faint(format!("What it would take to come back here: {back}")),
    )))
}
