//! What a person should know before saying yes, in sentences, most important first.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::kind::Spec;
use backstock_proto::merge::{Field, FieldPath};
use backstock_proto::{Facet, Kind};
use serde_json::Value;

use super::row::{Left, Policy, Subject, Verdict};
use super::{Action, Counts, Row, stock, translated};
use crate::export::adopt::Stays;
use crate::gids::Gids;
use crate::write;

/// Members that say who sees a resource.
const SEEN_BY: &[&str] =
    &["status", "publications", "isPublished", "publishedAt", "published", "role"];

/// What was decided about all resources of a plan, added up.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) cost: f64,
    created: BTreeMap<Kind, u64>,
    updated: BTreeMap<Kind, u64>,
    deleted: BTreeMap<Kind, u64>,
    /// Items that come back with their stock, and how much that is.
    stocked: Gids,
    stock: i64,
    /// What gets new ids: everything that is made anew, and its parts.
    pub(crate) anew: Gids,
    /// Resources that refer to those, and how often.
    referring: (u64, u64),
    /// Why how many cannot be written.
    cannot: BTreeMap<(Kind, String), u64>,
    /// Why which fields cannot be written.
    unwritable: BTreeMap<String, u64>,
    kept_in: u64,
    left: BTreeMap<Left, u64>,
    archives: BTreeSet<Kind>,
    /// What people began themselves, and what stays therefore although what is new goes.
    own_doings: BTreeMap<Kind, u64>,
    /// Resources that others see, or no longer see, afterwards.
    seen: u64,
    themes: u64,
    theme_files: u64,
    taken: u64,
    /// Catalogs that are made anew and showed some products only.
    catalogs: u64,
    /// Customers who are unsubscribed.
    withdrawn: u64,
    /// Whether translations may stay away, since nobody can say what they are of now.
    pub(crate) untold: bool,
}

impl Tally {
    /// Adds what was decided about a resource.
    pub(crate) fn see(&mut self, subject: &Subject, verdict: &Verdict) {
        match verdict {
            Verdict::Unselected => {}
            Verdict::Same => self.counts.same += 1,
            Verdict::Left(left) => {
                *self.left.entry(*left).or_default() += 1;
                if *left == Left::Archive {
                    self.archives.insert(subject.kind.clone());
                }
                if *left == Left::OwnDoing {
                    *self.own_doings.entry(subject.kind.clone()).or_default() += 1;
                }
            }
            Verdict::Row(row) => self.row(subject, row),
        }
    }

    fn row(&mut self, subject: &Subject, row: &Row) {
        self.cost += row.cost;
        self.counts.kept_fields += row.kept.len() as u64;
        self.kept_in += u64::from(!row.kept.is_empty());
        for field in &row.unwritable {
            *self.unwritable.entry(field.why.clone()).or_default() += 1;
        }
        match row.action {
            Action::Create => self.create(subject, row),
            Action::Update => self.update(subject.spec, row),
            Action::Delete => {
                self.counts.delete += 1;
                *self.deleted.entry(row.kind.clone()).or_default() += 1;
                self.seen += 1;
                self.theme(subject.spec, row.action);
            }
            Action::Keep => self.counts.keep += 1,
            Action::Cannot => {
                self.counts.cannot += 1;
                if let Some(why) = row.notes.first() {
                    *self.cannot.entry((row.kind.clone(), why.clone())).or_default() += 1;
                }
            }
        }
    }

    fn create(&mut self, subject: &Subject, row: &Row) {
        self.counts.create += 1;
        if subject.comes_along && write::is_stock(subject.spec) {
            return self.restock(&stock::made(subject, row));
        }
        *self.created.entry(row.kind.clone()).or_default() += 1;
        self.seen += 1;
        self.theme(subject.spec, row.action);
        self.taken += u64::from(subject.taken_by.is_some());
        // What an export holds stands in the row.
        let whole = row.fields.iter().find(|field| field.path == FieldPath::root());
        let state = subject.of.as_ref().map(|(_, state)| state);
        let Some(state) = state.or(whole.map(|field| &field.new)) else { return };
        let chooses = row.kind.as_str() == "catalog" && state["publication"].is_object();
        self.catalogs += u64::from(chooses);
        self.untold |= translated::is_untold(&row.kind, state);
        self.refer(references(state, &self.anew));
        // Nothing refers to these by their ids.
        let is_text = row.kind.as_str() == translated::TRANSLATION;
        if is_text || stock::is_item(subject.spec) || write::is_stock(subject.spec) {
            return;
        }
        self.anew.extend(row.gid.clone());
        self.anew.extend(state.get("id").and_then(Value::as_str));
        let lists = state.as_object().into_iter().flatten();
        for (_, list) in lists.filter(|(name, _)| !links(subject.spec, &format!("/{name}"))) {
            let parts = list.as_array().into_iter().flatten();
            self.anew.extend(parts.filter_map(|part| part.get("id")?.as_str()));
        }
    }

