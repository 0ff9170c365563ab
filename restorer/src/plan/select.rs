//! Which resources a plan is about, and which of their fields.

use std::collections::BTreeSet;

use backstock_proto::kind::{ALL, Listing};
use backstock_proto::merge::{self, Field, FieldPath, Step};
use backstock_proto::resource::gid_type;
use backstock_proto::{Kind, ResourceId};
use serde_json::Value;

use super::Select;

/// A selection that was understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Of these kinds; of all, if empty.
    pub kinds: BTreeSet<Kind>,
    /// These; all, if empty. A number stands for a resource of any of the kinds.
    pub ids: BTreeSet<(Option<Kind>, ResourceId)>,
    /// Whose title, handle or SKU holds this text, in lower case.
    q: Option<String>,
    /// Only these fields; all, if empty.
    fields: Vec<Pattern>,
}

/// A field as a person names it: `title`, `/variants/*/price`, `variants/17/price`.
#[derive(Clone, Debug, PartialEq)]
struct Pattern(Vec<Token>);

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// Every element of a list.
    Every,
    /// A member of this name, or the element that is known by this: by its gid, the number in its
    /// gid, or its name.
    Named(String),
    /// The order of a list's elements.
    Order,
}

impl Selection {
    /// Understands a selection, or says what is wrong with it and what to do about it.
    pub fn parse(select: &Select) -> Result<Self, String> {
        for kind in &select.kinds {
            if kind.spec().is_none() {
                let known: Vec<&str> = ALL.iter().map(|spec| spec.name).collect();
                return Err(format!(
                    "select.kinds: {kind} is no kind that can be written back; these are: {}",
                    known.join(", ")
                ));
            }
        }
        let kinds: BTreeSet<Kind> = select.kinds.iter().cloned().collect();
        let mut ids = BTreeSet::new();
        for text in &select.ids {
            let (kind, id) = resource(text)?;
            if let Some(kind) = kind.as_ref().filter(|k| !kinds.is_empty() && !kinds.contains(k)) {
                return Err(format!(
                    "select.ids: {text:?} is a {kind}, which is not among the kinds"
                ));
            }
            ids.insert((kind, id));
        }
        let fields: Result<Vec<Pattern>, String> =
            select.fields.iter().map(|text| Pattern::parse(text)).collect();
        let q = select.q.as_ref().map(|q| q.trim().to_lowercase()).filter(|q| !q.is_empty());
        Ok(Self { kinds, ids, q, fields: fields? })
    }

    /// Whether resources of this kind may be in it.
    pub fn has_kind(&self, kind: &Kind) -> bool {
        let among_ids =
            |(of, _): &(Option<Kind>, ResourceId)| of.as_ref().is_none_or(|k| k == kind);
        (self.kinds.is_empty() || self.kinds.contains(kind))
            && (self.ids.is_empty() || self.ids.iter().any(among_ids))
    }

