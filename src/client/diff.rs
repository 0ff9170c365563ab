//! `backstock diff`

use backstock_proto::Timestamp;
use backstock_proto::diff::FieldChange;
use comfy_table::{Cell, Color};
use jiff::Zoned;
use serde::Deserialize;
use serde_json::Value;

use super::api::{self, Api, Target};
use super::resource::{self, Named};
use super::value::Length;
use super::{Answer, Failure, instant, moment, page, show, value};

#[derive(clap::Args)]
#[command(after_help = "\
Long texts are shortened to where they differ; --full shows all of them.

Examples:
  backstock diff product 8072139866342 --from yesterday
  backstock diff product 8072139866342 --from \"2 hours ago\" --to \"1 hour ago\"
  backstock diff product 8072139866342 --from 2026-11-20 --full
  backstock diff product 8072139866342 --from 2026-11-20 --json | jq .patch")]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// The earlier moment
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Timestamp,
    /// The later moment; now by default
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// Show long texts and lists whole
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct Diff {
    changes: Vec<FieldChange>,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let resource = args.named.path(&shop);
    let query = [("from", api::instant(Some(args.from))), ("to", api::instant(args.to))];
    let body = api.get(&format!("{resource}/diff"), &query).await?;
    if args.target.server.json {
        return Ok(Answer::json(&body));
    }
    let diff: Diff = api::read(&body)?;
    let state = state(&api, &resource, args.to).await;
    Ok(Answer::done(shown(&args, &diff.changes, state.as_ref(), now)))
}

/// A resource's state at an instant, for the names in it; without it, ids stand in their place.
pub(super) async fn state(api: &Api, resource: &str, at: Option<Timestamp>) -> Option<Value> {
    let answer = api.ask(resource, &[("at", api::instant(at))]).await.ok()?;
    let mut answered: Value = api::read(&answer.body).ok()?;
    answered.get_mut("state").map(Value::take)
}

fn shown(args: &Args, changes: &[FieldChange], state: Option<&Value>, now: &Zoned) -> String {
    let kind = &args.named.kind;
    let title = state.map(|state| show::title(kind, state)).unwrap_or_default();
    let to = args.to.map_or_else(|| "now".into(), |to| moment::shown(to, now));
    let span = format!("from {} to {to}", moment::shown(args.from, now));
    let named = resource::called(&title, kind, &args.named.id);
    let body = match changes {
        [] => "Nothing changed.\n".into(),
        [whole] if whole.path.is_empty() && whole.old.is_null() => {
            "It came into being; `backstock show` has all of it.\n".into()
        }
        [whole] if whole.path.is_empty() && whole.new.is_null() => {
            format!("{}\n", page::bad("It was deleted; `backstock show` has its last state."))
        }
        fields => table(fields, state, if args.full { Length::Full } else { Length::Short }),
    };
    format!("{named}\n{}\n\n{body}", page::faint(span))
}

fn table(changes: &[FieldChange], state: Option<&Value>, length: Length) -> String {
    let mut table = page::table(&["Field", "Before", "After"]);
    for change in changes {
        let (old, new) = value::both(change, length);
        table.add_row(vec![
            Cell::new(value::field(change, state)),
            Cell::new(old).fg(Color::Red),
            Cell::new(new).fg(Color::Green),
        ]);
    }
    page::lines(&table)
}
