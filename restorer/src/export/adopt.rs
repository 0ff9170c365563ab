//! Finding an export's resources in a shop: by their ids in the shop that they come from; in any other
//! by what names them (a handle, a path, a code), by what they belong to, or by what an import made of
//! them before.

use std::collections::HashMap;

use backstock_proto::kind::Spec;
use backstock_proto::{Kind, ResourceId, Shop};
use serde_json::Value;

use super::{Exported, name, part, strange};
use crate::gids::{Gids, Leads};
use crate::job::gid;
use crate::plan::gather::Anew;
use crate::write;

mod here;

use here::Here;

/// What there is in the shop now, and what of the export it stands for.
#[derive(Default)]
pub(crate) struct Adopted {
    /// Whether the export comes from this shop.
    own: bool,
    here: Here,
    /// Gids of the export → gids of this shop, as far as they differ.
    gids: Leads,
    /// Gids of the export of what the plan makes anew, and of its parts.
    coming: Gids,
    /// What stands for something in the export, and for what.
    claimed: HashMap<(Kind, ResourceId), ResourceId>,
    /// Ids in the export → ids here.
    found: HashMap<(Kind, ResourceId), ResourceId>,
}

/// Why something of an export cannot come into another shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stays {
    /// What it belongs to is not here, and does not come.
    Ownerless,
    /// It is a draft that became an order.
    Ordered,
    /// Only its id names it.
    Nameless,
}

impl Adopted {
    pub(crate) fn new(shop: &Shop, of: &Shop) -> Self {
        Self { own: shop == of, ..Self::default() }
    }

    /// Whether the export comes from another shop.
    pub(crate) fn is_of_another(&self) -> bool {
        !self.own
    }

    /// Takes note of a resource that is in the shop.
    pub(crate) fn there(&mut self, kind: &Kind, id: &ResourceId, state: &Value) {
        self.here.add(kind, id, state);
    }

    /// Finds what stands for a resource of the export. Owners have to be asked for before what
    /// belongs to them.
    pub(crate) fn find(&mut self, exported: &Exported, anew: &dyn Anew) -> Option<ResourceId> {
        let Exported { kind, id, gid, .. } = exported;
        let spec = kind.spec()?;
        let found = if self.own {
            let found = self.by_id(spec, exported, anew);
            found.or_else(|| self.by_name(spec, exported))
        } else if name::is_shared(spec) {
            let found = self.by_id(spec, exported, anew);
            found.or_else(|| self.by_likeness(spec, exported, anew))
        } else {
            let found = self.by_name(spec, exported);
            found.or_else(|| self.by_id(spec, exported, anew))
        }?;
        let former = self.claimed.insert((kind.clone(), found.clone()), id.clone());
        if let Some(former) = former.filter(|former| former != id) {
            // It is there itself, and only goes by the name of what is not.
            self.gids.remove(&kind.gid(&former).unwrap_or_default());
            self.found.remove(&(kind.clone(), former));
        }
        self.found.insert((kind.clone(), id.clone()), found.clone());
        if let (Some(gid), Some(here)) = (gid, self.here.gid(kind, &found))
            && *gid != here
            && !name::is_composed(spec)
        {
            self.gids.insert(gid, &here);
        }
        Some(found)
    }

    /// By its id, the one that it has since, or the one that it was given here: as a part of something
    /// that was found, or by an import before this one.
    fn by_id(
        &self,
        spec: &'static Spec,
        exported: &Exported,
        anew: &dyn Anew,
    ) -> Option<ResourceId> {
        let Exported { kind, id, gid, .. } = exported;
        let there = |id: &ResourceId| self.here.has(kind, id);
        if self.own && there(id) {
            return Some(id.clone());
        }
        let part = gid.as_ref().and_then(|gid| self.gids.get(gid));
        let part = part.and_then(|gid| ResourceId::parse(&gid).ok());
        let now = part.unwrap_or_else(|| anew.id_now(spec, id));
        // An id of another shop says nothing here.
        let may_be = self.own || now != *id && !self.is_claimed(kind, &now);
        Some(now).filter(|now| may_be && there(now))
    }

    fn by_name(&self, spec: &Spec, exported: &Exported) -> Option<ResourceId> {
        let Exported { kind, state, .. } = exported;
        let mut state = state.clone();
        self.rewrite(&mut state);
        self.here.named((kind, spec), &state).filter(|found| !self.is_claimed(kind, found))
    }

