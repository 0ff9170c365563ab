//! `backstock incidents` and `dismiss`

use std::collections::BTreeMap;

use backstock_proto::Shop;
use backstock_restorer::guard::{Incident, IncidentState};
use backstock_restorer::job::{Job, JobState};
use jiff::Zoned;

use super::api::{self, Api, Limit, Target};
use super::job::segment;
use super::{Answer, Failure, moment, page};

#[derive(clap::Args)]
#[command(after_help = "\
What the guard saw, by when something was last said of it, newest first: what was harmed and by
whom, how it stands, and why no more was done. `backstock apply PLAN` goes the way back that is
ready; where none is, `backstock rollback --change-set ID --dry-run` makes one.

Examples:
  backstock incidents
  backstock incidents --json | jq -r '.items[] | select(.state == \"planned\") | .plan'")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    limit: Limit,
}

#[derive(clap::Args)]
#[command(after_help = "\
The guard does nothing more about it, and takes as much by the same actor for normal from now on.
What was undone already is brought back by `backstock undo JOB`. Needs a token with the scope
restore.

Examples:
  backstock dismiss incident-019dc3f2a41b")]
pub(crate) struct DismissArgs {
    #[command(flatten)]
    target: Target,
    /// The incident, as `backstock incidents` named it
    #[arg(value_name = "INCIDENT")]
    incident: String,
}

pub(super) async fn list(args: ListArgs, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let path = format!("/v1/shops/{shop}/incidents");
    let list = api.list(&path, &[], args.limit.limit).await?;
    if args.target.server.json {
        return Answer::json_list(&list);
    }
    let incidents = list.items.iter().map(|item| api::read(item.get().as_bytes()));
    let incidents: Vec<Incident> = incidents.collect::<Result<_, _>>()?;
    let jobs = jobs(&api, &shop, &incidents).await?;
    let mut text = String::new();
    for incident in &incidents {
        let job = way_back(incident).and_then(|plan| jobs.get(plan));
        text += &shown(incident, job, &shop, now);
    }
    if incidents.is_empty() {
        text += "All quiet: the guard saw no harm.\n";
    }
    if list.next.is_some() {
        text.push_str(&page::more(args.limit.limit));
    }
    Ok(Answer::done(text))
}

pub(super) async fn dismiss(args: DismissArgs) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let path = format!("/v1/shops/{shop}/incidents/{}/dismiss", segment(&args.incident));
    let body = api.post(&path, None).await?;
    if args.target.server.json {
        return Ok(Answer::json(&body));
    }
    let incident: Incident = api::read(&body)?;
    let who = &incident.change_set.actor.name;
    Ok(Answer::done(format!(
        "{} was meant. As much by {} is normal from now on.\n",
        incident.id,
        page::strong(who)
    )))
}

/// The plan that a person may have had applied, where the guard did not do so itself.
fn way_back(incident: &Incident) -> Option<&str> {
    incident.way_back().filter(|_| incident.state != IncidentState::Applied)
}

/// The jobs by the plans that they apply, where any may have gone the way back of an incident.
async fn jobs(
    api: &Api,
    shop: &Shop,
    incidents: &[Incident],
) -> Result<BTreeMap<String, Job>, Failure> {
    let mut jobs = BTreeMap::new();
    if incidents.iter().any(|incident| way_back(incident).is_some()) {
        let list = api.list(&format!("/v1/shops/{shop}/jobs"), &[], usize::MAX).await?;
        for item in &list.items {
            let job: Job = api::read(item.get().as_bytes())?;
            // The newest first: of several of one plan the last counts.
            jobs.entry(job.plan.clone()).or_insert(job);
        }
    }
    Ok(jobs)
}

/// One incident: what it is, how it stands, and what can be done. `job`: by which a person had it put back.
fn shown(incident: &Incident, job: Option<&Job>, shop: &Shop, now: &Zoned) -> String {
    let (id, state, shop) = (page::strong(&incident.id), how(incident, job), shop.name());
    let mut text =
        format!("{}  {id}  {state}\n  {}\n", moment::shown(incident.at, now), incident.text);
    for why in &incident.why {
        text += &format!("  {}\n", page::faint(why));
    }
    let is_open = is_open(incident.state, job);
    for job in incident.job.iter().chain(job.map(|job| &job.id)) {
        text += &format!("  backstock job --shop {shop} {job}\n");
    }
    // What was undone and went on has another plan.
    match &incident.plan {
        Some(plan) if job.is_none() && incident.state == IncidentState::Planned => {
            text += &format!("  backstock apply --shop {shop} {plan}\n");
        }
        _ if job.is_none() && is_open => {
            let set = &incident.change_set.id;
            text += &format!("  backstock rollback --shop {shop} --change-set {set} --dry-run\n");
        }
        _ => {}
    }
    if is_open && incident.job.is_none() {
        let meant = format!("if it was meant: backstock dismiss --shop {shop} {}", incident.id);
        text += &format!("  {}\n", page::faint(meant));
    }
    text
}

/// Whether a person is still to say what becomes of it. A job that ended before all was put back is no end
/// of it.
fn is_open(state: IncidentState, job: Option<&Job>) -> bool {
    use IncidentState::{Applied, Dismissed, Joined};
    let is_left = |job: &Job| matches!(job.state, JobState::Cancelled | JobState::Failed);
    !matches!(state, Applied | Joined | Dismissed) && job.is_none_or(is_left)
}

fn how(incident: &Incident, job: Option<&Job>) -> String {
    let by = incident.dismissed_by.as_deref().unwrap_or("somebody");
    match (incident.state, job) {
        (IncidentState::Joined, _) => "a part of another".into(),
        (IncidentState::Dismissed, _) => format!("meant, says {by}"),
        (_, Some(job)) => put_back(job),
        (IncidentState::Open, None) => page::odd("open"),
        (IncidentState::Told, None) => page::odd("told"),
        (IncidentState::Planned, None) => page::odd("the way back is ready"),
        (IncidentState::Applied, None) => page::good("undone"),
        (IncidentState::Stuck, None) => page::bad("stuck"),
    }
}

fn put_back(job: &Job) -> String {
    let said = |what: &str| format!("{what} by {}: {}", job.by, job.state.as_str());
    match job.state {
        JobState::Done => page::good(said("put back")),
        JobState::Failed | JobState::Cancelled => page::bad(said("not all of it put back")),
        JobState::Queued | JobState::Running | JobState::Paused => {
            page::odd(said("being put back"))
        }
    }
}
