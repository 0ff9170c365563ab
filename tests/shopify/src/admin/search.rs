//! Shopify's search syntax, as far as backups use it. It fails open: a filter by a field that
//! nothing has is no filter at all, and only a warning tells.

use jiff::Timestamp;
use serde_json::{Value, json};

/// A parsed query.
#[derive(Debug, PartialEq)]
pub(crate) struct Search(Vec<Vec<Term>>);

/// One condition. Terms are in disjunctive form: any group, all terms of it.
#[derive(Debug, PartialEq)]
struct Term {
    field: Option<String>,
    comparison: Comparison,
    value: String,
    negated: bool,
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What can be filtered by, and the field of the document that holds it.
const FIELDS: &[(&str, &str)] = &[
    ("id", "id"),
    ("updated_at", "updatedAt"),
    ("created_at", "createdAt"),
    ("processed_at", "processedAt"),
    ("published_at", "publishedAt"),
    ("title", "title"),
    ("handle", "handle"),
    ("vendor", "vendor"),
    ("product_type", "productType"),
    ("status", "status"),
    ("sku", "sku"),
    ("barcode", "barcode"),
    ("tag", "tags"),
    ("name", "name"),
    ("email", "email"),
    ("external_id", "externalId"),
    ("path", "path"),
    ("target", "target"),
    ("type", "type"),
    ("display_name", "displayName"),
    ("subject_type", "subjectType"),
    ("subject_id", "subjectId"),
    ("customer_id", "customer"),
    ("action", "action"),
    ("filename", "_filename"),
    ("media_type", "mediaContentType"),
    ("operation_type", "type"),
    ("topic", "topic"),
    ("uri", "uri"),
];

impl Search {
    /// Parses a query; the error says what Shopify would.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        let mut groups = vec![Vec::new()];
        let mut negated = false;
        for word in words(query)? {
            match word.as_str() {
                "AND" => {}
                "OR" => groups.push(Vec::new()),
                "NOT" => negated = true,
                _ => {
                    let term = Term::parse(&word, std::mem::take(&mut negated));
                    groups.last_mut().expect("never empty").push(term);
                }
            }
        }
        Ok(Self(groups.into_iter().filter(|group| !group.is_empty()).collect()))
    }

    pub(super) fn matches(&self, document: &Value) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|group| group.iter().all(|term| term.matches(document)))
    }

    /// Whether a webhook's body is one that this filter lets through.
    pub(crate) fn selects(&self, body: &Value) -> bool {
        self.0.is_empty() || self.0.iter().any(|group| group.iter().all(|term| term.selects(body)))
    }

    /// What Shopify says about fields that it doesn't know.
    pub(super) fn warnings(&self, path: &str, _node: &str) -> Vec<Value> {
        let fields = self.0.iter().flatten().filter_map(|term| term.field.as_deref());
        fields
            .filter(|field| known(field).is_none())
            .map(|field| {
                json!({
                    "path": [path],
                    "warnings": [{
                        "field": field,
                        "message": "Invalid search field for this query.",
                        "code": "invalid_field",
                    }],
                })
            })
            .collect()
    }
}

fn known(field: &str) -> Option<&'static str> {
    FIELDS.iter().find(|(name, _)| *name == field).map(|(_, field)| *field)
}

/// Splits at blanks outside quotes; parentheses that group are not simulated.
fn words(query: &str) -> Result<Vec<String>, String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut letters = query.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            // A backslash takes the meaning from what follows it.
            (_, '\\') => words.last_mut().expect("never empty").extend(letters.next()),
            (None, '(' | ')') => return Err("not simulated: parentheses in a search".into()),
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None, letter) if letter.is_whitespace() => words.push(String::new()),
            (_, letter) => words.last_mut().expect("never empty").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    Ok(words)
}

