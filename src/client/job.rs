//! `backstock job`, `jobs`, `approve`, `cancel`, `pause`, `resume`, `retry` and `undo`

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use backstock_proto::Shop;
use backstock_proto::journal::{List, PAGE_LIMIT_MAX};
use backstock_restorer::job::{Job, JobState, RowCounts, RowResult, RowState};
use comfy_table::{Cell, CellAlignment};
use jiff::Zoned;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{self, Api, Limit, Target};
use super::{Answer, Exit, Failure, moment, page};

/// How often it is asked how far a job is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often in a row nobody may answer while a job is waited for, and the rest after each time.
const MISSES_MAX: u32 = 20;
const MISSED_REST: Duration = Duration::from_secs(1);
/// Rows that are shown of each sort that needs a look.
const SHOWN_MAX: usize = 20;
/// Width of the bar, in characters.
const BAR: usize = 30;

#[derive(clap::Args)]
#[command(after_help = "\
Exit code 0 if everything is done or, without --watch, still goes on, 3 if something in the shop was
not as the plan expected and was left alone, or if another person has to approve it first, 1 if
something failed or the job was cancelled.

Examples:
  backstock job job-019dc3f2a41b-5f2a
  backstock job job-019dc3f2a41b-5f2a --watch")]
pub(crate) struct JobArgs {
    #[command(flatten)]
    target: Target,
    /// The job, as `backstock apply` or `backstock jobs` named it
    #[arg(value_name = "JOB")]
    job: String,
    /// Wait until it is over
    #[arg(long, short)]
    watch: bool,
}

#[derive(clap::Args)]
#[command(after_help = "\
Newest first. `backstock job JOB` says more of one.

Examples:
  backstock jobs
  backstock jobs --json | jq -r '.items[] | select(.state == \"failed\") | .id'")]
pub(crate) struct JobsArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    limit: Limit,
}

pub(super) const APPROVE_HELP: &str = "\
Where the configuration says second_person of a shop, a job that somebody asks for begins once the
holder of another token has said yes. Waits until the job is over. Needs a token with the scope
restore. Exit codes are those of `backstock job`.

Examples:
  backstock approve job-019dc3f2a41b-5f2a
  backstock approve job-019dc3f2a41b-5f2a --no-wait";

pub(super) const CANCEL_HELP: &str = "\
Rows that are under way are finished first. `backstock undo JOB` takes back what was written. Needs
a token with the scope restore.

Examples:
  backstock cancel job-019dc3f2a41b-5f2a";

pub(super) const PAUSE_HELP: &str = "\
Rows that are under way are finished first; other jobs of the shop go on meanwhile. Needs a token
with the scope restore.

Examples:
  backstock pause job-019dc3f2a41b-5f2a";

pub(super) const RESUME_HELP: &str = "\
Each row is looked at again before it is written. Needs a token with the scope restore.

Examples:
  backstock resume job-019dc3f2a41b-5f2a";

pub(super) const RETRY_HELP: &str = "\
Takes up the rows that failed or were not begun; those that are done stay done. Waits until the job
is over. Needs a token with the scope restore. Exit codes are those of `backstock job`.

Examples:
  backstock retry job-019dc3f2a41b-5f2a
  backstock retry job-019dc3f2a41b-5f2a --no-wait";

pub(super) const UNDO_HELP: &str = "\
A job of its own, which can be undone in its turn. What somebody changed since stays as it is. Waits
until it is over. Needs a token with the scope restore. Exit codes are those of `backstock job`.

Examples:
  backstock undo job-019dc3f2a41b-5f2a
  backstock undo job-019dc3f2a41b-5f2a --no-wait";

#[derive(clap::Args)]
pub(crate) struct ControlArgs {
    #[command(flatten)]
    target: Target,
    /// The job, as `backstock apply` or `backstock jobs` named it
    #[arg(value_name = "JOB")]
    job: String,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
}

#[derive(Deserialize)]
struct Rows {
    rows: List<RowResult>,
    untold: Option<String>,
}

