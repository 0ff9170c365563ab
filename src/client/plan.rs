//! `backstock plan`

use backstock_proto::diff::FieldChange;
use backstock_proto::merge::{Field, FieldPath, OnConflict, Step};
use backstock_proto::{Kind, Shop, Timestamp};
use backstock_restorer::plan::{Action, Counts, Modes, Plan, Request, Row, Select};
use jiff::Zoned;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use super::api::{self, Api, Limit, Target};
use super::value::Length;
use super::{Answer, Failure, instant, moment, page, resource, value};

/// Most fields of one row that are shown, unless all are asked for.
const FIELDS: usize = 12;

#[derive(clap::Args)]
#[command(after_help = "\
Shows exactly what would be written, and writes nothing. What others changed after what is undone
stays as it is and is marked with =; --overwrite takes that back too. Without --create, --update or
--delete-new, what is missing is created and what differs is updated, and nothing is deleted.
A field is named like title, variants/*/price, or variants/46201837584550 for one whole variant.

Examples:
  backstock plan --at \"yesterday 14:00\"
  backstock plan --at \"2 hours ago\" --kind product --field \"variants/*/price\" --update
  backstock plan --at 2026-11-20 --id 8072139866342 --id gid://shopify/Page/7
  backstock plan --from \"yesterday 14:00\" --to \"yesterday 14:10\"
  backstock plan --app \"Bulk Editor\" --from \"yesterday 14:00\" --delete-new
  backstock plan plan-019dc3f2a41b-5f2a --limit 1000")]
pub(crate) struct Args {
    /// A plan that was made before, to look at it again
    #[arg(value_name = "PLAN", conflicts_with_all = [
        "at", "change_set", "app", "from", "to", "undo", "kinds", "ids", "fields", "search", "create",
        "update", "delete_new", "overwrite", "inventory",
    ])]
    plan: Option<String>,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
    /// Show every field, and long texts and lists whole
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    target: Target,
}

/// What is wanted.
#[derive(clap::Args)]
struct What {
    /// The shop as it was at this moment
    #[arg(long, value_name = "TIME", value_parser = instant,
          conflicts_with_all = ["change_set", "app", "from", "undo"])]
    at: Option<Timestamp>,
    /// Undo this change-set; `backstock changes` lists them
    #[arg(long, value_name = "ID", conflicts_with_all = ["app", "from", "undo"])]
    change_set: Option<String>,
    /// Undo what this app did since --from
    #[arg(long, value_name = "NAME", requires = "from", conflicts_with = "undo")]
    app: Option<String>,
    /// Undo everything from this moment on, or with --app what the app did
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "undo")]
    from: Option<Timestamp>,
    /// The last moment whose changes are undone; now by default
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// Undo what this job wrote
    #[arg(long, value_name = "JOB")]
    undo: Option<String>,
}

