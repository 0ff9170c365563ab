//! `backstock find`

use backstock_proto::journal::{List, Summary};
use backstock_proto::{Kind, Timestamp};
use comfy_table::{Cell, Color};
use jiff::Zoned;
use serde_json::value::RawValue;

use super::api::{self, Api, Limit, Target};
use super::{Answer, Failure, instant, moment, page, resource};

#[derive(clap::Args)]
#[command(after_help = "\
Without --deleted both what is there and what is gone are found.

Examples:
  backstock find mug
  backstock find MUG-BLU-M --kind product
  backstock find ada@example.com --kind customer
  backstock find mug --deleted
  backstock find mug --at \"yesterday 14:00\"")]
pub(crate) struct Args {
    /// Part of a title, handle, SKU, e-mail address or id, in any case; \"\" finds everything
    #[arg(value_name = "TEXT")]
    text: String,
    /// Only this kind
    #[arg(long, value_name = "KIND", value_parser = resource::kind)]
    kind: Option<Kind>,
    /// Only what no longer exists
    #[arg(long)]
    deleted: bool,
    /// As of then; now by default
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let query = [
        ("kind", args.kind.as_ref().map(Kind::to_string)),
        ("q", Some(args.text.clone()).filter(|text| !text.is_empty())),
        ("at", api::instant(args.at)),
        ("deleted", args.deleted.then(|| "true".into())),
    ];
    let path = format!("/v1/shops/{shop}/resources");
    let list = api.list(&path, &query, args.limit.limit).await?;
    if args.target.server.json {
        return Answer::json_list(&list);
    }
    if list.items.is_empty() {
        let gone = if args.deleted { " that was deleted" } else { "" };
        let with = match args.text.as_str() {
            "" => String::new(),
            text => format!(" with {text:?} in it"),
        };
        return Ok(Answer::done(format!("{shop} has nothing{gone}{with}.\n")));
    }
    Ok(Answer::done(shown(&list, args.limit.limit, now)?))
}

fn shown(list: &List<Box<RawValue>>, limit: usize, now: &Zoned) -> Result<String, Failure> {
    let mut table = page::table(&["Kind", "Id", "Title", "Since", ""]);
    for item in &list.items {
        let found: Summary = api::read(item.get().as_bytes())?;
        let title = match &found.listing.title {
            title if title.is_empty() => found.listing.handle.unwrap_or_default(),
            title => title.clone(),
        };
        let gone = match found.deleted {
            true => Cell::new("deleted").fg(Color::Red),
            false => Cell::new(""),
        };
        table.add_row(vec![
            Cell::new(&found.kind),
            Cell::new(&found.id),
            if found.deleted { page::faint_cell(title) } else { Cell::new(title) },
            Cell::new(moment::shown(found.valid_at, now)),
            gone,
        ]);
    }
    let more = if list.next.is_some() { page::more(limit) } else { String::new() };
    Ok(page::lines(&table) + &more)
}