/// One job.
pub(super) async fn job(args: JobArgs) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    if args.watch {
        return watched(&api, &args.target, &shop, &args.job).await;
    }
    let (job, body) = seen(&api, &shop, &args.job).await?;
    ended(&api, &args.target, &shop, (job, body)).await
}

/// All jobs.
pub(super) async fn jobs(args: JobsArgs, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let path = format!("/v1/shops/{shop}/jobs");
    let list = api.list(&path, &[], args.limit.limit).await?;
    if args.target.server.json {
        return Answer::json_list(&list);
    }
    let mut table = page::table(&["Job", "State", "Rows", "Done", "By", "Asked for"]);
    for item in &list.items {
        let job: Job = api::read(item.get().as_bytes())?;
        let number = |n| Cell::new(page::grouped(n)).set_alignment(CellAlignment::Right);
        let total = job.counts.total();
        table.add_row(vec![
            Cell::new(&job.id),
            Cell::new(painted(&job)),
            number(total),
            number(total - job.counts.pending),
            Cell::new(&job.by),
            page::faint_cell(moment::shown(job.started_at, now)),
        ]);
    }
    let mut text = match list.items.is_empty() {
        true => "No jobs. `backstock plan` makes a plan, `backstock apply` a job of it.\n".into(),
        false => page::lines(&table),
    };
    if list.next.is_some() {
        text.push_str(&page::more(args.limit.limit));
    }
    Ok(Answer::done(text))
}

/// `cancel`, `pause`, `resume`: what is wanted of a job.
pub(super) async fn control(args: ControlArgs, verb: &str) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let path = format!("/v1/shops/{shop}/jobs/{}/{verb}", segment(&args.job));
    let body = api.post(&path, None).await?;
    if args.target.server.json {
        return Ok(Answer::json(&body));
    }
    let job: Job = api::read(&body)?;
    let told = match verb {
        "cancel" => "ends once the rows under way are finished; what was written stays",
        "pause" => "stands still once the rows under way are finished",
        _ => "goes on",
    };
    Ok(Answer::done(format!("{} {told}.\n", job.id)))
}

/// `approve`, `retry` and `undo`: a job that begins, or begins anew, or another one.
pub(super) async fn again(args: ControlArgs, verb: &str) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let path = format!("/v1/shops/{shop}/jobs/{}/{verb}", segment(&args.job));
    let body = api.post(&path, None).await?;
    let job: Job = api::read(&body)?;
    if !args.no_wait {
        return watched(&api, &args.target, &shop, &job.id).await;
    }
    Ok(match args.target.server.json {
        true => Answer::json(&body),
        false => Answer::done(begun(&job, &shop)),
    })
}

/// What is said of a job that nobody waits for.
pub(super) fn begun(job: &Job, shop: &Shop) -> String {
    if job.awaits_approval() {
        return format!("{} waits for another person: {}\n", job.id, approval(job, shop));
    }
    format!("{} works at it.\n", job.id)
}

/// How another person says yes.
fn approval(job: &Job, shop: &Shop) -> String {
    format!("`backstock approve --shop {} {}`, or its page", shop.name(), job.id)
}

