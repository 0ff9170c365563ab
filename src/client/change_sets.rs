//! Change-sets as people read them.

use backstock_proto::journal::List;
use backstock_proto::{Shop, Timestamp};
use backstock_restorer::change_set::{ActorKind, ChangeSet, Risk};
use jiff::Zoned;

use super::{moment, page};

/// Evidence that is shown of one set.
const EVIDENCE: usize = 2;

/// A list of change-sets, newest first.
pub(super) fn shown(list: &List<ChangeSet>, shop: &Shop, limit: usize, now: &Zoned) -> String {
    let mut text = String::new();
    for set in &list.items {
        text += &one(set, now);
    }
    if list.next.is_some() {
        text += &page::more(limit);
    }
    if let Some(worst) = list.items.iter().filter(|set| set.risk == Risk::High).max_by_key(|s| s.to)
    {
        let undo = format!(
            "backstock rollback --shop {} --change-set {} --dry-run",
            shop.name(),
            worst.id
        );
        text += &format!("{}\n", page::faint(format!("What would undo the worst of it: {undo}")));
    }
    text
}

/// One change-set: when, what, and what is known besides.
pub(super) fn one(set: &ChangeSet, now: &Zoned) -> String {
    let when = span(set.from, set.to, now);
    let what = match set.risk {
        Risk::High => page::bad(&set.headline),
        Risk::Medium => page::odd(&set.headline),
        Risk::Low | Risk::None => page::strong(&set.headline),
    };
    let mut text = format!("{when}  {what}\n");
    let mut about = vec![set.id.to_string(), page::count(set.counts.changes, "change")];
    if let Some(money) = &set.money {
        about.push(format!("one of each: {} → {}", money.before, money.after));
    }
    if set.actor.kind != ActorKind::Unknown {
        about.push(format!("{:.0} % sure", set.actor.confidence * 100.0));
    }
    text += &format!("    {}\n", page::faint(about.join(" · ")));
    for evidence in set.actor.evidence.iter().take(EVIDENCE) {
        text += &format!("    {}\n", page::faint(evidence));
    }
    text
}

/// `2026-11-20 14:02:11` alone, or up to `14:09:40` of the same day.
fn span(from: Timestamp, to: Timestamp, now: &Zoned) -> String {
    let whole = |at: Timestamp| {
        let text = moment::shown(at, now);
        text.split('.').next().unwrap_or_default().to_owned()
    };
    let (from, to) = (whole(from), whole(to));
    match (from == to, from.split_once(' '), to.split_once(' ')) {
        (true, ..) => from,
        (false, Some((day, _)), Some((last, time))) if day == last => format!("{from} – {time}"),
        _ => format!("{from} – {to}"),
    }
}
