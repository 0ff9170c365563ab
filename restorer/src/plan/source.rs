//! What a request takes back: an instant, a window, a change-set, what an app or a job did.

use std::sync::Arc;

use backstock_proto::journal::Span;
use backstock_proto::kind::Spec;
use backstock_proto::merge::Field;
use backstock_proto::problem::Problem;
use backstock_proto::{ResourceId, Shop, Timestamp};
use http::StatusCode;
use serde_json::Value;

use super::foreign::Foreign;
use super::gather::{Anew, Scope, just_after};
use super::make::{self, From, Tools};
use super::ours::Did;
use super::row::Policy;
use super::stock::LEVEL;
use super::translated::TRANSLATION;
use super::{Action, Plan, PlanError, Request, Row, store};
use crate::change_set::Who;
use crate::gids::Gids;
use crate::job::written::Written;
use crate::job::{JOB, Job, rows};
use crate::{Desk, level, record};

/// Points that Shopify's standard plan grants each second; assumed where the shop cannot be asked.
const STANDARD_RATE: f64 = 100.0;

impl Anew for Written {
    fn id_now(&self, spec: &'static Spec, id: &ResourceId) -> ResourceId {
        self.id_now(spec, id)
    }

    fn ids_before(&self, spec: &'static Spec, id: &ResourceId) -> Vec<ResourceId> {
        self.ids_before(spec, id)
    }

    fn first(&self, gid: &str) -> Option<String> {
        self.first(gid)
    }

    fn since(&self, firsts: &Gids) -> Vec<String> {
        self.since(firsts)
    }

    fn rewrite(&self, state: &mut Value) {
        self.rewrite(state);
    }

    fn rewrite_field(&self, field: &mut Field) {
        self.rewrite_field(field);
    }
}

impl Desk {
    /// Makes a plan and puts it on record. Nothing is written to the shop.
    pub(crate) async fn plan(
        &self,
        shop: &Shop,
        mut request: Request,
        by: String,
    ) -> Result<Plan, PlanError> {
        let ids = &mut request.select.ids;
        level::by_what_is_known(self.journal.as_ref(), shop, ids).await?;
        if let Source::Export(id) = Source::of(&request)? {
            let anew = self.written(shop).await?;
            let policy = Policy::of(&request)?;
            let foreign = Foreign::open(self, shop, id, (anew.as_ref(), &policy)).await?;
            return self.plan_of(shop, request, From::Export(Box::new(foreign)), by).await;
        }
        let (scope, doubt) = self.scope(shop, &request, self.clock.now()).await?;
        self.plan_of(shop, request, From::History(scope, doubt), by).await
    }

    /// The same, of what is known already.
    pub(crate) async fn plan_of(
        &self,
        shop: &Shop,
        request: Request,
        from: From<'_>,
        by: String,
    ) -> Result<Plan, PlanError> {
        let anew = self.written(shop).await?;
        let granted = self.admins.get(shop).map(|client| client.granted().per_second);
        let tools = Tools {
            journal: self.journal.as_ref(),
            records: self.records.as_ref(),
            anew: anew.as_ref(),
            shop,
            per_second: granted.unwrap_or(STANDARD_RATE),
        };
        // Much is held while a plan is made, and whoever asks for one is not to carry it.
        Box::pin(make::make(&tools, request, from, (by, self.clock.now()))).await
    }

    /// What jobs wrote in a shop.
    async fn written(&self, shop: &Shop) -> Result<Arc<Written>, PlanError> {
        Ok(self.jobs.tools.books.of(self.journal.as_ref(), shop).await?)
    }

    /// What a job wrote, by the rows of its plan.
    async fn undone_job(&self, shop: &Shop, id: &str) -> Result<Scope, PlanError> {
        let job: Option<Job> = record::get(self.journal.as_ref(), shop, (JOB, id)).await?;
        let Some(job) = job else {
            let why = format!("{shop} has no job {id:?}; GET /v1/shops/{shop}/jobs lists them");
            return Err(PlanError::Missing(why));
        };
        let Some(ended) = job.finished_at else {
            let why = format!("job {id} of {shop} is not over; cancel it, or wait for its end");
            return Err(PlanError::Refused(Problem::new(StatusCode::CONFLICT, why)));
        };
        let written = self.written(shop).await?;
        let journal = self.journal.as_ref();
        let gone = |what: String| {
            let began = job.began_at.unwrap_or(job.started_at);
            let why = format!(
                "{what} of {shop} is no longer on record, so job {id} cannot be undone by its rows; plan an \
                 instant, or a window with from and to: it wrote from {began} until {ended}"
            );
            tracing::error!("{why}");
            PlanError::Refused(Problem::new(StatusCode::CONFLICT, why))
        };
        let Some(plan) = store::get(journal, shop, &job.plan).await? else {
            return Err(gone(format!("plan {}", job.plan)));
        };
        let mut done = Vec::new();
        for n in plan.pieces() {
            let rows = rows::piece(journal, shop, &plan.id, n).await?;
            for row in rows.ok_or_else(|| gone(format!("piece {n} of plan {}", plan.id)))? {
                let Some(spec) = row.kind.spec() else { continue };
                let id = Written::id_now(&written, spec, &row.id);
                if went_along(&written, &job.id, &row, &id) {
                    continue;
                }
                // Of what was made anew once more since, the job knew an earlier id.
                let when = |id: &ResourceId| written.when(&job.id, &row.kind, id);
                let before = written.ids_before(spec, &id);
                let known = std::iter::once(&id).chain(&before).find_map(when);
                if let Some((from, to)) = known.or_else(|| when(&row.id)) {
                    done.push(Arc::new(Did { row, id, from, to }));
                }
            }
        }
        Ok(Scope::Ours(done))
    }

