//! `backstock incidents` and `dismiss`

use backstock_proto::Shop;
use backstock_restorer::guard::{Incident, IncidentState};
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
    let mut text = String::new();
    for item in &list.items {
        text += &shown(&api::read(item.get().as_bytes())?, &shop, now);
    }
    if list.items.is_empty() {
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

/// One incident: what it is, how it stands, and what can be done.
fn shown(incident: &Incident, shop: &Shop, now: &Zoned) -> String {
    let (id, state, shop) = (page::strong(&incident.id), how(incident), shop.name());
    let mut text =
        format!("{}  {id}  {state}\n  {}\n", moment::shown(incident.at, now), incident.text);
    for why in &incident.why {
        text += &format!("  {}\n", page::faint(why));
    }
    match (&incident.job, &incident.plan) {
        (Some(job), _) => text += &format!("  backstock job --shop {shop} {job}\n"),
        (None, Some(plan)) if incident.state == IncidentState::Planned => {
            text += &format!("  backstock apply --shop {shop} {plan}\n");
        }
        (None, _) if is_open(incident.state) => {
            let set = &incident.change_set.id;
            text += &format!("  backstock rollback --shop {shop} --change-set {set} --dry-run\n");
        }
        _ => {}
    }
    if is_open(incident.state) && incident.job.is_none() {
        let meant = format!("if it was meant: backstock dismiss --shop {shop} {}", incident.id);
        text += &format!("  {}\n", page::faint(meant));
    }
    text
}

/// Whether a person is still to say what becomes of it.
fn is_open(state: IncidentState) -> bool {
    use IncidentState::{Applied, Dismissed, Joined};
    !matches!(state, Applied | Joined | Dismissed)
}

fn how(incident: &Incident) -> String {
    let by = incident.dismissed_by.as_deref().unwrap_or("somebody");
    match incident.state {
        IncidentState::Open => page::odd("open"),
        IncidentState::Told => page::odd("told"),
        IncidentState::Planned => page::odd("the way back is ready"),
        IncidentState::Applied => page::good("undone"),
        IncidentState::Stuck => page::bad("stuck"),
        IncidentState::Joined => "a part of another".into(),
        IncidentState::Dismissed => format!("meant, says {by}"),
    }
}
