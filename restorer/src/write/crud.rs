//! What many kinds have alike: one mutation makes a resource, one changes it, one deletes it, and
//! its metafields are written apart.

use std::collections::BTreeMap;

use backstock_proto::kind::{Kind, Spec};
use backstock_proto::{Facet, ResourceId};
use serde_json::{Map, Value, json};

use super::{Around, WriteError, Written, look, metafield, send, upload};

/// How one kind is written.
pub(super) struct Crud {
    /// The kind's name.
    pub(super) kind: &'static str,
    /// The type of the gids that its mutations take, where it is not the kind's.
    pub(super) gid_type: Option<&'static str>,
    /// How it is called in a sentence, such as `page`.
    pub(super) called: &'static str,
    /// The mutation that makes one.
    pub(super) create: &'static str,
    /// The mutation that changes one: `$id`, and what is changed.
    pub(super) update: &'static str,
    /// The mutation that deletes one: `$id`.
    pub(super) delete: &'static str,
    /// The member of the mutations' payloads that holds the resource.
    pub(super) result: &'static str,
    /// How it is found by its natural key.
    pub(super) find: Find,
    /// The variables that make one like this, without its metafields.
    pub(super) made: fn(want: &Value) -> Value,
    /// The variables besides `id` that make the first become the second; `None`: there is nothing to
    /// change but metafields.
    pub(super) changed: fn(now: &Value, want: &Value) -> Option<Value>,
    /// Old gid → new gid of what it owns, by what the mutation answered.
    pub(super) children: fn(want: &Value, answered: &Value) -> BTreeMap<String, String>,
}

/// How a resource is found by what names it in the shop beside its id.
pub(super) struct Find {
    /// The question; its answer has a list of nodes at `/found/nodes`, or one node at `/found`.
    pub(super) document: &'static str,
    /// Its variables; `None`: the state has nothing to find it by.
    pub(super) variables: fn(want: &Value) -> Option<Value>,
    /// Whether a node is what is wanted.
    pub(super) is: fn(node: &Value, want: &Value) -> bool,
    /// Whether the shop refuses a second one, so that making it again does no harm.
    pub(super) refuses_second: bool,
}

/// Most attempts to make one, when the answers are lost.
const ATTEMPTS: usize = 3;

impl Crud {
    /// Makes one resource what it should be.
    pub(super) async fn write(
        &self,
        around: &dyn Around,
        now: Option<&Value>,
        want: Option<&Value>,
    ) -> Result<Written, WriteError> {
        match (now, want) {
            (None, None) => Ok(Written::Unchanged),
            (Some(now), None) => self.delete(around, &id_of(now)?).await,
            (None, Some(want)) => self.create(around, want).await,
            (Some(now), Some(want)) => match self.update(around, now, want).await? {
                (true, ids) => Ok(Written::Updated { ids }),
                (false, _) => Ok(Written::Unchanged),
            },
        }
    }

