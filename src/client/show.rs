//! `backstock show`

use backstock_proto::journal::Version;
use backstock_proto::{Kind, Op, Shop, Source, Timestamp};
use jiff::Zoned;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::api::{self, Api, Target};
use super::resource::{self, Named};
use super::{Answer, Failure, instant, moment, page, value};

#[derive(clap::Args)]
#[command(after_help = "\
What was deleted is shown as it last was.

Examples:
  backstock show product 8072139866342
  backstock show product 8072139866342 --at \"yesterday 14:00\"
  backstock show order gid://shopify/Order/5123 --at 2026-11-20
  backstock show product 8072139866342 --json | jq -r .state.descriptionHtml")]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// As of then; now by default
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
    #[command(flatten)]
    target: Target,
}

/// What both answers say: the resource as it was, and what is left of one that is gone.
#[derive(Deserialize)]
struct Shown {
    version: Version,
    #[serde(default)]
    state: Value,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let query = [("at", api::instant(args.at))];
    let answer = api.ask(&args.named.path(&shop), &query).await?;
    let gone = match answer.status {
        StatusCode::OK => false,
        StatusCode::GONE => true,
        _ => return Err(api.refused(answer).await),
    };
    if args.target.server.json {
        return Ok(Answer::json(&answer.body));
    }
    let shown: Shown = api::read(&answer.body)?;
    let mut text = page(&args, &shown, gone, now);
    // Of an earlier moment nobody says that it is gone now.
    if gone && args.at.is_none() {
        text += &way_back(&shop, &args.named, &shown.version);
    }
    Ok(Answer::done(text))
}

/// How something that is gone is planned back, where it can be.
fn way_back(shop: &Shop, Named { kind, id }: &Named, gone: &Version) -> String {
    if kind.spec().is_none_or(|spec| spec.writable.stays().is_some()) {
        return String::new();
    }
    let before = Timestamp::from_micros(gone.valid_at.as_micros() - 1);
    let plan =
        format!("backstock plan --shop {} --kind {kind} --id {id} --at {before}", shop.name());
    format!("\n{}\n", page::faint(format!("What it would take to bring it back: {plan}")))
}

fn page(args: &Args, shown: &Shown, gone: bool, now: &Zoned) -> String {
    let Named { kind, id } = &args.named;
    let title = title(kind, &shown.state);
    let version = &shown.version;
    let since = moment::shown(version.valid_at, now);
    let how = format!("({})", how(version));
    let asked = args.at.map(|at| format!("As of {}. ", moment::shown(at, now)));
    let life = if gone {
        page::bad(format!("Deleted {since} {how}. This is its last state:"))
    } else {
        page::faint(format!("{}Unchanged since {since} {how}", asked.unwrap_or_default()))
    };
    let state = if shown.state.is_null() {
        "Its last state is not known.\n".into()
    } else {
        value::outline(&shown.state)
    };
    format!("{}\n{life}\n\n{state}", resource::called(&title, kind, id))
}

/// What a person calls a resource.
pub(super) fn title(kind: &Kind, state: &Value) -> String {
    kind.listing(state).title
}

/// How a version came to be known.
pub(super) fn how(version: &Version) -> String {
    match version.source {
        Source::Webhook => format!("webhook {}", version.topic),
        Source::Events => format!("event {}", version.topic),
        Source::Pull => "read from Shopify".into(),
        Source::Reconcile => "found by a full pull".into(),
        Source::Restore => "restored by Backstock".into(),
    }
}

/// What a version says happened.
pub(super) fn what(op: Op) -> &'static str {
    match op {
        Op::Create => "created",
        Op::Update => "updated",
        Op::Delete => "deleted",
    }
}
