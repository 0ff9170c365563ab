//! `backstock status`

use backstock_proto::journal::{Drift, Gap, KindStatus, PullState, ShopStatus};
use backstock_proto::kind::Heard;
use backstock_proto::retain::Retained;
use backstock_proto::subscribe::Subscriptions;
use backstock_proto::{Shop, Timestamp};
use backstock_restorer::proof::Proof;
use comfy_table::{Cell, CellAlignment};
use jiff::Zoned;
use serde::Deserialize;

use super::api::{self, Api, Target};
use super::{Answer, Failure, moment, page, prove};

/// A lag of this many seconds is nothing to speak of.
pub(super) const LAG_SECONDS: f64 = 5.0;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backstock status
  backstock status --shop acme
  backstock status --json | jq .lag_seconds")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
}

pub(super) async fn answer(args: Args, now: &Zoned) -> Result<Answer, Failure> {
    let api = Api::new(&args.target.server)?;
    let shop = api.shop(&args.target).await?;
    let body = api.get(&format!("/v1/shops/{shop}/status"), &[]).await?;
    if args.target.server.json {
        return Ok(Answer::json(&body));
    }
    let upkeep: Upkeep = api::read(&body)?;
    Ok(Answer::done(shown(&api::read(&body)?, now) + &upkeep.shown(&shop, now)))
}

/// What keeps a shop's history in order.
#[derive(Deserialize)]
struct Upkeep {
    subscriptions: Option<Subscriptions>,
    retention: Option<Retained>,
    proof: Option<Proof>,
}

impl Upkeep {
    fn shown(&self, shop: &Shop, now: &Zoned) -> String {
        let mut text = String::new();
        if let Some(Subscriptions { at, uri, wanted, good, refused, .. }) = &self.subscriptions {
            let when = moment::age(*at, now);
            text += &match wanted == good {
                true => format!("{} All {wanted} topics reach {uri}.\n", page::good("Subscribed.")),
                false => {
                    let missing = page::bad(format!("{} topics do not arrive.", wanted - good));
                    format!(
                        "{missing} Looked at {when}; {good} of {wanted} reach {uri}. \
                         `backstock subscribe --shop {}` mends what can be.\n",
                        shop.name()
                    )
                }
            };
            for one in refused {
                text += &format!("  {}: {}\n", one.topic, one.reason);
            }
        }
        if let Some(Retained { at, thinned, held, .. }) = &self.retention {
            let when = moment::age(*at, now);
            text += &match held {
                true => format!("{} Nothing goes while a hold is on.\n", page::odd("Held.")),
                false => format!(
                    "{} History was thinned {when}; {} went.\n",
                    page::good("Kept as configured."),
                    page::count(thinned.removed, "version"),
                ),
            };
        }
        text += &match &self.proof {
            Some(proof) => format!("{}\n", prove::verdict(proof, shop, now)),
            None => String::new(),
        };
        text
    }
}

fn shown(status: &ShopStatus, now: &Zoned) -> String {
    let summary = &status.summary;
    if status.kinds.is_empty() && summary.newest_received_at.is_none() {
        let nothing = page::odd("No webhook has arrived yet.");
        let shop = page::strong(&summary.shop);
        return format!(
            "{shop}: {nothing} Those that are refused are in the log, with the reason.\n"
        );
    }
    format!(
        "{}: {}, {} kept\n\n{}\n{}{}{}{}{}",
        page::strong(&summary.shop),
        page::count(summary.resources, "resource"),
        page::count(summary.versions, "version"),
        kinds(status, now),
        lag(summary.lag_seconds, summary.newest_received_at, now),
        gaps(status, now),
        quarantine(status.quarantined),
        not_read(&summary.shop, &status.kinds),
        not_kept(&status.kinds),
    )
}

fn kinds(status: &ShopStatus, now: &Zoned) -> String {
    let titles = ["Kind", "Living", "Deleted", "Versions", "Newest version", "Heard", "Whole look"];
    let mut table = page::table(&titles);
    for kind in &status.kinds {
        let number = |n| Cell::new(page::grouped(n)).set_alignment(CellAlignment::Right);
        let newest = kind.newest_version.map_or("none".into(), |at| moment::shown(at, now));
        let name = if kind.understood {
            Cell::new(&kind.kind)
        } else {
            page::faint_cell(format!("{} (as received)", kind.kind))
        };
        table.add_row(vec![
            name,
            number(kind.resources),
            number(kind.deleted),
            number(kind.versions),
            Cell::new(newest),
            Cell::new(heard(kind.heard)),
            Cell::new(whole_look(kind, now)),
        ]);
    }
    page::lines(&table)
}

/// How soon a change is known.
fn heard(heard: Heard) -> &'static str {
    match heard {
        Heard::Seconds => "in seconds",
        Heard::Minute => "in minutes",
        Heard::Hour => "within the hour",
        Heard::Mostly => "mostly within the hour",
        Heard::Nightly => "nightly",
    }
}