    /// Adds a level that comes back with its item. Nobody points to one, or knows it by its id.
    fn restock(&mut self, level: &Value) {
        self.stocked.extend(level.pointer("/item/id").and_then(Value::as_str));
        self.stock += write::amount(level).unwrap_or_default();
    }

    /// Adds what only follows what it points to, or comes with what it is of.
    pub(crate) fn follows(&mut self, row: &Row) {
        self.cost += row.cost;
        if row.action == Action::Create {
            self.counts.create += 1;
            *self.created.entry(row.kind.clone()).or_default() += 1;
            self.refer(1);
        } else if let Some(spec) = row.kind.spec() {
            self.update(spec, row);
        }
    }

    /// Whether something with metafields of its own is made anew.
    pub(crate) fn makes_owners(&self) -> bool {
        self.created.keys().any(|kind| kind.facets().any(|facet| facet == Facet::Metafields))
    }

    fn update(&mut self, spec: &Spec, row: &Row) {
        self.counts.update += 1;
        *self.updated.entry(row.kind.clone()).or_default() += 1;
        self.theme(spec, row.action);
        let shows = |field: &Field| SEEN_BY.contains(&field.path.member());
        self.seen += u64::from(row.fields.iter().any(shows));
        let withdraws = |field: &Field| write::withdraws(spec, field);
        self.withdrawn += u64::from(row.fields.iter().any(withdraws));
        let found = row.fields.iter().map(|field| references(&field.new, &self.anew)).sum();
        self.refer(found);
        let is_part = |field: &&Field| {
            let list = field.path.as_str().rsplit_once('/').map_or("", |(list, _)| list);
            field.old.is_null() && !links(spec, list)
        };
        for field in row.fields.iter().filter(is_part) {
            self.anew.extend(field.new.get("id").and_then(Value::as_str));
        }
    }

    fn theme(&mut self, spec: &Spec, action: Action) {
        self.themes += u64::from(spec.name == "theme" && action == Action::Create);
        self.theme_files += u64::from(spec.name == "theme_file");
    }

    fn refer(&mut self, found: u64) {
        self.referring.0 += u64::from(found > 0);
        self.referring.1 += found;
    }

    /// How many of those left out were left out for this.
    pub(crate) fn left(&self, left: Left) -> u64 {
        self.left.get(&left).copied().unwrap_or_default()
    }

    /// The sentences. `seconds` is how long it takes.
    pub(crate) fn sentences(&self, policy: &Policy, seconds: f64) -> Vec<String> {
        let mut said = Vec::new();
        let Counts { create, update, delete, keep, cannot, .. } = self.counts;
        let writes = create + update + delete;
        let (changed, gone) = (by_kind(&self.updated), by_kind(&self.deleted));
        if writes == 0 {
            said.push(if keep + cannot == 0 {
                "Nothing to do: everything that was selected is as wanted.".into()
            } else {
                "Nothing to do: what differs was changed later, or cannot be written.".into()
            });
        }
        if delete > 0 {
            said.push(format!("{} deleted for good.", listed(&gone, delete)));
        }
        if self.withdrawn > 0 {
            said.push(format!(
                "{} unsubscribed from marketing: only they can agree to it again, undoing this does \
                 not subscribe them.",
                are(self.withdrawn, "customer")
            ));
        }
        self.new_ids(&mut said);
        if update > 0 {
            said.push(format!("{} changed in place.", listed(&changed, update)));
        }
        self.not_written(&mut said);
        if self.counts.kept_fields > 0 {
            let (fields, within) = (self.counts.kept_fields, self.kept_in);
            let (fields, within) = (count(fields, "field"), count(within, "resource"));
            said.push(format!("{fields} of {within} stay as they are: they were changed later."));
        }
        self.left_out(policy, &mut said);
        if self.seen > 0 && writes > 0 {
            let seen = count(self.seen, "resource");
            said.push(format!("What customers can see changes at once, by {seen}."));
        }
        if self.themes > 0 {
            said.push("Themes come back unpublished: publish one when it looks right.".into());
        } else if self.theme_files > 0 {
            said.push(
                "Files of themes are written in place, also of the published one. Where Shopify does \
                 not let this app do so, the theme as it was is laid beside it, unpublished."
                    .into(),
            );
        }
        if writes > 0 {
            let webhooks = count(writes, "write");
            said.push(format!(
                "Other apps hear of {webhooks} by webhook, and may act on it. No e-mail goes to \
                 customers."
            ));
            let cost = self.cost.round() as u64;
            let points = count(cost, "point");
            said.push(format!(
                "Takes about {} and {points} of the API's budget.",
                duration(seconds)
            ));
        }
        said
    }

