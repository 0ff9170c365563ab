//! What is in the shop and points to something that comes back under another id: nobody touched it, and
//! it is to point to the new one. A product goes back into the collections that somebody had put it
//! into, and into what dropped it without a word (a discount, a price list, a draft order's line), too.

use std::collections::HashMap;

use backstock_proto::journal::{AsOf, Numbers, Resource};
use backstock_proto::kind::{ALL, Spec, Writable};
use backstock_proto::merge::{self, Field, FieldPath, Step};
use backstock_proto::{Kind, ResourceId, Timestamp};
use futures::TryStreamExt as _;
use serde_json::Value;

use super::gather::{Anew, Gather};
use super::{Action, PlanError, Row, in_order};
use crate::gids::Gids;
use crate::job::gid;
use crate::write;

/// Kinds that point to nothing, or by handles: an id within a theme's code is the code's affair.
const WITHOUT_LINKS: [&str; 7] = [
    "inventory_item",
    "inventory_level",
    "redirect",
    "segment",
    "script_tag",
    "theme",
    "theme_file",
];
/// Members that name parts of the resource itself.
const OWN: [&str; 2] = ["id", "mediaIds"];
/// Products that went within an hour are looked for in collections together.
const TOGETHER_MICROS: i64 = 3_600_000_000;

/// A product that comes back: when it was last there, and its gid.
pub(super) type Gone = (Timestamp, String);

/// What comes back.
pub(super) struct Back<'a> {
    anew: &'a dyn Anew,
    /// By the gid that each had first.
    gids: Gids,
    /// The products of collections as they were, as far as they come back or were never gone.
    lists: HashMap<ResourceId, Vec<Vec<Value>>>,
}

/// The kinds that may point to something and can be written, in the order of their rows.
pub(super) fn kinds() -> Vec<Kind> {
    let may_point = |spec: &&'static Spec| {
        !matches!(spec.writable, Writable::Archive(_)) && !WITHOUT_LINKS.contains(&spec.name)
    };
    in_order(ALL.iter().copied().filter(may_point).map(Kind::of).collect())
}

impl<'a> Back<'a> {
    /// These, and the products among them.
    pub(super) async fn of(
        gather: &Gather<'a>,
        gids: &Gids,
        mut products: Vec<Gone>,
    ) -> Result<Self, PlanError> {
        let mut back = Self { anew: gather.anew, gids: Gids::default(), lists: HashMap::new() };
        for gid in gids.iter() {
            let first = back.first(&gid);
            back.gids.insert(&first);
        }
        products.sort();
        let hour = |product: &Gone| product.0.as_micros() / TOGETHER_MICROS;
        let mut came = Gids::default();
        came.extend(products.iter().map(|(_, gid)| back.first(gid)));
        // For it all that was ever made anew is gone through: once.
        let numbers = back.numbers_of(&came);
        for some in products.chunk_by(|a, b| hour(a) == hour(b)) {
            back.collections(gather, some, numbers.as_ref()).await?;
        }
        Ok(back)
    }

    /// Takes note of the collections that products were in by hand before the first of them went.
    async fn collections(
        &mut self,
        gather: &Gather<'_>,
        gone: &[Gone],
        numbers: Option<&Numbers>,
    ) -> Result<(), PlanError> {
        let (Ok(kind), Some((then, _))) = (Kind::parse("collection"), gone.first()) else {
            return Ok(());
        };
        let Some(spec) = kind.spec() else { return Ok(()) };
        let mut came = Gids::default();
        came.extend(gone.iter().map(|(_, gid)| self.first(gid)));
        let gone = &came;
        let mut there = gather.mentioning(AsOf::At(*then), &kind, numbers).await?;
        while let Some(Resource { id, mut state, .. }) = there.try_next().await? {
            let by_hand = state.get("ruleSet").is_some_and(Value::is_null);
            self.anew.rewrite(&mut state);
            let Some(Value::Array(mut list)) = state.get_mut("productIds").map(Value::take) else {
                continue;
            };
            let went =
                |link: &Value| link.as_str().is_some_and(|gid| gone.contains(&self.first(gid)));
            // Of what went at another time this does not tell.
            let comes = |link: &Value| link.as_str().is_some_and(|gid| self.comes(gid));
            list.retain(|link| went(link) || !comes(link));
            if by_hand && list.iter().any(went) {
                let id = self.anew.id_now(spec, &id);
                self.lists.entry(id).or_default().push(list);
            }
        }
        Ok(())
    }

    /// The numbers that stand in what may have a [row](Self::row); `None` where that may be anything.
    pub(super) fn numbers(&self) -> Option<Numbers> {
        self.numbers_of(&self.gids)
    }

    /// The numbers by which some things may be named, which had these gids first, and the collections that
    /// they go back into, which may not name them now.
    fn numbers_of(&self, firsts: &Gids) -> Option<Numbers> {
        let collections = self.lists.keys().map(|id| id.as_str().to_owned());
        Numbers::of(firsts.iter().chain(self.anew.since(firsts)).chain(collections))
    }

