//! Products with their options, variants and media.
//!
//! What is wanted is first matched with what is there ([`matching`]). Steps that change what there is
//! (options, new variants, new media) are sent first, and then the product is looked at again: what
//! they made is known by what it is, not by their answers, so a lost answer does no harm. What others
//! did meanwhile stays ([`meanwhile`]). The rest are fields, one mutation for each sort.

mod aside;
mod create;
mod fields;
mod linked;
mod made;
mod matching;
mod meanwhile;
mod media;
mod options;
mod points;
mod stock;
mod variants;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::kind::Spec;
use backstock_proto::merge::FieldPath;
use backstock_proto::{Kind, ResourceId};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use self::aside::Aside;
use super::metafield::{self, Changes};
use super::step::{Step, list, send, text};
use super::{Around, WriteError, Written, file, look, publication};

const DELETE: &str = include_str!("../graphql/product_delete.graphql");

/// So often what there is may have to be changed until it is as wanted.
const ROUNDS: usize = 8;

/// Brings a product from one state to another.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&mut Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => delete(around, text(now, "id")).await,
        (Some(now), Some(want)) => {
            let ids = matching::take_up(around, now, want).await;
            let want: &Value = want;
            let work = Work::new(around, Cow::Borrowed(want));
            let mut work = Work { first: Some(now), known: Some(now), ids, ..work };
            work.bring(now.clone()).await?;
            if !work.refused.is_empty() {
                return Err(WriteError::Refused(work.refused));
            }
            // An earlier try may have made parts of it anew and not have heard of it.
            match work.changed || !work.ids.is_empty() {
                true => Ok(Written::Updated { ids: work.ids }),
                false => Ok(Written::Unchanged),
            }
        }
        (None, Some(want)) => {
            let made = create::create(around, want).await?;
            let whole = Aside::copy(want);
            let written = complete(around, made, std::mem::take(want)).await;
            whole.back(want);
            written
        }
    }
}

/// Gives a product that was just made what its making did not.
async fn complete(
    around: &dyn Around,
    create::Made { gid, told }: create::Made,
    want: Value,
) -> Result<Written, WriteError> {
    let reserved = reserved(&want);
    let mut work = Work::new(around, Cow::Owned(want));
    let made = work.made(&gid, told).await?;
    work.fresh = ids(&made);
    let made = work.settled(made, &BTreeSet::new()).await?;
    work.bring(made).await?;
    if reserved > 0 {
        around.note(format!(
            "{reserved} of its metafields belong to other apps, which alone can write them"
        ));
    }
    // It is there with its new ids, which others need, whatever else was refused.
    work.refused.into_iter().for_each(|why| around.note(why));
    Ok(Written::Created { gid, ids: work.ids })
}

/// Why a field of a product cannot be given a value, if it cannot.
pub(super) fn unwritable_to(path: &FieldPath, new: &Value) -> Option<&'static str> {
    let of_link =
        ["/linkedMetafield", "/optionValues"].iter().any(|end| path.as_str().ends_with(end));
    (path.member() == "options" && of_link && new.is_null()).then_some(
        "an option that follows a metafield is parted from it by hand: do it on the product's page in \
         Shopify's admin",
    )
}

/// Why a field of a product cannot be written, if it cannot.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    let of_item = path.member() == "variants"
        && ["/inventoryItem/requiresShipping", "/inventoryItem/tracked"]
            .iter()
            .any(|end| path.as_str().ends_with(end));
    match path.member() {
        "isGiftCard" => Some(
            "whether a product is a gift card is decided when it is made: delete it and restore it",
        ),
        "combinedListingRole" => Some(
            "the place of a product in a combined listing is set by the app that combines them: set \
             it there",
        ),
        "hasVariantsThatRequiresComponents" => {
            Some("bundles are put together by the app that made them: change it there")
        }
        _ if of_item => Some("it belongs to the variant's inventory item: restore that one"),
        _ => None,
    }
}

fn spec() -> Option<&'static Spec> {
    Kind::parse("product").ok()?.spec()
}

async fn delete(around: &dyn Around, gid: &str) -> Result<Written, WriteError> {
    match send(around, Step::setting(DELETE, json!({"id": gid}))).await {
        Ok(_) => Ok(Written::Deleted),
        Err(error) => match publication::there(around, &[gid.to_owned()]).await?.is_empty() {
            true => Ok(Written::Deleted),
            false => Err(error),
        },
    }
}

