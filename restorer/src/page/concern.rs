//! What a person should know before they call their store safe, and how much it matters.

use std::cmp::Reverse;

use backstock_proto::journal::{KindStatus, PullReport, PullState, ShopStatus};
use backstock_proto::subscribe::Subscriptions;
use backstock_proto::{Kind, Timestamp};

use super::incident::Seen;
use super::room::Room;
use super::shell::{self, Tone};
use super::when;
use crate::answer::shop::Status;
use crate::health::{Health, HealthState};
use crate::proof::{Proof, ProofState};
use crate::{Desk, human};

/// Behind by less than this, nobody needs to know.
pub(super) const LAG_SECONDS_FINE: f64 = 60.0;
/// A whole look at the shop is due every night; after this one was missed.
const LOOK_SECONDS_MAX: f64 = 36.0 * 3600.0;
/// How long harm stands here of which nobody says anything.
const HARM_SECONDS_MAX: f64 = 7.0 * 24.0 * 3600.0;
/// Kinds that are named; of the others it is said how many they are.
const NAMED: usize = 3;

/// Something that a person should know, and how much it matters.
pub(super) struct Concern {
    pub(super) tone: Tone,
    pub(super) text: String,
    /// Where there is more of it, and what that is called.
    pub(super) more: Option<(String, &'static str)>,
}

impl Concern {
    fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into(), more: None }
    }
}

/// All of it, harm first.
pub(super) fn all(room: &Room, status: &Status, harm: &[Seen]) -> Vec<Concern> {
    let mut all: Vec<Concern> = harm.iter().filter_map(|seen| harmed(room, seen)).collect();
    all.extend(beside_harm(status, room.clock.now(), room.is_reached()));
    all
}

/// The same in short, for a list of many shops.
pub(crate) fn health(desk: &Desk, status: &Status, harm: &[Seen]) -> Health {
    let (now, shop) = (desk.clock.now(), &status.history.summary.shop);
    let open = harm.iter().filter(|seen| stands(seen, now));
    let mut all: Vec<Concern> =
        open.map(|seen| Concern::new(Tone::Bad, format!("{}.", seen.harm()))).collect();
    let incidents_open = all.len() as u64;
    all.extend(beside_harm(status, now, desk.admins.contains_key(shop)));
    all.sort_by_key(|concern| Reverse(concern.tone));
    Health {
        state: match all.first().map_or(Tone::Good, |worst| worst.tone) {
            Tone::Good | Tone::Plain => HealthState::Good,
            Tone::Notice => HealthState::Notice,
            Tone::Warning => HealthState::Warning,
            Tone::Bad => HealthState::Bad,
        },
        incidents_open,
        last_complete_pull: status.history.kinds.iter().filter_map(last_look).min(),
        wrong: all.into_iter().map(|concern| concern.text).collect(),
        at: now,
    }
}

/// What speaks against it that all is well, beside harm.
fn beside_harm(status: &Status, now: Timestamp, is_reached: bool) -> Vec<Concern> {
    let history = &status.history;
    let shop = history.summary.shop.name();
    let mut all = reached(shop, is_reached, status.subscriptions.as_ref());
    all.extend(heard(history));
    all.extend(looked_at(now, history));
    // Where the shop cannot be asked, that is said already.
    if is_reached {
        all.extend(never_whole(history));
    }
    all.extend(history.kinds.iter().filter_map(not_copied));
    all.extend(status.proof.as_ref().and_then(|proof| disproved(shop, now, proof)));
    all
}

/// Whether the shop is being read just now.
pub(super) fn is_being_read(status: &ShopStatus) -> bool {
    pulls(status, PullState::Running).next().is_some()
}

/// When all of a kind was last looked at.
pub(super) fn last_look(kind: &KindStatus) -> Option<Timestamp> {
    let pull = kind.last_complete_pull.as_ref()?;
    Some(pull.finished_at.unwrap_or(pull.started_at))
}

/// The newest pull of each kind, as far as it is in this state.
fn pulls(status: &ShopStatus, state: PullState) -> impl Iterator<Item = &PullReport> {
    let pulls = status.kinds.iter().filter_map(|kind| kind.pull.as_ref());
    pulls.filter(move |pull| pull.state == state)
}

