//! What a resource is recognised by in a shop that it does not come from.

use backstock_proto::ResourceId;
use backstock_proto::kind::Spec;
use backstock_proto::resource::gid_type;
use serde_json::Value;

use crate::plan::natural_key;
use crate::write;

/// Kinds whose names stand elsewhere than in members of their own.
const ELSEWHERE: [(&str, &[&str]); 2] = [
    ("company_contact", &["/company/id", "/customer/id"]),
    // A sales channel is called what its catalog is called.
    ("publication", &["/catalog/title"]),
];

/// Kinds whose ids are composed of what they belong to.
const COMPOSED: [&str; 3] = ["inventory_level", "theme_file", "translation"];

/// Kinds of which nothing names a resource, so that what it is like has to do.
const LIKENESSES: [&str; 2] = ["file", "draft_order"];

/// Kinds of which two may have one name. Then what an import made of one of them is none of the others.
const SHARED: [&str; 4] = ["catalog", "company", "company_location", "discount"];

/// Where a resource says what it is a part of or belongs to: without that it cannot be there either.
const OWNERS: [(&str, &[&str]); 7] = [
    ("article", &["/blog/id"]),
    ("company_location", &["/company/id"]),
    ("company_contact", &["/company/id", "/customer/id"]),
    // It comes with its variant.
    ("inventory_item", &["/id"]),
    ("inventory_level", &["/item/id", "/location/id"]),
    ("theme_file", &["/theme/id"]),
    ("translation", &["/resource/id"]),
];

/// What names a resource, or what it is like; `None` where only its id names it.
pub(super) fn name(spec: &Spec, state: &Value) -> Option<Vec<String>> {
    if let Some(pointers) = of(&ELSEWHERE, spec) {
        return pointers.iter().map(|pointer| text(state, pointer)).collect();
    }
    match spec.name {
        // Of this there is one.
        "shop" => Some(Vec::new()),
        // Every shop has one, whatever it is called.
        "delivery_profile" if state["default"] == true => Some(Vec::new()),
        // One by code and an automatic one may have the same title.
        "discount" => {
            let of = text(state, "/type").unwrap_or_default();
            natural_key(spec, state).map(|key| std::iter::once(of).chain(key).collect())
        }
        // Every shop has an order #1001.
        "order" => None,
        _ if is_composed(spec) => None,
        "file" => write::file_likeness(state),
        "draft_order" => {
            let likeness = write::draft_likeness(state).to_string();
            Some(vec![blake3::hash(likeness.as_bytes()).to_hex().to_string()])
        }
        _ => natural_key(spec, state),
    }
}

/// The id that a resource has where its state is said in the ids of there, for a kind whose ids are
/// composed.
pub(super) fn composed(spec: &Spec, state: &Value) -> Option<ResourceId> {
    let text = |pointer: &str| state.pointer(pointer)?.as_str();
    let number = |pointer: &str| ResourceId::parse(text(pointer)?).ok();
    let id = match spec.name {
        "inventory_level" => format!("{}-{}", number("/item/id")?, number("/location/id")?),
        "theme_file" => format!("{}-{}", number("/theme/id")?, text("/filename")?),
        "translation" => {
            let owner = text("/resource/id")?;
            let (of, number) = (gid_type(owner)?, ResourceId::parse(owner).ok()?);
            format!("{of}-{number}-{}-{}", text("/locale")?, text("/key")?)
        }
        _ => return None,
    };
    ResourceId::parse(&id).ok()
}

/// Whether ids of a kind are composed, and so nothing refers to its resources.
pub(super) fn is_composed(spec: &Spec) -> bool {
    COMPOSED.contains(&spec.name)
}

/// Whether a resource is recognised by what it is like, which others may be like as well.
pub(super) fn is_likeness(spec: &Spec) -> bool {
    LIKENESSES.contains(&spec.name)
}

/// Whether others of the kind may have the same name.
pub(super) fn is_shared(spec: &Spec) -> bool {
    is_likeness(spec) || SHARED.contains(&spec.name)
}

/// Whether a resource of a kind is certainly another one where it is not recognised. No gift card is:
/// each is made anew by hand.
pub(super) fn is_certain(spec: &Spec) -> bool {
    let is_known = matches!(spec.name, "company_contact" | "gift_card");
    !spec.natural_key.is_empty() || is_composed(spec) || is_known
}

/// The gids of what a resource is a part of or belongs to, as far as its state tells them.
pub(super) fn owners<'a>(spec: &Spec, state: &'a Value) -> impl Iterator<Item = &'a str> {
    let pointers = of(&OWNERS, spec).unwrap_or_default();
    pointers.iter().filter_map(move |pointer| state.pointer(pointer)?.as_str())
}

fn of(table: &[(&str, &'static [&'static str])], spec: &Spec) -> Option<&'static [&'static str]> {
    table.iter().find(|(kind, _)| *kind == spec.name).map(|(_, pointers)| *pointers)
}

fn text(state: &Value, pointer: &str) -> Option<String> {
    state.pointer(pointer)?.as_str().map(str::to_owned)
}
