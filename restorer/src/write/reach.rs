//! How far a field can be written, and what writing takes: what plans say before anything is done.

use backstock_proto::kind::Spec;
use backstock_proto::known;
use backstock_proto::merge::{Field, FieldPath, Step};
use serde_json::Value;

use super::{
    blog, company, company_contact, company_location, consent, customer, delivery_profile,
    discount, draft_order, market, menu, metafield, metafield_definition, metaobject,
    metaobject_definition, policy, theme, theme_file,
};
use crate::plan::Action;

/// Why a field of a kind cannot be written; `None`: it can.
type Hook = fn(&FieldPath) -> Option<&'static str>;

/// What the kinds say of their own fields, by name. A kind that is not here can write all that
/// [`incidental`] does not leave out, but for metafields of other apps.
const HOOKS: &[(&str, Hook)] = &[
    ("product", super::product::unwritable),
    ("inventory_item", super::inventory_item::unwritable),
    ("inventory_level", super::inventory_level::unwritable),
    ("catalog", super::catalog::unwritable),
    ("file", super::file::unwritable),
    ("location", super::location::unwritable),
    ("blog", blog::unwritable),
    ("company", company::unwritable),
    ("company_contact", company_contact::unwritable),
    ("company_location", company_location::unwritable),
    ("customer", customer::unwritable),
    ("delivery_profile", delivery_profile::unwritable),
    ("discount", discount::unwritable),
    ("draft_order", draft_order::unwritable),
    ("market", market::unwritable),
    ("menu", menu::unwritable),
    ("metafield_definition", metafield_definition::unwritable),
    ("metaobject", metaobject::unwritable),
    ("metaobject_definition", metaobject_definition::unwritable),
    ("policy", policy::unwritable),
    ("shop", super::shop::unwritable),
    ("theme", theme::unwritable),
    ("theme_file", theme_file::unwritable),
];

/// Why a field cannot be given a value; `None`: it can.
type ValueHook = fn(&FieldPath, &Value) -> Option<&'static str>;

/// What the kinds say of values that their fields cannot be given.
const VALUE_HOOKS: &[(&str, ValueHook)] = &[
    ("customer", consent::unwritable_to),
    ("product", super::product::unwritable_to),
    ("theme", theme::unwritable_to),
];

/// Members that Shopify gives and nobody chooses, or that we keep for ourselves: a difference in one
/// of them alone is no difference to anybody.
const INCIDENTAL: &[&str] = &["createdAt", "updatedAt", "blob"];

/// What follows from other fields of a kind: the member of the resource, and the last member of the
/// path.
const FOLLOWS: &[(&str, &[(&str, &str)])] = &[
    (
        "product",
        &[
            ("publishedAt", "publishedAt"),
            ("media", "url"),
            ("variants", "id"),
            ("variants", "title"),
            ("category", "fullName"),
        ],
    ),
    ("location", &[("address", "country"), ("address", "province")]),
    ("company_location", &[("currency", "currency")]),
    ("blog", &[("tags", "tags")]),
    ("metaobject", &[("displayName", "displayName")]),
    ("metaobject_definition", &[("capabilities", "canCreateRedirects")]),
    ("file", &[("url", "url"), ("image", "url"), ("preview", "url")]),
    // The checksum alone tells that the bytes of a large file are others.
    ("theme_file", &[("size", "size"), ("body", "url")]),
];

/// Members that become others without an edit: they settle once Shopify is done, move with sales or with
/// others of the kind, or lose what is deleted elsewhere, and nothing tells of it.
const DRIFTING: &[(&str, &[&str])] = &[
    ("catalog", &["products"]),
    ("collection", &["productIds"]),
    ("company", &["mainContact"]),
    ("discount", &["customerGets", "customerBuys"]),
    ("inventory_level", &["available", "quantities"]),
    // One place up or down with each other one that is pinned or is no longer.
    ("metafield_definition", &["pinnedPosition"]),
    ("price_list", &["catalog"]),
    ("selling_plan_group", &["products", "productVariants"]),
    ("theme", &["processing"]),
];

