//! `backstock erase`, `backstock erasures` and `backstock data-request`

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use backstock_proto::Shop;
use backstock_proto::erase::{Erasure, ErasureState, Preview, Whom};
use backstock_proto::journal::List;
use jiff::Zoned;
use serde_json::json;

use super::api::{self, Api, Server, Target};
use super::{Answer, Exit, Failure, moment, page};

/// How often `--wait` looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
#[command(after_help = "\
Takes a person, or a whole shop, out of everything that is kept: every version, records of plans and
jobs, the stream, the files on disk, and checkpoints. What is left of an order is its numbers. It
cannot be undone, so it shows what it reaches and has the id, or the shop's domain, typed. Needs a
token with the scope admin.

Shopify's customers/redact and shop/redact do the same by themselves.

Examples:
  backstock erase --customer 7713840332914 --dry-run     # what it would reach
  backstock erase --customer 7713840332914
  backstock erase --customer 7713840332914 --yes --wait  # for scripts
  backstock erase --shop acme                            # everything of the shop")]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    server: Server,
    /// The customer, by number or gid
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// An order that is known to be the customer's, beside those that history shows to be; may be repeated
    #[arg(long = "order", value_name = "ID", requires = "customer")]
    orders: Vec<String>,
    /// The shop; without --customer, everything of it goes
    #[arg(long, value_name = "SHOP", num_args = 0..=1, value_parser = api::shop)]
    shop: Option<Option<Shop>>,
    /// Erase nothing, say what it would reach
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Wait until none of it is left but in checkpoints
    #[arg(long)]
    wait: bool,
}

#[derive(clap::Args)]
#[command(after_help = "\
What is under way, and a receipt of everything that ever was. An erasure is open until no checkpoint
holds any of it, which takes until the next one is made.

Examples:
  backstock erasures
  backstock erasures --json | jq '.items[] | select(.state != \"done\")'")]
pub(crate) struct ErasuresArgs {
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
#[command(after_help = "\
Everything that is held of a customer: every version that speaks of them, with its bytes as
received, one JSON object a line. Who read it is on record. Needs a token with the scope admin.

Examples:
  backstock data-request --customer 7713840332914 --out answer.ndjson")]
pub(crate) struct DataRequestArgs {
    #[command(flatten)]
    target: Target,
    /// The customer, by number or gid
    #[arg(long, value_name = "ID")]
    customer: String,
    /// An order that is known to be the customer's, beside those that history shows to be; may be repeated
    #[arg(long = "order", value_name = "ID")]
    orders: Vec<String>,
    /// The file to write; standard output by default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn erase(args: EraseArgs, now: &Zoned) -> Result<Answer, Failure> {
    let usage = |why: &str| Failure::new(why).exit(Exit::Usage);
    if args.customer.is_none() && args.shop.is_none() {
        return Err(usage("say whom: --customer ID, or --shop for everything of the shop"));
    }
    let api = Api::new(&args.server)?;
    let by_environment = || {
        let named = std::env::var("BACKSTOCK_SHOP").ok().filter(|named| !named.is_empty())?;
        Some(api::shop(&named).map_err(|why| usage(&format!("BACKSTOCK_SHOP: {why}"))))
    };
    let named = match args.shop.clone().flatten() {
        Some(named) => Some(named),
        None => by_environment().transpose()?,
    };
    let json = args.server.json;
    let target = Target { server: args.server, shop: named };
    let shop = api.shop(&target).await?;
    let path = format!("/v1/shops/{shop}/erasures");
    let mut asked = match &args.customer {
        Some(customer) => json!({"customer": customer, "orders": args.orders}),
        None => json!({"shop": true}),
    };
    if args.dry_run || !args.yes {
        asked["dry_run"] = true.into();
        let body = api.post(&path, Some(&asked)).await?;
        if args.dry_run && json {
            return Ok(Answer::json(&body));
        }
        let preview: Preview = api::read(&body)?;
        if args.dry_run {
            return Ok(Answer::done(reached(&preview, &shop)));
        }
        let _nobody_reads =
            anstream::stderr().lock().write_all(reached(&preview, &shop).as_bytes());
        typed(&preview.whom, &shop)?;
    }
    asked["dry_run"] = false.into();
    if args.customer.is_none() {
        asked["confirm"] = shop.domain().into();
    }
    let body = api.post(&path, Some(&asked)).await?;
    let mut erasure: Erasure = api::read(&body)?;
    while args.wait && matches!(erasure.state, ErasureState::Open | ErasureState::Waiting) {
        tokio::time::sleep(LOOK_EVERY).await;
        let all: List<Erasure> = api::read(&api.get(&path, &[]).await?)?;
        let of = all.items.into_iter().find(|one| one.whom == erasure.whom);
        erasure = of.ok_or_else(|| Failure::new("the erasure is no longer on record"))?;
    }
    if json {
        return Answer::json_list(&erasure);
    }
    Ok(Answer::done(format!(
        "{}\n{}\n",
        line(&erasure, now),
        page::faint(format!("`backstock erasures --shop {}` shows how far it is.", shop.name())),
    )))
}

pub(super) async fn erasures(args: ErasuresArgs, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let all = api.list(&format!("/v1/shops/{shop}/erasures"), &[], usize::MAX).await?;
    if args.target.server.json {
        return Answer::json_list(&all);
    }
    if all.items.is_empty() {
        return Ok(Answer::done("Nobody was ever erased.\n".into()));
    }
    let mut text = String::new();
    for item in &all.items {
        text += &format!("{}\n", line(&api::read(item.get().as_bytes())?, now));
    }
    Ok(Answer::done(text))
}

pub(super) async fn data_request(args: DataRequestArgs) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let asked = json!({"customer": args.customer, "orders": args.orders});
    let path = format!("/v1/shops/{shop}/data-requests");
    let Some(out) = args.out else {
        let body = api.post(&path, Some(&asked)).await?;
        return Ok(Answer::json(&body));
    };
    let not_written = |e: std::io::Error| Failure::new(format!("{}: {e}", out.display()));
    // Nobody finds a file that is not whole.
    let part = out.with_extension("part");
    let body = api.post(&path, Some(&asked)).await?;
    let whole = body.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let end: serde_json::Value = serde_json::from_slice(whole).unwrap_or_default();
    if end["end"] != true {
        return Err(Failure::new("what is held could not be read to its end").then("try again"));
    }
    tokio::fs::write(&part, &body).await.map_err(not_written)?;
    tokio::fs::rename(&part, &out).await.map_err(not_written)?;
    let versions = end["count"].as_u64().unwrap_or_default();
    Ok(Answer::done(format!(
        "{} in {}.\n",
        page::count(versions, "version"),
        page::strong(out.display())
    )))
}

