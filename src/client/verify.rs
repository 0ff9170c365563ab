//! `backstock verify`

use backstock_proto::journal::VerifyReport;

use super::api::{self, Api, Server};
use super::{Answer, Exit, Failure, moment, page};

#[derive(clap::Args)]
#[command(after_help = "\
Takes as long as it takes to read everything; nothing is written. Needs a token with the scope
admin. Exit code 1 if anything does not hold.

Examples:
  backstock verify
  backstock verify --json | jq .faults_total")]
pub(crate) struct Args {
    #[command(flatten)]
    server: Server,
}

pub(super) async fn answer(args: Args) -> Result<Answer, Failure> {
    let api = Api::new(&args.server)?;
    let body = api.post("/v1/verify", None).await?;
    let report: VerifyReport = api::read(&body)?;
    let mut answer = match args.server.json {
        true => Answer::json(&body),
        false => Answer::done(shown(&report)),
    };
    if report.faults_total > 0 || !report.faults.is_empty() {
        answer.exit = Exit::Failed;
    }
    Ok(answer)
}

fn shown(report: &VerifyReport) -> String {
    let read = format!(
        "Read back {}, {}, in {}.",
        page::count(report.versions, "version"),
        size(report.bytes),
        moment::length(report.seconds),
    );
    if report.faults_total == 0 && report.faults.is_empty() {
        return format!(
            "{read}\n{} Every digest and every index agrees.\n",
            page::good("All of it holds.")
        );
    }
    let total = report.faults_total.max(report.faults.len() as u64);
    let verdict = page::bad(format!("{} found.", page::count(total, "fault")));
    let mut text = format!("{read}\n{verdict}\n");
    for fault in &report.faults {
        text += &format!("  {fault}\n");
    }
    if total > report.faults.len() as u64 {
        let rest = page::grouped(total - report.faults.len() as u64);
        text += &format!("  and {rest} more\n");
    }
    text
}

pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return page::count(bytes, "byte");
    }
    let mut amount = bytes as f64 / 1e3;
    let mut unit = 0;
    while amount >= 999.95 && unit + 1 < UNITS.len() {
        amount /= 1e3;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}
