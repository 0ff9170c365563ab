//! One change, condensed to what it takes to see what belongs together and what was done: small
//! enough that millions of them fit into memory, as when a large shop is wiped.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use backstock_proto::diff::FieldChange;
use backstock_proto::journal::Change;
use backstock_proto::{Facet, Kind, Op, ResourceId, Source, Timestamp};
use serde_json::Value;

use super::EventId;
use super::damage::BY_THEMSELVES;
use super::made::{self, made};

/// Texts up to this length, in bytes, are kept as they are.
const WORD_BYTES_MAX: usize = 40;

/// A change, condensed. Clones share what is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// The version that brought the change.
    pub seq: u64,
    /// Which part of the resource.
    pub facet: Facet,
    /// What happened.
    pub op: Op,
    /// How we came to know.
    pub source: Source,
    /// Its place in history.
    pub valid_at: Timestamp,
    /// When it happened, as precisely as is known.
    pub at: Timestamp,
    /// Shopify's id of the action behind it.
    pub event_id: Option<EventId>,
    /// What is told of it; `None` where that is nothing.
    pub contents: Option<Arc<Contents>>,
}

/// What is told of a change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// What a person calls the resource.
    pub title: Box<str>,
    /// What it did, field by field.
    pub effects: Vec<Effect>,
    /// Apps of which it brings the first signs, by handle, title or number.
    pub brings: Vec<Box<str>>,
}

/// What became of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Its name without positions: `variants/price`.
    pub field: Box<str>,
    /// The list element that it lies in.
    pub element: Option<Box<str>>,
    /// Old → new.
    pub turn: Turn,
    /// By what the new value is told from others.
    pub made: u32,
}

/// Old → new, as far as anybody has to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// An amount of money, in ten-thousandths.
    Amount(i64, i64),
    /// A short text, or yes and no.
    Word(Box<str>, Box<str>),
    /// A long text: its lengths, and what tells the new one from others.
    Text(u32, u32, u64),
    /// A plain list: how long it was, how long it is, and how much of it stayed.
    List(u32, u32, u32),
    /// There was nothing.
    Filled,
    /// There is nothing any more; how long it was.
    Emptied(u32),
    /// Something else.
    Other,
}

impl Trace {
    /// Condenses a change.
    pub fn of(change: Change) -> Self {
        let Change { kind, id, mut title, version, changes, .. } = change;
        // Nobody is told what it was called.
        if version.op == Op::Delete && BY_THEMSELVES.contains(&kind.as_str()) {
            title.clear();
        }
        let delivered = version.source.is_delivered();
        let at = version.triggered_at.filter(|_| delivered).unwrap_or(version.valid_at);
        let contents = Contents {
            title: title.into(),
            effects: match version.op {
                Op::Create if version.facet == Facet::Core => Vec::new(),
                _ => changes.iter().map(Effect::of).collect(),
            },
            brings: brought(&changes),
        };
        Self {
            kind,
            id,
            seq: version.seq,
            facet: version.facet,
            op: version.op,
            source: version.source,
            valid_at: version.valid_at,
            at,
            event_id: version.event_id.as_deref().map(EventId::from),
            contents: (contents != Contents::default()).then(|| Arc::new(contents)),
        }
    }

    /// What a person calls its resource.
    pub fn title(&self) -> &str {
        self.contents.as_ref().map_or("", |contents| &*contents.title)
    }

    /// What it did, field by field.
    pub fn effects(&self) -> &[Effect] {
        self.contents.as_ref().map_or(&[][..], |contents| &contents.effects[..])
    }

    /// Apps of which it brings the first signs.
    pub fn brings(&self) -> &[Box<str>] {
        self.contents.as_ref().map_or(&[][..], |contents| &contents.brings[..])
    }

