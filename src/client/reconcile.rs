//! `backstock reconcile`

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use backstock_proto::journal::{List, PullReport, PullState};
use backstock_proto::{Kind, Timestamp};
use comfy_table::{Cell, CellAlignment};
use serde::Deserialize;
use serde_json::json;

use super::api::{self, Api, Target};
use super::{Answer, Exit, Failure, page};

/// How often it is asked how far the pulls are.
const LOOK_EVERY: Duration = Duration::from_millis(300);

#[derive(clap::Args)]
#[command(after_help = "\
Asks the shop for everything, compares it with history, and corrects history where a webhook was
lost. Waits until that is done. Needs a token with the scope admin. Exit code 1 if a kind could not
be read whole; what was read is kept, and nothing is taken for gone.

Examples:
  backstock reconcile
  backstock reconcile --kind product --kind collection
  backstock reconcile --kind product --confirm-deletions")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Only this kind; may be repeated
    #[arg(long = "kind", value_name = "KIND", value_parser = Kind::parse)]
    kinds: Vec<Kind>,
    /// Believe that many resources are gone at once
    #[arg(long)]
    confirm_deletions: bool,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
}

#[derive(Deserialize)]
struct Ordered {
    at: Timestamp,
}

pub(super) async fn answer(args: Args) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let order = json!({"kinds": args.kinds, "confirm_deletions": args.confirm_deletions});
    let body = api.post(&format!("/v1/shops/{shop}/reconcile"), Some(&order)).await?;
    let Ordered { at } = api::read(&body)?;
    if args.no_wait {
        return Ok(match args.target.server.json {
            true => Answer::json(&body),
            false => Answer::done("Ordered; `backstock status` says how far it is.\n".into()),
        });
    }
    let wanted: Vec<Kind> = match args.kinds.is_empty() {
        false => args.kinds,
        true => pulled_kinds(),
    };
    let reports = over(&api, &shop.to_string(), &wanted, at).await?;
    let failed = reports.iter().any(|report| report.state == PullState::Failed);
    let mut answer = match args.target.server.json {
        true => Answer::json(&serde_json::to_vec(&reports).unwrap_or_default()),
        false => Answer::done(shown(&reports)),
    };
    if failed {
        answer.exit = Exit::Failed;
    }
    Ok(answer)
}

fn pulled_kinds() -> Vec<Kind> {
    let pulled = backstock_proto::kind::ALL.iter().filter(|spec| !spec.pulls.is_empty());
    pulled.map(|spec| Kind::of(spec)).collect()
}

/// Waits until each kind has been pulled since `at`, and answers how that went.
async fn over(
    api: &Api,
    shop: &str,
    wanted: &[Kind],
    at: Timestamp,
) -> Result<Vec<PullReport>, Failure> {
    let watched = std::io::stderr().is_terminal();
    loop {
        let body = api.get(&format!("/v1/shops/{shop}/pulls"), &[]).await?;
        let list: List<PullReport> = api::read(&body)?;
        let ours = |report: &&PullReport| report.started_at >= at && wanted.contains(&report.kind);
        let mut over: BTreeMap<&Kind, &PullReport> = BTreeMap::new();
        for report in list.items.iter().filter(ours) {
            // The newest first.
            if report.state != PullState::Running {
                over.entry(&report.kind).or_insert(report);
            }
        }
        if watched {
            eprint!("\r{} of {} kinds", over.len(), wanted.len());
        }
        if over.len() >= wanted.len() {
            if watched {
                eprint!("\r                      \r");
            }
            return Ok(over.into_values().cloned().collect());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn shown(reports: &[PullReport]) -> String {
    let mut table = page::table(&["Kind", "Read", "Missed", "Changed", "Gone", "Outcome"]);
    let mut reports: Vec<&PullReport> = reports.iter().collect();
    reports.sort_by_key(|report| &report.kind);
    for report in &reports {
        let number = |n| Cell::new(page::grouped(n)).set_alignment(CellAlignment::Right);
        let outcome = match (&report.reason, report.state) {
            (Some(reason), _) => page::bad(reason),
            (None, PullState::Failed) => page::bad("failed"),
            (None, _) => page::good("complete"),
        };
        table.add_row(vec![
            Cell::new(&report.kind),
            number(report.objects),
            number(report.drift.missed),
            number(report.drift.changed),
            number(report.drift.extra),
            Cell::new(outcome),
        ]);
    }
    page::lines(&table)
}