/// Whether it is of the last days, and nobody has said anything about it yet.
fn stands(seen: &Seen, now: Timestamp) -> bool {
    now.seconds_since(seen.began()) < HARM_SECONDS_MAX && seen.is_open()
}

/// Harm of the last days that nobody has said anything about yet.
fn harmed(room: &Room, seen: &Seen) -> Option<Concern> {
    stands(seen, room.clock.now()).then(|| Concern {
        tone: Tone::Bad,
        text: format!("{}, {}.", seen.harm(), room.clock.short(seen.began())),
        more: Some((format!("{}/guard", room.path()), "What the guard saw, and the way back")),
    })
}

/// What is missing between the shop and us.
fn reached(shop: &str, is_reached: bool, subscriptions: Option<&Subscriptions>) -> Vec<Concern> {
    let mut concerns = Vec::new();
    if !is_reached {
        concerns.push(Concern::new(
            Tone::Warning,
            "Only what webhooks tell is kept, and nothing can be put back: this shop's credentials for \
             the Admin API are not in backstock.toml.",
        ));
    }
    if let Some(Subscriptions { wanted, good, refused, .. }) = subscriptions
        && good < wanted
    {
        let missing = wanted - good;
        let why = refused.first().map(|refused| {
            format!(
                " The shop refuses {}: {}.",
                refused.topic,
                refused.reason.trim_end_matches('.')
            )
        });
        let text = format!(
            "{missing} of {wanted} webhook subscriptions are not as they should be: what they would \
             tell is seen at the next whole look only.{} `backstock subscribe --shop {shop}` mends what \
             can be.",
            why.unwrap_or_default()
        );
        concerns.push(Concern::new(Tone::Warning, text));
    }
    concerns
}

/// How well we hear what happens.
fn heard(status: &ShopStatus) -> Vec<Concern> {
    let mut concerns = Vec::new();
    if status.summary.lag_seconds > LAG_SECONDS_FINE {
        let lag = when::lasting(status.summary.lag_seconds);
        let text = format!(
            "What happened in the last {lag} is not readable yet. Nothing is lost; it is being caught up."
        );
        concerns.push(Concern::new(Tone::Warning, text));
    }
    let open = status.gaps.iter().filter(|gap| !gap.healed).count();
    if open > 0 {
        let gaps = shell::many(open as u64, "gap");
        let text = format!("{gaps} in what reached us: the next whole look fills what is missing.");
        concerns.push(Concern::new(Tone::Warning, text));
    }
    if status.quarantined > 0 {
        let events = shell::many(status.quarantined, "message");
        let are = if status.quarantined == 1 { "is" } else { "are" };
        let text = format!("{events} could not be understood and {are} kept aside, as received.");
        concerns.push(Concern::new(Tone::Notice, text));
    }
    if status.summary.versions == 0 {
        let tone = if is_being_read(status) { Tone::Notice } else { Tone::Warning };
        let text = "Nothing has been heard of this shop yet. Check that its webhooks point here.";
        concerns.push(Concern::new(tone, text));
    }
    concerns
}

/// What came of looking at the whole shop.
fn looked_at(now: Timestamp, status: &ShopStatus) -> Vec<Concern> {
    let (shop, mut concerns) = (status.summary.shop.name(), Vec::new());
    let running: Vec<&PullReport> = pulls(status, PullState::Running).collect();
    if !running.is_empty() {
        let names = running.iter().take(NAMED).map(|pull| human::plural(pull.kind.as_str()));
        let names: Vec<String> = names.collect();
        let left = running.iter().filter_map(|pull| pull.eta_seconds).fold(0.0, f64::max);
        let left = match left > 0.0 {
            true => format!(", about {} left", when::lasting(left)),
            false => String::new(),
        };
        let text = format!("The shop is being read now: {}{left}.", names.join(", "));
        concerns.push(Concern::new(Tone::Notice, text));
    }
    for pull in pulls(status, PullState::Failed) {
        let why = pull.reason.as_deref().unwrap_or("no reason was given");
        // Some reasons say themselves what to do.
        let then = match why.contains("`backstock ") {
            true => String::new(),
            false => format!(
                " The next whole look tries again, and `backstock reconcile --shop {shop}` at once."
            ),
        };
        let text = format!("{} could not be read: {why}.{then}", named(&[&pull.kind]));
        concerns.push(Concern::new(Tone::Warning, text));
    }
    for pull in pulls(status, PullState::Complete) {
        if let Some(why) = &pull.reason {
            concerns.push(Concern::new(Tone::Warning, format!("{}: {why}.", named(&[&pull.kind]))));
        }
    }
    let stale = |at: &Timestamp| now.seconds_since(*at) > LOOK_SECONDS_MAX;
    let stale = status.kinds.iter().filter_map(last_look).filter(stale).count();
    if stale > 0 {
        let kinds = shell::many(stale as u64, "kind");
        let were = if stale == 1 { "was" } else { "were" };
        let text = format!(
            "{kinds} {were} not looked at as a whole since yesterday. `backstock reconcile --shop {shop}` \
             looks now."
        );
        concerns.push(Concern::new(Tone::Warning, text));
    }
    concerns
}