    /// What sort of change it is, without how much: equal for what one cause does to many resources.
    pub fn shape(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.kind.as_str(), self.op, self.facet == Facet::Core).hash(&mut hasher);
        let mut fields: Vec<(&str, bool)> = self
            .effects()
            .iter()
            .map(|effect| (&*effect.field, matches!(effect.turn, Turn::Emptied(_))))
            .collect();
        fields.sort_unstable();
        fields.dedup();
        fields.hash(&mut hasher);
        hasher.finish()
    }

    /// [`Self::shape`], with by how much prices moved and which text was put in: equal for what one
    /// cause does by one rule.
    pub fn signature(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.shape().hash(&mut hasher);
        let rule = |effect: &Effect| match &effect.turn {
            _ if effect.is_price() => effect.ratio().map(step),
            Turn::Word(_, new) => Some(digest(new)),
            Turn::Text(_, _, new) => Some(new.cast_signed()),
            _ => None,
        };
        let mut rules: Vec<(&str, i64)> =
            self.effects().iter().filter_map(|e| Some((&*e.field, rule(e)?))).collect();
        rules.sort_unstable();
        rules.dedup_by_key(|(field, _)| *field);
        rules.hash(&mut hasher);
        hasher.finish()
    }

    /// Whether it can be what a write did that made fields `written`.
    pub fn may_be_by(&self, written: &[u32]) -> bool {
        let is_among = |effect: &Effect| {
            let member = effect.field.split('/').next().unwrap_or_default();
            made::is_among(written, member, effect.made)
        };
        let effects = self.effects();
        self.op != Op::Delete && (effects.is_empty() || effects.iter().any(is_among))
    }

    /// What names its resource, for maps.
    pub fn resource(&self) -> (&Kind, &ResourceId) {
        (&self.kind, &self.id)
    }
}

/// Apps that a change brings signs of: blocks of theme app extensions, and namespaces that only the
/// app itself may use.
fn brought(changes: &[FieldChange]) -> Vec<Box<str>> {
    let mut found = Vec::new();
    for change in changes {
        let old = signs(&change.old);
        found.extend(signs(&change.new).into_iter().filter(|sign| !old.contains(sign)));
    }
    found.sort();
    found.dedup();
    found
}

fn signs(value: &Value) -> Vec<Box<str>> {
    let mut found = Vec::new();
    match value {
        Value::String(text) => {
            for (before, end) in [("shopify://apps/", "/"), ("app--", "--")] {
                for rest in text.split(before).skip(1) {
                    let name = rest.split(end).next().unwrap_or_default();
                    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                    if !name.is_empty() && name.len() <= 100 && name.chars().all(plain) {
                        found.push(name.into());
                    }
                }
            }
        }
        Value::Array(items) => found.extend(items.iter().flat_map(signs)),
        Value::Object(members) => found.extend(members.values().flat_map(signs)),
        _ => {}
    }
    found
}

impl Effect {
    fn of(change: &FieldChange) -> Self {
        let field: Vec<&str> = change
            .path
            .split('/')
            .skip(1)
            .filter(|token| token.parse::<usize>().is_err())
            .collect();
        let made = made(field.first().copied().unwrap_or_default(), &change.new);
        let field = field.join("/");
        let turn = Turn::of(&field, &change.old, &change.new);
        let element = change.element.as_deref().map(Into::into);
        Self { field: field.into(), element, turn, made }
    }

    /// New price by old, where this is one.
    pub fn ratio(&self) -> Option<f64> {
        match self.turn {
            Turn::Amount(old, new) if self.is_price() && old > 0 => Some(new as f64 / old as f64),
            _ => None,
        }
    }

    /// Whether this is what buyers pay.
    pub fn is_price(&self) -> bool {
        matches!(
            &*self.field,
            "variants/price" | "fixedPrices/price/amount" | "prices/price/amount"
        )
    }
}

