//! `backstock rollback`

use std::io::IsTerminal as _;

use backstock_proto::{Shop, Timestamp};
use backstock_restorer::job::Job;
use backstock_restorer::plan::Plan;
use serde::Deserialize;
use serde_json::json;

use super::api::{self, Api, Target};
use super::apply::{self, How};
use super::{Answer, Exit, Failure, instant, job, page};

#[derive(clap::Args)]
#[command(after_help = "\
Undoes a change-set, what an app did, or everything between two moments. What somebody changed
afterwards stays as it is and is listed; sales and stock are left alone. What the app or the
change-set made is deleted; between two moments what is new stays, whoever made it: for that there
is `backstock plan --from --to --delete-new`. `backstock changes` lists change-sets.

On a terminal it shows how much that is, and asks; elsewhere it begins at once. Waits until it is
done; `backstock undo JOB` takes it back. Needs a token with the scope restore.

Exit code 0 if everything is done, 3 if something was no longer as expected and was left alone.

Examples:
  backstock rollback --app \"Bulk Editor\" --dry-run
  backstock rollback --app \"Bulk Editor\" --from \"yesterday 14:00\"
  backstock rollback --change-set cs-6437f0a2b1c40-1a2f --yes
  backstock rollback --from \"yesterday 14:00\" --to \"yesterday 14:10\"")]
pub(crate) struct Args {
    /// Undo what this app did, by its title
    #[arg(long, value_name = "NAME", conflicts_with = "change_set")]
    app: Option<String>,
    /// Undo this change-set
    #[arg(long, value_name = "ID", conflicts_with_all = ["from", "to"])]
    change_set: Option<String>,
    /// From this moment on; for an app, by default since it was first noted
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Until this moment; now by default
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// Take back what others changed later, too
    #[arg(long)]
    overwrite: bool,
    /// Only say what would be written
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct RolledBack {
    plan: Plan,
    job: Option<Job>,
}

pub(super) async fn answer(args: Args) -> Result<Answer, Failure> {
    if args.app.is_none() && args.change_set.is_none() && args.from.is_none() {
        return Err(Failure::new("what is to be undone?")
            .then("--app NAME, --change-set ID, or --from TIME with --to TIME")
            .exit(Exit::Usage));
    }
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    // Whoever sits before a terminal sees first what it comes to.
    let ask =
        !(args.yes || args.dry_run || args.target.server.json) && std::io::stdin().is_terminal();
    let asked = json!({
        "app": args.app,
        "change_set": args.change_set,
        "from": args.from,
        "to": args.to,
        "dry_run": args.dry_run || ask,
        "on_conflict": if args.overwrite { "overwrite" } else { "keep" },
    });
    let body = api.post(&format!("/v1/shops/{shop}/rollbacks"), Some(&asked)).await?;
    let RolledBack { plan, job } = api::read(&body)?;
    if ask {
        let how = How { deselect: Vec::new(), yes: false, no_wait: args.no_wait };
        return apply::applied((&api, &args.target, &shop), &plan, how).await;
    }
    match job {
        Some(job) if !args.no_wait => job::watched(&api, &args.target, &shop, &job.id).await,
        _ if args.target.server.json => Ok(Answer::json(&body)),
        job => Ok(Answer::done(shown(&plan, job.as_ref(), &shop))),
    }
}

fn shown(plan: &Plan, job: Option<&Job>, shop: &Shop) -> String {
    let name = shop.name();
    let mut text = format!("{}\n", page::strong(&plan.id));
    let counts = &plan.counts;
    for (count, what) in [
        (counts.update, "updated"),
        (counts.create, "made anew"),
        (counts.delete, "deleted"),
        (counts.keep, "left alone: somebody changed them later"),
        (counts.cannot, "that cannot be written"),
    ] {
        if count > 0 {
            text += &format!("  {:>9}  {what}\n", page::grouped(count));
        }
    }
    for consequence in &plan.consequences {
        text += &format!("  {consequence}\n");
    }
    text += &match job {
        Some(job) if job.awaits_approval() => job::begun(job, shop),
        Some(job) => {
            format!("{} works at it: backstock job --shop {name} {} --watch\n", job.id, job.id)
        }
        None if counts.create + counts.update + counts.delete == 0 => "Nothing to do.\n".into(),
        None => format!(
            "{}\n",
            page::faint(format!(
                "Row by row: backstock plan --shop {name} {0}. To do it: backstock apply --shop \
                 {name} {0}",
                plan.id
            ))
        ),
    };
    text
}
