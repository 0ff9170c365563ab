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
use super::{Answer, Exit, Failure, page, resource};

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
    #[arg(long = "kind", value_name = "KIND", value_parser = resource::kind)]
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
            false => Answer::done(format!(
                "Ordered; `backstock status --shop {}` says how far it is.\n",
                shop.name()
            )),
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
    let mut over = BTreeMap::new();
    loop {
        let body = api.get(&format!("/v1/shops/{shop}/pulls"), &[]).await?;
        let list: List<PullReport> = api::read(&body)?;
        learn(&mut over, list.items, wanted, at);
        if watched {
            eprint!("\r{} of {} kinds", over.len(), wanted.len());
        }
        if over.len() >= wanted.len() {
            if watched {
                eprint!("\r                      \r");
            }
            return Ok(over.into_values().collect());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Learns which kinds were pulled since `at`, each by the newest pull that is over. What ended early is
/// remembered: small kinds are pulled again and again while large ones are, and push it off the first page.
fn learn(
    over: &mut BTreeMap<Kind, PullReport>,
    told: Vec<PullReport>,
    wanted: &[Kind],
    at: Timestamp,
) {
    for report in told {
        let ours = report.started_at >= at && wanted.contains(&report.kind);
        let known = over.get(&report.kind);
        let newer = known.is_none_or(|known| known.started_at < report.started_at);
        if ours && newer && report.state != PullState::Running {
            over.insert(report.kind.clone(), report);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pull(kind: &str, state: &str, minute: u32) -> PullReport {
        let started_at = format!("2026-11-23T14:{minute}:00Z");
        let pull = json!({"kind": kind, "state": state, "started_at": started_at, "reason": null});
        serde_json::from_value(pull).expect("a report")
    }

    #[test]
    fn what_ended_early_is_not_waited_for_again() {
        let at = Timestamp::parse("2026-11-23T14:30:00Z").expect("an instant");
        let wanted = ["order", "page", "product"].map(|kind| Kind::parse(kind).expect("a kind"));
        let mut over = BTreeMap::new();
        let mut told = |told: Vec<PullReport>| {
            learn(&mut over, told, &wanted, at);
            let ended = over.values().map(|report| (report.kind.as_str(), report.started_at));
            let minute = |at: Timestamp| at.to_string()[14..16].to_owned();
            ended.map(|(kind, at)| format!("{kind} {}", minute(at))).collect::<Vec<_>>().join(", ")
        };
        let first = vec![
            pull("product", "running", 31),
            pull("menu", "complete", 31),
            pull("page", "failed", 32),
            pull("order", "complete", 31),
            pull("product", "complete", 29),
        ];
        assert_eq!(told(first), "order 31, page 32");
        let second = vec![pull("page", "complete", 45), pull("page", "failed", 32)];
        assert_eq!(told(second), "order 31, page 45", "of orders the first page tells no more");
        let third = vec![pull("product", "complete", 31)];
        assert_eq!(told(third), "order 31, page 45, product 31");
    }
}