    /// Whether a resource may be in it, by its name.
    pub fn has(&self, kind: &Kind, id: &ResourceId) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(kind))
            && (self.ids.is_empty()
                || self.ids.contains(&(None, id.clone()))
                || self.ids.contains(&(Some(kind.clone()), id.clone())))
    }

    /// Whether this kind was asked for by its name, or a resource of it.
    pub fn names(&self, kind: &Kind) -> bool {
        self.kinds.contains(kind) || !self.ids.is_empty()
    }

    /// Whether a resource is in it, by what a list shows of it.
    pub fn has_text(&self, id: &ResourceId, listing: &Listing) -> bool {
        let Some(q) = &self.q else { return true };
        let has = |text: &str| text.to_lowercase().contains(q.as_str());
        has(&listing.title)
            || listing.handle.as_deref().is_some_and(has)
            || has(id.as_str())
            || listing.also.iter().any(|word| has(word))
    }

    /// Whether it is about some fields only.
    pub fn has_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// Whether a field is in it.
    pub fn has_field(&self, path: &FieldPath) -> bool {
        let steps = path.steps();
        self.fields.is_empty() || self.fields.iter().any(|p| p.fit(&steps) == Some(Fit::Within))
    }

    /// The state with what is selected of `want`, and everything else as it is now.
    pub fn narrowed(&self, now: &Value, want: Value) -> Value {
        if self.fields.is_empty() {
            return want;
        }
        let mut state = now.clone();
        for field in merge::fields(now, &want) {
            self.take(&mut state, field);
        }
        state
    }

    fn take(&self, state: &mut Value, field: Field) {
        let steps = field.path.steps();
        if self.has_field(&field.path) {
            merge::set(state, &field.path, field.new);
            return;
        }
        let around = self.fields.iter().any(|p| p.fit(&steps) == Some(Fit::Around));
        let (Value::Object(_) | Value::Null, Value::Object(new)) = (&field.old, &field.new) else {
            return;
        };
        // An element that is missing cannot come back in parts.
        if !around || matches!(steps.last(), Some(Step::Element(_))) {
            return;
        }
        for (name, new) in new {
            let old = field.old.get(name).cloned().unwrap_or(Value::Null);
            let path = field.path.then(&Step::Member(name.clone()));
            self.take(state, Field { path, old, new: new.clone() });
        }
    }
}

/// How a field lies to a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// It is what is meant, or a part of it.
    Within,
    /// What is meant is a part of it.
    Around,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            Err(format!(
                "select.fields: {text:?} {why}; examples are title, variants/*/price and \
                 variants/46201837584550/price"
            ))
        };
        let trimmed = text.trim().trim_matches('/');
        if trimmed.is_empty() {
            return wrong("names no field");
        }
        let mut tokens = Vec::new();
        let mut rest = trimmed.split('/').peekable();
        while let Some(token) = rest.next() {
            // A gid that was not escaped.
            if token == "gid:" {
                let parts: Vec<&str> = rest.by_ref().take(4).collect();
                let ["", "shopify", kind, id] = parts.as_slice() else {
                    return wrong("holds a gid that is not whole");
                };
                tokens.push(Token::Named(format!("gid://shopify/{kind}/{id}")));
                continue;
            }
            tokens.push(match token {
                "" => return wrong("has an empty step"),
                "*" => Token::Every,
                "{}" => Token::Order,
                token => {
                    let inner = token.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
                    let plain = inner.unwrap_or(token).replace("~2", "{");
                    Token::Named(plain.replace("~1", "/").replace("~0", "~"))
                }
            });
        }
        Ok(Self(tokens))
    }

    fn fit(&self, steps: &[Step]) -> Option<Fit> {
        let fits = self.0.iter().zip(steps).all(|(token, step)| token.fits(step));
        match (fits, self.0.len() <= steps.len()) {
            (false, _) => None,
            (true, true) => Some(Fit::Within),
            (true, false) => Some(Fit::Around),
        }
    }
}

impl Token {
    fn fits(&self, step: &Step) -> bool {
        match (self, step) {
            (Self::Every, Step::Element(_)) | (Self::Order, Step::Order) => true,
            (Self::Named(name), Step::Member(member)) => name == member,
            (Self::Named(name), Step::Element(known)) => {
                known == name
                    || known
                        .rsplit_once('/')
                        .is_some_and(|(rest, number)| rest.starts_with("gid:") && number == name)
            }
            _ => false,
        }
    }
}