/// The steps from one state to another.
#[derive(Debug, PartialEq)]
pub(super) struct Steps {
    /// Those that change what there is. After them one has to look again.
    pub(super) shape: Vec<Step>,
    /// Those that change what it is like. They are right only where there are none of the others.
    pub(super) rest: Vec<Step>,
}

/// The steps from one state to another, which has the ids of the first. `files` are the wanted media
/// that are still in the shop.
fn steps(now: &Value, want: &Value, files: &BTreeSet<String>) -> Steps {
    let mut shape = options::shape(now, want);
    if shape.is_empty() {
        shape.extend(variants::shape(now, want));
        shape.extend(media::shape(now, want, files));
    }
    if shape.is_empty() {
        shape.extend(options::order(now, want));
    }
    let mut rest: Vec<Step> = fields::step(now, want).into_iter().collect();
    // What is retyped goes before the variants bring it back.
    rest.extend(metafields(now, want).steps());
    rest.extend(variants::rest(now, want));
    rest.extend(media::rest(now, want));
    rest.extend(publication::steps(text(now, "id"), now, want));
    Steps { shape, rest }
}

/// The product's own, and those to be deleted of variants; the others of variants go with these.
fn metafields(now: &Value, want: &Value) -> Changes {
    let known = |state: &Value| state["metafields"].is_array();
    let mut changes = match known(want) {
        true => metafield::changes(text(now, "id"), &now["metafields"], &want["metafields"]),
        false => Changes::default(),
    };
    // What an option follows is written by writing the option.
    let is_own = |metafield: &Value| !linked::is_followed(metafield, &[now, want]);
    changes.set.retain(is_own);
    changes.delete.retain(is_own);
    for variant in list(want, "variants").iter().filter(|variant| known(variant)) {
        let id = text(variant, "id");
        if let Some(there) = matching::by_id(list(now, "variants"), id) {
            let of = metafield::changes(id, &there["metafields"], &variant["metafields"]);
            changes.delete.extend(of.delete);
        }
    }
    changes
}

/// A product on its way to what is wanted. Hundreds are under way at once, most of them waiting for the
/// shop: of states no more is held meanwhile than what is needed after it.
struct Work<'a> {
    around: &'a dyn Around,
    /// Its own where the product was just made, or something of it cannot be had.
    want: Cow<'a, Value>,
    /// How it was at first, as long as what is another since is not our doing.
    first: Option<&'a Value>,
    /// The same, for the bytes that are known of it.
    known: Option<&'a Value>,
    /// Media that were made on the way.
    fresh: BTreeSet<String>,
    ids: BTreeMap<String, String>,
    changed: bool,
    /// Whether it has what its making gave it, though that was not read.
    believes: bool,
    refused: Vec<String>,
}

impl<'a> Work<'a> {
    fn new(around: &'a dyn Around, want: Cow<'a, Value>) -> Self {
        Self {
            around,
            want,
            first: None,
            known: None,
            fresh: BTreeSet::new(),
            ids: BTreeMap::new(),
            changed: false,
            believes: false,
            refused: Vec::new(),
        }
    }

    async fn bring(&mut self, mut now: Value) -> Result<(), WriteError> {
        let missing = publication::missing(self.around, &now, &self.want).await?;
        if !missing.is_empty() {
            publication::leave_out(self.want.to_mut(), &missing);
        }
        let mut may_shape = true;
        for round in 0..ROUNDS {
            let matched = matching::matched(&now, &self.want, &self.fresh);
            if std::mem::take(&mut self.believes) {
                made::believe(&mut now, &self.want, &matched.ids);
            }
            self.ids.extend(matched.ids);
            let mut want = matched.want;
            if let Some(first) = self.first.filter(|_| round > 0) {
                meanwhile::take_up(&mut want, first, &now);
            }
            let media::Sources { files, lost } = media::sources(self.around, &now, &want).await?;
            if !lost.is_empty() {
                self.around.note(format!(
                    "{} of its videos or models cannot be brought back: their bytes were not kept",
                    lost.len()
                ));
                media::forget(&mut want, &lost);
                media::forget(self.want.to_mut(), &lost);
            }
            if options::takes_all_values(&now, &want) {
                options::complete(self.around, &mut now).await?;
            }
            let Steps { shape, rest } = steps(&now, &want, &files);
            let (gid, before) = (text(&now, "id").to_owned(), ids(&now));
            let replaced = media::replaced(&now, &want);
            drop((now, want));
            let is_shaping = may_shape && !shape.is_empty();
            if is_shaping && shape.iter().any(|step| step.document == options::SET) {
                // What that does beside is put right, whoever did it.
                self.first = None;
            }
            let heard = self.send(if is_shaping { shape } else { rest }).await?;
            self.give_up_links();
            if !is_shaping && heard {
                for gid in &replaced {
                    file::replaced(self.around, gid).await?;
                }
                return Ok(());
            }
            may_shape = self.refused.is_empty();
            now = self.look(&gid).await?;
            now = self.settled(now, &before).await?;
            if let Some(known) = self.known {
                media::know(&mut now, known);
            }
        }
        self.refused.push("it does not become as wanted, however often it is written".into());
        Ok(())
    }