/// Which resources, and what of them.
#[derive(clap::Args)]
struct Which {
    /// Only this kind; may be repeated
    #[arg(long = "kind", value_name = "KIND", value_parser = resource::kind)]
    kinds: Vec<Kind>,
    /// Only this resource: its number or its gid; may be repeated
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Only this field; may be repeated
    #[arg(long = "field", value_name = "FIELD")]
    fields: Vec<String>,
    /// Only what has this text in its title, handle or SKU
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

/// What may be done.
#[derive(clap::Args)]
struct How {
    /// Create what is missing
    #[arg(long)]
    create: bool,
    /// Update what differs
    #[arg(long)]
    update: bool,
    /// Delete what is new; of customers, companies and draft orders only what is named
    #[arg(long)]
    delete_new: bool,
    /// Take back what others changed later, too
    #[arg(long)]
    overwrite: bool,
    /// Write amounts in stock where there is stock, too; they move with every sale
    #[arg(long)]
    inventory: bool,
}

/// Rows as the API answers them.
#[derive(Deserialize)]
struct Rows {
    rows: Vec<Row>,
    next: Option<String>,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let plans = format!("/v1/shops/{shop}/plans");
    let body = match &args.plan {
        Some(id) => {
            let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
            let limit = args.limit.limit.min(backstock_proto::journal::PAGE_LIMIT_MAX);
            api.get(&format!("{plans}/{id}"), &[("limit", Some(limit.to_string()))]).await?
        }
        None => {
            let request = serde_json::to_value(request(&args)?)
                .map_err(|e| Failure::new(format!("the request cannot be written: {e}")))?;
            api.post(&plans, Some(&request)).await?
        }
    };
    if args.target.server.json {
        return Ok(Answer::json(&body));
    }
    let length = if args.full { Length::Full } else { Length::Short };
    told(&api, &shop, &body, (args.limit.limit, length), now).await.map(Answer::done)
}

/// A plan as it was answered, with up to so many of its rows.
pub(super) async fn told(
    api: &Api,
    shop: &Shop,
    body: &[u8],
    (limit, length): (usize, Length),
    now: &Zoned,
) -> Result<String, Failure> {
    let (plan, mut page): (Plan, Rows) = (api::read(body)?, api::read(body)?);
    while let Some(cursor) = page.next.take_if(|_| page.rows.len() < limit) {
        let id = utf8_percent_encode(&plan.id, NON_ALPHANUMERIC);
        let query = [("cursor", Some(cursor)), ("limit", Some("1000".into()))];
        let path = format!("/v1/shops/{shop}/plans/{id}");
        let more: Rows = api::read(&api.get(&path, &query).await?)?;
        page.rows.extend(more.rows);
        page.next = more.next;
    }
    let cut = page.next.is_some() || page.rows.len() > limit;
    page.rows.truncate(limit);
    let mut text = format!("{}\n\n", page::strong(heading(&plan, now)));
    for row in &page.rows {
        text += &shown(row, length, now);
    }
    if cut {
        text += &page::more(limit);
    }
    text += &summary(&plan, shop, page.rows.is_empty());
    Ok(text)
}

fn request(args: &Args) -> Result<Request, Failure> {
    let What { at, change_set, app, from, to, undo } = &args.what;
    if at.is_none() && change_set.is_none() && from.is_none() && undo.is_none() {
        return Err(Failure::new("what is wanted?")
            .then(
                "--at TIME plans the shop as it was then; --from and --to, --change-set, --app and \
                 --undo plan parts of what happened",
            )
            .exit(super::Exit::Usage));
    }
    let How { create, update, delete_new, overwrite, inventory } = args.how;
    let modes = match create || update {
        true => Modes { create, update, delete_new },
        false => Modes { delete_new, ..Modes::default() },
    };
    let Which { kinds, ids, fields, search } = &args.which;
    Ok(Request {
        at: *at,
        change_set: change_set.clone(),
        app: app.clone(),
        from: *from,
        to: *to,
        export: None,
        undo: undo.clone(),
        select: Select {
            kinds: kinds.clone(),
            ids: ids.clone(),
            q: search.clone(),
            fields: fields.clone(),
        },
        modes,
        on_conflict: if overwrite { OnConflict::Overwrite } else { OnConflict::Keep },
        inventory,
    })
}

fn heading(plan: &Plan, now: &Zoned) -> String {
    let Request { at, change_set, app, from, to, export, undo, .. } = &plan.request;
    let shown = |at: &Timestamp| moment::shown(*at, now);
    let until = to.as_ref().map(|to| format!(" to {}", shown(to))).unwrap_or_default();
    let what = if let Some(at) = at {
        match to {
            None => format!("back to {}", shown(at)),
            Some(to) => format!("undo what happened after {} until {}", shown(at), shown(to)),
        }
    } else if let Some(id) = change_set {
        format!("undo change-set {id}")
    } else if let (Some(app), Some(from)) = (app, from) {
        format!("undo what {app} did from {}{until}", shown(from))
    } else if let Some(from) = from {
        format!("undo everything from {}{until}", shown(from))
    } else if let Some(job) = undo {
        format!("undo job {job}")
    } else {
        format!("what export {} holds", export.as_deref().unwrap_or_default())
    };
    format!("Plan {}: {what}", plan.id)
}

/// A row: what is done to what, and its fields.
fn shown(row: &Row, length: Length, now: &Zoned) -> String {
    let called = resource::called(&row.title, &row.kind, row.id.as_str());
    // By this number `backstock apply --deselect` leaves it out.
    let number = page::faint(format!("  row {}", row.n));
    let mut text = match row.action {
        Action::Create => {
            let of = row.of.map(|of| format!(" as of {}", moment::shown(of, now)));
            let of = page::faint(of.unwrap_or_default());
            format!("{} {called}{of}{number}\n", page::good("+"))
        }
        Action::Update => format!("{} {called}{number}\n", page::odd("~")),
        Action::Delete => format!("{} {called}{number}\n", page::bad("-")),
        Action::Keep => format!("{} {called}\n", page::faint("=")),
        Action::Cannot => format!("{} {called}\n", page::bad("!")),
    };
    let most = if length == Length::Full { usize::MAX } else { FIELDS };
    for field in row.fields.iter().take(most) {
        let (old, new) = value::both(&change(field), length);
        let name = page::faint(name(&field.path, &field.old, &field.new));
        text += &format!("    {name}  {} → {}\n", page::bad(old), page::good(new));
    }
    if row.fields.len() > most {
        let rest = page::count((row.fields.len() - most) as u64, "more field");
        text += &format!("    {}\n", page::faint(format!("and {rest}; --full shows them")));
    }
    for kept in &row.kept {
        let now = value::one(&kept.now, length);
        let name = name(&kept.path, &kept.after, &kept.now);
        text += &format!("    = {}  {now}, changed later\n", page::faint(name));
    }
    for field in &row.unwritable {
        let name = name(&field.path, &Value::Null, &Value::Null);
        text += &format!("    ! {}  {}\n", page::faint(name), field.why);
    }
    for note in &row.notes {
        text += &format!("    {}\n", page::faint(note));
    }
    text
}

/// What a person calls a field: `variants › M (MUG-M) › price`.
fn name(path: &FieldPath, old: &Value, new: &Value) -> String {
    let steps = path.steps();
    let last = steps.len().saturating_sub(1);
    let names = steps.iter().enumerate().map(|(n, step)| match step {
        Step::Member(name) => name.clone(),
        Step::Order => "order".into(),
        Step::Element(known) => {
            let own = (n == last).then(|| value::title(new).or_else(|| value::title(old)));
            own.flatten().unwrap_or_else(|| value::plain(known))
        }
    });
    names.collect::<Vec<_>>().join(" › ")
}

fn change(field: &Field) -> FieldChange {
    let (old, new) = (field.old.clone(), field.new.clone());
    FieldChange { path: String::new(), element: None, old, new }
}

/// Counts, consequences and what to do next.
fn summary(plan: &Plan, shop: &Shop, empty: bool) -> String {
    let Counts { create, update, delete, keep, cannot, same, .. } = plan.counts;
    let mut text = String::new();
    if !empty {
        let counts = [
            (create, "to create"),
            (update, "to update"),
            (delete, "to delete"),
            (keep, "kept"),
            (cannot, "that cannot be written"),
            (same, "as wanted already"),
        ];
        let counts = counts.iter().filter(|(n, _)| *n > 0);
        let counts: Vec<String> =
            counts.map(|(n, what)| format!("{} {what}", page::grouped(*n))).collect();
        text += &format!("\n{}\n\n", page::strong(counts.join(", ") + "."));
    }
    for consequence in &plan.consequences {
        text += &format!("* {consequence}\n");
    }
    if create + update + delete > 0 {
        let apply = format!("backstock apply --shop {} {}", shop.name(), plan.id);
        text += &format!("\nNothing is written yet. To apply it:\n  {apply}\n");
    }
    text
}