/// What an erasure would reach.
fn reached(preview: &Preview, shop: &Shop) -> String {
    let mut text = match &preview.whom {
        Whom::Customer(id) => format!("Of customer {} of {shop}:\n", page::strong(id)),
        Whom::Shop => format!("{} of {shop}:\n", page::bad("Everything")),
    };
    for (kind, count) in &preview.kinds {
        text += &format!("  {:>8} {kind}\n", page::grouped(*count));
    }
    let concerned = &preview.concerned;
    let told = [
        (concerned.records, "records of plans, jobs and the like"),
        (concerned.quarantined, "events kept aside"),
    ];
    for (count, what) in told.into_iter().filter(|(count, _)| *count > 0) {
        text += &format!("  {:>8} {what}\n", page::grouped(count));
    }
    if preview.kinds.is_empty() {
        text += "  nothing that history knows of; what comes later is kept out\n";
    }
    text
}

/// Has a person type whom it is about, if there is one.
fn typed(whom: &Whom, shop: &Shop) -> Result<(), Failure> {
    let expected = match whom {
        Whom::Customer(id) => id.to_string(),
        Whom::Shop => shop.domain(),
    };
    if !std::io::stdin().is_terminal() {
        let nobody = Failure::new("nobody is there who could be asked");
        return Err(nobody.then("--yes says yes").exit(Exit::Usage));
    }
    let mut screen = anstream::stderr();
    let question = format!("This cannot be undone. Type {} to go on: ", page::strong(&expected));
    let _nobody_reads = screen.write_all(question.as_bytes()).and_then(|()| screen.flush());
    let mut said = String::new();
    match std::io::stdin().lock().read_line(&mut said) {
        Ok(_) if said.trim() == expected => Ok(()),
        _ => Err(Failure::new("nothing was erased")),
    }
}

fn line(erasure: &Erasure, now: &Zoned) -> String {
    let whom = match &erasure.whom {
        Whom::Customer(id) => format!("customer {id}"),
        Whom::Shop => "the whole shop".into(),
    };
    let state = match erasure.state {
        ErasureState::Waiting => page::bad(format!(
            "waits: the shop is still installed; `backstock erase --shop {}` says yes",
            erasure.shop.name()
        )),
        ErasureState::Open => page::odd("under way"),
        ErasureState::Erased => page::odd("gone, but from older checkpoints"),
        ErasureState::Done => page::good("done"),
    };
    let counts = &erasure.counts;
    format!(
        "{}  {}  {state}  {}, {}, {}",
        moment::shown(erasure.requested_at, now),
        page::strong(whom),
        page::count(counts.resources, "resource"),
        page::count(counts.versions, "version"),
        page::count(counts.messages, "message"),
    )
}
