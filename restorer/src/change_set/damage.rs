//! What harm some changes did, counted: what nobody does on purpose to many things at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use backstock_proto::{Kind, Op, ResourceId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::trace::{Trace, Turn};

/// How many names are given as examples.
const EXAMPLES: usize = 3;
/// A sale says what was asked before. Below this part of it, it is no sale either.
const SALE_RATIO_MIN: f64 = 0.05;
/// From so many resources on, the same few texts in all of them are a replacement.
const SAME_TEXT_MIN: usize = 10;
/// Kinds that come and go with others, or by themselves.
pub(super) const BY_THEMSELVES: [&str; 5] =
    ["inventory_item", "inventory_level", "order", "draft_order", "segment"];
/// Texts that buyers read.
const TEXTS: [&str; 7] =
    ["title", "descriptionHtml", "body", "summary", "seo/title", "seo/description", "content"];

/// A sort of harm.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// Resources are gone.
    Deleted,
    /// Prices fell to a fraction, without being a sale that says what was asked before.
    PricesCollapsed,
    /// Something costs nothing.
    PricesZero,
    /// Prices fell below what the things cost the shop.
    PricesBelowCost,
    /// Texts that buyers read are empty.
    TextsEmptied,
    /// The same few texts stand in many resources.
    TextsReplaced,
    /// Taken off the shop.
    Unpublished,
    /// Most tags are gone.
    TagsWiped,
    /// Stock-keeping units are empty or others.
    SkusWiped,
    /// Collections are gone, empty, or without their rules.
    CollectionsBroken,
    /// Code of a theme was written.
    ThemeCode,
}

impl Harm {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Deleted,
        Self::PricesCollapsed,
        Self::PricesZero,
        Self::PricesBelowCost,
        Self::TextsEmptied,
        Self::TextsReplaced,
        Self::Unpublished,
        Self::TagsWiped,
        Self::SkusWiped,
        Self::CollectionsBroken,
        Self::ThemeCode,
    ];

    /// Its name in configuration and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::PricesCollapsed => "prices_collapsed",
            Self::PricesZero => "prices_zero",
            Self::PricesBelowCost => "prices_below_cost",
            Self::TextsEmptied => "texts_emptied",
            Self::TextsReplaced => "texts_replaced",
            Self::Unpublished => "unpublished",
            Self::TagsWiped => "tags_wiped",
            Self::SkusWiped => "skus_wiped",
            Self::CollectionsBroken => "collections_broken",
            Self::ThemeCode => "theme_code",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|harm| harm.as_str() == name)
    }

    /// What a person calls it, of so many resources.
    pub fn said(self, count: u64) -> String {
        let many = |one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            n => format!("{n} {more}"),
        };
        match self {
            Self::Deleted => many("thing was deleted", "things were deleted"),
            Self::PricesCollapsed => {
                many("product's price collapsed", "products' prices collapsed")
            }
            Self::PricesZero => many("product costs nothing", "products cost nothing"),
            Self::PricesBelowCost => {
                many("product is sold below its cost", "products are sold below their cost")
            }
            Self::TextsEmptied => many("text was emptied", "texts were emptied"),
            Self::TextsReplaced => many("text was replaced", "texts were replaced by the same few"),
            Self::Unpublished => {
                many("thing was taken off the shop", "things were taken off the shop")
            }
            Self::TagsWiped => many("resource lost its tags", "resources lost their tags"),
            Self::SkusWiped => many("resource lost its SKU", "resources lost their SKUs"),
            Self::CollectionsBroken => many("collection is broken", "collections are broken"),
            Self::ThemeCode => {
                many("theme file with code was written", "theme files with code were written")
            }
        }
    }
}

/// How much of one sort of harm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Damage {
    /// What sort.
    pub harm: Harm,
    /// How many resources are hurt.
    pub count: u64,
    /// Some of them, by name.
    pub examples: Vec<String>,
}

/// Counts the harm that some changes did. A price that fell by `price_drop` (0 to 1) or more has
/// collapsed.
pub fn count<'a>(changes: impl Iterator<Item = &'a Trace> + Clone, price_drop: f64) -> Vec<Damage> {
    let mut hurt: BTreeMap<Harm, BTreeMap<(&str, &ResourceId), &str>> = BTreeMap::new();
    for (harm, trace) in each(changes, price_drop) {
        let (kind, id) = trace.resource();
        hurt.entry(harm).or_default().insert((kind.as_str(), id), trace.title());
    }
    let damage = hurt.into_iter().map(|(harm, resources)| Damage {
        harm,
        count: resources.len() as u64,
        examples: resources.values().take(EXAMPLES).map(|title| (*title).to_owned()).collect(),
    });
    damage.collect()
}

/// The kinds of what some changes hurt, as [`count`] counts it.
pub fn kinds<'a>(
    changes: impl Iterator<Item = &'a Trace> + Clone,
    price_drop: f64,
) -> BTreeMap<Harm, BTreeSet<Kind>> {
    let mut hurt: BTreeMap<Harm, BTreeSet<&Kind>> = BTreeMap::new();
    for (harm, trace) in each(changes, price_drop) {
        hurt.entry(harm).or_default().insert(&trace.kind);
    }
    hurt.into_iter().map(|(harm, kinds)| (harm, kinds.into_iter().cloned().collect())).collect()
}