/// Points that a mutation takes.
const MUTATION: f64 = 10.0;
/// Looking at a product before and after it is made, and at each of its variants: measured with 1,000
/// products of eleven variants each.
const PRODUCT_READ: f64 = 25.0;
const VARIANT_READ: f64 = 6.0;
/// An inventory item, and one that is stocked at a location: both come with their product, and mostly need no
/// look of their own.
const ITEM_READ: f64 = 1.0;
const LEVEL_READ: f64 = 1.5;

/// Why a field that differs cannot be written, and what to do by hand, in one sentence; `None` where
/// it can be written.
pub fn unwritable(spec: &Spec, path: &FieldPath) -> Option<&'static str> {
    metafield::unwritable(path).or_else(|| {
        let (_, hook) = HOOKS.iter().find(|(name, _)| *name == spec.name)?;
        hook(path)
    })
}

/// As [`unwritable`], for the value that a field is to have: some fields take one and not another.
pub fn unwritable_to(spec: &Spec, field: &Field) -> Option<&'static str> {
    unwritable(spec, &field.path).or_else(|| {
        let (_, hook) = VALUE_HOOKS.iter().find(|(name, _)| *name == spec.name)?;
        hook(&field.path, &field.new)
    })
}

/// Why a field stays in a plan of a time, although it can be written: what a person gave since is theirs
/// to take back.
pub fn given_since(spec: &Spec, field: &Field, now: &Value) -> Option<&'static str> {
    if spec.name == "customer" { consent::given_since(field, now) } else { None }
}

/// Whether a field takes back what nobody but the person can give again.
pub fn withdraws(spec: &Spec, field: &Field) -> bool {
    spec.name == "customer" && consent::withdraws(field)
}

/// Says of an earlier state, given the one of now, what it means with the words of now; `None` for a kind
/// that has one word for each thing.
pub fn alike(spec: &Spec) -> Option<fn(&Value, &mut Value)> {
    if spec.name == "customer" { Some(consent::alike) } else { None }
}

/// Whether a difference in a field of this state is nothing to write and nothing to tell.
pub fn incidental(spec: &Spec, path: &FieldPath, state: &Value) -> bool {
    // Which products a rule finds is for the rule to say.
    let by_rule = || state.get("ruleSet").is_some_and(|rule| !rule.is_null());
    if spec.name == "collection" && path.member() == "productIds" && by_rule() {
        return true;
    }
    if spec.name == "menu" && menu::follows(path, state) {
        return true;
    }
    if spec.name == "draft_order" && draft_order::follows(path, state) {
        return true;
    }
    if let Some(list) = path.as_str().strip_suffix("/{}") {
        return links(spec, list);
    }
    let steps = path.steps();
    let Some(Step::Member(name)) = steps.last() else { return false };
    let follows = FOLLOWS.iter().filter(|(kind, _)| *kind == spec.name);
    // An id deeper down may be a choice: a category, the blog of an article.
    let own_id = steps.len() == 1 && name == "id";
    own_id
        || INCIDENTAL.contains(&name.as_str())
        || follows.flat_map(|(_, pairs)| *pairs).any(|pair| *pair == (path.member(), name))
}

/// Whether a field names bytes that we keep. The shop does not know them by that.
pub(crate) fn names_bytes(path: &FieldPath) -> bool {
    matches!(path.steps().last(), Some(Step::Member(name)) if name == known::BYTES)
}

/// Whether the shop takes other bytes in the place of those that a field names: of files, and of the
/// pictures of products, which are files.
/// <https://shopify.dev/docs/api/admin-graphql/latest/mutations/fileUpdate>
pub(crate) fn replaces(spec: &Spec, path: &FieldPath) -> bool {
    names_bytes(path)
        && match spec.name {
            "file" => super::file::unwritable(path).is_none(),
            "product" => path.member() == "media",
            _ => false,
        }
}

/// Whether a field is what it is because of the bytes, and comes with them.
pub(crate) fn follows_from_bytes(spec: &Spec, path: &FieldPath) -> bool {
    spec.name == "file" && super::file::unwritable(path).is_some()
}