    /// What is taken back, and what is not sure about that.
    async fn scope(
        &self,
        shop: &Shop,
        request: &Request,
        now: Timestamp,
    ) -> Result<(Scope, Option<String>), PlanError> {
        let ask = |why: &str| PlanError::Ask(why.into());
        let source = Source::of(request)?;
        let to = request.to.unwrap_or(Timestamp::MAX);
        let within = |from: Timestamp| match from <= to {
            true => Ok((Scope::Span(Span { from, to }), None)),
            false => Err(PlanError::Ask(format!("from {from} is after to {to}"))),
        };
        match source {
            Source::At(at) if at > now => Err(PlanError::Ask(format!(
                "at {at} lies in the future; plan an instant of the past"
            ))),
            Source::At(at) => within(just_after(at)),
            Source::From(from) => within(from),
            Source::ChangeSet(id) => {
                let found = self.undone_set(shop, id).await.map_err(PlanError::Refused)?;
                Ok((Scope::Versions(found.0), found.1))
            }
            Source::App(app, from) if from > to => {
                Err(PlanError::Ask(format!("app {app:?}: from {from} is after to {to}")))
            }
            // By that name go all who order and sign up.
            Source::App(app, _) if app.eq_ignore_ascii_case(&Who::customers().name) => {
                Err(PlanError::Ask(format!(
                    "app {app:?}: that is what the customers of {shop} did themselves, which is not undone; \
                     name the app, or plan an instant with select.kinds and select.ids"
                )))
            }
            Source::App(app, from) => {
                let span = Span { from, to: to.min(now) };
                let found = self.undone_app(shop, app, span).await;
                let (versions, doubt) = found.map_err(PlanError::Refused)?;
                if versions.is_empty() {
                    return Err(PlanError::Missing(format!(
                        "nothing that happened in {shop} between {from} and {} is known to be the \
                         doing of {app:?}; `backstock changes --shop {} --from {from}` shows who did what",
                        span.to,
                        shop.name()
                    )));
                }
                Ok((Scope::Versions(versions), doubt))
            }
            Source::Export(_) => Err(ask("an export is no part of history")),
            Source::Job(id) => Ok((self.undone_job(shop, id).await?, None)),
        }
    }
}

/// Whether stock or a translation came with what the job made, and goes or stays with that.
fn went_along(written: &Written, job: &str, row: &Row, id: &ResourceId) -> bool {
    let mut parts = id.as_str().split('-');
    let mut part = || parts.next().unwrap_or_default();
    let owner = match row.kind.as_str() {
        LEVEL => format!("gid://shopify/InventoryItem/{}", part()),
        TRANSLATION => format!("gid://shopify/{}/{}", part(), part()),
        _ => return false,
    };
    row.action == Action::Create && written.is_made_by(job, &owner)
}

/// What a request names.
enum Source<'a> {
    At(Timestamp),
    From(Timestamp),
    ChangeSet(&'a str),
    App(&'a str, Timestamp),
    Export(&'a str),
    Job(&'a str),
}

impl<'a> Source<'a> {
    /// The one thing that a request names.
    fn of(request: &'a Request) -> Result<Self, PlanError> {
        let Request { at, change_set, app, from, to, export, undo, .. } = request;
        let mut named = Vec::new();
        named.extend(at.map(Self::At));
        named.extend(change_set.as_deref().map(Self::ChangeSet));
        named.extend(export.as_deref().map(Self::Export));
        named.extend(undo.as_deref().map(Self::Job));
        match (app, from) {
            (Some(app), Some(from)) => named.push(Self::App(app, *from)),
            (Some(app), None) => {
                return Err(PlanError::Ask(format!(
                    "app {app:?}: since when? Give from, such as when it was installed"
                )));
            }
            (None, Some(from)) => named.push(Self::From(*from)),
            (None, None) => {}
        }
        let ends = matches!(named.as_slice(), [Self::At(_) | Self::From(_) | Self::App(..)]);
        if to.is_some() && !ends {
            return Err(PlanError::Ask("to goes with at or from only".into()));
        }
        let one = "exactly one of at, from, change_set, app (with from), export and undo says what is \
                   wanted";
        match (named.pop(), named.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(_), false) => Err(PlanError::Ask(format!("{one}; several were given"))),
            (None, _) => Err(PlanError::Ask(format!("{one}; none was given"))),
        }
    }
}
