//! `backstock changes`

use backstock_proto::diff::FieldChange;
use backstock_proto::journal::{Change, List};
use backstock_proto::{Kind, Op, Shop, Timestamp};
use backstock_restorer::change_set::ChangeSet;
use futures::StreamExt;
use jiff::Zoned;
use serde_json::Value;

use super::api::{self, Api, Limit, Target};
use super::value::Length;
use super::{Answer, Failure, change_sets, diff, instant, moment, page, resource, show, value};

/// Most fields of one change that are shown, unless all are asked for.
const FIELDS: usize = 12;

/// How many resources are asked at once for the names in them.
const AT_ONCE: usize = 8;

#[derive(clap::Args)]
#[command(after_help = "\
Newest first, put together by who did them and in one go: Shopify's log, the ids of actions and the
shape of what happens say who, and each says how sure that is. --flat lists single changes instead.

Examples:
  backstock changes
  backstock changes --app \"Bulk Editor\" --from yesterday
  backstock changes --from \"2 hours ago\"
  backstock changes --from \"yesterday 14:00\" --to \"yesterday 15:00\" --kind product
  backstock changes --flat --from today --json | jq -r '.items[] | .kind + \" \" + .title'")]
pub(crate) struct Args {
    /// Not before then
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Not after then; now by default
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// Only this kind
    #[arg(long, value_name = "KIND", value_parser = resource::kind)]
    kind: Option<Kind>,
    /// Only what this app did, by its title, as far as that can be told
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Single changes instead of change-sets
    #[arg(long)]
    flat: bool,
    /// Show every field, and long texts and lists whole
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let query = [
        ("from", api::instant(args.from)),
        ("to", api::instant(args.to)),
        ("kind", args.kind.as_ref().map(Kind::to_string)),
        ("app", args.app.clone()),
    ];
    if !args.flat {
        return sets(&api, &shop, &args, &query, now).await;
    }
    let list = api.list(&format!("/v1/shops/{shop}/changes"), &query, args.limit.limit).await?;
    if args.target.server.json {
        return Answer::json_list(&list);
    }
    if list.items.is_empty() {
        return Ok(Answer::done("Nothing changed.\n".into()));
    }
    let changes: Vec<Change> =
        list.items.iter().map(|i| api::read(i.get().as_bytes())).collect::<Result<_, _>>()?;
    let states = states(&api, &shop, &changes).await;
    let list = List { items: changes, next: list.next };
    Ok(Answer::done(shown(&args, &list, &states, now)))
}

/// Change-sets.
async fn sets(
    api: &Api,
    shop: &Shop,
    args: &Args,
    query: &[(&str, Option<String>)],
    now: &Zoned,
) -> Result<Answer, Failure> {
    let path = format!("/v1/shops/{shop}/change-sets");
    let list = api.list(&path, query, args.limit.limit).await?;
    if args.target.server.json {
        return Answer::json_list(&list);
    }
    if list.items.is_empty() {
        return Ok(Answer::done("Nothing changed.\n".into()));
    }
    let sets: Vec<ChangeSet> =
        list.items.iter().map(|i| api::read(i.get().as_bytes())).collect::<Result<_, _>>()?;
    let list = List { items: sets, next: list.next };
    Ok(Answer::done(change_sets::shown(&list, shop, args.limit.limit, now)))
}

/// The state after each change, where the names of list elements are needed.
async fn states(api: &Api, shop: &Shop, changes: &[Change]) -> Vec<Option<Value>> {
    let wanted = changes.iter().map(|change| async move {
        let needed = change.changes.iter().any(|c| c.element.is_some());
        let path = resource::path(shop, &change.kind, change.id.as_str());
        if needed { diff::state(api, &path, Some(change.version.valid_at)).await } else { None }
    });
    futures::stream::iter(wanted).buffered(AT_ONCE).collect().await
}

fn shown(args: &Args, list: &List<Change>, states: &[Option<Value>], now: &Zoned) -> String {
    let mut text = String::new();
    for (change, state) in list.items.iter().zip(states) {
        let when = moment::shown(change.version.valid_at, now);
        let what = match change.version.op {
            Op::Create => page::good(show::what(Op::Create)),
            Op::Update => show::what(Op::Update).into(),
            Op::Delete => page::bad(show::what(Op::Delete)),
        };
        let called = resource::called(&change.title, &change.kind, change.id.as_str());
        let by = page::faint(show::how(&change.version));
        text += &format!("{when}  {called} {what}, {by}\n");
        text += &fields(&change.changes, state.as_ref(), args.full);
    }
    if list.next.is_some() {
        text += &page::more(args.limit.limit);
    }
    text
}

fn fields(changes: &[FieldChange], state: Option<&Value>, full: bool) -> String {
    let mut text = String::new();
    let (length, most) = if full { (Length::Full, usize::MAX) } else { (Length::Short, FIELDS) };
    for change in changes.iter().filter(|c| !c.path.is_empty()).take(most) {
        let (old, new) = value::both(change, length);
        let field = page::faint(value::field(change, state));
        text += &format!("    {field}  {} → {}\n", page::bad(old), page::good(new));
    }
    if changes.len() > most {
        let rest = page::count((changes.len() - most) as u64, "more field");
        text += &format!("    {}\n", page::faint(format!("and {rest}; --full shows them")));
    }
    text
}
