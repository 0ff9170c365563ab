//! What a person should know before saying yes, in sentences, most important first.

use std::collections::BTreeMap;

use backstock_proto::Kind;

use super::Counts;
use super::row::{Left, Policy};
use super::tally::Tally;
use crate::export::adopt::Stays;
use crate::human::grouped;

impl Tally {
    /// The sentences. `seconds` is how long it takes.
    pub(crate) fn sentences(&self, policy: &Policy, seconds: f64) -> Vec<String> {
        let mut said = Vec::new();
        let Counts { create, update, delete, keep, cannot, .. } = self.counts;
        let writes = create + update + delete;
        let (changed, gone) = (by_kind(&self.updated), by_kind(&self.deleted));
        if writes == 0 {
            said.push(if keep + cannot == 0 && self.left.is_empty() {
                "Nothing to do: everything that was selected is as wanted.".into()
            } else {
                "Nothing to do: what differs was changed later, cannot be written, or was left out."
                    .into()
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
                "For {} the choice of products is not known, and comes back only where the publication \
                 is still there: until it is made again by hand, all products are shown.",
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

/// What becomes of the settings of the shop that an export comes from.
pub(super) const SETTINGS_STAY: &str = "The settings of the shop that the export comes from are not \
    brought in: Shopify lets no app change a shop's settings. They stand in the export, and can be \
    entered by hand.";

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

/// Translations that changed since what is taken back began, and are not taken back with it.
pub(super) fn translations_stay(n: u64) -> Option<String> {
    let (stay, them) = if n == 1 { ("stays", "it") } else { ("stay", "them") };
    (n > 0).then(|| {
        format!(
            "{} changed then or later and {stay}: nobody tells who changes translations. A plan of the \
             moment before, for that kind alone, takes {them} back.",
            count(n, "translation")
        )
    })
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
}
