//! What can be changed. Each family of mutations is a module; what is in the schema and in none
//! of them is refused loudly.

mod bulk;
mod collection;
mod company;
mod company_location;
mod content;
mod customer;
mod delivery_profile;
mod discount;
mod draft_order;
mod file;
mod gift_card;
mod inventory;
mod location;
mod market;
mod metafield;
mod metaobject;
mod order;
mod policy;
mod pricing;
mod product;
mod product_media;
mod product_option;
mod product_set;
mod publication;
mod script_tag;
mod segment;
mod selling_plan;
mod subscription;
mod theme;
mod theme_create;
mod translation;
mod variant;

use apollo_compiler::resolvers::ResolveInfo;
use serde_json::{Map, Value, json};

use super::schema::{Schema, Version};
use super::session::{Arguments, Outcome, Session, not_simulated, refused};
use crate::shop::Shop;

pub(crate) use company::roles as company_roles;
pub(crate) use delivery_profile::country as delivery_country;
pub(crate) use market::conditions as market_conditions;
pub(crate) use metafield::definition_type as metafield_type;
pub(crate) use metaobject::put_definition as metaobject_definition;
pub(crate) use publication::of_catalog as catalog_publication;
pub(crate) use theme::{file as theme_file, file_of as theme_file_of};

/// A gift card that was sold before the beginning.
pub(crate) fn gift_card_at_founding(shop: &mut Shop, code: &str, cents: u64) {
    gift_card::put(shop, code, cents, &json!({}));
}

/// One mutation.
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) args: &'a Arguments,
    pub(super) version: Version,
    /// None where the shop acts by itself.
    pub(super) schema: Option<&'a Schema>,
}

/// Mutations that must be given an idempotency key since 2026-04.
/// <https://shopify.dev/docs/api/usage/implementing-idempotency>
const IDEMPOTENT: [&str; 17] = [
    "inventoryActivate",
    "inventoryAdjustQuantities",
    "inventoryMoveQuantities",
    "inventorySetOnHandQuantities",
    "inventorySetQuantities",
    "inventorySetScheduledChanges",
    "inventoryShipmentAddItems",
    "inventoryShipmentCreate",
    "inventoryShipmentCreateInTransit",
    "inventoryShipmentReceive",
    "inventoryTransferCreate",
    "inventoryTransferCreateAsReadyToShip",
    "inventoryTransferDuplicate",
    "inventoryTransferSetItems",
    "locationActivate",
    "locationDeactivate",
    "refundCreate",
];

/// A list in an input has no more elements than this.
const INPUT_MAX: usize = 250;

/// How long what is asynchronous takes.
pub(super) const JOB_TIME: jiff::SignedDuration = jiff::SignedDuration::from_millis(300);

