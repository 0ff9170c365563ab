//! What history says of one resource, held against what a pull saw of it.

use backstock_proto::journal::{Head, Rebuilt};
use backstock_proto::witness::Seen;
use backstock_proto::{Source, Timestamp};

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It is there, and every facet is what was seen.
    Same,
    /// It changed since the pull began: what was seen says nothing of it.
    Moved,
    /// It is gone for both.
    Absent,
    /// It is not as it was seen; why.
    Differs(String),
}

/// Holds a resource as of the end of a pull against what the pull saw of it. `since` is when the pull
/// began.
pub(super) fn hold(seen: &[Seen], rebuilt: Option<&Rebuilt>, since: Timestamp) -> Held {
    if let Some(damage) = rebuilt.and_then(|rebuilt| rebuilt.damage.clone()) {
        return Held::Differs(damage);
    }
    let core = rebuilt.and_then(|rebuilt| rebuilt.facets.first());
    let living = core.is_some_and(|core| !core.deleted);
    let moved = core.is_some_and(|core| has_moved(core, since));
    match (rebuilt.filter(|_| living), seen.is_empty()) {
        (None, true) => Held::Absent,
        (Some(rebuilt), false) => facets(seen, rebuilt, since),
        _ if moved => Held::Moved,
        (Some(_), true) => {
            Held::Differs("history says that it was there, and the shop did not have it".into())
        }
        (None, false) if core.is_some() => {
            Held::Differs("the shop had it, and history says that it was gone".into())
        }
        (None, false) => Held::Differs("the shop had it, and history knows nothing of it".into()),
    }
}

fn facets(seen: &[Seen], rebuilt: &Rebuilt, since: Timestamp) -> Held {
    let mut moved = !seen.iter().any(Seen::is_vouched);
    let mut wrong = Vec::new();
    for one in seen.iter().filter(|seen| seen.is_vouched()) {
        let name = one.facet.as_str();
        match rebuilt.facets.iter().find(|head| head.facet == one.facet) {
            Some(head) if seen.iter().any(|s| s.facet == one.facet && s.is(&head.hash)) => {}
            Some(head) if has_moved(head, since) => moved = true,
            Some(_) => wrong.push(format!("{name} is not what the shop had")),
            None => wrong.push(format!("{name} is missing in history")),
        }
    }
    match (wrong.is_empty(), moved) {
        (false, _) => Held::Differs(wrong.join("; ")),
        (true, true) => Held::Moved,
        (true, false) => Held::Same,
    }
}

/// Whether a version tells of something that happened after the pull began. What the pull itself put
/// right is what it saw.
fn has_moved(head: &Head, since: Timestamp) -> bool {
    head.source != Source::Reconcile && head.valid_at.max(head.triggered_at) >= since
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstock_proto::canonical::Hash;
    use backstock_proto::{Facet, ResourceId};
    use serde_json::{Value, json};

    const BEGAN: i64 = 100;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn id() -> ResourceId {
        ResourceId::parse("1").expect("an id")
    }

    fn hash(title: &str) -> String {
        Hash::of(Some(&json!({"title": title}))).to_hex()
    }

    fn saw(facet: Facet, title: &str) -> Seen {
        Seen::new(id(), facet, Some(&hash(title)))
    }

    fn head(facet: Facet, title: &str, second: i64, source: Source) -> Head {
        let (valid_at, triggered_at) = (at(second), at(second));
        let (deleted, hash, seq) = (title.is_empty(), hash(title), 1);
        Head { id: id(), facet, deleted, source, hash, valid_at, triggered_at, seq }
    }

    fn core(title: &str, second: i64, source: Source) -> Rebuilt {
        let facets = vec![head(Facet::Core, title, second, source)];
        Rebuilt { id: id(), facets, state: Some(Value::Null), damage: None }
    }

    fn held(seen: &[Seen], rebuilt: &Rebuilt) -> Held {
        hold(seen, Some(rebuilt), at(BEGAN))
    }

    fn differs(held: &Held) -> bool {
        matches!(held, Held::Differs(_))
    }

    #[test]
    fn what_was_seen_is_there_and_the_same_or_it_is_told() {
        let mug = [saw(Facet::Core, "Mug")];
        assert_eq!(held(&mug, &core("Mug", 50, Source::Webhook)), Held::Same);
        assert!(differs(&held(&mug, &core("Mog", 50, Source::Webhook))));
        assert!(differs(&held(&mug, &core("", 50, Source::Webhook))));
        assert!(differs(&hold(&mug, None, at(BEGAN))));
        let more = [saw(Facet::Core, "Mug"), saw(Facet::Metafields, "warm")];
        assert!(differs(&held(&more, &core("Mug", 50, Source::Webhook))));
        let mut rebuilt = core("Mug", 50, Source::Webhook);
        rebuilt.facets.push(head(Facet::Metafields, "warm", 50, Source::Pull));
        assert_eq!(held(&more, &rebuilt), Held::Same);
        // What the pull did not ask about is nothing that it speaks of.
        assert_eq!(held(&mug, &rebuilt), Held::Same);
    }

    #[test]
    fn what_was_not_seen_is_gone_or_it_is_told() {
        assert_eq!(hold(&[], None, at(BEGAN)), Held::Absent);
        assert_eq!(held(&[], &core("", 50, Source::Webhook)), Held::Absent);
        assert!(differs(&held(&[], &core("Mug", 50, Source::Webhook))));
    }

    #[test]
    fn what_changed_while_the_shop_was_read_is_no_mismatch() {
        let mug = [saw(Facet::Core, "Mug")];
        for later in ["Mog", ""] {
            assert_eq!(held(&mug, &core(later, BEGAN, Source::Webhook)), Held::Moved);
        }
        assert_eq!(held(&[], &core("Mug", BEGAN + 1, Source::Webhook)), Held::Moved);
        // What the pull itself put right has to be what it saw.
        assert!(differs(&held(&mug, &core("Mog", BEGAN, Source::Reconcile))));
        assert_eq!(held(&mug, &core("Mug", BEGAN, Source::Reconcile)), Held::Same);
        // It was there, and how it was is not vouched for.
        let there = [Seen::new(id(), Facet::Core, None)];
        assert_eq!(held(&there, &core("Mog", 50, Source::Webhook)), Held::Moved);
        assert!(differs(&held(&there, &core("", 50, Source::Webhook))));
    }

    #[test]
    fn damage_is_never_excused() {
        let mut damaged = core("Mug", BEGAN + 1, Source::Webhook);
        damaged.damage = Some("a payload does not have its digest".into());
        assert!(differs(&held(&[saw(Facet::Core, "Mug")], &damaged)));
        assert!(differs(&held(&[], &damaged)));
    }
}
