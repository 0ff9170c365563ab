//! `backstock checkpoint`

use backstock_proto::journal::CheckpointReport;
use serde_json::json;

use super::api::{self, Api, Server};
use super::verify::size;
use super::{Answer, Failure, moment, page};

#[derive(clap::Args)]
#[command(after_help = "\
Copies the journal as it is now into the configured object store, or into another one that the
configuration names in storage.copies. Only what no earlier checkpoint has is copied. Needs a token
with the scope admin that sees every shop.
`backstock recover` brings one back.

Examples:
  backstock checkpoint
  backstock checkpoint --to s3://bucket/prefix")]
pub(crate) struct Args {
    #[command(flatten)]
    server: Server,
    /// One of storage.copies, instead of storage.url
    #[arg(long, value_name = "URL")]
    to: Option<String>,
}

pub(super) async fn answer(args: Args) -> Result<Answer, Failure> {
    let api = Api::new(&args.server)?;
    let body = api.post("/v1/checkpoint", Some(&json!({"to": args.to}))).await?;
    let reports: Vec<CheckpointReport> = api::read(&body)?;
    Ok(match args.server.json {
        true => Answer::json(&body),
        false => Answer::done(reports.iter().map(shown).collect()),
    })
}

fn shown(report: &CheckpointReport) -> String {
    format!(
        "Partition {}: {} in {}, of which {} were new, up to event {}, in {}.\n",
        report.partition,
        size(report.bytes),
        page::count(report.files, "file"),
        size(report.stored_bytes),
        page::grouped(report.applied_seq),
        moment::length(report.seconds),
    )
}