    fn new_ids(&self, said: &mut Vec<String>) {
        let created: u64 = self.created.values().sum();
        if created > 0 {
            said.push(format!(
                "{} made anew, with new ids: what other systems know by the old ids no longer finds \
                 them.",
                listed(&by_kind(&self.created), created)
            ));
        }
        if !self.stocked.is_empty() {
            said.push(format!(
                "Stock of {} that {} back is as it was last known: {} in all.",
                count(self.stocked.len(), "thing"),
                if self.stocked.len() == 1 { "comes" } else { "come" },
                signed(self.stock)
            ));
        }
        if self.referring.1 > 0 {
            let (within, references) = self.referring;
            said.push(format!(
                "{} in {} will point to the new ids.",
                count(references, "reference"),
                count(within, "resource")
            ));
        }
        if self.untold {
            said.push(
                "Translations of metafields and of the values of options stay away where those go with \
                 what is made anew: they have other ids then, and nobody can say which. Enter them by \
                 hand."
                    .into(),
            );
        }
        if self.taken > 0 {
            said.push(format!(
                "Of these, {} not made anew as long as something newer goes by the same handle, path or \
                 name: give that another one, or have what is new deleted.",
                are(self.taken, "resource")
            ));
        }
    }

    fn not_written(&self, said: &mut Vec<String>) {
        if self.catalogs > 0 {
            said.push(format!(
                "For {} the choice of products comes back only where the publication is still there: \
                 until it is made again by hand, all products are shown.",
                count(self.catalogs, "catalog")
            ));
        }
        for ((kind, why), n) in &self.cannot {
            said.push(format!("{} cannot be written: {why}.", count(*n, &words(kind))));
        }
        for (why, n) in &self.unwritable {
            said.push(format!("{} cannot be written: {why}.", count(*n, "field")));
        }
    }

    fn left_out(&self, policy: &Policy, said: &mut Vec<String>) {
        for (left, n) in &self.left {
            let n = *n;
            said.push(match left {
                Left::Create => {
                    format!("{} gone and stay gone: creating was not asked for.", are(n, "resource"))
                }
                Left::Update => {
                    let differ = count(n, "resource");
                    format!("{differ} differ and stay so: updating was not asked for.")
                }
                Left::Delete if policy.selection.has_fields() => {
                    format!("{} new, and have no earlier fields.", are(n, "resource"))
                }
                Left::Delete => {
                    format!("{} new and stay: deleting was not asked for.", are(n, "resource"))
                }
                Left::OwnDoing => format!(
                    "{} new and left in place: what people began themselves is deleted only where its \
                     kind or its id is named.",
                    listed(&by_kind(&self.own_doings), n)
                ),
                Left::Unknown => format!(
                    "{} left alone: history does not reach back far enough to say how they were.",
                    are(n, "resource")
                ),
                Left::Archive => {
                    let kinds: Vec<String> =
                        self.archives.iter().map(|kind| format!("{}s", words(kind))).collect();
                    let kinds = kinds.join(", ");
                    format!("{} not written back: {kinds} are kept, not restored.", are(n, "resource"))
                }
                Left::Inventory => format!(
                    "Amounts in stock differ in {} and stay as they are: they move with every sale. \
                     Ask for inventory to write them too.",
                    count(n, "place")
                ),
            });
        }
    }
}

/// Whether the elements of a list only name what is elsewhere.
fn links(spec: &Spec, list: &str) -> bool {
    spec.references.iter().any(|path| path.strip_suffix("/*/id") == Some(list))
}

/// What of an export stays outside, and why.
pub(super) fn not_brought_in(left: &BTreeMap<Stays, BTreeMap<Kind, u64>>) -> Vec<String> {
    let sentence = |(why, kinds): (&Stays, &BTreeMap<Kind, u64>)| {
        let named: Vec<String> = kinds.iter().map(|(kind, n)| count(*n, &words(kind))).collect();
        let why = match why {
            Stays::Ownerless => {
                "what they belong to is neither in this shop nor made by this plan. Bring that in with \
                 them"
            }
            Stays::Ordered => "once ordered, what counts is the order",
            Stays::Nameless => {
                "in the shop that they come from only their ids name them. Put them there by hand"
            }
        };
        format!("{} not brought in: {why}.", listed(&named, kinds.values().sum()))
    };
    left.iter().map(sentence).collect()
}

