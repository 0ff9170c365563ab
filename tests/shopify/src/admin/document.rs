//! What a client sends, parsed and held against the schema.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, ast};
use serde_json::{Map, Value, json};

use super::schema::{Schema, Version};

/// So many documents are kept parsed.
const KEPT: usize = 500;

type Parsed = Arc<Valid<ExecutableDocument>>;

/// Documents that were seen before, by version and text.
#[derive(Default)]
pub struct Documents(Mutex<HashMap<(Version, String), Parsed>>);

impl Documents {
    /// The parsed document.
    ///
    /// # Errors
    /// The errors to answer with, when it is not valid in this version.
    pub fn parse(
        &self,
        schema: &Schema,
        version: Version,
        text: &str,
    ) -> Result<Parsed, Vec<Value>> {
        let key = (version, text.to_owned());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = known.get(&key) {
            return Ok(document.clone());
        }
        let document = Arc::new(parse(schema, text)?);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, document.clone());
        Ok(document)
    }
}

/// A value of the query language as JSON.
pub(super) fn constant(value: &ast::Value, variables: &JsonMap) -> Value {
    match value {
        ast::Value::String(text) => json!(text),
        ast::Value::Boolean(yes) => json!(yes),
        ast::Value::Int(number) => serde_json::from_str(number.as_str()).unwrap_or_default(),
        ast::Value::Float(number) => serde_json::from_str(number.as_str()).unwrap_or_default(),
        ast::Value::Enum(name) => json!(name.as_str()),
        ast::Value::List(items) => items.iter().map(|item| constant(item, variables)).collect(),
        ast::Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.to_string(), constant(value, variables)))
            .collect::<Map<_, _>>()
            .into(),
        ast::Value::Variable(name) => {
            let given = variables.get(name.as_str());
            given.and_then(|given| serde_json::to_value(given).ok()).unwrap_or_default()
        }
        ast::Value::Null => Value::Null,
    }
}

/// Parses a document and holds it against a schema.
///
/// # Errors
/// What is wrong with it, in Shopify's shape.
pub fn parse(schema: &Schema, text: &str) -> Result<Valid<ExecutableDocument>, Vec<Value>> {
    ExecutableDocument::parse_and_validate(&schema.graphql, text, "request.graphql").map_err(
        |invalid| {
            invalid
                .errors
                .iter()
                .map(|diagnostic| {
                    let error = diagnostic.to_json();
                    let (message, extensions) = in_shopifys_words(&error.message);
                    json!({
                        "message": message,
                        "locations": error.locations.iter()
                            .map(|at| json!({ "line": at.line, "column": at.column }))
                            .collect::<Vec<_>>(),
                        "extensions": extensions,
                    })
                })
                .collect()
        },
    )
}

/// The commonest refusals as Shopify words them; the rest as the parser does.
fn in_shopifys_words(message: &str) -> (String, Value) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [type_name, field] if message.contains("does not have a field") => (
            format!("Field '{field}' doesn't exist on type '{type_name}'"),
            json!({ "code": "undefinedField", "typeName": type_name, "fieldName": field }),
        ),
        [argument, coordinate] if message.contains("is not supported by") => {
            let field = coordinate.split_once('.').map_or(*coordinate, |(_, field)| field);
            let field = field.split('(').next().unwrap_or(field);
            (
                format!("Field '{field}' doesn't accept argument '{argument}'"),
                json!({
                    "code": "argumentNotAccepted", "name": field, "typeName": "Field",
                    "argumentName": argument,
                }),
            )
        }
        _ => (message.to_owned(), json!({ "code": "invalid" })),
    }
}