    /// Waits for the shop. What is wanted is put aside meanwhile, if it is its own.
    async fn waits<T>(&mut self, answer: BoxFuture<'_, T>) -> T {
        let aside = match &mut self.want {
            Cow::Owned(want) => Aside::put(want),
            Cow::Borrowed(_) => Aside::default(),
        };
        let answer = answer.await;
        if let Cow::Owned(want) = &mut self.want {
            aside.back(want);
        }
        answer
    }

    /// Sends steps one after the other; whether each was heard of. What the shop refuses is set
    /// aside, so that one bad field does not hold up the others.
    async fn send(&mut self, steps: Vec<Step>) -> Result<bool, WriteError> {
        if steps.is_empty() {
            return Ok(true);
        }
        let (mut changed, mut refused) = (self.changed, std::mem::take(&mut self.refused));
        let sent = metafield::send_all(self.around, steps, (&mut changed, &mut refused));
        let heard = self.waits(sent.boxed()).await;
        (self.changed, self.refused) = (changed, refused);
        heard
    }

    /// Options whose links the shop refuses stay plain, so that all else is done.
    fn give_up_links(&mut self) {
        let refused = std::mem::take(&mut self.refused).into_iter();
        let (links, refused): (Vec<String>, Vec<String>) =
            refused.partition(|why| linked::is_refused(why));
        self.refused = refused;
        if !links.is_empty() && !linked::give_up(self.around, self.want.to_mut(), &links) {
            self.refused.extend(links);
        }
    }

    /// The product that was just made, of which `told` is what its making answered.
    async fn made(&mut self, gid: &str, told: Value) -> Result<Value, WriteError> {
        let Some(spec) = spec() else { return self.look(gid).await };
        let (around, asks) = (self.around, made::Asks::of(&self.want));
        let made = self.waits(made::state(around, spec, asks, told).boxed()).await?;
        match made {
            Some(made) => {
                self.believes = true;
                Ok(made)
            }
            None => self.look(gid).await,
        }
    }

    async fn look(&mut self, gid: &str) -> Result<Value, WriteError> {
        let gone = || WriteError::Missing(format!("the product {gid} was deleted meanwhile"));
        let spec = spec().ok_or_else(gone)?;
        let id = ResourceId::parse(gid).map_err(|_| gone())?;
        let around = self.around;
        let found = self.waits(look::state(around.admin(), spec, &id).boxed()).await?;
        found.ok_or_else(gone)
    }

    /// Waits for the media that are new since `before`, and gives up those that the shop could not
    /// read.
    async fn settled(
        &mut self,
        mut now: Value,
        before: &BTreeSet<String>,
    ) -> Result<Value, WriteError> {
        let new: BTreeSet<String> = ids(&now).difference(before).cloned().collect();
        if new.is_empty() {
            return Ok(now);
        }
        self.fresh.extend(new.iter().cloned());
        let around = self.around;
        let failed = self.waits(media::settle(around, &new).boxed()).await?;
        if !failed.is_empty() {
            let matched = matching::matched(&now, &self.want, &self.fresh);
            let lost: Vec<String> = matched
                .ids
                .into_iter()
                .filter(|(_, new)| failed.contains(new))
                .map(|(old, _)| old)
                .collect();
            media::forget(self.want.to_mut(), &lost);
            media::forget(&mut now, &failed);
        }
        Ok(now)
    }
}

/// How many metafields, its own and its variants', are in the reserved namespaces of apps.
fn reserved(product: &Value) -> usize {
    let of = |state: &Value| {
        let all = list(state, "metafields").iter();
        all.filter(|metafield| metafield::is_reserved(text(metafield, "namespace"))).count()
    };
    of(product) + list(product, "variants").iter().map(of).sum::<usize>()
}

/// The media of a product.
fn ids(product: &Value) -> BTreeSet<String> {
    list(product, "media").iter().map(|medium| text(medium, "id").to_owned()).collect()
}
