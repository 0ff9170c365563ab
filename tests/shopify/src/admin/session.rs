//! One request at work on the shop: field by field, as the schema's types demand.

use std::cell::{Cell, RefCell};

use apollo_compiler::ast::Type;
use apollo_compiler::resolvers::{FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::schema::ExtendedType;
use serde_json::{Map, Value, json};

use super::connection::{self, Page};
use super::endpoint::Caller;
use super::schema::{Schema, Version};
use super::{field, mutation, read};
use crate::gid::Gid;
use crate::protected;
use crate::shop::{Actor, Shop};
use crate::store::{Document, target};

/// The mark of an error about something that Shopify has and the simulator has not.
pub(crate) const NOT_SIMULATED: &str = "not simulated: ";

/// A request, or a batch of a bulk operation.
pub(crate) struct Session<'a> {
    pub(crate) shop: RefCell<&'a mut Shop>,
    pub(crate) schema: &'a Schema,
    pub(crate) version: Version,
    pub(crate) variables: &'a JsonMap,
    pub(crate) mode: Mode,
    /// The instant of the request.
    pub(crate) now: jiff::Timestamp,
    /// Who asks.
    pub(crate) actor: Actor,
    /// Objects that were really answered, in points.
    pub(crate) cost: Cell<u64>,
    /// What the search syntax did not understand.
    pub(crate) warnings: RefCell<Vec<Value>>,
}

/// How connections are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// A page at a time, as asked.
    Paged,
    /// Whole, as a bulk operation does.
    Whole,
}

/// A failure of one field.
pub(crate) type Outcome<T> = Result<T, FieldError>;

/// Shopify has it, the simulator has not: nobody may take that for an answer.
pub(crate) fn not_simulated(what: impl std::fmt::Display) -> FieldError {
    FieldError { message: format!("{NOT_SIMULATED}{what}") }
}

/// A failure that Shopify has too.
pub(crate) fn refused(message: impl Into<String>) -> FieldError {
    FieldError { message: message.into() }
}

/// An object of the answer.
pub(super) struct Object<'s, 'a> {
    session: &'s Session<'a>,
    type_name: String,
    document: Document,
}

impl<'s, 'a> Object<'s, 'a> {
    /// Where a request begins.
    pub(super) fn root(session: &'s Session<'a>, type_name: &str) -> Self {
        Self { session, type_name: type_name.to_owned(), document: Document::default() }
    }
}

impl ObjectValue for Object<'_, '_> {
    fn type_name(&self) -> &str {
        &self.type_name
    }

    fn resolve_field<'b>(&'b self, info: &'b ResolveInfo<'b>) -> Outcome<ResolvedValue<'b>> {
        let name = info.field_name();
        let ty = &info.field_definition().ty;
        let args = Arguments::of(info)?;
        if !self.session.shop.borrow().publications
            && let Some(message) = protected::publications(&self.type_name, name)
        {
            return Err(refused(message));
        }
        let value = match self.type_name.as_str() {
            "QueryRoot" => read::root(self.session, name, ty, &args)?,
            "Mutation" => mutation::run(self.session, name, &args, info)?,
            _ => self.stored(name, ty, &args)?,
        };
        self.session.complete(ty, value, &args)
    }
}

impl Object<'_, '_> {
    fn stored(&self, name: &str, ty: &Type, args: &Arguments) -> Outcome<Value> {
        if !self.session.shop.borrow().protected_data
            && let Some(message) = protected::refusal(&self.type_name, name)
        {
            return Err(refused(message));
        }
        let subject = field::Subject { type_name: &self.type_name, document: &self.document };
        if let Some(value) = field::computed(self.session, &subject, name, args)? {
            return Ok(value);
        }
        match self.document.get(name) {
            Some(value) => Ok(value.clone()),
            None => Err(not_simulated(format_args!("{}.{name}: {ty}", self.type_name))),
        }
    }
}

/// The arguments of a field, coerced to what the schema says.
pub(crate) struct Arguments(Map<String, Value>);

impl From<Map<String, Value>> for Arguments {
    fn from(given: Map<String, Value>) -> Self {
        Self(given)
    }
}

impl Arguments {
    fn of(info: &ResolveInfo<'_>) -> Outcome<Self> {
        match serde_json::to_value(info.arguments()) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            _ => Err(refused("arguments are no object")),
        }
    }

    /// An argument that was given, and not as null.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Whether an argument was given, be it as null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    pub(crate) fn gid(&self, name: &str) -> Option<Gid> {
        self.text(name)?.parse().ok()
    }

    /// All of it.
    pub(crate) fn value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Names and values of what was given.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.as_str(), value))
    }
}

impl<'a> Session<'a> {
    /// A session of a caller.
    pub(crate) fn of(
        caller: &Caller<'a>,
        shop: &'a mut Shop,
        variables: &'a JsonMap,
        mode: Mode,
    ) -> Self {
        Self {
            shop: RefCell::new(shop),
            schema: caller.schema,
            version: caller.version,
            variables,
            mode,
            now: caller.now,
            actor: caller.actor.clone(),
            cost: Cell::new(0),
            warnings: RefCell::new(Vec::new()),
        }
    }
}