    fn spec(&self) -> Result<&'static Spec, WriteError> {
        let spec = Kind::parse(self.kind).ok().and_then(|kind| kind.spec());
        spec.ok_or_else(|| WriteError::Unwritable(format!("{} is not a kind", self.kind)))
    }

    /// The gid that its mutations take.
    fn taken_gid(&self, gid: &str) -> Result<String, WriteError> {
        match self.gid_type {
            Some(gid_type) => of_type(gid_type, gid),
            None => Ok(gid.to_owned()),
        }
    }

    /// Whether anything was sent, and which of what it owns was made anew.
    async fn update(
        &self,
        around: &dyn Around,
        now: &Value,
        want: &Value,
    ) -> Result<(bool, BTreeMap<String, String>), WriteError> {
        let id = self.taken_gid(&id_of(now)?)?;
        let mut sent = false;
        let mut ids = BTreeMap::new();
        if let Some(mut variables) = (self.changed)(now, want) {
            if self.update.contains("$id") {
                variables["id"] = id.as_str().into();
            }
            upload::fill(around, &mut variables).await?;
            let answered = send::set(around, self.update, variables).await;
            let answered = answered.map_err(|error| self.explained(error, want))?;
            ids = (self.children)(want, &answered[self.result]);
            sent = true;
        }
        sent |= self.metafields(around, &id, &now["metafields"], want).await?;
        Ok((sent, ids))
    }

    /// Writes the metafields, where the kind has any and they are known.
    async fn metafields(
        &self,
        around: &dyn Around,
        owner: &str,
        now: &Value,
        want: &Value,
    ) -> Result<bool, WriteError> {
        let has = self.spec()?.facets.iter().any(|members| members.facet == Facet::Metafields);
        match want.get("metafields").filter(|_| has) {
            Some(want) => metafield::write(around, owner, now, want).await,
            None => Ok(false),
        }
    }

    /// Makes one, unless it was made already by a try whose answer was lost.
    async fn create(&self, around: &dyn Around, want: &Value) -> Result<Written, WriteError> {
        let mut refused = None;
        for attempt in 1..=ATTEMPTS {
            if let Some(written) = self.made_already(around, want).await? {
                return Ok(written);
            }
            if let Some(error) = refused {
                return Err(self.explained(error, want));
            }
            let what = format!("make the {} {}", self.called, name(want));
            let mut variables = (self.made)(want);
            upload::fill(around, &mut variables).await?;
            match send::once(around, self.create, variables, &what).await {
                Ok(answered) => return self.finish(around, want, &answered[self.result]).await,
                // Looked for once more: it may have appeared since.
                Err(error @ WriteError::Refused(_)) => refused = Some(error),
                Err(error) if send::is_unknown(&error) => {
                    if !self.find.refuses_second || attempt == ATTEMPTS {
                        return self.made_already(around, want).await?.ok_or(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| self.taken(want)))
    }

    /// What carries the natural key is the resource itself if an earlier try of this row may have made
    /// it, or if it is as wanted; then the rest is done to it. Otherwise it is somebody else's, who may
    /// have made it since the job began, and is left alone.
    async fn made_already(
        &self,
        around: &dyn Around,
        want: &Value,
    ) -> Result<Option<Written>, WriteError> {
        let Some(gid) = self.find(around, want).await? else { return Ok(None) };
        let id = ResourceId::parse(&gid)
            .map_err(|_| WriteError::Refused(vec![format!("{gid} is not an id")]))?;
        let Some(there) = look::state(around.admin(), self.spec()?, &id).await? else {
            return Ok(None);
        };
        let is_ours = look::is_since(around, &there)
            && (comes_along(want) || around.may_be_ours(&id_of(&there)?).await);
        if !is_ours && (self.changed)(&there, want).is_some() {
            return Err(self.taken(want));
        }
        let (_, ids) = self.update(around, &there, want).await?;
        Ok(Some(created(id_of(&there)?, want, ids)))
    }

    /// What is left once it is there.
    async fn finish(
        &self,
        around: &dyn Around,
        want: &Value,
        made: &Value,
    ) -> Result<Written, WriteError> {
        let gid = id_of(made)?;
        if !(self.find.is)(made, want) && (self.find.variables)(want).is_some() {
            // It goes by another name than it was given, and nobody has seen it yet.
            self.delete(around, &gid).await?;
            return Err(self.taken(want));
        }
        let written = self.metafields(around, &gid, &Value::Null, want).await;
        unless_refused(around, "some of its metafields", written)?;
        let ids = (self.children)(want, made);
        let gid = of_type(self.spec()?.gid_type, &gid)?;
        Ok(created(gid, want, ids))
    }

    /// Refuses what is wanted if something in the shop goes by its name, for what the shop would call
    /// otherwise then, without a word.
    pub(super) async fn unless_taken(
        &self,
        around: &dyn Around,
        want: &Value,
    ) -> Result<(), WriteError> {
        match self.find(around, want).await? {
            Some(_) => Err(self.taken(want)),
            None => Ok(()),
        }
    }

    async fn find(&self, around: &dyn Around, want: &Value) -> Result<Option<String>, WriteError> {
        let Some(variables) = (self.find.variables)(want) else { return Ok(None) };
        let data = send::ask(around, self.find.document, variables).await?;
        let found = match &data["found"]["nodes"] {
            Value::Array(nodes) => nodes.iter().find(|node| (self.find.is)(node, want)),
            _ => Some(&data["found"]).filter(|node| (self.find.is)(node, want)),
        };
        found.map(id_of).transpose()
    }

    async fn delete(&self, around: &dyn Around, gid: &str) -> Result<Written, WriteError> {
        let variables = json!({"id": self.taken_gid(gid)?});
        let Err(error) = send::set(around, self.delete, variables).await else {
            return Ok(Written::Deleted);
        };
        let id = ResourceId::parse(gid).ok();
        match (&error, id) {
            (WriteError::Refused(_), Some(id))
                if look::state(around.admin(), self.spec()?, &id).await?.is_none() =>
            {
                Ok(Written::Deleted)
            }
            _ => Err(error),
        }
    }

    /// A refusal in a merchant's words, where it is one that has some.
    fn explained(&self, error: WriteError, want: &Value) -> WriteError {
        if error.is_taken() { self.taken(want) } else { error }
    }

    fn taken(&self, want: &Value) -> WriteError {
        WriteError::Taken(format!(
            "another {} in the shop goes by {} already; rename or delete that one, then try again",
            self.called,
            name(want),
        ))
    }
}

/// Whether Shopify itself makes it with what refers to it: a definition of its own, or an entry of one.
fn comes_along(want: &Value) -> bool {
    want["type"].as_str().is_some_and(|of| of.starts_with("shopify--"))
}

/// Whether a refusal says that something else goes by the same name.
pub(super) fn is_taken(why: &str) -> bool {
    ["(TAKEN)", "already been taken", "already in use"].iter().any(|said| why.contains(said))
}

/// What is said of what was made: its gid, and what it was known by before.
pub(super) fn created(gid: String, want: &Value, mut ids: BTreeMap<String, String>) -> Written {
    if let Some(old) = want["id"].as_str().filter(|old| *old != gid) {
        ids.insert(old.into(), gid.clone());
    }
    Written::Created { gid, ids }
}

/// What a resource is called in a sentence: by what names it in the shop.
fn name(want: &Value) -> String {
    let shown = ["handle", "path", "filename", "name", "title"];
    let shown = shown.iter().find_map(|name| want[*name].as_str()).unwrap_or("this name");
    format!("“{shown}”")
}

/// What was made is there, and others need its new id: what the shop refuses of the rest is told, and
/// does not make the whole a failure. `None` for what was refused.
pub(super) fn unless_refused<T>(
    around: &dyn Around,
    of: &str,
    written: Result<T, WriteError>,
) -> Result<Option<T>, WriteError> {
    let why = match written {
        Err(WriteError::Refused(why)) => why.join("; "),
        Err(WriteError::Taken(why)) => why,
        other => return other.map(Some),
    };
    around.note(format!("{of} did not come back: {why}"));
    Ok(None)
}

/// The same number as a gid of another type.
fn of_type(gid_type: &str, gid: &str) -> Result<String, WriteError> {
    let id = ResourceId::parse(gid);
    let id = id.map_err(|_| WriteError::Refused(vec![format!("{gid} is not an id")]))?;
    Ok(format!("gid://shopify/{gid_type}/{id}"))
}

/// A resource's gid.
pub(super) fn id_of(state: &Value) -> Result<String, WriteError> {
    let id = state["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| WriteError::Refused(vec!["the resource has no id".into()]))
}

/// For a kind that owns nothing with an id.
pub(super) fn childless(_: &Value, _: &Value) -> BTreeMap<String, String> {
    BTreeMap::new()
}

/// The members of `want` among `names` that `now` has otherwise. A member that the wanted state does
/// not have is not known, and stays as it is; `null` and absent are the same in what is there.
pub(super) fn differing(now: &Value, want: &Value, names: &[&str]) -> Map<String, Value> {
    let differs = |name: &&&str| want.get(**name).is_some_and(|wanted| *wanted != now[**name]);
    names.iter().filter(differs).map(|name| ((*name).to_owned(), want[*name].clone())).collect()
}

/// The members of `want` among `names` that say something.
pub(super) fn present(want: &Value, names: &[&str]) -> Map<String, Value> {
    let says = |name: &&&str| !want[**name].is_null();
    names.iter().filter(says).map(|name| ((*name).to_owned(), want[*name].clone())).collect()
}

/// Texts that are none become empty ones, which is how they are cleared.
pub(super) fn cleared(fields: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        if let Some(value) = fields.get_mut(*name).filter(|value| value.is_null()) {
            *value = "".into();
        }
    }
}

/// A filter for one value of a field in Shopify's search syntax.
pub(super) fn filter(field: &str, value: &str) -> String {
    format!("{field}:'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}