/// What could not be read whole, and why.
fn not_read(shop: &Shop, kinds: &[KindStatus]) -> String {
    let (mut text, mut unsaid) = (String::new(), false);
    let pulls = kinds.iter().filter_map(|kind| kind.pull.as_ref());
    for pull in pulls.filter(|pull| pull.state == PullState::Failed) {
        let why = pull.reason.as_deref().unwrap_or("no reason was given");
        // Some reasons say themselves what to do.
        unsaid |= !why.contains("`backstock ");
        text += &format!("  {}: {}\n", pull.kind, page::bad(why));
    }
    if unsaid {
        text += &format!(
            "  The next whole look tries again, and `backstock reconcile --shop {}` at once.\n",
            shop.name()
        );
    }
    match text.is_empty() {
        true => text,
        false => format!("Not read whole:\n{text}"),
    }
}

/// What is not kept, and why.
fn not_kept(kinds: &[KindStatus]) -> String {
    let mut text = String::new();
    for kind in kinds {
        if let Some(what) = &kind.not_covered {
            text += &format!("  {}: {what}\n", kind.kind);
        }
        let complete = kind.pull.as_ref().filter(|pull| pull.state == PullState::Complete);
        if let Some(why) = complete.and_then(|pull| pull.reason.as_ref()) {
            text += &format!("  {}: {}\n", kind.kind, page::bad(why));
        }
        if let Some(media) = kind.media.as_ref().filter(|media| media.kept < media.media) {
            let (kept, all) = (page::grouped(media.kept), page::grouped(media.media));
            let reasons = media.reasons.join("; ");
            let some = page::bad(format!("the bytes of {kept} of {all} media only"));
            text += &format!("  {}: {some}: {reasons}\n", kind.kind);
        }
    }
    let media: u64 = kinds.iter().filter_map(|kind| Some(kind.media.as_ref()?.kept)).sum();
    let kept = match media {
        0 => String::new(),
        media => format!(
            "{} The bytes of {} are kept.\n",
            page::good("Media."),
            page::count(media, "media file")
        ),
    };
    match text.is_empty() {
        true => kept,
        false => format!("{kept}Not kept:\n{text}"),
    }
}

/// When the shop was last asked for everything of a kind, and what came of it.
fn whole_look(kind: &KindStatus, now: &Zoned) -> String {
    let last = kind.last_complete_pull.as_ref().map(|pull| {
        let Drift { missed, changed, extra } = pull.drift;
        let when = moment::age(pull.finished_at.unwrap_or(pull.started_at), now);
        match missed + changed + extra {
            0 => when,
            drift => format!("{when}, {drift} put right"),
        }
    });
    match kind.pull.as_ref().map(|pull| (pull.state, pull)) {
        Some((PullState::Running, pull)) => {
            page::odd(format!("under way, {} so far", page::grouped(pull.objects)))
        }
        Some((PullState::Failed, _)) => {
            page::bad(format!("failed; before that: {}", last.unwrap_or("never".into())))
        }
        _ => last.unwrap_or_else(|| "never".into()),
    }
}

fn lag(seconds: f64, newest: Option<Timestamp>, now: &Zoned) -> String {
    let arrived = newest.map_or("some time ago".into(), |at| moment::age(at, now));
    if seconds < LAG_SECONDS {
        let caught_up = page::good("Up to date.");
        return format!("{caught_up} The newest event arrived {arrived} and can be read.\n");
    }
    let behind = page::odd(format!("{} behind.", moment::length(seconds)));
    format!("{behind} Events that arrived since then are safe, but cannot be read yet.\n")
}

fn gaps(ShopStatus { gaps, kinds, .. }: &ShopStatus, now: &Zoned) -> String {
    if gaps.is_empty() {
        return format!("{} Every event of the stream was seen.\n", page::good("No gaps."));
    }
    let number = page::bad(format!("{}.", page::count(gaps.len() as u64, "gap")));
    let mut text = format!("{number} The stream no longer held these events when they were due:\n");
    for gap in gaps {
        let missing = page::count(gap.to_seq.saturating_sub(gap.from_seq) + 1, "event");
        let noticed = moment::shown(gap.noticed_at, now);
        let healed = if gap.healed { "; everything was read anew since" } else { "" };
        let (from, to) = (gap.from_seq, gap.to_seq);
        text += &format!("  {missing} ({from} to {to}), noticed {noticed}{healed}\n");
        text += &healing(gap, kinds);
    }
    text
}

/// What was read anew since a gap, and what was not, where it is a part of it.
fn healing(gap: &Gap, kinds: &[KindStatus]) -> String {
    if gap.healed || gap.healed_by.is_empty() {
        return String::new();
    }
    let healed: Vec<&str> = gap.healed_by.iter().map(|by| by.kind.as_str()).collect();
    let whole = kinds.iter().filter(|kind| kind.last_complete_pull.is_some());
    let open = whole.map(|kind| kind.kind.as_str()).filter(|kind| !healed.contains(kind));
    let open: Vec<&str> = open.collect();
    format!("    read anew since: {}; not yet: {}\n", healed.join(", "), open.join(", "))
}

fn quarantine(events: u64) -> String {
    if events == 0 {
        return format!("{} Every event was understood.\n", page::good("No quarantine."));
    }
    let number = page::odd(format!("{} in quarantine.", page::count(events, "event")));
    format!("{number} Kept as received, but not understood and not in any history.\n")
}
