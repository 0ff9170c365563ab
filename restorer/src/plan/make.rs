//! Making a plan: history is gathered, each resource decided, and the rows put on record as they come.

use std::collections::HashMap;

use backstock_proto::erase::Erased;
use backstock_proto::journal::{AsOf, Journal};
use backstock_proto::merge::{Field, FieldPath, Step};
use backstock_proto::publish::Records;
use backstock_proto::{Kind, ResourceId, Shop, Timestamp};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::candidate::Candidate;
use super::follow::{self, Back, Gone};
use super::foreign::Foreign;
use super::gather::{Anew, Gather, Scope};
use super::row::{Left, Policy, Subject, Verdict, verdict};
use super::select::Selection;
use super::stock::{self, Stock};
use super::store::Writer;
use super::tally::Tally;
use super::translated::TRANSLATION;
use super::unread::DEFINITION;
use super::{Action, Modes, PLAN, Plan, PlanError, Request, Row, order};
use crate::gids::{Gids, name};
use crate::job::gid;
use crate::{record, write};

/// Resources whose states are read ahead.
const READ_AHEAD: usize = 16;
/// What is counted is small and much: some are read together, and so many times that ahead.
const PARTS_AHEAD: usize = 4;
/// Kinds that are looked through at once for what points to something.
const KINDS_AHEAD: usize = 4;

/// What a plan is made with.
pub(crate) struct Tools<'a> {
    pub(crate) journal: &'a dyn Journal,
    pub(crate) records: &'a dyn Records,
    pub(crate) anew: &'a dyn Anew,
    pub(crate) shop: &'a Shop,
    /// Points of the cost budget that the shop grants each second.
    pub(crate) per_second: f64,
}

impl<'a> Tools<'a> {
    fn gather(&self) -> Gather<'a> {
        Gather { journal: self.journal, anew: self.anew, shop: self.shop }
    }
}

impl Policy {
    /// What a request allows.
    pub(crate) fn of(request: &Request) -> Result<Self, PlanError> {
        let selection = Selection::parse(&request.select).map_err(PlanError::Ask)?;
        // What a job did is undone whatever it was, amounts in stock too.
        let all = Modes { create: true, update: true, delete_new: true };
        let modes = if request.undo.is_some() { all } else { request.modes };
        if !(modes.create || modes.update || modes.delete_new) {
            let why =
                "modes: with create, update and delete_new all false there is nothing to plan";
            return Err(PlanError::Ask(why.into()));
        }
        let Request { on_conflict, inventory, .. } = *request;
        let inventory = inventory || request.undo.is_some();
        let of_one =
            request.change_set.is_some() || request.app.is_some() || request.undo.is_some();
        Ok(Self { modes, on_conflict, inventory, of_one, selection })
    }
}

/// What a plan is made from.
pub(crate) enum From<'a> {
    /// What happened, and what is not sure about who did it.
    History(Scope, Option<String>),
    /// What an export holds.
    Export(Box<Foreign<'a>>),
}

/// Makes a plan and puts it on record.
pub(crate) async fn make(
    tools: &Tools<'_>,
    request: Request,
    from: From<'_>,
    (by, made_at): (String, Timestamp),
) -> Result<Plan, PlanError> {
    let Tools { journal, records, shop, per_second, .. } = *tools;
    let policy = Policy::of(&request)?;
    let id = record::new_id(PLAN, made_at);
    let mut making = Making {
        writer: Writer::new(records, shop, &id, &request)?,
        tally: Tally::default(),
        goes: Vec::new(),
        products: Vec::new(),
        items: Gids::default(),
        listed: Gids::default(),
        definitions: Vec::new(),
        written: HashMap::new(),
        policy: &policy,
        erased: journal.erased(shop).await?,
    };
    let (mut doubt, mut left) = (None, Vec::new());
    match from {
        From::History(scope, unsure) => {
            making.history(tools, &scope).await?;
            doubt = unsure;
            if let Some(from) = request.begins() {
                left.extend(tools.gather().untold_since(&scope, from, &policy.selection).await?);
            }
        }
        From::Export(foreign) => {
            making.export(tools, &foreign).await?;
            left = foreign.left();
        }
    }
    making.follow(tools).await?;
    let unread = tools.gather().unread(&making.definitions).await?;
    let (tally, (digest, firsts)) = making.finish().await?;
    if firsts.is_empty() && tally.counts.same == 0 && tally.left(Left::Unknown) > 0 {
        return Err(PlanError::Ask(format!(
            "the history of {shop} does not reach back that far for what was selected; plan a later \
             instant: GET /v1/shops/{shop}/pulls says when everything was first read"
        )));
    }
    let cost = tally.cost;
    let eta_seconds = cost / per_second.max(1.0);
    let mut consequences = tally.sentences(&policy, eta_seconds);
    let doubt = doubt.filter(|_| !firsts.is_empty());
    consequences.splice(0..0, doubt.into_iter().chain(left).chain(unread));
    let counts = tally.counts;
    let plan = Plan {
        id,
        digest,
        request,
        made_at,
        by,
        counts,
        consequences,
        cost,
        eta_seconds,
        records: firsts,
    };
    record::put((journal, records), shop, (PLAN, &plan.id), &plan).await?;
    Ok(plan)
}