/// How one family answers: nothing when the mutation is none of its own.
type Family = fn(&mut Shop, &Call<'_>) -> Option<Outcome<Value>>;

const FAMILIES: [Family; 32] = [
    product::run,
    product_set::run,
    product_option::run,
    product_media::run,
    variant::run,
    collection::run,
    customer::run,
    company::run,
    company_location::run,
    metafield::run,
    inventory::run,
    location::run,
    market::run,
    delivery_profile::run,
    publication::run,
    content::run,
    subscription::run,
    file::run,
    bulk::run,
    theme::run,
    theme_create::run,
    metaobject::run,
    order::run,
    draft_order::run,
    policy::run,
    discount::run,
    gift_card::run,
    translation::run,
    pricing::run,
    script_tag::run,
    segment::run,
    selling_plan::run,
];

/// Runs a mutation, as one action in the shop.
pub(super) fn run(
    session: &Session<'_>,
    name: &str,
    args: &Arguments,
    info: &ResolveInfo<'_>,
) -> Outcome<Value> {
    if let Some(size) = oversized(&args.value()) {
        return Err(refused(format!(
            "The input array size of {size} is greater than the maximum allowed of {INPUT_MAX}."
        )));
    }
    let call = Call { name, args, version: session.version, schema: Some(session.schema) };
    let more = new_variants(&session.shop.borrow(), &call);
    if more > 0 && !session.shop.borrow_mut().admits_variants(more, session.now) {
        return Err(refused(VARIANTS_EXCEEDED));
    }
    let key = IDEMPOTENT.contains(&name).then(|| idempotency_key(session, info)).transpose()?;
    let mut shop = session.shop.borrow_mut();
    if let Some(key) = key {
        match shop.idempotency.answer(&key, args.given(), session.now) {
            Ok(Some(answer)) if name == "inventorySetQuantities" && is_refusal(&answer) => {
                let message = "A previous request with this idempotency key failed. Retry with a \
                               new idempotency key.";
                let error = UserError::new(&[], message);
                let error = error.code("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED");
                return Ok(failed("inventoryAdjustmentGroup", vec![error]));
            }
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(code) => {
                let error = UserError::new(&[], "The idempotency key was used for something else.");
                return Ok(failed("inventoryAdjustmentGroup", vec![error.code(code)]));
            }
        }
        let answer = act(&mut shop, session, &call)?;
        shop.idempotency.remember(key, args.given(), session.now, &answer);
        return Ok(answer);
    }
    act(&mut shop, session, &call)
}

fn is_refusal(answer: &Value) -> bool {
    answer["userErrors"].as_array().is_some_and(|errors| !errors.is_empty())
}

/// What Shopify says when a shop has had its variants for the day.
const VARIANTS_EXCEEDED: &str = "Daily variant creation limit reached. Please try again later. See \
    https://shopify.dev/docs/api/usage/limits for more information about rate limits and how to avoid \
    them.";

/// How many variants a mutation asks for that are not there yet, about.
fn new_variants(shop: &Shop, call: &Call<'_>) -> u64 {
    let listed = |list: Option<&Value>| list.and_then(Value::as_array).map_or(0, Vec::len) as u64;
    match call.name {
        "productCreate" => 1,
        "productVariantsBulkCreate" => listed(call.args.get("variants")),
        "productSet" => {
            let input = call.args.get("input");
            let named = call.args.get("identifier").and_then(|by| by["id"].as_str());
            let named = named.or_else(|| input?["id"].as_str()).and_then(|id| id.parse().ok());
            let product = named.and_then(|gid| shop.store.get(gid));
            let there = listed(product.as_ref().map(|product| &product["variants"]));
            listed(input.map(|input| &input["variants"])).max(1).saturating_sub(there)
        }
        _ => 0,
    }
}

/// The size of a list that is longer than an input may have. Variants are the exception.
fn oversized(given: &Value) -> Option<usize> {
    match given {
        Value::Array(items) if items.len() > INPUT_MAX => Some(items.len()),
        Value::Array(items) => items.iter().find_map(oversized),
        Value::Object(fields) => {
            let others = fields.iter().filter(|(name, _)| *name != "variants");
            others.map(|(_, value)| value).find_map(oversized)
        }
        _ => None,
    }
}

fn act(shop: &mut Shop, session: &Session<'_>, call: &Call<'_>) -> Outcome<Value> {
    shop.act(session.now, session.actor.clone(), |shop| {
        let outcome = perform(shop, call);
        let errors =
            outcome.as_ref().ok().map(|answer| answer["userErrors"].as_array().map_or(0, Vec::len));
        shop.note_write(call.name, &call.args.value(), errors);
        outcome
    })
}

/// Does what a mutation asks for, as part of the current action.
fn perform(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    FAMILIES
        .iter()
        .find_map(|family| family(shop, call))
        .unwrap_or_else(|| Err(not_simulated(format_args!("Mutation.{}", call.name))))
}

fn idempotency_key(session: &Session<'_>, info: &ResolveInfo<'_>) -> Outcome<String> {
    let missing = || {
        refused(format!(
            "The @idempotent directive is required for this mutation but was not provided: {}",
            info.field_name()
        ))
    };
    let field = info.field_selections().first().ok_or_else(missing)?;
    let directive = field.directives.get("idempotent").ok_or_else(missing)?;
    let key = directive.specified_argument_by_name("key").ok_or_else(missing)?;
    let of_variable = || session.variables.get(key.as_variable()?.as_str())?.as_str();
    let key = key.as_str().or_else(of_variable);
    // A blank one is none.
    key.filter(|key| !key.trim().is_empty()).map(str::to_owned).ok_or_else(missing)
}

/// Something that the input asked for and that cannot be; the answer is still a 200.
pub(super) struct UserError {
    field: Vec<String>,
    message: String,
    code: Option<String>,
}

impl UserError {
    pub(super) fn new(field: &[&str], message: impl Into<String>) -> Self {
        let field = field.iter().map(|part| (*part).to_owned()).collect();
        Self { field, message: message.into(), code: None }
    }

    pub(super) fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    fn value(self) -> Value {
        let field = if self.field.is_empty() { Value::Null } else { json!(self.field) };
        json!({
            "field": field, "message": self.message, "code": self.code, "elementIndex": null,
            "extraInfo": null,
        })
    }
}

/// A job that is done soon.
pub(super) fn job(shop: &mut Shop) -> Value {
    let gid = shop.store.fresh("Job");
    let ready = shop.later(JOB_TIME);
    let state = json!({ "__typename": "Job", "id": gid.to_string(), "_readyAt": ready });
    shop.put(gid, state);
    crate::store::link(gid)
}

/// What a mutation did: the named result, and no errors.
pub(super) fn done(result: &str, value: Value) -> Value {
    json!({ result: value, "userErrors": [] })
}

/// The named result with whatever errors there are.
pub(super) fn answer(result: &str, value: Value, errors: Vec<UserError>) -> Value {
    let errors: Vec<Value> = errors.into_iter().map(UserError::value).collect();
    json!({ result: value, "userErrors": errors })
}

/// What a mutation could not do.
pub(super) fn failed(result: &str, errors: Vec<UserError>) -> Value {
    let errors: Vec<Value> = errors.into_iter().map(UserError::value).collect();
    json!({ result: null, "userErrors": errors })
}

/// An input object, of which nothing may be overlooked.
pub(super) struct Input<'a>(&'a Map<String, Value>);