/// Kinds of which nobody ever saw all, though that can be had.
fn never_whole(status: &ShopStatus) -> Option<Concern> {
    // Where its last answer was a failure, that is said already.
    let never = status.kinds.iter().filter(|kind| {
        let failed = kind.pull.as_ref().is_some_and(|pull| pull.state == PullState::Failed);
        let is_pulled = kind.kind.spec().is_some_and(|spec| !spec.pulls.is_empty());
        is_pulled && !failed && kind.last_complete_pull.is_none()
    });
    let kinds: Vec<&Kind> = never.map(|kind| &kind.kind).collect();
    if kinds.is_empty() {
        return None;
    }
    let tone = if is_being_read(status) { Tone::Notice } else { Tone::Warning };
    let mut text = format!(
        "{} were never read whole yet: what no webhook has told of is not kept.",
        named(&kinds)
    );
    if tone == Tone::Warning {
        let shop = status.summary.shop.name();
        text += &format!(" `backstock reconcile --shop {shop}` reads them now.");
    }
    Some(Concern::new(tone, text))
}

/// Pictures and files whose bytes are not kept.
fn not_copied(status: &KindStatus) -> Option<Concern> {
    let media = status.media.as_ref().filter(|media| media.kept < media.media)?;
    let (missing, all) = (shell::number(media.media - media.kept), shell::number(media.media));
    let why = match media.reasons.as_slice() {
        [] => String::new(),
        reasons => format!(": {}", reasons.join("; ")),
    };
    let kinds = human::plural(status.kind.as_str());
    let text = format!("{missing} of {all} pictures and files of {kinds} are not kept{why}.");
    Some(Concern::new(Tone::Notice, text))
}

/// What stands against it that the shop could be restored.
fn disproved(shop: &str, now: Timestamp, proof: &Proof) -> Option<Concern> {
    let stale = now.seconds_since(proof.ordered_at) > LOOK_SECONDS_MAX;
    let (tone, text) = match (proof.state, proof.mismatched.first()) {
        (ProofState::Refuted, Some(first)) => {
            let wrong = shell::many(proof.mismatches, "thing");
            let (kind, id, why) = (human::plural(first.kind.as_str()), &first.id, &first.why);
            let text = format!(
                "{wrong} could not be proved restorable. The first, of the {kind}, {id}: {why}. \
                 `backstock prove --last --shop {shop}` names them."
            );
            (Tone::Warning, text)
        }
        (ProofState::Failed, _) => {
            let why = proof.reason.as_deref().unwrap_or("no reason was given");
            (Tone::Notice, format!("It could not be proved that all of it can be restored: {why}."))
        }
        _ if stale => {
            let text = format!(
                "It was not proved since yesterday that all of it can be restored. \
                 `backstock prove --shop {shop}` tries now."
            );
            (Tone::Notice, text)
        }
        _ => return None,
    };
    Some(Concern::new(tone, text))
}

/// `Orders, pages, menus and 4 more kinds`.
fn named(kinds: &[&Kind]) -> String {
    let names = kinds.iter().take(NAMED).map(|kind| human::plural(kind.as_str()));
    let names: Vec<String> = names.collect();
    let more = match kinds.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {}", shell::many(more as u64, "more kind")),
    };
    shell::capital(&(names.join(", ") + &more))
}