/// A plan while its rows come.
struct Making<'a> {
    writer: Writer<'a>,
    tally: Tally,
    /// Rows that delete, which come last.
    goes: Vec<Row>,
    /// Products that come back.
    products: Vec<Gone>,
    /// Inventory items of variants that come back.
    items: Gids,
    /// Inventory items that were decided about for themselves, by the ids that they have now.
    listed: Gids,
    /// Definitions of metafields that do.
    definitions: Vec<ResourceId>,
    /// Links that are written anyway, and what goes: all of it.
    written: HashMap<Kind, HashMap<ResourceId, Vec<FieldPath>>>,
    policy: &'a Policy,
    /// Who must not come back.
    erased: Erased,
}

/// When a row that deletes is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// In its turn: something that is made anew needs its natural key.
    Now,
    /// After all that is made and changed.
    Last,
}

/// What is decided about a resource. What goes is known to its newest part; what was made anew since, and
/// dropped with that, is not expected.
async fn decided(
    gather: &Gather<'_>,
    subject: &Subject,
    policy: &Policy,
) -> Result<Verdict, PlanError> {
    let mut verdict = verdict(subject, policy);
    if let Verdict::Row(row) = &mut verdict {
        match row.action {
            Action::Delete => row.seen = gather.seen(subject).await?,
            Action::Update => follow::expect_no_variant(row, gather.anew),
            Action::Create | Action::Keep | Action::Cannot => {}
        }
    }
    Ok(verdict)
}

/// Some ids after others, so many together.
fn in_parts(ids: Vec<ResourceId>, together: usize) -> impl Iterator<Item = Vec<ResourceId>> {
    let mut ids = ids.into_iter();
    std::iter::from_fn(move || {
        let part: Vec<ResourceId> = ids.by_ref().take(together).collect();
        (!part.is_empty()).then_some(part)
    })
}