impl Term {
    fn parse(word: &str, negated: bool) -> Self {
        let (word, negated) = match word.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (word, negated),
        };
        let named = word.split_once(':').filter(|(field, _)| {
            !field.is_empty()
                && field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
        });
        let Some((field, value)) = named else {
            let value = word.to_owned();
            return Self { field: None, comparison: Comparison::Equal, value, negated };
        };
        let operators = [
            (">=", Comparison::GreaterOrEqual),
            ("<=", Comparison::LessOrEqual),
            (">", Comparison::Greater),
            ("<", Comparison::Less),
            ("=", Comparison::Equal),
        ];
        let (comparison, value) = operators
            .into_iter()
            .find_map(|(sign, comparison)| Some((comparison, value.strip_prefix(sign)?)))
            .unwrap_or((Comparison::Equal, value));
        Self { field: Some(field.to_owned()), comparison, value: value.to_owned(), negated }
    }

    fn matches(&self, document: &Value) -> bool {
        let Some(field) = &self.field else {
            let text = document.to_string().to_lowercase();
            return text.contains(&self.value.to_lowercase()) != self.negated;
        };
        // The trap: a field that is not known filters nothing.
        let Some(field) = known(field) else { return true };
        let held = match field {
            "email" => &document["defaultEmailAddress"]["emailAddress"],
            "customer" => &document["customer"]["$ref"],
            field => &document[field],
        };
        self.holds(field, held) != self.negated
    }

    fn selects(&self, body: &Value) -> bool {
        let Some(field) = &self.field else { return false };
        let held = at_path(body, field);
        !held.is_empty() && held.into_iter().any(|held| self.holds("", held)) != self.negated
    }

    fn holds(&self, field: &str, held: &Value) -> bool {
        match held {
            Value::Number(held) => {
                let numbers = held.as_f64().zip(self.value.parse::<f64>().ok());
                let order = numbers.and_then(|(held, wanted)| held.partial_cmp(&wanted));
                order.is_some_and(|order| self.compare(order))
            }
            Value::Bool(held) => self.text(&held.to_string()),
            Value::Array(items) => items.iter().any(|item| self.holds(field, item)),
            Value::String(held) if matches!(field, "id" | "subjectId" | "customer") => {
                self.number(held)
            }
            Value::String(held) => match (held.parse::<Timestamp>(), instant(&self.value)) {
                (Ok(held), Some(wanted)) => self.compare(held.cmp(&wanted)),
                _ => self.text(&held.to_lowercase()),
            },
            _ => false,
        }
    }

    fn number(&self, held: &str) -> bool {
        let tail = |text: &str| text.rsplit('/').next().and_then(|n| n.parse::<u64>().ok());
        match (tail(held), tail(&self.value)) {
            (Some(held), Some(wanted)) => self.compare(held.cmp(&wanted)),
            _ => false,
        }
    }

    fn text(&self, held: &str) -> bool {
        let wanted = self.value.to_lowercase();
        match wanted.strip_suffix('*') {
            Some(prefix) => held.starts_with(prefix),
            None => self.compare(held.cmp(wanted.as_str())),
        }
    }

    fn compare(&self, order: std::cmp::Ordering) -> bool {
        match self.comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// What a dotted path leads to, in every element of the lists on its way.
fn at_path<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let items: Vec<&Value> = match value {
        Value::Array(items) => items.iter().filter_map(|item| item.get(first)).collect(),
        value => value.get(first).into_iter().collect(),
    };
    if rest.is_empty() {
        return items;
    }
    items.into_iter().flat_map(|item| at_path(item, rest)).collect()
}

/// An instant, or the beginning of a day.
fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| format!("{text}T00:00:00Z").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(query: &str) -> bool {
        let document = json!({
            "id": "gid://shopify/Product/42", "title": "Linen Shirt", "status": "ACTIVE",
            "tags": ["new"], "updatedAt": "2026-11-02T10:00:00Z",
        });
        Search::parse(query).unwrap().matches(&document)
    }

    #[test]
    fn filters() {
        assert!(finds("updated_at:>'2026-11-01T00:00:00Z'"));
        assert!(!finds("updated_at:>2026-11-03"));
        assert!(finds("status:active tag:new"));
        assert!(!finds("status:active AND tag:old"));
        assert!(finds("tag:old OR title:'linen shirt'"));
        assert!(!finds("-status:ACTIVE"));
        assert!(finds("id:42"));
        assert!(finds("linen"));
    }

    #[test]
    fn a_webhook_filter_fails_shut() {
        let body = json!({ "id": 5, "type": "designer", "variants": [{ "price": "9.99" }, { "price": "20.00" }] });
        let selects = |filter: &str| Search::parse(filter).unwrap().selects(&body);
        assert!(selects("type:designer"));
        assert!(selects("type:other OR variants.price:20.00"));
        assert!(selects("id:>4"));
        assert!(!selects("tipe:designer"));
    }

    #[test]
    fn an_unknown_field_finds_everything_and_is_warned_of() {
        assert!(finds("update_at:>2030-01-01"));
        let search = Search::parse("update_at:>2030-01-01").unwrap();
        let warnings = search.warnings("products", "Product");
        assert_eq!(warnings[0]["warnings"][0]["code"], "invalid_field");
    }
}