/// Waits until a job is over, and says how it went. A server that is away for a while, as in a restart,
/// is waited for as well: the job goes on without us.
pub(super) async fn watched(
    api: &Api,
    target: &Target,
    shop: &Shop,
    id: &str,
) -> Result<Answer, Failure> {
    let screen = std::io::stderr().is_terminal() && !target.server.json;
    let (mut missed, mut drawn) = (0, false);
    loop {
        let (job, body) = match seen(api, shop, id).await {
            Ok(seen) => seen,
            Err(failure) if failure.passing && missed < MISSES_MAX => {
                missed += 1;
                tokio::time::sleep(MISSED_REST).await;
                continue;
            }
            Err(failure) => {
                if drawn {
                    eprintln!();
                }
                let on = format!("backstock job --shop {} {id} --watch", shop.name());
                return Err(match failure.passing {
                    true => failure.then(format!("the job goes on: {on}")),
                    false => failure,
                });
            }
        };
        missed = 0;
        if screen {
            let line = format!("\r\x1b[2K{}", bar(&job));
            let mut stderr = std::io::stderr();
            let _nobody_reads = stderr.write_all(line.as_bytes()).and_then(|()| stderr.flush());
            drawn = true;
        }
        if job.state.is_over() || job.awaits_approval() {
            if screen {
                eprintln!();
            }
            return ended(api, target, shop, (job, body)).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn seen(api: &Api, shop: &Shop, id: &str) -> Result<(Job, Vec<u8>), Failure> {
    let path = format!("/v1/shops/{shop}/jobs/{}", segment(id));
    let body = api.get(&path, &[("limit", Some("1".into()))]).await?;
    Ok((api::read(&body)?, body))
}

/// A job with all of its rows, as they were answered.
async fn whole(api: &Api, shop: &Shop, (id, body): (&str, Vec<u8>)) -> Result<Vec<u8>, Failure> {
    let mut job: Value = api::exact(&body)?;
    let next = |job: &Value| job.pointer("/rows/next")?.as_str().map(str::to_owned);
    let Some(mut cursor) = next(&job) else { return Ok(body) };
    let path = format!("/v1/shops/{shop}/jobs/{}", segment(id));
    let mut rows = job.pointer_mut("/rows/items").map(Value::take).unwrap_or_default();
    loop {
        let query = [("cursor", Some(cursor)), ("limit", Some(PAGE_LIMIT_MAX.to_string()))];
        let mut more: Value = api::exact(&api.get(&path, &query).await?)?;
        let items = more.pointer_mut("/rows/items").and_then(Value::as_array_mut);
        if let (Some(rows), Some(items)) = (rows.as_array_mut(), items) {
            rows.append(items);
        }
        if let Some(untold) = more.get_mut("untold") {
            job["untold"] = untold.take();
        }
        match next(&more) {
            Some(further) => cursor = further,
            None => break,
        }
    }
    job["rows"] = json!({"items": rows, "next": null});
    serde_json::to_vec(&job).map_err(|e| Failure::new(format!("the job cannot be written: {e}")))
}

/// How a job is, with the rows that somebody should look at.
async fn ended(
    api: &Api,
    target: &Target,
    shop: &Shop,
    (job, body): (Job, Vec<u8>),
) -> Result<Answer, Failure> {
    let mut answer = match target.server.json {
        true => Answer::json(&whole(api, shop, (&job.id, body)).await?),
        false => {
            let mut text = format!("{} is {}\n", page::strong(&job.id), painted(&job));
            if let Some(reason) = &job.reason {
                text.push_str(&format!("  {}\n", page::bad(reason)));
            }
            if let Some(at) = job.put_off() {
                text.push_str(&format!(
                    "  goes on by itself {}\n",
                    moment::shown(at, &Zoned::now())
                ));
            }
            if job.awaits_approval() {
                text.push_str(&format!(
                    "  nothing is written before another person than {} has said yes: {}\n",
                    job.by,
                    approval(&job, shop)
                ));
            }
            text.push_str(&counted(&job.counts));
            for state in [RowState::Failed, RowState::Conflict] {
                if job.counts.of(state) > 0 {
                    text.push_str(&rows(api, shop, &job, state).await?);
                }
            }
            text.push_str(&next(&job, shop));
            Answer::done(text)
        }
    };
    answer.exit = exit(&job);
    Ok(answer)
}

/// What can be done about a job that is over.
fn next(job: &Job, shop: &Shop) -> String {
    if !job.state.is_over() {
        return String::new();
    }
    let (counts, shop, id) = (&job.counts, shop.name(), &job.id);
    let mut text = String::new();
    if counts.conflict > 0 {
        let moved =
            "What moved meanwhile was left alone: the same plan made anew shows how it is now.";
        text.push_str(&format!("{}\n", page::faint(moved)));
    }
    if counts.failed + counts.pending > 0 {
        let retry = format!("To take up what is left: backstock retry --shop {shop} {id}");
        text.push_str(&format!("{}\n", page::faint(retry)));
    }
    if counts.created + counts.updated + counts.deleted > 0 {
        let undo = format!("To take back what it wrote: backstock undo --shop {shop} {id}");
        text.push_str(&format!("{}\n", page::faint(undo)));
    }
    text
}

fn exit(job: &Job) -> Exit {
    match job.state {
        JobState::Failed | JobState::Cancelled => Exit::Failed,
        _ if job.counts.conflict > 0 || job.awaits_approval() => Exit::Undecided,
        _ => Exit::Done,
    }
}

async fn rows(api: &Api, shop: &Shop, job: &Job, state: RowState) -> Result<String, Failure> {
    let path = format!("/v1/shops/{shop}/jobs/{}", segment(&job.id));
    let query =
        [("state", Some(state.as_str().to_owned())), ("limit", Some(SHOWN_MAX.to_string()))];
    let found: Rows = api::read(&api.get(&path, &query).await?)?;
    let mut table = page::table(&["Row", "Kind", "What", "Why"]);
    for row in &found.rows.items {
        let why = row.reason.as_deref().unwrap_or_default();
        table.add_row(vec![
            page::faint_cell(row.n),
            Cell::new(&row.kind),
            Cell::new(&row.title),
            Cell::new(match state {
                RowState::Failed => page::bad(why),
                _ => page::odd(why),
            }),
        ]);
    }
    let mut text = page::lines(&table);
    if found.rows.next.is_some() {
        text.push_str(&page::more(SHOWN_MAX));
    }
    if let Some(why) = &found.untold {
        text.push_str(&format!("  {}\n", page::odd(format!("not every row can be shown: {why}"))));
    }
    Ok(text)
}

fn counted(counts: &RowCounts) -> String {
    let done = counts.created + counts.updated + counts.deleted;
    if done == 0 && counts.pending + counts.conflict + counts.failed == 0 {
        return "  nothing to do: everything is as wanted already\n".into();
    }
    let told = [
        (counts.created, "created anew"),
        (counts.updated, "updated"),
        (counts.deleted, "deleted"),
        (counts.skipped, "skipped: as wanted already, or not to be written"),
        (counts.conflict, "in conflict: no longer as the plan expects, and left alone"),
        (counts.failed, "failed"),
        (counts.pending, "not begun"),
    ];
    let told = told.into_iter().filter(|(count, _)| *count > 0);
    told.map(|(count, what)| format!("  {:>8} {what}\n", page::grouped(count))).collect()
}

fn painted(job: &Job) -> String {
    let state = job.state.as_str();
    match job.state {
        JobState::Done if job.counts.conflict > 0 => page::odd(state),
        JobState::Done => page::good(state),
        JobState::Failed | JobState::Cancelled => page::bad(state),
        JobState::Queued | JobState::Running | JobState::Paused => page::odd(state),
    }
}

/// How far a job is, in one line.
fn bar(job: &Job) -> String {
    let total = job.counts.total();
    let over = total - job.counts.pending;
    if let Some(at) = job.put_off() {
        let until = moment::shown(at, &Zoned::now());
        let (over, total) = (page::grouped(over), page::grouped(total));
        return format!("put off until {until}: {over} of {total}");
    }
    let full = match total {
        0 => BAR,
        total => usize::try_from(over * BAR as u64 / total).unwrap_or(BAR),
    };
    let left = match job.eta_seconds {
        Some(seconds) if job.state == JobState::Running && seconds >= 1.0 => {
            format!(", {} left", moment::length(seconds.ceil()))
        }
        _ => String::new(),
    };
    format!(
        "{} [{}{}] {} of {}{left}",
        job.state.as_str(),
        "█".repeat(full),
        " ".repeat(BAR - full),
        page::grouped(over),
        page::grouped(total)
    )
}

/// A name as a part of a path.
pub(super) fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_job_that_writes_says_how_long_it_takes_yet() {
        let told = |state: &str| {
            let job = json!({
                "id": "job-1", "plan": "plan-1", "state": state, "by": "ops",
                "started_at": "2026-11-23T14:30:00Z", "finished_at": null,
                "counts": {"updated": 1, "pending": 3}, "eta_seconds": 90.0, "cost": 0.0
            });
            bar(&serde_json::from_value(job).expect("a job"))
        };
        assert!(told("running").ends_with("] 1 of 4, 90 s left"), "{}", told("running"));
        assert!(told("paused").ends_with("] 1 of 4"), "{}", told("paused"));
    }
}