impl<'a> Input<'a> {
    /// The object, when every field that it gives is among those `modelled`.
    pub(super) fn of(type_name: &str, value: &'a Value, modelled: &[&str]) -> Outcome<Self> {
        let Value::Object(fields) = value else {
            return Err(refused(format!("{type_name} is no object")));
        };
        // The schema's own defaults are false and the empty list: they ask for nothing.
        let asks =
            |value: &Value| !(value.is_null() || *value == json!(false) || *value == json!([]));
        let unknown =
            fields.iter().find(|(name, value)| asks(value) && !modelled.contains(&name.as_str()));
        match unknown {
            Some((name, _)) => Err(not_simulated(format_args!("{type_name}.{name}"))),
            None => Ok(Self(fields)),
        }
    }

    /// A field that was given and is not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A field that was given, be it as null.
    pub(super) fn given(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    /// Whether a field was given as null, which takes what is there away.
    pub(super) fn clears(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::is_null)
    }

    pub(super) fn list(&self, name: &str) -> Option<&'a [Value]> {
        self.get(name)?.as_array().map(Vec::as_slice)
    }

    /// Puts the fields that were given, null included, where the document keeps them.
    pub(super) fn copy(&self, state: &mut Value, names: &[(&str, &str)]) {
        for (from, to) in names {
            if let Some(value) = self.0.get(*from) {
                state[*to] = value.clone();
            }
        }
    }
}

/// Tags without doubles, in Shopify's order.
pub(super) fn sorted_tags(tags: &[Value]) -> Vec<String> {
    let mut tags: Vec<String> =
        tags.iter().filter_map(|tag| Some(tag.as_str()?.trim().to_owned())).collect();
    tags.retain(|tag| !tag.is_empty());
    tags.sort_by_key(|tag| tag.to_lowercase());
    tags.dedup_by_key(|tag| tag.to_lowercase());
    tags
}