impl Turn {
    fn of(field: &str, old: &Value, new: &Value) -> Self {
        let nothing = |value: &Value| match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        match (old, new) {
            (old, new) if nothing(old) && !nothing(new) => Self::Filled,
            (old, new) if nothing(new) && !nothing(old) => Self::Emptied(length(old)),
            (Value::String(old), Value::String(new)) => match (amount(old), amount(new)) {
                (Some(old), Some(new)) if is_money(field) => Self::Amount(old, new),
                _ if old.len().max(new.len()) <= WORD_BYTES_MAX => {
                    Self::Word(old.as_str().into(), new.as_str().into())
                }
                _ => {
                    let mut digest = DefaultHasher::new();
                    new.hash(&mut digest);
                    let len = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
                    Self::Text(len(old), len(new), digest.finish())
                }
            },
            (Value::Bool(old), Value::Bool(new)) => {
                Self::Word(old.to_string().into(), new.to_string().into())
            }
            (Value::Array(old), Value::Array(new)) => {
                let kept = old.iter().filter(|value| new.contains(value)).count();
                let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                Self::List(count(old.len()), count(new.len()), count(kept))
            }
            _ => Self::Other,
        }
    }
}

fn is_money(field: &str) -> bool {
    let last = field.rsplit('/').next().unwrap_or_default();
    matches!(last, "price" | "compareAtPrice" | "amount")
}

fn length(value: &Value) -> u32 {
    let length = match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.len(),
        _ => 1,
    };
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A decimal in ten-thousandths; further digits are cut off.
pub(crate) fn amount(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(part) {
        return None;
    }
    let part: i64 = format!("{part:0<4}").get(..4)?.parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(10_000)?.checked_add(part).map(|n| sign * n)
}

fn digest(text: &str) -> i64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().cast_signed()
}

/// A ratio of prices in steps of a twentieth.
fn step(ratio: f64) -> i64 {
    (ratio * 20.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn turn(field: &str, old: Value, new: Value) -> Turn {
        Effect::of(&FieldChange { path: field.into(), element: None, old, new }).turn
    }

    #[test]
    fn of_what_goes_with_something_else_little_is_held() {
        let version = json!({
            "seq": 7, "op": "delete", "source": "webhook", "facet": "core",
            "valid_at": "2026-11-20T09:00:00Z", "recorded_at": "2026-11-20T09:00:00Z",
            "received_at": "2026-11-20T09:00:00Z", "topic": "inventory_items/delete", "hash": "00",
            "unchanged": false,
        });
        let gone = |kind: &str| Change {
            kind: Kind::parse(kind).expect("a kind"),
            id: ResourceId::parse("1").expect("an id"),
            gid: None,
            title: "MUG-1".into(),
            version: serde_json::from_value(version.clone()).expect("a version"),
            changes: Vec::new(),
        };
        assert_eq!(Trace::of(gone("product")).title(), "MUG-1");
        assert_eq!(Trace::of(gone("inventory_item")).contents, None);
        assert!(size_of::<Trace>() <= 80, "{}", size_of::<Trace>());
    }

    #[test]
    fn what_a_field_became_in_few_words() {
        assert_eq!(
            turn("/variants/3/price", json!("64.00"), json!("6.4")),
            Turn::Amount(640_000, 64_000)
        );
        assert_eq!(turn("/variants/3/sku", json!("64.00"), json!("x")), {
            Turn::Word("64.00".into(), "x".into())
        });
        assert_eq!(turn("/tags", json!(["a", "b"]), json!(["b", "c", "d"])), Turn::List(2, 3, 1));
        assert_eq!(turn("/descriptionHtml", json!("<p>"), json!("")), Turn::Emptied(3));
        assert_eq!(turn("/tags", json!([]), json!(["a"])), Turn::Filled);
        assert_eq!(turn("/publishedAt", json!("2026-01-01T00:00:00Z"), Value::Null), {
            Turn::Emptied(20)
        });
    }

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        assert_eq!(amount("9007199254740.993"), Some(90_071_992_547_409_930));
        assert_eq!(amount("-0.5"), Some(-5_000));
        for text in ["", "1e3", "1,00", "1.2.3", "99999999999999999999"] {
            assert_eq!(amount(text), None, "{text}");
        }
    }
}
