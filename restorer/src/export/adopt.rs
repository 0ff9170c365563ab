//! Finding an export's resources in a shop: by their ids in the shop that they come from, by what
//! names them (a handle, a path, a code) in any other.

use std::collections::{BTreeSet, HashMap, HashSet};

use backstock_proto::kind::Spec;
use backstock_proto::{Kind, ResourceId, Shop};
use serde_json::Value;

use super::Exported;
use crate::job::gid;
use crate::plan::gather::Anew;
use crate::plan::natural_key;

/// Members by which parts of resources are recognised in another shop, the first that both have.
const PART_KEYS: &[&[&str]] =
    &[&["sku"], &["namespace", "key"], &["selectedOptions"], &["name"], &["title"], &["alt"]];

/// What names a resource in a shop: its kind, and its natural key.
type Name = (Kind, Vec<String>);

/// What there is in the shop now, and what of the export it stands for.
#[derive(Default)]
pub(crate) struct Adopted {
    /// Whether the export comes from this shop.
    own: bool,
    ids: HashSet<(Kind, ResourceId)>,
    /// Gids of those that are of another type than most of their kind.
    typed: HashMap<(Kind, ResourceId), String>,
    names: HashMap<Name, ResourceId>,
    /// Gids of the export → gids of this shop, as far as they differ.
    gids: HashMap<String, String>,
    /// What stands for something in the export.
    claimed: HashSet<(Kind, ResourceId)>,
    /// Ids in the export → ids here.
    found: HashMap<(Kind, ResourceId), ResourceId>,
}

impl Adopted {
    pub(crate) fn new(shop: &Shop, of: &Shop) -> Self {
        Self { own: shop == of, ..Self::default() }
    }

    /// Takes note of a resource that is in the shop.
    pub(crate) fn there(&mut self, kind: &Kind, id: &ResourceId, state: &Value) {
        self.ids.insert((kind.clone(), id.clone()));
        if let Some(gid) = kind.gid_of(id, state).filter(|gid| kind.gid(id).as_ref() != Some(gid)) {
            self.typed.insert((kind.clone(), id.clone()), gid);
        }
        let Some(spec) = kind.spec() else { return };
        if let Some(name) = name(spec, kind, state) {
            self.names.entry(name).or_insert_with(|| id.clone());
        }
    }

    /// Finds what stands for a resource of the export. Owners have to be asked for before what
    /// belongs to them.
    pub(crate) fn find(&mut self, exported: &Exported, anew: &dyn Anew) -> Option<ResourceId> {
        let Exported { kind, id, gid, state } = exported;
        let spec = kind.spec()?;
        let found = self.by_id(spec, kind, id, anew).or_else(|| self.by_name(spec, kind, state))?;
        self.claimed.insert((kind.clone(), found.clone()));
        self.found.insert((kind.clone(), id.clone()), found.clone());
        let typed = self.typed.get(&(kind.clone(), found.clone())).cloned();
        if let (Some(gid), Some(here)) = (gid, typed.or_else(|| kind.gid(&found)))
            && *gid != here
        {
            self.gids.insert(gid.clone(), here);
        }
        Some(found)
    }

    fn by_id(
        &self,
        spec: &'static Spec,
        kind: &Kind,
        id: &ResourceId,
        anew: &dyn Anew,
    ) -> Option<ResourceId> {
        let there = |id: &ResourceId| self.own && self.ids.contains(&(kind.clone(), id.clone()));
        if there(id) {
            return Some(id.clone());
        }
        Some(anew.id_now(spec, id)).filter(there)
    }

    fn by_name(&self, spec: &'static Spec, kind: &Kind, state: &Value) -> Option<ResourceId> {
        let mut state = state.clone();
        self.rewrite(&mut state);
        let found = self.names.get(&name(spec, kind, &state)?)?;
        (!self.claimed.contains(&(kind.clone(), found.clone()))).then(|| found.clone())
    }

