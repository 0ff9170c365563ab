//! `backstock retain`

use backstock_proto::Shop;
use backstock_proto::retain::Retained;
use serde_json::json;

use super::api::{self, Api, Target};
use super::{Answer, Failure, page};

#[derive(clap::Args)]
#[command(after_help = "\
Thins history as [storage] says: everything for keep_all_days, then the last version of each day,
then of each week. The newest version, an end and what it ended always stay. Backstock does this
every night by itself. Needs a token with the scope admin.

Examples:
  backstock retain --dry-run     # how much would go
  backstock retain --hold on     # nothing goes until --hold off
  backstock retain               # do it now")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Remove nothing, say how much would go
    #[arg(long)]
    dry_run: bool,
    /// Keep everything from now on, or no longer
    #[arg(long, value_name = "ON|OFF", value_parser = on_or_off, action = clap::ArgAction::Set)]
    hold: Option<bool>,
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".into()),
    }
}

pub(super) async fn answer(args: Args) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let asked = json!({"dry_run": args.dry_run, "hold": args.hold});
    let body = api.post(&format!("/v1/shops/{shop}/retention"), Some(&asked)).await?;
    if args.target.server.json {
        return Ok(Answer::json(&body));
    }
    let retained: Retained = api::read(&body)?;
    Ok(Answer::done(shown(&retained, &shop, args.dry_run || args.hold.is_some())))
}

fn shown(retained: &Retained, shop: &Shop, dry_run: bool) -> String {
    let Retained { thinned, blobs, blob_bytes, held, .. } = retained;
    if *held {
        let held = page::odd("Everything is kept");
        let shop = shop.name();
        return format!(
            "{held} until `backstock retain --shop {shop} --hold off`: nothing goes.\n"
        );
    }
    let went = if dry_run { "would go" } else { "went" };
    format!(
        "{} of {} {went}, with {} bytes; {}; {} with {} bytes that nothing names.\n",
        page::count(thinned.removed, "version"),
        page::grouped(thinned.seen),
        page::grouped(thinned.bytes),
        page::count(thinned.records, "superseded record"),
        page::count(*blobs, "blob"),
        page::grouped(*blob_bytes),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_hold_names_the_shop() {
        let shop = Shop::from_name("acme").expect("a shop");
        let retained = Retained { held: true, ..Retained::default() };
        let said = shown(&retained, &shop, false);
        assert!(said.contains("until `backstock retain --shop acme --hold off`:"), "{said}");
    }
}
