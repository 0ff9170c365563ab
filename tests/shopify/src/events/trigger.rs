//! Triggers and the paths that they are compared with: `product.variants.price`,
//! `product.metafield(namespace: 'custom', key: 'x').value`, `product.variants.*`;
//! `product[id: 'gid://…'].variants[id: 'gid://…'].price`.

use std::fmt;

/// One step of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// What says which one of several it is.
    pub(crate) which: Vec<(String, String)>,
}

impl Step {
    pub(crate) fn field(name: &str) -> Self {
        Self { name: name.to_owned(), which: Vec::new() }
    }

    pub(crate) fn one(name: &str, which: &[(&str, &str)]) -> Self {
        let which = which.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Self { name: name.to_owned(), which: which.collect() }
    }
}

/// What changed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Path(pub(crate) Vec<Step>);

impl Path {
    pub(crate) fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { "." }, step.name)?;
            if !step.which.is_empty() {
                let which: Vec<String> =
                    step.which.iter().map(|(key, value)| format!("{key}: '{value}'")).collect();
                write!(f, "[{}]", which.join(", "))?;
            }
        }
        Ok(())
    }
}

/// What an app wants to be told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Trigger {
    steps: Vec<Step>,
    all_below: bool,
}

/// Fields that only one of can be asked for.
const PICKED: [&str; 2] = ["metafield", "field"];

impl Trigger {
    /// A trigger of a topic.
    pub(crate) fn parse(topic: &str, text: &str) -> Result<Self, String> {
        let mut steps = split(text)
            .into_iter()
            .map(step)
            .collect::<Option<Vec<Step>>>()
            .ok_or_else(|| format!("{text} is no trigger"))?;
        let all_below = steps.last().is_some_and(|last| last.name == "*");
        if all_below {
            steps.pop();
        }
        if steps.first().is_none_or(|first| first.name != root(topic)) {
            return Err(format!("{text} is not about {topic}"));
        }
        if topic == "Metaobject" && !steps[0].which.iter().any(|(key, _)| key == "type") {
            return Err(format!("{text} does not say which type of metaobject"));
        }
        if steps.len() == 1 && !all_below {
            return Err(format!("{text} names no field; all of them are {text}.*"));
        }
        Ok(Self { steps, all_below })
    }

    /// Whether a change of this path is one to be told of. What came or went as a whole fires
    /// what was asked for below it. (Inferred.)
    pub(crate) fn fires(&self, path: &Path) -> bool {
        // A metafield is only told of when it is named.
        let named = path.0.iter().zip(self.steps.iter().map(Some).chain(std::iter::repeat(None)));
        for (step, wanted) in named {
            match wanted {
                Some(wanted) if !names(wanted, step) => return false,
                None if !self.all_below || step.name == "metafield" => return false,
                _ => {}
            }
        }
        true
    }

    /// Whether this is about what begins the path.
    pub(crate) fn is_about(&self, path: &Path) -> bool {
        path.0.first().is_some_and(|step| names(&self.steps[0], step))
    }
}

fn names(wanted: &Step, step: &Step) -> bool {
    wanted.name == step.name && wanted.which.iter().all(|which| step.which.contains(which))
}

/// What a topic's own paths begin with.
pub(crate) fn root(topic: &str) -> String {
    let mut letters = topic.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// The steps of a trigger: split at dots outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(move |letter: char| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        letter == '.' && depth == 0
    })
    .collect()
}

fn step(text: &str) -> Option<Step> {
    let (name, which) = match text.split_once('(') {
        None => (text, ""),
        Some((name, rest)) => (name, rest.strip_suffix(')')?),
    };
    let plain =
        name == "*" || (!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()));
    let mut picked = Vec::new();
    for pair in which.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (key, value) = pair.split_once(':')?;
        picked.push((key.trim().to_owned(), value.trim().trim_matches(['\'', '"']).to_owned()));
    }
    let which_one = !PICKED.contains(&name) || !picked.is_empty();
    (plain && which_one).then(|| Step { name: name.to_owned(), which: picked })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(price: &str) -> Path {
        let id = [("id", "gid://shopify/Product/1")];
        let variant = [("id", "gid://shopify/ProductVariant/2")];
        Path(vec![Step::one("product", &id), Step::one("variants", &variant), Step::field(price)])
    }

    fn fires(trigger: &str, path: &Path) -> bool {
        Trigger::parse("Product", trigger).unwrap().fires(path)
    }

    #[test]
    fn triggers_fire_for_what_they_name() {
        assert!(fires("product.variants.price", &path("price")));
        assert!(!fires("product.variants.price", &path("sku")));
        assert!(fires("product.variants.*", &path("sku")));
        assert!(fires("product.*", &path("sku")));
        let added = Path(path("price").0[..2].to_vec());
        assert!(fires("product.variants.price", &added));
        assert!(!fires("product.title", &added));
    }

    #[test]
    fn a_metafield_must_be_named() {
        let which = [("namespace", "custom"), ("key", "x")];
        let path = Path(vec![
            Step::one("product", &[("id", "1")]),
            Step::one("metafield", &which),
            Step::field("value"),
        ]);
        assert!(fires("product.metafield(namespace: 'custom', key: 'x').value", &path));
        assert!(!fires("product.metafield(namespace: 'custom', key: 'y').value", &path));
        assert!(!fires("product.*", &path));
        assert_eq!(
            path.to_string(),
            "product[id: '1'].metafield[namespace: 'custom', key: 'x'].value"
        );
    }

    #[test]
    fn what_is_no_trigger_is_refused() {
        for (topic, text) in [
            ("Product", "product"),
            ("Product", "order.note"),
            ("Product", "product.metafield.value"),
            ("Product", "product..title"),
            ("Metaobject", "metaobject.handle"),
        ] {
            assert!(Trigger::parse(topic, text).is_err(), "{text}");
        }
        assert!(Trigger::parse("Metaobject", "metaobject(type: 'books').*").is_ok());
    }
}
