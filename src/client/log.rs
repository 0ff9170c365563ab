//! `backstock log`

use backstock_proto::Op;
use backstock_proto::journal::{List, Version};
use comfy_table::{Cell, CellAlignment, Color};
use jiff::Zoned;
use serde_json::value::RawValue;

use super::api::{self, Api, Limit, Target};
use super::resource::Named;
use super::show::{how, what};
use super::{Answer, Failure, moment, page};

#[derive(clap::Args)]
#[command(after_help = "\
Newest first. The lag is the time from the change in the shop to its safe arrival here.

Examples:
  backstock log product 8072139866342
  backstock log customer 7209 --limit 10
  backstock log product 8072139866342 --json | jq -r '.items[].valid_at'")]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let path = format!("{}/versions", args.named.path(&shop));
    let list = api.list(&path, &[], args.limit.limit).await?;
    if args.target.server.json {
        return Answer::json_list(&list);
    }
    Ok(Answer::done(shown(&list, args.limit.limit, now)?))
}

fn shown(list: &List<Box<RawValue>>, limit: usize, now: &Zoned) -> Result<String, Failure> {
    let mut table = page::table(&["When", "What", "How we know", "Lag", "Version"]);
    for item in &list.items {
        let version: Version = api::read(item.get().as_bytes())?;
        let what = if version.unchanged { "no change" } else { what(version.op) };
        let lag = moment::length(version.recorded_at.seconds_since(version.valid_at));
        let texts = [
            moment::shown(version.valid_at, now),
            what.into(),
            how(&version),
            lag,
            version.seq.to_string(),
        ];
        let mut cells: Vec<Cell> = match version.unchanged {
            true => texts.iter().map(page::faint_cell).collect(),
            false => texts.iter().map(Cell::new).collect(),
        };
        if version.op == Op::Delete
            && let Some(what) = cells.get_mut(1)
        {
            *what = what.clone().fg(Color::Red);
        }
        table.add_row(cells);
    }
    for column in [3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let more = if list.next.is_some() { page::more(limit) } else { String::new() };
    Ok(page::lines(&table) + &more)
}
