//! `backstock shops`

use backstock_proto::journal::{List, ShopSummary};
use backstock_restorer::health::{Health, HealthState, ShopListed};
use comfy_table::{Cell, CellAlignment, Color};
use jiff::Zoned;
use serde_json::value::RawValue;

use super::api::{self, Api, Limit, Server};
use super::status::LAG_SECONDS;
use super::{Answer, Failure, moment, page};

#[derive(clap::Args)]
#[command(after_help = "\
How each is was seen within the last five minutes. `backstock status --shop SHOP` says more of one,
and `backstock incidents --shop SHOP` what the guard saw there.

Examples:
  backstock shops
  backstock shops acme
  backstock shops --json | jq -r '.items[] | select(.health.state != \"good\") | .shop'")]
pub(crate) struct Args {
    /// Only those whose name holds this text, in any case
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    limit: Limit,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.server)?;
    let asked = [("q", args.text.clone()), ("health", Some("true".to_owned()))];
    let list = api.list("/v1/shops", &asked, args.limit.limit).await?;
    if args.server.json {
        return Answer::json_list(&list);
    }
    if let (true, Some(text)) = (list.items.is_empty(), &args.text) {
        return Ok(Answer::done(format!("No shop that this token sees is named like {text:?}.\n")));
    }
    if list.items.is_empty() {
        return Ok(Answer::done(
            "This token sees no shop. A shop is a [[shop]] in Backstock's configuration.\n".into(),
        ));
    }
    Ok(Answer::done(shown(&list, args.limit.limit, now)?))
}

fn shown(list: &List<Box<RawValue>>, limit: usize, now: &Zoned) -> Result<String, Failure> {
    let titles =
        ["Shop", "Living", "Versions", "Newest event", "Behind", "Read whole", "How it is"];
    let (mut table, mut wrong) = (page::table(&titles), String::new());
    for item in &list.items {
        let ShopListed { summary, health } = api::read(item.get().as_bytes())?;
        let number = |n| Cell::new(page::grouped(n)).set_alignment(CellAlignment::Right);
        let newest = summary.newest_received_at.map(|at| moment::age(at, now));
        table.add_row(vec![
            Cell::new(&summary.shop),
            number(summary.resources),
            number(summary.versions),
            Cell::new(newest.as_deref().unwrap_or("never")),
            behind(&summary),
            read_whole(health.as_ref(), now),
            state(health.as_ref()),
        ]);
        let all = health.iter().flat_map(|health| &health.wrong);
        let all: Vec<String> = all.map(|why| format!("  {why}\n")).collect();
        if !all.is_empty() {
            wrong += &format!("\n{}\n{}", page::strong(&summary.shop), all.concat());
        }
    }
    let more = if list.next.is_some() { page::more(limit) } else { String::new() };
    Ok(page::lines(&table) + &more + &wrong)
}

fn read_whole(health: Option<&Health>, now: &Zoned) -> Cell {
    match health.map(|health| health.last_complete_pull) {
        Some(Some(at)) => Cell::new(moment::age(at, now)),
        Some(None) => Cell::new("never").fg(Color::Yellow),
        None => Cell::new(""),
    }
}

fn state(health: Option<&Health>) -> Cell {
    let Some(health) = health else { return page::faint_cell("not known yet") };
    match health.state {
        HealthState::Good => Cell::new("well").fg(Color::Green),
        HealthState::Notice => Cell::new("something to know"),
        HealthState::Warning => Cell::new("needs a look").fg(Color::Yellow),
        HealthState::Bad => {
            let open = page::count(health.incidents_open, "open incident");
            Cell::new(open).fg(Color::Red)
        }
    }
}

fn behind(summary: &ShopSummary) -> Cell {
    if summary.newest_received_at.is_none() {
        Cell::new("nothing heard yet").fg(Color::Yellow)
    } else if summary.lag_seconds < LAG_SECONDS {
        Cell::new("up to date").fg(Color::Green)
    } else {
        Cell::new(moment::length(summary.lag_seconds)).fg(Color::Yellow)
    }
}
