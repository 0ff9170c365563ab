//! The one table of what can be asked, and by whom.

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};
use backstock_proto::problem::Problem;
use http::{HeaderValue, StatusCode, Uri, header};

use crate::answer::{
    audit, blob, change, change_set, erasure, export, incident, job, mark, plan, proof, pull,
    resource, rollback, shop, snapshot, upkeep, version,
};
use crate::token::Scope;
use crate::{Desk, gate, openapi, page};

/// One thing that can be asked.
pub(crate) struct Route {
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    /// Its label in metrics and its `operationId`.
    pub(crate) name: &'static str,
    pub(crate) access: Access,
    pub(crate) pace: Pace,
    pub(crate) handler: fn() -> MethodRouter<Arc<Desk>>,
}

impl Route {
    /// Whether it answers people in a browser, rather than programs.
    pub(crate) fn is_page(&self) -> bool {
        !self.path.starts_with("/v1/")
    }

    /// Whether it is put on record who asks: for everything that has something done, and for a whole
    /// shop's data leaving in a file. A page asks the API in its turn, which is put on record there.
    pub(crate) fn is_audited(&self) -> bool {
        !self.is_page() && (self.verb == Verb::Post || self.name == "export")
    }
}

/// Asking, or having something done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Public,
    /// A token with this scope; the answer holds only shops that it sees.
    Token(Scope),
    /// A token with this scope that sees the shop in the path.
    Shop(Scope),
    /// A token with this scope that sees every shop.
    EveryShop(Scope),
}

/// How long an answer may take to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At most [`crate::Config::request`].
    Prompt,
    /// As long as it takes, while the caller waits.
    Patient,
    /// The same, and the request's body is as long as it is and read by the handler.
    Streamed,
}

const READ: Access = Access::Shop(Scope::Read);

pub(crate) static ROUTES: &[Route] = &[
    open("/v1/openapi.json", "openapi", || get(openapi::openapi)),
    Route { access: Access::Token(Scope::Read), ..read("/v1/shops", "shops", || get(shop::shops)) },
    read("/v1/shops/{shop}/status", "status", || get(shop::status)),
    read("/v1/shops/{shop}/resources", "resources", || get(resource::resources)),
    read("/v1/shops/{shop}/resources/{kind}/{id}", "resource", || get(resource::resource)),
    read("/v1/shops/{shop}/resources/{kind}/{id}/versions", "versions", || get(version::versions)),
    read("/v1/shops/{shop}/resources/{kind}/{id}/versions/{seq}/raw", "raw", || get(version::raw)),
    read("/v1/shops/{shop}/resources/{kind}/{id}/diff", "diff", || get(version::diff)),
    Route {
        pace: Pace::Patient,
        ..read("/v1/shops/{shop}/blobs/{hash}", "blob", || get(blob::blob))
    },
    read("/v1/shops/{shop}/changes", "changes", || get(change::changes)),
    Route {
        pace: Pace::Patient,
        ..read("/v1/shops/{shop}/change-sets", "change_sets", || get(change_set::change_sets))
    },
    Route {
        pace: Pace::Patient,
        ..read("/v1/shops/{shop}/change-sets/{set}", "change_set", || get(change_set::change_set))
    },
    read("/v1/shops/{shop}/marks", "marks", || get(mark::marks)),
    read("/v1/shops/{shop}/incidents", "incidents", || get(incident::incidents)),
    restore("/v1/shops/{shop}/incidents/{id}/dismiss", "dismiss", || post(incident::dismiss)),
    Route {
        verb: Verb::Post,
        path: "/v1/shops/{shop}/rollbacks",
        name: "rollback",
        access: Access::Shop(Scope::Restore),
        pace: Pace::Patient,
        handler: || post(rollback::rollback),
    },
    Route {
        verb: Verb::Post,
        path: "/v1/shops/{shop}/marks",
        name: "mark",
        access: Access::Shop(Scope::Restore),
        pace: Pace::Prompt,
        handler: || post(mark::mark),
    },
    Route {
        pace: Pace::Patient,
        ..read("/v1/shops/{shop}/snapshot", "snapshot", || get(snapshot::snapshot))
    },
    read("/v1/shops/{shop}/pulls", "pulls", || get(pull::pulls)),
    Route {
        verb: Verb::Post,
        path: "/v1/shops/{shop}/reconcile",
        name: "reconcile",
        access: Access::Shop(Scope::Admin),
        pace: Pace::Prompt,
        handler: || post(pull::reconcile),
    },
    read("/v1/shops/{shop}/proofs", "proofs", || get(proof::proofs)),
    read("/v1/shops/{shop}/proofs/{id}", "proof", || get(proof::proof)),
    Route {
        verb: Verb::Post,
        path: "/v1/shops/{shop}/proofs",
        name: "prove",
        access: Access::Shop(Scope::Admin),
        pace: Pace::Prompt,
        handler: || post(proof::prove),
    },
    restore("/v1/shops/{shop}/plans/{id}/apply", "apply", || post(job::apply)),
    read("/v1/shops/{shop}/jobs", "jobs", || get(job::jobs)),
    read("/v1/shops/{shop}/jobs/{id}", "job", || get(job::job)),
    Route {
        pace: Pace::Patient,
        ..read("/v1/shops/{shop}/jobs/{id}/events", "job_events", || get(job::events))
    },
    restore("/v1/shops/{shop}/jobs/{id}/approve", "approve", || post(job::approve)),
    restore("/v1/shops/{shop}/jobs/{id}/cancel", "cancel", || post(job::cancel)),
    restore("/v1/shops/{shop}/jobs/{id}/pause", "pause", || post(job::pause)),
    restore("/v1/shops/{shop}/jobs/{id}/resume", "resume", || post(job::resume)),
    restore("/v1/shops/{shop}/jobs/{id}/retry", "retry", || post(job::retry)),
    Route {
        pace: Pace::Patient,
        ..restore("/v1/shops/{shop}/jobs/{id}/undo", "undo", || post(job::undo))
    },
    Route {
        access: Access::Shop(Scope::Admin),
        ..read("/v1/shops/{shop}/audit", "audit", || get(audit::audit))
    },
    Route {
        access: Access::Shop(Scope::Admin),
        ..read("/v1/shops/{shop}/subscriptions", "subscriptions", || get(upkeep::subscriptions))
    },
    Route {
        verb: Verb::Post,
        path: "/v1/shops/{shop}/subscriptions",
        name: "subscribe",
        access: Access::Shop(Scope::Admin),
        pace: Pace::Patient,
        handler: || post(upkeep::subscribe),
    },
    Route {
        verb: Verb::Post,
        path: "/v1/shops/{shop}/retention",
        name: "retention",
        access: Access::Shop(Scope::Admin),
        pace: Pace::Patient,
        handler: || post(upkeep::retention),
    },
    Route {
        verb: Verb::Post,
        path: "/v1/shops/{shop}/erasures",
        name: "erase",
        access: Access::Shop(Scope::Admin),
        pace: Pace::Patient,
        handler: || post(erasure::erase),
    },
    read("/v1/shops/{shop}/erasures", "erasures", || get(erasure::erasures)),
    Route {
        verb: Verb::Post,
        path: "/v1/shops/{shop}/data-requests",
        name: "data_request",
        access: Access::Shop(Scope::Admin),
        pace: Pace::Patient,
        handler: || post(erasure::data_request),
    },
    Route {
        access: Access::Shop(Scope::Admin),
        ..read("/v1/shops/{shop}/data-requests", "data_requests", || get(erasure::data_requests))
    },
    Route {
        verb: Verb::Post,
        path: "/v1/shops/{shop}/plans",
        name: "make_plan",
        access: Access::Shop(Scope::Restore),
        pace: Pace::Patient,
        handler: || post(plan::make),
    },
    Route {
        access: Access::Shop(Scope::Restore),
        pace: Pace::Patient,
        ..read("/v1/shops/{shop}/export", "export", || get(export::export))
    },
    Route {
        verb: Verb::Post,
        path: "/v1/shops/{shop}/exports",
        name: "import",
        access: Access::Shop(Scope::Restore),
        pace: Pace::Streamed,
        handler: || post(export::import),
    },
    read("/v1/shops/{shop}/exports", "exports", || get(export::exports)),
    read("/v1/shops/{shop}/plans", "plans", || get(plan::plans)),
    read("/v1/shops/{shop}/plans/{id}", "plan", || get(plan::plan)),
    Route {
        verb: Verb::Post,
        path: "/v1/verify",
        name: "verify",
        access: Access::EveryShop(Scope::Admin),
        pace: Pace::Patient,
        handler: || post(shop::verify),
    },
    Route {
        verb: Verb::Post,
        path: "/v1/checkpoint",
        name: "checkpoint",
        access: Access::EveryShop(Scope::Admin),
        pace: Pace::Patient,
        handler: || post(shop::checkpoint),
    },
];