/// Whether a field is no difference by itself, and needed where others that differ are written: a picture
/// of before comes of its bytes of before.
pub(crate) fn comes_along(spec: &Spec, field: &Field, differing: &[FieldPath]) -> bool {
    let Some((around, _)) = field.path.as_str().rsplit_once('/') else { return false };
    let beside = |path: &FieldPath| {
        path.as_str().strip_prefix(around).is_some_and(|rest| rest.starts_with('/'))
    };
    names_bytes(&field.path) && differing.iter().any(beside) && unwritable_to(spec, field).is_none()
}

/// Whether the elements of a list only name what is elsewhere: it is a set, in the order of its ids, which
/// is another once something in it has come back.
pub fn links(spec: &Spec, list: &str) -> bool {
    spec.references.iter().any(|path| path.strip_suffix("/*/id") == Some(list))
}

/// Whether a field of what nobody edited may be another than history has heard of.
pub fn drifts(spec: &Spec, path: &FieldPath) -> bool {
    let member = path.member();
    // A file is worked through after it was made.
    spec.name == "file" && member != "alt"
        || DRIFTING.iter().any(|(kind, drift)| *kind == spec.name && drift.contains(&member))
}

/// Whether a kind is about amounts in stock, which move with every sale.
pub fn is_stock(spec: &Spec) -> bool {
    spec.name == "inventory_level"
}

/// Whether resources of a kind go with what they belong to, and cannot be deleted for themselves.
pub fn goes_with_its_owner(spec: &Spec) -> bool {
    spec.name == "inventory_item"
}

/// What a person can do about a resource that cannot be made anew.
pub fn by_hand(spec: &Spec, state: &Value) -> &'static str {
    // Channels have catalogs too, which are their apps'.
    let of_catalog = state["catalog"]["id"].as_str().is_some_and(|id| !id.contains("/AppCatalog/"));
    match spec.name {
        "publication" if of_catalog => {
            "this one was a catalog's own, and is made anew with it where its products are known"
        }
        "order" => "what it held is in history, and can be entered as a draft order",
        "gift_card" => "a new card can be issued with the balance that history shows",
        "shop" => "what its settings were is in history, and has to be entered by hand",
        "publication" => "it comes back when the app of its sales channel is installed again",
        _ => "what it held is in history, and has to be entered by hand",
    }
}

/// Points that it takes to make a resource anew, about. A product is looked for, made, and read again
/// with all its variants, whose new ids others need. What is counted of these is made with it, and looked
/// at.
pub fn cost_of_making(spec: &Spec, want: &Value) -> f64 {
    let variants = want["variants"].as_array().map_or(0, Vec::len) as f64;
    match spec.name {
        "product" => 3.0 * MUTATION + PRODUCT_READ + variants * VARIANT_READ,
        "collection" => 3.0 * MUTATION,
        "inventory_item" => ITEM_READ,
        "inventory_level" => LEVEL_READ,
        _ => MUTATION,
    }
}