    /// What was found for a resource of the export.
    pub(crate) fn found(&self, exported: &Exported) -> Option<ResourceId> {
        self.found.get(&(exported.kind.clone(), exported.id.clone())).cloned()
    }

    /// Whether something of the shop's stands for something in the export.
    pub(crate) fn is_claimed(&self, kind: &Kind, id: &ResourceId) -> bool {
        self.claimed.contains(&(kind.clone(), id.clone()))
    }

    /// Whether a resource can come from an export into this shop: parts of others come with these.
    pub(crate) fn can_come(&self, spec: &Spec) -> bool {
        self.own || !spec.natural_key.is_empty()
    }

    /// An exported state in terms of this shop: with its ids, also of the parts that are recognised in
    /// `now`, and without what can only be said in the shop that it comes from.
    pub(crate) fn translated(&self, exported: &Value, now: &Value) -> Value {
        let mut state = exported.clone();
        if !self.own {
            leave_out_foreign(&mut state, &self.gids);
        }
        self.rewrite(&mut state);
        let parts = parts_of(&state, now);
        rewrite(&mut state, &parts);
        state
    }

    fn rewrite(&self, state: &mut Value) {
        rewrite(state, &self.gids);
    }
}

/// Gids of parts, matched between two states.
fn parts_of(exported: &Value, now: &Value) -> HashMap<String, String> {
    let mut gids = HashMap::new();
    let (Value::Object(exported), Value::Object(now)) = (exported, now) else { return gids };
    for (name, list) in exported {
        let ours = now.get(name).and_then(Value::as_array);
        if let (Some(theirs), Some(ours)) = (list.as_array(), ours) {
            parts(theirs, ours, &mut gids);
        }
    }
    gids
}

/// Matches the elements of two lists that have other ids and the same name.
fn parts(theirs: &[Value], ours: &[Value], gids: &mut HashMap<String, String>) {
    let mut free: BTreeSet<usize> = (0..ours.len()).collect();
    free.retain(|n| !theirs.iter().any(|part| id(part).is_some() && id(part) == id(&ours[*n])));
    let unmatched = theirs.iter().filter(|part| !ours.iter().any(|our| id(our) == id(part)));
    for part in unmatched {
        let same = |n: &&usize| PART_KEYS.iter().find_map(|key| same_by(key, part, &ours[**n]));
        let found = free.iter().find(|n| same(n) == Some(true)).copied();
        let Some(found) = found else { continue };
        free.remove(&found);
        if let (Some(old), Some(new)) = (id(part), id(&ours[found])) {
            gids.insert(old.into(), new.into());
        }
        // A variant's inventory item goes with it.
        let item = |part: &Value| part.pointer("/inventoryItem/id")?.as_str().map(str::to_owned);
        if let (Some(old), Some(new)) = (item(part), item(&ours[found])) {
            gids.insert(old, new);
        }
    }
}

/// Whether two parts have the same name; `None` where they have no such members.
fn same_by(key: &[&str], a: &Value, b: &Value) -> Option<bool> {
    let told = |part: &Value| {
        key.iter().all(|name| part.get(name).is_some_and(|v| !v.is_null() && *v != ""))
    };
    (told(a) && told(b)).then(|| key.iter().all(|name| a.get(name) == b.get(name)))
}

/// Sales channels of another shop that are not known here.
fn leave_out_foreign(state: &mut Value, gids: &HashMap<String, String>) {
    let Some(publications) = state.get_mut("publications").and_then(Value::as_array_mut) else {
        return;
    };
    publications.retain(|publication| {
        let gid = publication.get("publicationId").and_then(Value::as_str);
        gid.is_some_and(|gid| gids.contains_key(gid))
    });
}

fn name(spec: &Spec, kind: &Kind, state: &Value) -> Option<Name> {
    Some((kind.clone(), natural_key(spec, state)?))
}

fn id(part: &Value) -> Option<&str> {
    part.get("id")?.as_str()
}