    fn by_likeness(
        &mut self,
        spec: &Spec,
        exported: &Exported,
        anew: &dyn Anew,
    ) -> Option<ResourceId> {
        let Exported { kind, gid, state, .. } = exported;
        let mut state = state.clone();
        self.rewrite(&mut state);
        let claimed = &self.claimed;
        let is_claimed = |id: &ResourceId| claimed.contains_key(&(kind.clone(), id.clone()));
        // What was made here of one thing is no other one, whatever it is like.
        let is_other = |here: &str| {
            let first = anew.first(here);
            first.is_some() && first != *gid
        };
        self.here.alike((kind, spec), &state, is_claimed, is_other)
    }

    /// Whether the parts of something that was found have to be found as well: others may name them.
    pub(crate) fn has_parts(&self, exported: &Exported) -> bool {
        !self.own && part::gids(&exported.state).next().is_some()
    }

    /// Finds the parts of something that was found: `now` is how that is here.
    pub(crate) fn find_parts(&mut self, exported: &Exported, now: &Value, anew: &dyn Anew) {
        let made = |gid: &str| {
            let mut now = Value::from(gid);
            anew.rewrite(&mut now);
            self.gids.get(gid).or_else(|| now.as_str().map(str::to_owned))
        };
        let matched = part::matched(&exported.state, now, &made);
        for (gid, here) in matched {
            if let (Some(title), Some(here)) =
                (write::menu_title_of(&gid), write::menu_title_of(&here))
            {
                self.gids.insert(&title, &here);
            }
            self.gids.insert(&gid, &here);
        }
    }

    /// Takes note that the plan makes a resource of the export anew.
    pub(crate) fn comes(&mut self, exported: &Exported) {
        if exported.kind.spec().is_some_and(|spec| !name::is_composed(spec)) {
            self.coming.extend(exported.gid.as_deref());
        }
        self.coming.extend(part::gids(&exported.state));
        self.coming.extend(write::menu_titles(&exported.state));
    }

    /// What was found for a resource of the export.
    pub(crate) fn found(&self, exported: &Exported) -> Option<ResourceId> {
        self.found.get(&(exported.kind.clone(), exported.id.clone())).cloned()
    }

    /// Whether something of the shop's stands for something in the export.
    pub(crate) fn is_claimed(&self, kind: &Kind, id: &ResourceId) -> bool {
        self.claimed.contains_key(&(kind.clone(), id.clone()))
    }

    /// Why a resource that was not found cannot come into this shop, if it cannot.
    pub(crate) fn stays(&self, spec: &Spec, exported: &Exported) -> Option<Stays> {
        let known = |gid: &str| self.gids.has(gid) || self.coming.contains(gid);
        let state = &exported.state;
        let is_part = spec.name == "inventory_item";
        if self.own {
            None
        } else if !name::owners(spec, state).all(known) {
            Some(Stays::Ownerless)
        } else if spec.name == "draft_order" && state["status"] == "COMPLETED" {
            Some(Stays::Ordered)
        } else if name::is_certain(spec) || name::is_likeness(spec) || is_part {
            None
        } else {
            Some(Stays::Nameless)
        }
    }

    /// Whether an export that holds some of a kind says of others of it that they are new here: not
    /// where they are only recognised by what they are like.
    pub(crate) fn tells_of(&self, spec: &Spec) -> bool {
        self.own || name::is_certain(spec)
    }

    /// An exported state in terms of this shop: with its ids, also of the parts that are recognised in
    /// `now`, and without what can only be said in the shop that it comes from. Beside it, how many
    /// references were left out since they lead to nothing here.
    pub(crate) fn translated(&self, kind: &Kind, exported: &Value, now: &Value) -> (Value, u64) {
        let mut state = exported.clone();
        self.rewrite(&mut state);
        let parts = part::matched(&state, now, &|_| None);
        gid::rewrite(&mut state, &|gid| parts.get(gid).cloned());
        if self.own {
            return (state, 0);
        }
        let leads = |gid: &str| self.gids.end_at(gid) || self.coming.contains(gid);
        let left = strange::leave_out(&mut state, now, &leads);
        strange::channels(&mut state, now, &leads);
        strange::sort(&mut state);
        strange::given(kind, &mut state, now);
        (state, left)
    }

    fn rewrite(&self, state: &mut Value) {
        gid::rewrite(state, &|gid| self.gids.get(gid));
    }
}