    /// What is to be done to something that is there, beside the fields that the plan writes anyway.
    pub(super) fn row(&self, found: &Resource, written: &[FieldPath]) -> Option<Row> {
        let Resource { kind, id, state, .. } = found;
        let spec = kind.spec()?;
        let is = |gid: &str| self.comes(gid);
        let mut want = state.clone();
        let lists = self.lists.get(id).filter(|_| kind.as_str() == "collection");
        if let Some(list) = want.get_mut("productIds").and_then(Value::as_array_mut) {
            lists.into_iter().flatten().for_each(|then| gid::put_back(list, then, &is));
        }
        let mut fields = links(state, &want, &is);
        fields.extend(members(spec, state, &is));
        fields.extend(lines(spec, state, &is));
        fields.retain(|field| {
            let overlaps =
                |path: &FieldPath| field.path.is_within(path) || path.is_within(&field.path);
            !written.iter().any(overlaps)
                && !write::incidental(spec, &field.path, &want)
                && write::unwritable_to(spec, field).is_none()
        });
        if fields.is_empty() {
            return None;
        }
        let mut row = Row::of(kind, id, Action::Update, state);
        let goes_in = fields.iter().any(|field| field.old != field.new);
        row.notes.push(match goes_in {
            true => "what comes back is put into it again".into(),
            false => "it points to something that comes back, and follows it to its new id".into(),
        });
        row.seen = Some(found.version.seq);
        row.cost = write::cost(Action::Update, &fields);
        row.fields = fields;
        Some(row)
    }

    fn first(&self, gid: &str) -> String {
        self.anew.first(gid).unwrap_or_else(|| gid.to_owned())
    }

    pub(super) fn comes(&self, gid: &str) -> bool {
        match self.anew.first(gid) {
            Some(first) => self.gids.contains(&first),
            None => self.gids.contains(gid),
        }
    }
}

/// The fields of `want` that point to what `is` names, each from what it is now.
fn links(now: &Value, want: &Value, is: &impl Fn(&str) -> bool) -> Vec<Field> {
    if !gid::refers(want, is) {
        return Vec::new();
    }
    // What differs once the links lead elsewhere is the links.
    let mut other = want.clone();
    gid::rewrite(&mut other, &|gid| is(gid).then(|| format!("{gid}-")));
    let mut fields = merge::fields(&other, want);
    fields.retain(|field| is_link(&field.path) && gid::refers(&field.new, is));
    for field in &mut fields {
        field.old = merge::get(now, &field.path).cloned().unwrap_or_default();
    }
    fields
}

/// The elements that are links as a whole, such as a product that a discount is for, and lead to what `is`
/// names. The shop has dropped them with that, whether history has heard of it or not.
fn members(spec: &Spec, now: &Value, is: &impl Fn(&str) -> bool) -> Vec<Field> {
    let lists: Vec<Vec<&str>> = (spec.references.iter())
        .filter_map(|pointer| pointer.strip_suffix("/*/id"))
        .map(|list| list.split('/').skip(1).collect())
        .collect();
    if lists.is_empty() {
        return Vec::new();
    }
    let mut without = now.clone();
    lists.iter().for_each(|list| take_out(&mut without, list, is));
    let mut fields = merge::fields(&without, now);
    fields.retain(|field| field.old.is_null() && is_link(&field.path));
    fields
}

/// The kind whose lines are of variants, and lose them without a word when these go.
const OF_VARIANTS: &str = "draft_order";

/// The lines of an open draft order that are of what `is` names.
fn lines(spec: &Spec, now: &Value, is: &impl Fn(&str) -> bool) -> Vec<Field> {
    if spec.name != OF_VARIANTS || now["status"] == "COMPLETED" {
        return Vec::new();
    }
    let member = |name: &str| Step::Member(name.to_owned());
    let field = |line: &Value| {
        let (line, new) = (line["id"].as_str()?, &line["variant"]["id"]);
        let steps =
            [member("lineItems"), Step::Element(line.to_owned()), member("variant"), member("id")];
        let path = steps.iter().fold(FieldPath::root(), |path, step| path.then(step));
        new.as_str().filter(|gid| is(gid))?;
        Some(Field { path, old: Value::Null, new: new.clone() })
    };
    now["lineItems"].as_array().into_iter().flatten().filter_map(field).collect()
}

/// Has a row expect no variant where history knows one that was made anew since: its line has none, unless
/// it has the new one already.
pub(super) fn expect_no_variant(row: &mut Row, anew: &dyn Anew) {
    if row.kind.as_str() != OF_VARIANTS {
        return;
    }
    for field in row.fields.iter_mut().filter(|field| field.path.as_str().ends_with("/variant/id"))
    {
        anew.rewrite(&mut field.old);
        if field.old == field.new {
            field.old = Value::Null;
        }
    }
}

/// Takes what `is` names out of the lists at a pointer.
fn take_out(value: &mut Value, steps: &[&str], is: &impl Fn(&str) -> bool) {
    match (steps, value) {
        ([], Value::Array(list)) => {
            list.retain(|element| !element["id"].as_str().is_some_and(is));
        }
        (["*", rest @ ..], Value::Array(list)) => {
            list.iter_mut().for_each(|element| take_out(element, rest, is));
        }
        ([name, rest @ ..], Value::Object(members)) => {
            if let Some(member) = members.get_mut(*name) {
                take_out(member, rest, is);
            }
        }
        _ => {}
    }
}

/// Whether a field is a link, and neither a part's own id nor the order of parts.
fn is_link(path: &FieldPath) -> bool {
    match path.steps().last() {
        Some(Step::Member(name)) => !OWN.contains(&name.as_str()),
        Some(Step::Element(_)) => true,
        Some(Step::Order) | None => false,
    }
}