/// Points of the cost budget that a change or a deletion takes, about: ten for each mutation, of which
/// the members of a resource that have mutations of their own each take one.
pub fn cost(action: Action, fields: &[Field]) -> f64 {
    let apart = |member: &str| {
        matches!(
            member,
            "variants" | "media" | "metafields" | "publications" | "productIds" | "translations"
        )
    };
    let mutations = match action {
        Action::Delete => 1.0,
        Action::Update => {
            let mut members: Vec<&str> = fields
                .iter()
                .map(|field| field.path.member())
                .map(|member| if apart(member) { member } else { "" })
                .collect();
            members.sort_unstable();
            members.dedup();
            members.len() as f64
        }
        Action::Create | Action::Keep | Action::Cannot => 0.0,
    };
    mutations * MUTATION
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstock_proto::Kind;
    use serde_json::json;

    fn spec(kind: &str) -> &'static Spec {
        Kind::parse(kind).expect("a kind").spec().expect("understood")
    }

    fn path(text: &str) -> FieldPath {
        FieldPath::parse(text).expect("a path")
    }

    #[test]
    fn what_shopify_gives_is_no_difference() {
        let product = spec("product");
        let state = json!({});
        for given in ["/id", "/createdAt", "/media/{1}/url", "/variants/{1}/inventoryItem/id"] {
            assert!(incidental(product, &path(given), &state), "{given}");
        }
        for chosen in
            ["/title", "/category/id", "/variants/{1}/price", "/variants/{1}", "/variants/{}", ""]
        {
            assert!(!incidental(product, &path(chosen), &state), "{chosen}");
        }
        assert!(!incidental(spec("menu"), &path("/items/{1}/url"), &state));
        assert!(!incidental(spec("collection"), &path("/image/url"), &state));
        let room = path("/capabilities/onlineStore/data/canCreateRedirects");
        assert!(incidental(spec("metaobject_definition"), &room, &state));
        let of_discount = |text: &str| incidental(spec("discount"), &path(text), &state);
        assert!(of_discount("/customerGets/items/products/{}"), "a set has no order");
        assert!(!of_discount("/customerGets/items/products/{1}"));
    }

    #[test]
    fn members_are_incidental_only_where_a_rule_finds_them() {
        let (collection, members) = (spec("collection"), path("/productIds"));
        assert!(incidental(collection, &members, &json!({"ruleSet": {"rules": []}})));
        assert!(!incidental(collection, &members, &json!({"ruleSet": null})));
    }

    #[test]
    fn nobody_is_subscribed_and_no_theme_unpublished() {
        let field = |text: &str, new: Value| Field { path: path(text), old: Value::Null, new };
        let why = |kind: &str, field: Field| unwritable_to(spec(kind), &field).is_some();
        let consent = "/emailMarketingConsent/marketingState";
        assert!(why("customer", field(consent, json!("SUBSCRIBED"))));
        assert!(!why("customer", field(consent, json!("UNSUBSCRIBED"))));
        assert!(why("customer", field("/state", json!("ENABLED"))));
        assert!(!why("customer", field("/note", json!("SUBSCRIBED"))));
        assert!(why("theme", field("/role", json!("UNPUBLISHED"))));
        assert!(!why("theme", field("/role", json!("MAIN"))));
    }

    #[test]
    fn of_a_shop_its_metafields_are_written_and_its_settings_told() {
        let why = |text: &str| unwritable(spec("shop"), &path(text));
        assert_eq!(why("/metafields/{custom,motto}/value"), None);
        assert!(why("/shopAddress/phone").is_some_and(|why| why.contains("by hand")));
        assert!(why("/metafields/{app--1--own,motto}").is_some());
    }

    #[test]
    fn metafields_of_another_app_are_told_of_whatever_has_them() {
        let why = |kind: &str, text: &str| unwritable(spec(kind), &path(text)).is_some();
        for kind in ["article", "collection", "company", "customer", "location", "page", "product"]
        {
            assert!(why(kind, "/metafields/{app--1--own.motto}/value"), "{kind}");
            assert!(!why(kind, "/metafields/{custom.app--motto}/value"), "{kind}");
        }
        assert!(why("product", "/variants/{v}/metafields/{app--1--own.motto}"));
    }

    #[test]
    fn each_mutation_costs_ten() {
        let field = |text: &str| Field { path: path(text), old: json!(1), new: json!(2) };
        let (product, update) = (spec("product"), Action::Update);
        let fields = [field("/title"), field("/vendor"), field("/variants/{1}/price")];
        assert_eq!(cost(update, &fields[..2]), 10.0);
        assert_eq!(cost(update, &fields), 20.0);
        assert_eq!(cost(Action::Keep, &fields), 0.0);
        let eleven = json!({"variants": vec![json!({}); 11]});
        assert_eq!(cost_of_making(product, &eleven), 121.0);
        assert_eq!(cost_of_making(spec("inventory_item"), &json!({})), 1.0, "it is made already");
    }
}