/// A number or a gid, with the kind that its type says.
fn resource(text: &str) -> Result<(Option<Kind>, ResourceId), String> {
    let id = ResourceId::parse(text.trim()).map_err(|e| format!("select.ids: {text:?}: {e}"))?;
    let Some(of) = gid_type(text.trim()) else { return Ok((None, id)) };
    match ALL.iter().find(|spec| spec.is_of(of)) {
        Some(spec) => Ok((Some(Kind::of(spec)), id)),
        None => Err(format!(
            "select.ids: {text:?} is a {of}, which is no resource of its own; select what it belongs \
             to, and the part with fields, such as variants/{id}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selection(fields: &[&str]) -> Selection {
        let fields = fields.iter().map(|&f| f.to_owned()).collect();
        Selection::parse(&Select { fields, ..Select::default() }).expect("understood")
    }

    fn ids(ids: &[&str]) -> Result<Selection, String> {
        let ids = ids.iter().map(|&id| id.to_owned()).collect();
        Selection::parse(&Select { ids, ..Select::default() })
    }

    fn states() -> (Value, Value) {
        let variant = |n: u64, price: &str| json!({"id": format!("gid://shopify/ProductVariant/{n}"), "price": price, "sku": price});
        (
            json!({"title": "New", "seo": null, "variants": [variant(1, "9"), variant(2, "9")]}),
            json!({"title": "Old", "seo": {"title": "t", "text": "x"},
                   "variants": [variant(1, "1"), variant(2, "2"), variant(3, "3")]}),
        )
    }

    #[test]
    fn a_field_is_named_as_people_name_it() {
        let (now, want) = states();
        let expect = |changed: &[(&str, &str)]| {
            let mut state = now.clone();
            for (pointer, value) in changed {
                *state.pointer_mut(pointer).expect("there") = json!(value);
            }
            state
        };
        for (field, changed) in [
            ("title", vec![("/title", "Old")]),
            ("/variants/1/price", vec![("/variants/0/price", "1")]),
            ("variants/gid://shopify/ProductVariant/2/sku", vec![("/variants/1/sku", "2")]),
            ("/variants/gid:~1~1shopify~1ProductVariant~12/sku", vec![("/variants/1/sku", "2")]),
            ("variants/{gid:~1~1shopify~1ProductVariant~12}/sku", vec![("/variants/1/sku", "2")]),
            ("variants/*/price", vec![("/variants/0/price", "1"), ("/variants/1/price", "2")]),
            ("variants/3/price", vec![]),
            ("vendor", vec![]),
        ] {
            assert_eq!(
                selection(&[field]).narrowed(&now, want.clone()),
                expect(&changed),
                "{field}"
            );
        }
    }

    #[test]
    fn a_whole_part_comes_back_and_so_does_a_piece_of_a_missing_one() {
        let (now, want) = states();
        let third = selection(&["variants/3"]).narrowed(&now, want.clone());
        assert_eq!(third["variants"][2], want["variants"][2]);
        assert_eq!(third["variants"][0], now["variants"][0]);
        let all = selection(&["variants", "title", "seo"]).narrowed(&now, want.clone());
        assert_eq!(all, want);
        let seo = selection(&["seo/title"]).narrowed(&now, want);
        assert_eq!(seo["seo"], json!({"title": "t"}));
    }

    #[test]
    fn a_gid_says_its_kind_and_a_part_says_whose_it_is() {
        let product = Kind::parse("product").expect("kind");
        let id = ResourceId::parse("7").expect("id");
        let by_gid = ids(&["gid://shopify/Product/7"]).expect("understood");
        assert!(by_gid.has(&product, &id));
        assert!(!by_gid.has(&Kind::parse("page").expect("kind"), &id));
        let by_number = ids(&["7"]).expect("understood");
        assert!(by_number.has(&Kind::parse("page").expect("kind"), &id));
        let file = ids(&["gid://shopify/Video/7"]).expect("understood");
        assert!(file.has(&Kind::parse("file").expect("kind"), &id));
        let part = ids(&["gid://shopify/ProductVariant/7"]).expect_err("a part");
        assert!(part.contains("variants/7"), "{part}");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for field in ["", "/", "a//b", "variants/gid://shopify/x"] {
            let select = Select { fields: vec![field.into()], ..Select::default() };
            assert!(Selection::parse(&select).is_err(), "{field:?}");
        }
        let kinds = vec![Kind::parse("checkout").expect("kind")];
        let error = Selection::parse(&Select { kinds, ..Select::default() }).expect_err("unknown");
        assert!(error.contains("checkout") && error.contains("product"), "{error}");
    }
}
