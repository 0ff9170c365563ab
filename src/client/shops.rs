//! `backstock shops`

use backstock_proto::journal::{List, ShopSummary};
use comfy_table::{Cell, CellAlignment};
use jiff::Zoned;
use serde_json::value::RawValue;

use super::api::{self, Api, Limit, Server};
use super::{Answer, Failure, moment, page};

/// A lag of this many seconds is nothing to speak of.
const LAG_SECONDS: f64 = 5.0;

#[derive(clap::Args)]
#[command(after_help = "\
`backstock status --shop SHOP` says more of one.

Examples:
  backstock shops
  backstock shops --json | jq -r '.items[] | select(.lag_seconds > 60) | .shop'")]
pub(crate) struct Args {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    limit: Limit,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.server)?;
    let list = api.list("/v1/shops", &[], args.limit.limit).await?;
    if args.server.json {
        return Answer::json_list(&list);
    }
    if list.items.is_empty() {
        return Ok(Answer::done(
            "This token sees no shop. A shop is a [[shop]] in Backstock's configuration.\n".into(),
        ));
    }
    Ok(Answer::done(shown(&list, args.limit.limit, now)?))
}

fn shown(list: &List<Box<RawValue>>, limit: usize, now: &Zoned) -> Result<String, Failure> {
    let mut table = page::table(&["Shop", "Living", "Versions", "Newest event", "Behind"]);
    for item in &list.items {
        let summary: ShopSummary = api::read(item.get().as_bytes())?;
        let number = |n| Cell::new(page::grouped(n)).set_alignment(CellAlignment::Right);
        let newest = summary.newest_received_at.map(|at| moment::age(at, now));
        table.add_row(vec![
            Cell::new(&summary.shop),
            number(summary.resources),
            number(summary.versions),
            Cell::new(newest.as_deref().unwrap_or("never")),
            Cell::new(behind(&summary)),
        ]);
    }
    let more = if list.next.is_some() { page::more(limit) } else { String::new() };
    Ok(page::lines(&table) + &more)
}

fn behind(summary: &ShopSummary) -> String {
    if summary.newest_received_at.is_none() {
        page::odd("nothing heard yet")
    } else if summary.lag_seconds < LAG_SECONDS {
        page::good("up to date")
    } else {
        page::odd(moment::length(summary.lag_seconds))
    }
}