impl Session<'_> {
    /// What a resource is now.
    pub(crate) fn get(&self, gid: Gid) -> Option<Document> {
        self.shop.borrow().store.get(gid)
    }

    /// Turns a stored value into what the field's type promises.
    fn complete<'b>(
        &'b self,
        ty: &Type,
        value: Value,
        args: &Arguments,
    ) -> Outcome<ResolvedValue<'b>> {
        if value.is_null() {
            return Ok(ResolvedValue::null());
        }
        if ty.is_list() {
            let Value::Array(items) = value else {
                return Err(not_simulated(format_args!("a list of {ty}")));
            };
            let item_type = ty.item_type().clone();
            // A list without pages ends where it is told to, without a word.
            let most = args.get("first").and_then(Value::as_u64).unwrap_or(u64::MAX);
            let items = items.into_iter().take(usize::try_from(most).unwrap_or(usize::MAX));
            let items: Vec<Outcome<ResolvedValue<'b>>> =
                items.map(|item| self.complete(&item_type, item, args)).collect();
            return Ok(ResolvedValue::List(Box::new(items.into_iter())));
        }
        let name = ty.inner_named_type().as_str();
        match self.schema.graphql.types.get(name) {
            Some(ExtendedType::Scalar(_) | ExtendedType::Enum(_)) => {
                Ok(ResolvedValue::Leaf(leaf(value)))
            }
            Some(_) if name.ends_with("Connection") && value.is_array() => {
                let page = Page::of(args, self.mode)?;
                let connection = connection::of_values(name, self.living(value), &page);
                self.object(name, connection)
            }
            Some(_) => self.object(name, value),
            None => Err(refused(format!("no type {name}"))),
        }
    }

    /// A list without what is gone: that is in no list any more.
    fn living(&self, values: Value) -> Value {
        let Value::Array(values) = values else { return values };
        let there = |value: &Value| target(value).is_none_or(|gid| self.get(gid).is_some());
        values.into_iter().filter(there).collect()
    }

    fn object<'b>(&'b self, declared: &str, value: Value) -> Outcome<ResolvedValue<'b>> {
        if let Some(gid) = target(&value) {
            let Some(document) = self.get(gid) else { return Ok(ResolvedValue::null()) };
            self.charge(1);
            // The schema has a type of its own for the node of either sort of discount.
            let type_name = match (declared, value["$as"].as_str()) {
                ("DiscountNode", _) => declared,
                (_, Some(asked_as)) => asked_as,
                _ => document["__typename"].as_str().unwrap_or(gid.type_name()),
            };
            let type_name = type_name.to_owned();
            return Ok(ResolvedValue::object(Object { session: self, type_name, document }));
        }
        let type_name = match value.get("__typename").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None if self.is_object(declared) => declared.to_owned(),
            None => return Err(not_simulated(format_args!("which {declared} this is"))),
        };
        if !(type_name == "PageInfo" || type_name.ends_with("Edge")) {
            self.charge(1);
        }
        Ok(ResolvedValue::object(Object { session: self, type_name, document: value.into() }))
    }

    fn is_object(&self, name: &str) -> bool {
        self.schema.graphql.get_object(name).is_some()
    }

    fn charge(&self, points: u64) {
        self.cost.set(self.cost.get() + points);
    }

    /// The concrete types behind a type's name.
    pub(crate) fn concrete(&self, name: &str) -> Vec<String> {
        match self.schema.graphql.types.get(name) {
            Some(ExtendedType::Object(_)) => vec![name.to_owned()],
            Some(ExtendedType::Union(union)) => {
                union.members.iter().map(ToString::to_string).collect()
            }
            Some(ExtendedType::Interface(_)) => self
                .schema
                .implementers
                .get(name)
                .map(|who| who.objects.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

/// A scalar in the form that the executor wants.
fn leaf(value: Value) -> JsonValue {
    match value {
        Value::Null => JsonValue::Null,
        Value::Bool(yes) => JsonValue::Bool(yes),
        Value::Number(number) => JsonValue::Number(number),
        Value::String(text) => JsonValue::String(text.into()),
        Value::Array(items) => JsonValue::Array(items.into_iter().map(leaf).collect()),
        Value::Object(map) => JsonValue::Object(
            map.into_iter().map(|(key, value)| (key.into(), leaf(value))).collect(),
        ),
    }
}

/// A `Count`, which stops counting at 25,000.
pub(crate) fn count(number: usize, limit: Option<u64>) -> Value {
    const MOST: usize = 25_000;
    let most = limit.map_or(MOST, |limit| usize::try_from(limit).unwrap_or(MOST).min(MOST));
    if number > most {
        json!({ "count": most + 1, "precision": "AT_LEAST" })
    } else {
        json!({ "count": number, "precision": "EXACT" })
    }
}