impl Making<'_> {
    async fn history(&mut self, tools: &Tools<'_>, scope: &Scope) -> Result<(), PlanError> {
        let gather = tools.gather();
        let mut candidates = gather.candidates(scope, &self.policy.selection).await?;
        order::find_taken(&gather, scope, &mut candidates, self.policy).await?;
        order::order(&mut candidates);
        let (goods, mut levels) = order::until_stock(candidates);
        let others = levels.split_off(levels.partition_point(|c| write::is_stock(c.spec)));
        levels.shrink_to_fit();
        self.decide(&gather, scope, goods).await?;
        if !self.items.is_empty() {
            let came = self.counted(&gather, scope, &levels).await?;
            let now =
                |level: &Candidate| name(&level.kind, &tools.anew.id_now(level.spec, &level.id));
            levels.retain(|level| !came.contains(&now(level)));
        }
        self.decide(&gather, scope, levels).await?;
        self.decide(&gather, scope, others).await
    }

    async fn export(&mut self, tools: &Tools<'_>, foreign: &Foreign<'_>) -> Result<(), PlanError> {
        let gather = tools.gather();
        let mut subjects = foreign.subjects(self.policy);
        while let Some(mut subject) = subjects.try_next().await? {
            let comes_along = stock::comes_with(&subject, &self.items);
            if subject.comes_along && !comes_along {
                continue;
            }
            subject.comes_along = comes_along;
            let verdict = decided(&gather, &subject, self.policy).await?;
            self.take(&subject, verdict, Goes::Last).await?;
        }
        Ok(())
    }

    /// Has what is counted of variants that come back come with them, whatever was selected. Answers which
    /// levels came, by the names that they have now.
    async fn counted(
        &mut self,
        gather: &Gather<'_>,
        scope: &Scope,
        levels: &[Candidate],
    ) -> Result<Gids, PlanError> {
        let stock = &Stock::of(gather, scope, levels, self.policy).await?;
        let items = stock::sorted(&std::mem::take(&mut self.items));
        let lost: Vec<ResourceId> =
            items.iter().filter(|item| !self.listed.contains(item.as_str())).cloned().collect();
        let found = in_parts(lost, stock::ITEMS_TOGETHER).map(|items| stock.items(items));
        let mut found = futures::stream::iter(found).buffered(PARTS_AHEAD);
        while let Some(subjects) = found.try_next().await? {
            for subject in subjects {
                self.take(&subject, verdict(&subject, self.policy), Goes::Last).await?;
            }
        }
        let found = in_parts(items, stock.items_together()).map(|items| stock.levels(items));
        let mut found = futures::stream::iter(found).buffered(PARTS_AHEAD);
        let mut came = Gids::default();
        while let Some(subjects) = found.try_next().await? {
            for subject in subjects {
                let now = gather.anew.id_now(subject.spec, &subject.id);
                came.insert(&name(&subject.kind, &now));
                self.take(&subject, verdict(&subject, self.policy), Goes::Last).await?;
            }
        }
        Ok(came)
    }

    async fn decide(
        &mut self,
        gather: &Gather<'_>,
        scope: &Scope,
        candidates: Vec<Candidate>,
    ) -> Result<(), PlanError> {
        let policy = self.policy;
        let subjects = candidates.into_iter().map(|candidate| async move {
            let goes = if candidate.frees { Goes::Now } else { Goes::Last };
            let subject = gather.subject(candidate, scope).await?;
            let verdict = decided(gather, &subject, policy).await?;
            Ok::<_, PlanError>((subject, verdict, goes))
        });
        let mut subjects = futures::stream::iter(subjects).buffered(READ_AHEAD);
        while let Some((subject, verdict, goes)) = subjects.try_next().await? {
            if stock::is_item(subject.spec) && verdict != Verdict::Unselected {
                self.listed.insert(gather.anew.id_now(subject.spec, &subject.id).as_str());
            }
            self.take(&subject, verdict, goes).await?;
        }
        Ok(())
    }

    async fn take(
        &mut self,
        subject: &Subject,
        verdict: Verdict,
        goes: Goes,
    ) -> Result<(), PlanError> {
        let erased = self.erased.has(&subject.kind, &subject.id);
        let verdict = match verdict {
            Verdict::Row(row) if erased => Verdict::Row(Box::new(row.erased(subject.spec))),
            Verdict::Row(row) => {
                Verdict::Row(Box::new(row.of_what_comes(&subject.now, &self.tally.anew)))
            }
            other => other,
        };
        self.tally.see(subject, &verdict);
        if let Verdict::Row(row) = &verdict {
            self.items.extend(stock::items(subject, row));
            self.note(row);
        }
        match verdict {
            Verdict::Row(row) if row.action == Action::Delete && goes == Goes::Last => {
                self.goes.push(*row);
            }
            Verdict::Row(row) => self.writer.push(*row).await?,
            Verdict::Same | Verdict::Left(_) | Verdict::Unselected => {}
        }
        Ok(())
    }

    /// Takes note of what has to be known of a row once all of them are.
    fn note(&mut self, row: &Row) {
        let is_link = |value: &Value| gid::refers(value, &|_| true);
        let is_member = |field: &Field| {
            let last = field.path.steps().pop();
            matches!(last, Some(Step::Element(known)) if known.starts_with("gid://"))
        };
        let paths: Vec<FieldPath> = match (row.action, row.kind.as_str()) {
            (Action::Keep, TRANSLATION) => Vec::new(),
            (_, TRANSLATION) => vec![FieldPath::root()],
            (Action::Create, kind) => {
                let gone = row.of.zip(row.gid.clone()).filter(|_| kind == "product");
                self.products.extend(gone);
                self.definitions.extend((kind == DEFINITION).then(|| row.id.clone()));
                return;
            }
            (Action::Delete | Action::Cannot, _) => vec![FieldPath::root()],
            (Action::Update | Action::Keep, _) => {
                let links = row.fields.iter();
                let links = links.filter(|f| is_link(&f.old) || is_link(&f.new) || is_member(f));
                links.map(|field| field.path.clone()).collect()
            }
        };
        if !paths.is_empty() {
            self.written.entry(row.kind.clone()).or_default().insert(row.id.clone(), paths);
        }
    }

    /// Has what is there and points to something that comes back point to that, and what was translated of
    /// it translated again. It is looked for in the whole shop, whatever was selected.
    async fn follow(&mut self, tools: &Tools<'_>) -> Result<(), PlanError> {
        let Policy { modes, selection, .. } = self.policy;
        if self.tally.anew.is_empty() || !modes.update || selection.has_fields() {
            return Ok(());
        }
        let products = std::mem::take(&mut self.products);
        let gather = tools.gather();
        self.tally.untold |= self.tally.makes_owners() && gather.has_untold().await?;
        let back = Back::of(&gather, &self.tally.anew, products).await?;
        let numbers = back.numbers();
        let kinds = follow::kinds().into_iter().map(|kind| {
            let (gather, numbers) = (&gather, numbers.as_ref());
            async move {
                let there = gather.mentioning(AsOf::Latest, &kind, numbers).await;
                there.map(|there| (kind, there))
            }
        });
        let mut kinds = futures::stream::iter(kinds).buffered(KINDS_AHEAD);
        while let Some((kind, mut there)) = kinds.try_next().await? {
            let written = self.written.remove(&kind).unwrap_or_default();
            while let Some(found) = there.try_next().await? {
                let written = written.get(&found.id).map(Vec::as_slice).unwrap_or_default();
                let text = match found.kind.as_str() {
                    TRANSLATION if written.is_empty() => gather.translated(&back, &found).await?,
                    _ => None,
                };
                let row = text.or_else(|| back.row(&found, written));
                if let Some(row) = row.filter(|_| !self.erased.has(&found.kind, &found.id)) {
                    self.tally.follows(&row);
                    self.writer.push(row).await?;
                }
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(Tally, (String, Vec<u64>)), PlanError> {
        order::order_deletes(&mut self.goes);
        for row in self.goes {
            self.writer.push(row).await?;
        }
        Ok((self.tally, self.writer.finish().await?))
    }
}
