//! `backstock apply`

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use backstock_proto::Shop;
use backstock_restorer::job::Job;
use backstock_restorer::plan::{Counts, Plan};
use jiff::Zoned;
use serde_json::json;

use super::api::{self, Api, Target};
use super::{Answer, Failure, job, moment, page};

#[derive(clap::Args)]
#[command(after_help = "\
Shows what the plan does, and on a terminal asks; elsewhere it begins at once. Then says how it
went. Needs a token with the scope restore. Stopping this command does not stop the job:
`backstock cancel JOB` does, and `backstock undo JOB` takes back what it wrote.

Exit code 3 if something in the shop is no longer as the plan expects: that was left alone, and a
new plan shows what it is. Exit code 1 if something failed: `backstock retry JOB` tries that again.

Examples:
  backstock apply plan-019dc3f2a41b-5f2a
  backstock apply plan-019dc3f2a41b-5f2a --yes --deselect 17 --deselect 18")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// The plan, as `backstock plan` named it
    #[arg(value_name = "PLAN")]
    plan: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// A row of the plan that is not to be done; may be repeated
    #[arg(long = "deselect", value_name = "ROW")]
    deselect: Vec<u64>,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
}

/// How a plan is to be applied.
pub(super) struct How {
    pub(super) deselect: Vec<u64>,
    /// Somebody has said yes already.
    pub(super) yes: bool,
    pub(super) no_wait: bool,
}

pub(super) async fn answer(args: Args) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let path = format!("/v1/shops/{shop}/plans/{}", job::segment(&args.plan));
    let plan: Plan = api::read(&api.get(&path, &[]).await?)?;
    let how = How { deselect: args.deselect, yes: args.yes, no_wait: args.no_wait };
    applied((&api, &args.target, &shop), &plan, how).await
}

/// Shows what a plan does, asks, has it done, and says how it went.
pub(super) async fn applied(
    (api, target, shop): (&Api, &Target, &Shop),
    plan: &Plan,
    how: How,
) -> Result<Answer, Failure> {
    let changes = changes(&plan.counts).saturating_sub(how.deselect.len() as u64);
    // Whoever sits before a terminal says yes first.
    let asks = changes > 0 && !how.yes && std::io::stdin().is_terminal();
    if asks || !target.server.json {
        let _nobody_reads = anstream::stderr().lock().write_all(shown(plan).as_bytes());
    }
    if changes == 0 {
        return Ok(match target.server.json {
            true => Answer::json(br#"{"job":null}"#),
            false => Answer::done("Nothing to do.\n".into()),
        });
    }
    if asks {
        asked(changes)?;
    }
    // The digest says that it is this very plan.
    let path = format!("/v1/shops/{shop}/plans/{}/apply", job::segment(&plan.id));
    let body = json!({"digest": plan.digest, "deselect": how.deselect});
    let begun: Job = api::read(&api.post(&path, Some(&body)).await?)?;
    if how.no_wait {
        return Ok(match target.server.json {
            true => Answer::json(&serde_json::to_vec(&begun).unwrap_or_default()),
            false => Answer::done(job::begun(&begun, shop)),
        });
    }
    job::watched(api, target, shop, &begun.id).await
}

fn changes(counts: &Counts) -> u64 {
    counts.create + counts.update + counts.delete
}

/// What a person should know before saying yes.
fn shown(plan: &Plan) -> String {
    let counts = &plan.counts;
    let made_at = moment::shown(plan.made_at, &Zoned::now());
    let mut text = format!("{} of {made_at}\n", page::strong(&plan.id));
    let told = [
        (counts.create, "created anew"),
        (counts.update, "updated"),
        (counts.delete, "deleted"),
        (counts.keep, "kept, because somebody changed it later"),
        (counts.cannot, "that cannot be written"),
    ];
    for (count, what) in told.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!("  {:>8} {what}\n", page::grouped(count)));
    }
    for consequence in &plan.consequences {
        text.push_str(&format!("  {}\n", page::odd(consequence)));
    }
    text
}

/// Asks a person.
fn asked(changes: u64) -> Result<(), Failure> {
    let mut screen = anstream::stderr();
    let question = format!("Apply {}? [y/N] ", page::count(changes, "change"));
    let _nobody_reads = screen.write_all(question.as_bytes()).and_then(|()| screen.flush());
    let mut said = String::new();
    let read = std::io::stdin().lock().read_line(&mut said);
    match (read, said.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(Failure::new("nothing was done")),
    }
}