/// The harm that some changes did, one by one.
fn each<'a>(
    changes: impl Iterator<Item = &'a Trace> + Clone,
    price_drop: f64,
) -> impl Iterator<Item = (Harm, &'a Trace)> {
    let alone = changes.clone().flat_map(move |trace| {
        let harms = of_one(trace, price_drop).into_iter();
        harms.map(move |harm| (harm, trace))
    });
    alone.chain(replaced(changes).into_iter().map(|trace| (Harm::TextsReplaced, trace)))
}

/// The harm that is seen in one change alone.
fn of_one(trace: &Trace, price_drop: f64) -> BTreeSet<Harm> {
    let mut harms = BTreeSet::new();
    let kind = trace.kind.as_str();
    if BY_THEMSELVES.contains(&kind) && kind != "inventory_item" {
        return harms;
    }
    if trace.op == Op::Delete {
        if trace.kind.spec().is_some() && !BY_THEMSELVES.contains(&kind) {
            harms.insert(Harm::Deleted);
        }
        if kind == "collection" {
            harms.insert(Harm::CollectionsBroken);
        }
        return harms;
    }
    if kind == "theme_file" && is_code(trace.title()) {
        harms.insert(Harm::ThemeCode);
    }
    let mut members_removed = 0;
    let mut members_added = 0;
    for effect in trace.effects() {
        let field = &*effect.field;
        match &effect.turn {
            Turn::Amount(old, 0) if effect.is_price() && *old > 0 => {
                harms.insert(Harm::PricesZero);
            }
            Turn::Amount(..) if has_collapsed(trace, effect, price_drop) => {
                harms.insert(Harm::PricesCollapsed);
            }
            Turn::Emptied(_) if TEXTS.contains(&field) => {
                harms.insert(Harm::TextsEmptied);
            }
            Turn::Emptied(_) if field == "publishedAt" || field == "publications" => {
                harms.insert(Harm::Unpublished);
            }
            Turn::Word(old, new) if is_taken_off(field, old, new) => {
                harms.insert(Harm::Unpublished);
            }
            Turn::Emptied(_) if field == "tags" => {
                harms.insert(Harm::TagsWiped);
            }
            Turn::List(was, _, kept) if field == "tags" && kept * 2 < *was && *was > 2 => {
                harms.insert(Harm::TagsWiped);
            }
            Turn::Emptied(_) | Turn::Word(..) if field.ends_with("sku") => {
                harms.insert(Harm::SkusWiped);
            }
            Turn::Emptied(_) if kind == "collection" && field == "products" => members_removed += 1,
            Turn::Filled if kind == "collection" && field == "products" => members_added += 1,
            Turn::Emptied(_) if kind == "collection" && matches!(field, "ruleSet" | "sources") => {
                harms.insert(Harm::CollectionsBroken);
            }
            _ => {}
        }
    }
    if members_removed > 4 && members_added == 0 {
        harms.insert(Harm::CollectionsBroken);
    }
    harms
}

/// Whether a price fell too far, and not as a sale that shows the price before.
fn has_collapsed(trace: &Trace, effect: &super::trace::Effect, price_drop: f64) -> bool {
    let Some(ratio) = effect.ratio() else { return false };
    let Turn::Amount(old, _) = effect.turn else { return false };
    let is_sale = trace.effects().iter().any(|other| {
        let shown = match other.turn {
            Turn::Amount(_, shown) => shown >= old,
            Turn::Filled => true,
            _ => false,
        };
        &*other.field == "variants/compareAtPrice" && other.element == effect.element && shown
    });
    ratio <= if is_sale { SALE_RATIO_MIN } else { 1.0 - price_drop }
}

fn is_taken_off(field: &str, old: &str, new: &str) -> bool {
    match field {
        "status" => old == "ACTIVE" && new != "ACTIVE",
        "isPublished" | "published" => old == "true" && new == "false",
        _ => false,
    }
}

/// Whether a theme's file holds code that runs: not settings, not texts.
fn is_code(filename: &str) -> bool {
    let code = [".liquid", ".js", ".html"];
    code.iter().any(|end| filename.ends_with(end)) && !filename.starts_with("locales/")
}

/// Changes that put one of very few texts in place of many.
fn replaced<'a>(changes: impl Iterator<Item = &'a Trace>) -> Vec<&'a Trace> {
    let mut of: HashMap<(&str, &str), Vec<(u64, &'a Trace)>> = HashMap::new();
    for trace in changes.filter(|trace| trace.op == Op::Update) {
        for effect in trace
            .effects()
            .iter()
            .filter(|e| matches!(&*e.field, "title" | "descriptionHtml" | "body"))
        {
            let new = match &effect.turn {
                Turn::Word(_, new) => digest(new),
                Turn::Text(_, _, digest) => *digest,
                _ => continue,
            };
            of.entry((trace.kind.as_str(), &effect.field)).or_default().push((new, trace));
        }
    }
    let mut replaced = Vec::new();
    for changes in of.into_values() {
        let resources: BTreeSet<&ResourceId> = changes.iter().map(|(_, t)| &t.id).collect();
        let texts: BTreeSet<u64> = changes.iter().map(|(text, _)| *text).collect();
        if resources.len() >= SAME_TEXT_MIN && texts.len() * 2 <= resources.len() {
            replaced.extend(changes.iter().map(|(_, trace)| *trace));
        }
    }
    replaced
}

fn digest(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
