//! The API's description. What each route answers stands beside its handler; what all of them have
//! in common, and who may ask, is added here from the table of routes.

use axum::Json;
use backstock_proto::problem::{MEDIA_TYPE, Problem};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, Required, Response};
use utoipa::{Modify, OpenApi as _, ToSchema};

use crate::answer::{
    audit, blob, change, change_set, erasure, export, incident, job, mark, plan, proof, pull,
    resource, rollback, shop, snapshot, upkeep, version,
};
use crate::ask::{Asked, Nothing};
use crate::route::{Access, ROUTES, Route, Verb};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Backstock",
        description = "Every version of everything in a Shopify store, as of any instant.\n\n\
            Instants are RFC 3339. Lists answer `{\"items\": […], \"next\": cursor | null}`; ask \
            again with `cursor` until `next` is null. Errors are problem details (RFC 9457). What \
            a token may not see is 404; what it may see but not do is 403. A query parameter that \
            is not listed is refused."
    ),
    paths(
        openapi,
        shop::shops,
        shop::status,
        resource::resources,
        resource::resource,
        version::versions,
        version::raw,
        version::diff,
        blob::blob,
        change::changes,
        change_set::change_sets,
        change_set::change_set,
        mark::mark,
        mark::marks,
        incident::incidents,
        incident::dismiss,
        rollback::rollback,
        snapshot::snapshot,
        pull::reconcile,
        pull::pulls,
        proof::prove,
        proof::proofs,
        proof::proof,
        upkeep::subscriptions,
        upkeep::subscribe,
        upkeep::retention,
        job::apply,
        job::jobs,
        job::job,
        job::events,
        job::approve,
        job::cancel,
        job::pause,
        job::resume,
        job::retry,
        job::undo,
        audit::audit,
        erasure::erase,
        erasure::erasures,
        erasure::data_request,
        erasure::data_requests,
        export::export,
        export::import,
        export::exports,
        plan::make,
        plan::plans,
        plan::plan,
        shop::verify,
        shop::checkpoint
    ),
    components(schemas(Problem)),
    modifiers(&Common)
)]
struct Described;

struct Common;

/// Operations that do what they do without a body, too.
const WITHOUT_BODY: [&str; 3] = ["checkpoint", "reconcile", "retention"];

/// The whole description.
pub fn document() -> OpenApi {
    Described::openapi()
}

/// This description.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "openapi",
    tag = "About",
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value))
)]
pub(crate) async fn openapi(Asked(Nothing {}): Asked<Nothing>) -> Json<OpenApi> {
    Json(document())
}

impl Modify for Common {
    fn modify(&self, openapi: &mut OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
        for route in ROUTES {
            let item = openapi.paths.paths.get_mut(route.path);
            let operation = item.and_then(|item| match route.verb {
                Verb::Get => item.get.as_mut(),
                Verb::Post => item.post.as_mut(),
            });
            if let Some(operation) = operation {
                complete(operation, route);
            }
        }
    }
}

/// Adds who may ask, and the errors that every such route has.
fn complete(operation: &mut Operation, route: &Route) {
    let mut errors = vec![("400", "The query is wrong; `detail` says in what.")];
    let scope = match route.access {
        Access::Public => None,
        Access::Token(scope) => Some((scope, "")),
        Access::Shop(scope) => Some((scope, ", and the shop in its sight")),
        Access::EveryShop(scope) => Some((scope, ", and every shop in its sight")),
    };
    if let Some((scope, sight)) = scope {
        let needs = format!("Needs a token with the scope `{}`{sight}.", scope.as_str());
        let text = operation.description.get_or_insert_default();
        *text = [text.as_str(), &needs].join("\n\n").trim().to_owned();
        operation.security =
            Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>("token", [])]);
        errors.extend([
            ("401", "No token, or one that is not valid."),
            ("403", "The token lacks the scope."),
            ("429", "Too many wrong tokens from there; `Retry-After` says how long to wait."),
            ("500", "The stored history could not be read."),
            ("503", "The journal cannot be read just now; `Retry-After` says when to try again."),
        ]);
    }
    if let Some(body) = &mut operation.request_body
        && WITHOUT_BODY.contains(&route.name)
    {
        body.required = Some(Required::False);
    }
    if matches!(route.access, Access::Shop(_)) {
        errors.push(("404", "There is no such shop, or the token does not see it."));
    }
    if route.verb == Verb::Post {
        errors.push(("408", "The body took too long to arrive."));
        errors.push(("413", "The body is larger than 64 KiB."));
    }
    for (status, description) in errors {
        let responses = &mut operation.responses.responses;
        responses.entry(status.into()).or_insert_with(|| problem(description).into());
    }
}

fn problem(description: &str) -> Response {
    let schema = Ref::from_schema_name(Problem::name());
    let mut response = Response::new(description);
    response.content.insert(MEDIA_TYPE.into(), Content::new(Some(schema)));
    response
}