fn rewrite(state: &mut Value, gids: &HashMap<String, String>) {
    gid::rewrite(state, &|gid| gids.get(gid).cloned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Nothing;

    impl Anew for Nothing {
        fn id_now(&self, _: &'static Spec, id: &ResourceId) -> ResourceId {
            id.clone()
        }
        fn ids_before(&self, _: &'static Spec, _: &ResourceId) -> Vec<ResourceId> {
            Vec::new()
        }
        fn first(&self, _: &str) -> Option<String> {
            None
        }
        fn since(&self, _: &crate::gids::Gids) -> Vec<String> {
            Vec::new()
        }
        fn rewrite(&self, _: &mut Value) {}
        fn rewrite_field(&self, _: &mut backstock_proto::merge::Field) {}
    }

    fn kind(name: &str) -> Kind {
        Kind::parse(name).expect("a kind")
    }

    fn resource(id: &str) -> ResourceId {
        ResourceId::parse(id).expect("an id")
    }

    fn exported(of: &str, id: &str, state: Value) -> Exported {
        let (kind, id) = (kind(of), resource(id));
        Exported { gid: kind.gid(&id), kind, id, state }
    }

    fn shop(name: &str) -> Shop {
        Shop::from_name(name).expect("a shop")
    }

    #[test]
    fn in_another_shop_things_are_known_by_their_names() {
        let mut adopted = Adopted::new(&shop("bolt"), &shop("acme"));
        let here = json!({"id": "gid://shopify/Blog/9", "handle": "news"});
        adopted.there(&kind("blog"), &resource("9"), &here);
        let article = |handle: &str, blog: &str| json!({"handle": handle, "blog": {"id": blog}});
        let there = article("hello", "gid://shopify/Blog/9");
        adopted.there(&kind("article"), &resource("90"), &there);
        let blog = exported("blog", "1", json!({"id": "gid://shopify/Blog/1", "handle": "News"}));
        assert_eq!(adopted.find(&blog, &Nothing), Some(resource("9")));
        let article = exported("article", "10", article("hello", "gid://shopify/Blog/1"));
        assert_eq!(adopted.find(&article, &Nothing), Some(resource("90")));
        let other = exported("article", "9", json!({"handle": "other"}));
        assert_eq!(adopted.find(&other, &Nothing), None, "an id of another shop says nothing");
        assert!(adopted.is_claimed(&kind("blog"), &resource("9")));
    }

    #[test]
    fn lists_and_texts_point_to_what_is_here() {
        let mut adopted = Adopted::new(&shop("bolt"), &shop("acme"));
        let mug = |id: &str| json!({"id": format!("gid://shopify/Product/{id}"), "handle": "mug"});
        adopted.there(&kind("product"), &resource("9"), &mug("9"));
        adopted.find(&exported("product", "1", mug("1")), &Nothing);
        let page = |mug: &str| {
            json!({"metafields": [
                {"value": format!("[\"gid://shopify/Product/{mug}\",\"gid://shopify/Product/2\"]")},
                {"value": format!("{{\"url\":\"gid://shopify/Product/{mug}\"}}")},
            ]})
        };
        assert_eq!(adopted.translated(&page("1"), &Value::Null), page("9"));
    }

    #[test]
    fn variants_are_recognised_by_their_sku() {
        let variant = |id: u8, sku: &str, price: &str| {
            json!({"id": format!("gid://shopify/ProductVariant/{id}"), "sku": sku, "price": price,
                   "inventoryItem": {"id": format!("gid://shopify/InventoryItem/{id}")}})
        };
        let theirs =
            json!({"handle": "mug", "variants": [variant(1, "A", "5"), variant(2, "B", "6")]});
        let ours =
            json!({"handle": "mug", "variants": [variant(8, "B", "9"), variant(7, "A", "9")]});
        let adopted = Adopted::new(&shop("bolt"), &shop("acme"));
        let expected =
            json!({"handle": "mug", "variants": [variant(7, "A", "5"), variant(8, "B", "6")]});
        assert_eq!(adopted.translated(&theirs, &ours), expected);
    }
}
