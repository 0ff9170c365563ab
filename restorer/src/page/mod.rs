//! The page that a worried merchant opens: what happened, what will be done, and a button that says
//! exactly that. Drawn here, so that there is nothing to build and little to load; it works without
//! its script, which only makes it quicker.
//!
//! What must not happen:
//! - a page that reads or writes otherwise than the API does: the same gate, the same functions, the
//!   same journal;
//! - something written because another site's page asked for it: see [`session`] and [`form`];
//! - a shop's own text taken for markup: everything is escaped, and nothing but our own style and
//!   script is ever run;
//! - a page that grows with the shop: everything is read page by page.

mod activity;
mod asset;
mod audit;
mod care;
mod change_sets;
mod changes;
mod concern;
mod diff;
mod dress;
mod embedded;
mod export;
mod find;
mod form;
mod guard;
mod id_token;
mod incident;
mod inside;
mod job;
mod overview;
mod plan;
mod policy;
mod privacy;
mod report;
mod resource;
mod restore;
mod room;
mod session;
mod shell;
mod shops;
mod signin;
mod tokens;
mod when;

use std::sync::Arc;

use axum::routing::{MethodRouter, get, post};

use crate::Desk;
use crate::route::{Access, Pace, Route, Verb};
use crate::token::Scope;

pub use embedded::App;
pub use session::SessionKey;

pub(crate) use concern::health;
pub(crate) use dress::dress;
pub(crate) use embedded::FramedBy;
pub(crate) use incident::seen;
pub(crate) use inside::Inside;
pub(crate) use session::{Session, is_ours};

/// Every page, and who may see it.
pub(crate) static ROUTES: &[Route] = &[
    open("/", || get(shops::home)),
    open("/open/{kind}", || get(embedded::linked)),
    open("/assets/{name}", || get(asset::asset)),
    open("/signin", || get(signin::ask)),
    Route { verb: Verb::Post, ..open("/signin", || post(signin::sign_in)) },
    Route { verb: Verb::Post, ..open("/signout", || post(signin::sign_out)) },
    patient(shows("/shops/{shop}", || get(overview::overview))),
    admin(restores("/shops/{shop}/look", || post(care::look))),
    admin(restores("/shops/{shop}/prove", || post(care::prove))),
    shows("/shops/{shop}/find", || get(find::find)),
    patient(shows("/shops/{shop}/changes", || get(change_sets::change_sets))),
    shows("/shops/{shop}/changes/single", || get(changes::changes)),
    patient(shows("/shops/{shop}/changes/{set}", || get(change_sets::change_set))),
    shows("/shops/{shop}/resources/{kind}/{id}", || get(resource::resource)),
    shows("/shops/{shop}/restore", || get(restore::restores)),
    patient(restores("/shops/{shop}/restore", || post(restore::make))),
    patient(restores("/shops/{shop}/export", || post(export::export))),
    Route { pace: Pace::Streamed, ..restores("/shops/{shop}/import", || post(export::import)) },
    shows("/shops/{shop}/plans/{id}", || get(plan::plan)),
    restores("/shops/{shop}/plans/{id}/apply", || post(plan::apply)),
    shows("/shops/{shop}/jobs/{id}", || get(job::job)),
    patient(shows("/shops/{shop}/jobs/{id}/report", || get(report::report))),
    restores("/shops/{shop}/jobs/{id}/{what}", || post(job::control_job)),
    shows("/shops/{shop}/guard", || get(guard::guard)),
    restores("/shops/{shop}/guard/marks", || post(guard::mark)),
    restores("/shops/{shop}/guard/{incident}/dismiss", || post(guard::dismiss)),
    admin(shows("/shops/{shop}/privacy", || get(privacy::privacy))),
    patient(admin(shows("/shops/{shop}/privacy/erase", || get(privacy::what_goes)))),
    patient(admin(restores("/shops/{shop}/privacy/erase", || post(privacy::erase)))),
    patient(admin(restores("/shops/{shop}/privacy/held", || post(privacy::held)))),
    shows("/shops/{shop}/audit", || get(audit::audit)),
];

/// Seen by everybody.
const fn open(path: &'static str, handler: fn() -> MethodRouter<Arc<Desk>>) -> Route {
    Route { access: Access::Public, ..shows(path, handler) }
}

/// Asked for by whoever may write to the shop.
const fn restores(path: &'static str, handler: fn() -> MethodRouter<Arc<Desk>>) -> Route {
    Route { verb: Verb::Post, access: Access::Shop(Scope::Restore), ..shows(path, handler) }
}

/// For whoever looks after Backstock itself.
const fn admin(route: Route) -> Route {
    Route { access: Access::Shop(Scope::Admin), ..route }
}

/// Made of what the API takes its time for.
const fn patient(route: Route) -> Route {
    Route { pace: Pace::Patient, ..route }
}

/// Seen by whoever may read the shop.
const fn shows(path: &'static str, handler: fn() -> MethodRouter<Arc<Desk>>) -> Route {
    let access = Access::Shop(Scope::Read);
    Route { verb: Verb::Get, path, name: "page", access, pace: Pace::Prompt, handler }
}

#[cfg(test)]
mod tests;