const fn read(
    path: &'static str,
    name: &'static str,
    handler: fn() -> MethodRouter<Arc<Desk>>,
) -> Route {
    Route { verb: Verb::Get, path, name, access: READ, pace: Pace::Prompt, handler }
}

const fn restore(
    path: &'static str,
    name: &'static str,
    handler: fn() -> MethodRouter<Arc<Desk>>,
) -> Route {
    let access = Access::Shop(Scope::Restore);
    Route { verb: Verb::Post, access, ..read(path, name, handler) }
}

const fn open(
    path: &'static str,
    name: &'static str,
    handler: fn() -> MethodRouter<Arc<Desk>>,
) -> Route {
    Route { access: Access::Public, ..read(path, name, handler) }
}

/// Every route behind its gate, and the probes, each answer with its security headers.
pub(crate) fn router(desk: Arc<Desk>, probes: Router) -> Router {
    let mut pages = Router::new();
    for route in page::ROUTES {
        let gated = (route.handler)()
            .route_layer(middleware::from_fn_with_state((desk.clone(), route), gate::pass))
            .route_layer(middleware::from_fn_with_state(desk.clone(), page::dress));
        pages = pages.route(route.path, gated);
    }
    pages
        .with_state(desk.clone())
        .merge(api(desk))
        .merge(probes)
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::map_response(harden))
}

/// The API alone: what programs ask, and pages too.
pub(crate) fn api(desk: Arc<Desk>) -> Router {
    let mut api = Router::new();
    for route in ROUTES {
        let gated = (route.handler)()
            .route_layer(middleware::from_fn_with_state((desk.clone(), route), gate::pass));
        api = api.route(route.path, gated);
    }
    api.with_state(desk)
}

async fn no_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    let detail = format!("there is no route {path:?}; /v1/openapi.json lists all of them");
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    let detail = format!("{path:?} does not take {method}; the header Allow says what it takes");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Nothing that is answered is cached, framed, sniffed or run, unless it says so itself.
async fn harden(mut response: axum::response::Response) -> axum::response::Response {
    let framed = response.extensions().get::<page::FramedBy>().is_some();
    let defaults = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (http::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in defaults {
        // The older header knows no two who may; the policy does.
        if framed && name == header::X_FRAME_OPTIONS {
            continue;
        }
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