/// References of an export that are left out, and how many resources have them.
pub(super) fn leading_nowhere((references, within): (u64, u64)) -> Option<String> {
    let (verb, they) = if references == 1 { ("is", "it leads") } else { ("are", "they lead") };
    (references > 0).then(|| {
        format!(
            "{} in metafields and metaobjects of {} {verb} not brought in: what {they} to is neither in \
             this shop nor made by this plan.",
            count(references, "reference"),
            count(within, "resource")
        )
    })
}

/// How many texts in a value name something that gets a new id.
fn references(value: &Value, anew: &Gids) -> u64 {
    if anew.is_empty() {
        return 0;
    }
    match value {
        Value::String(text) if text.starts_with("gid://") => u64::from(anew.contains(text)),
        // Lists of references stand in metafields as text.
        Value::String(text) if text.starts_with('[') && text.contains("gid://") => {
            serde_json::from_str(text).map_or(0, |inner: Value| references(&inner, anew))
        }
        Value::Array(list) => list.iter().map(|inner| references(inner, anew)).sum(),
        Value::Object(members) => members.values().map(|inner| references(inner, anew)).sum(),
        _ => 0,
    }
}

/// `1 product`, `2,000 products`.
fn count(n: u64, thing: &str) -> String {
    let plural = match (n, thing.ends_with('y')) {
        (1, _) => thing.to_owned(),
        (_, true) => format!("{}ies", &thing[..thing.len() - 1]),
        (_, false) => format!("{thing}s"),
    };
    format!("{} {plural}", grouped(n))
}

/// `1 product is`, `2 products are`.
fn are(n: u64, thing: &str) -> String {
    let verb = if n == 1 { "is" } else { "are" };
    format!("{} {verb}", count(n, thing))
}

/// How many there are of each kind.
fn by_kind(counts: &BTreeMap<Kind, u64>) -> Vec<String> {
    counts.iter().map(|(kind, n)| count(*n, &words(kind))).collect()
}

fn listed(parts: &[String], n: u64) -> String {
    let verb = if n == 1 { "is" } else { "are" };
    let all = match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    };
    format!("{all} {verb}")
}

fn words(kind: &Kind) -> String {
    kind.as_str().replace('_', " ")
}

/// 1234567 as `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// -1234567 as `-1,234,567`.
fn signed(n: i64) -> String {
    let sign = if n < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(n.unsigned_abs()))
}

/// About how long, in the unit that people use.
pub(crate) fn duration(seconds: f64) -> String {
    let rounded = |n: f64, unit: &str| count(n.round().max(1.0) as u64, unit);
    match seconds {
        s if s < 90.0 => rounded(s, "second"),
        s if s < 5_400.0 => rounded(s / 60.0, "minute"),
        s => rounded(s / 3_600.0, "hour"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_said_as_people_say_them() {
        assert_eq!([count(1, "product"), count(2, "company")], ["1 product", "2 companies"]);
        assert_eq!(count(1_234_567, "gift card"), "1,234,567 gift cards");
        assert_eq!([signed(-1_234), signed(5)], ["-1,234", "5"]);
        assert_eq!(
            [0.2, 89.0, 90.0, 7_200.0].map(duration).join(", "),
            "1 second, 89 seconds, 2 minutes, 2 hours"
        );
    }

    #[test]
    fn what_stays_outside_is_told() {
        let kind = |name: &str| Kind::parse(name).expect("a kind");
        let left = BTreeMap::from([
            (
                Stays::Ownerless,
                BTreeMap::from([(kind("inventory_item"), 12), (kind("translation"), 3)]),
            ),
            (Stays::Ordered, BTreeMap::from([(kind("draft_order"), 1)])),
        ]);
        let said = not_brought_in(&left);
        let [items, drafts] = said.as_slice() else { panic!("{said:?}") };
        let begins =
            "12 inventory items and 3 translations are not brought in: what they belong to";
        assert!(items.starts_with(begins), "{items}");
        assert!(drafts.starts_with("1 draft order is not brought in: once ordered"), "{drafts}");
        assert_eq!(not_brought_in(&BTreeMap::new()), [""; 0]);
        let said = leading_nowhere((3, 2)).expect("a sentence");
        let begins = "3 references in metafields and metaobjects of 2 resources are not brought in";
        assert!(said.starts_with(begins), "{said}");
        assert_eq!(leading_nowhere((0, 0)), None);
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        let mut anew = Gids::default();
        anew.insert("gid://shopify/Product/1");
        let state = json!({
            "items": [{"resourceId": "gid://shopify/Product/1"}],
            "metafields": [
                {"value": "[\"gid://shopify/Product/1\",\"gid://shopify/Product/2\"]"},
                {"value": "gid://shopify/Product/11"}
            ],
        });
        assert_eq!(references(&state, &anew), 2);
        assert_eq!(references(&state, &Gids::default()), 0);
    }
}