/// The id that something has whose id is composed of what it belongs to, where its state names that as it
/// is called here.
pub(crate) fn id_here(spec: &Spec, state: &Value) -> Option<ResourceId> {
    name::composed(spec, state)
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

    /// One thing that an import made of another.
    struct Once(&'static str, &'static str);

    impl Anew for Once {
        fn id_now(&self, _: &'static Spec, id: &ResourceId) -> ResourceId {
            let is_old = resource(self.0) == *id;
            if is_old { resource(self.1) } else { id.clone() }
        }
        fn ids_before(&self, _: &'static Spec, _: &ResourceId) -> Vec<ResourceId> {
            Vec::new()
        }
        fn first(&self, gid: &str) -> Option<String> {
            (gid == self.1).then(|| self.0.to_owned())
        }
        fn since(&self, _: &Gids) -> Vec<String> {
            Vec::new()
        }
        fn rewrite(&self, state: &mut Value) {
            gid::rewrite(state, &|gid| (gid == self.0).then(|| self.1.to_owned()));
        }
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
    fn what_took_the_name_of_something_gone_is_still_itself() {
        let mut adopted = Adopted::new(&shop("acme"), &shop("acme"));
        let called = |handle: &str| json!({"handle": handle});
        adopted.there(&kind("product"), &resource("2"), &called("mug"));
        let mug = exported("product", "1", called("mug"));
        let cup = exported("product", "2", called("cup"));
        assert_eq!(adopted.find(&mug, &Nothing), Some(resource("2")), "nothing else has its name");
        assert_eq!(adopted.find(&cup, &Nothing), Some(resource("2")));
        assert_eq!([adopted.found(&mug), adopted.found(&cup)], [None, Some(resource("2"))]);
        let see = json!({"see": "gid://shopify/Product/1"});
        assert_eq!(adopted.translated(&kind("page"), &see, &Value::Null), (see.clone(), 0));
    }

    #[test]
    fn the_default_profile_is_that_one_whatever_it_is_called_and_a_code_is_no_automatic_discount() {
        let profile = |name: &str, default: bool| json!({"name": name, "default": default});
        let sale = |of: &str| json!({"title": "Sale", "type": of});
        let mut adopted = Adopted::new(&shop("bolt"), &shop("acme"));
        for (of, id, state) in [
            ("delivery_profile", "8", profile("Heavy", false)),
            ("delivery_profile", "9", profile("General", true)),
            ("discount", "8", sale("DiscountAutomaticBasic")),
            ("discount", "9", sale("DiscountCodeBasic")),
        ] {
            adopted.there(&kind(of), &resource(id), &state);
        }
        let mut found = |of: &str, state: Value| adopted.find(&exported(of, "1", state), &Nothing);
        assert_eq!(found("delivery_profile", profile("Heavy", true)), Some(resource("9")));
        assert_eq!(found("discount", sale("DiscountCodeBasic")), Some(resource("9")));
    }

    #[test]
    fn lists_and_texts_point_to_what_is_here() {
        let mut adopted = Adopted::new(&shop("bolt"), &shop("acme"));
        let mug = |id: &str| json!({"id": format!("gid://shopify/Product/{id}"), "handle": "mug"});
        adopted.there(&kind("product"), &resource("9"), &mug("9"));
        adopted.find(&exported("product", "1", mug("1")), &Nothing);
        adopted.comes(&exported("product", "2", json!({"handle": "tote"})));
        let page = |mug: &str| {
            json!({"metafields": [
                {"value": format!("[\"gid://shopify/Product/{mug}\",\"gid://shopify/Product/2\"]")},
                {"value": format!("{{\"url\":\"gid://shopify/Product/{mug}\"}}")},
            ]})
        };
        let translated = adopted.translated(&kind("page"), &page("1"), &Value::Null);
        assert_eq!(translated, (page("9"), 0));
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
        assert_eq!(adopted.translated(&kind("product"), &theirs, &ours).0, expected);
    }

    fn mug(id: u8) -> Value {
        json!({"handle": "mug", "variants": [{
            "id": format!("gid://shopify/ProductVariant/{id}"), "sku": "A",
            "inventoryItem": {"id": format!("gid://shopify/InventoryItem/{id}")},
        }]})
    }

    fn of_item(id: u8, location: u8) -> Value {
        json!({"item": {"id": format!("gid://shopify/InventoryItem/{id}")},
               "location": {"id": format!("gid://shopify/Location/{location}")}})
    }

    fn title(of: &str) -> Value {
        json!({"resource": {"id": of}, "locale": "fr", "key": "title"})
    }

    #[test]
    fn what_belongs_to_something_is_known_by_that() {
        let mut adopted = Adopted::new(&shop("bolt"), &shop("acme"));
        let there = [
            ("location", "5", json!({"name": "Shop"})),
            ("product", "9", mug(9)),
            ("inventory_item", "9", json!({"sku": "A"})),
            ("inventory_level", "9-5", of_item(9, 5)),
            ("translation", "Product-9-fr-title", title("gid://shopify/Product/9")),
        ];
        for (of, id, state) in &there {
            adopted.there(&kind(of), &resource(id), state);
        }
        adopted.find(&exported("location", "2", json!({"name": "Shop"})), &Nothing);
        let product = exported("product", "1", mug(1));
        adopted.find(&product, &Nothing);
        assert!(adopted.has_parts(&product));
        adopted.find_parts(&product, &mug(9), &Nothing);
        let mut found = |of, id, state| adopted.find(&exported(of, id, state), &Nothing);
        let item = found("inventory_item", "1", json!({"id": "gid://shopify/InventoryItem/1"}));
        assert_eq!(item, Some(resource("9")));
        assert_eq!(found("inventory_level", "1-2", of_item(1, 2)), Some(resource("9-5")));
        let texts = title("gid://shopify/Product/1");
        let translation = found("translation", "Product-1-fr-title", texts);
        assert_eq!(translation, Some(resource("Product-9-fr-title")));
        assert_eq!(found("inventory_level", "1-3", of_item(1, 3)), None);
    }

    #[test]
    fn what_comes_with_something_stays_without_it() {
        let mut adopted = Adopted::new(&shop("bolt"), &shop("acme"));
        let item = exported("inventory_item", "1", json!({"id": "gid://shopify/InventoryItem/1"}));
        let texts = title("gid://shopify/Product/1");
        let translation = exported("translation", "Product-1-fr-title", texts);
        let draft = |status: &str| exported("draft_order", "1", json!({"status": status}));
        let stays = |adopted: &Adopted, it: &Exported| {
            adopted.stays(it.kind.spec().expect("understood"), it)
        };
        for it in [&item, &translation] {
            assert_eq!(stays(&adopted, it), Some(Stays::Ownerless));
        }
        let product = exported("product", "1", mug(1));
        adopted.comes(&product);
        for it in [&item, &translation, &draft("OPEN"), &product] {
            assert_eq!(stays(&adopted, it), None);
        }
        assert_eq!(stays(&adopted, &draft("COMPLETED")), Some(Stays::Ordered));
    }

    #[test]
    fn companies_of_one_name_are_told_apart_by_external_ids_and_by_what_an_import_made_of_them() {
        let company =
            |name: &str, external: Option<&str>| json!({"name": name, "externalId": external});
        let mut adopted = Adopted::new(&shop("bolt"), &shop("acme"));
        for (id, external) in [("7", Some("A")), ("8", Some("B")), ("9", None)] {
            adopted.there(&kind("company"), &resource(id), &company("Acme", external));
        }
        let anew = Once("gid://shopify/Company/4", "gid://shopify/Company/9");
        let mut found = |id: &str, name: &str, external: Option<&str>| {
            adopted.find(&exported("company", id, company(name, external)), &anew)
        };
        assert_eq!(found("1", "Acme Ltd", Some("B")), Some(resource("8")), "it was renamed");
        assert_eq!(found("2", "Acme", Some("C")), None, "it is another one");
        assert_eq!(found("3", "Acme", None), None, "what is here was made of another one");
        assert_eq!(found("4", "Acme", None), Some(resource("9")));
    }

    #[test]
    fn what_nothing_names_is_known_by_what_an_import_made_of_it_else_by_what_it_is_like() {
        let file = |id: &str, alt: &str| {
            json!({"id": format!("gid://shopify/MediaImage/{id}"), "alt": alt,
                   "image": {"url": "https://cdn/mug.png"}})
        };
        let mut adopted = Adopted::new(&shop("bolt"), &shop("acme"));
        for id in ["7", "8", "9"] {
            adopted.there(&kind("file"), &resource(id), &file(id, "Mug"));
        }
        let anew = Once("gid://shopify/MediaImage/2", "gid://shopify/MediaImage/8");
        let mut found = |id: &str| adopted.find(&exported("file", id, file(id, "Mug")), &anew);
        let found = ["1", "2", "3", "4"].map(&mut found);
        assert_eq!(found, ["7", "8", "9", ""].map(|id| ResourceId::parse(id).ok()));
        let other = exported("file", "5", file("5", "Cup"));
        assert_eq!(adopted.find(&other, &anew), None);
        assert!(!adopted.tells_of(kind("file").spec().expect("understood")));
    }
}
