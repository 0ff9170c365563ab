//! What is to be done about a row, given what the shop has now. Knows neither clock nor network.

use backstock_proto::kind::Spec;
use backstock_proto::known;
use backstock_proto::merge::{self, Field, FieldPath, Step};
use serde_json::Value;

use super::gid;
use crate::write;

/// Longest value that a reason tells.
const SHOWN_MAX: usize = 60;

/// What is to be done about a resource that is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// Nothing: every field is as wanted.
    Nothing,
    /// This state is to be there.
    Make(Value),
    /// Nothing: it is neither as the plan expects nor as it wants it.
    Conflict(String),
}

/// What fields make of a state: each is as wanted, or as expected and then set. `told` is the state as
/// plans tell it, with the ids that things have now; `came` names what the plan makes anew, and `counts`
/// says whether a difference in a field is one to anybody.
pub(super) fn change(
    live: &Value,
    told: &Value,
    fields: &[Field],
    came: &impl Fn(&str) -> bool,
    counts: &impl Fn(&FieldPath) -> bool,
) -> Change {
    let mut want = live.clone();
    let is_known = |path: &FieldPath| merge::get(live, path).is_some_and(Value::is_string);
    let (bytes, fields): (Vec<&Field>, Vec<&Field>) =
        fields.iter().partition(|field| write::names_bytes(&field.path) && !is_known(&field.path));
    if let (Some(field), true) = (bytes.first(), fields.is_empty()) {
        return Change::Conflict(unknown(&field.path));
    }
    for field in fields {
        let joined = joined(told, field, came);
        let is_one_of = |values: [&Value; 2]| values.iter().any(|v| is(told, &field.path, v));
        if joined.is_none() && !is_one_of([&field.new, &field.old]) {
            let names_bytes = write::names_bytes(&field.path);
            let is_alike =
                |other: &Value| !names_bytes && self::is_alike(live, (&field.path, other), counts);
            if is_alike(&field.new) {
                continue;
            }
            if !is_alike(&field.old) {
                let found = value(told, &field.path);
                return Change::Conflict(format!(
                    "{} is {} now; the plan expects {}. Make a new plan to see what has changed",
                    field.path,
                    shown(&found),
                    shown(&field.old)
                ));
            }
        }
        let new = joined.unwrap_or_else(|| field.new.clone());
        if !is_there(&want, &field.path, &new) && !merge::set(&mut want, &field.path, new) {
            let why = format!("there is no place for {} any more. Make a new plan", field.path);
            return Change::Conflict(why);
        }
    }
    if want == *live {
        return Change::Nothing;
    }
    // Of what we keep the shop does not tell, and nobody knows it of these.
    for field in bytes {
        merge::set(&mut want, &field.path, field.new.clone());
    }
    Change::Make(want)
}

/// Why nothing is done where bytes are to take the place of others that nobody knows: those that are there
/// would stay, without a word.
pub(super) fn unknown_bytes(spec: &Spec, live: &Value, fields: &[Field]) -> Option<String> {
    let is_unknown =
        |path: &&FieldPath| write::replaces(spec, path) && known::is_unknown(path, live);
    fields.iter().map(|field| &field.path).find(is_unknown).map(unknown)
}

fn unknown(path: &FieldPath) -> String {
    format!("which bytes {path} names now is not known. Make a new plan")
}

/// Whether a field is as wanted, or as expected, but for what nobody chose: what came back within something
/// has dates and ids of its own.
fn is_alike(
    live: &Value,
    (field, other): (&FieldPath, &Value),
    counts: &impl Fn(&FieldPath) -> bool,
) -> bool {
    let whole = |path: FieldPath| FieldPath::parse(&format!("{field}{path}"));
    let differing = differing(value(live, field), other.clone());
    !differing.filter_map(whole).any(|path| counts(&path))
}

/// Where two states differ, as far as both tell it.
pub(super) fn differing(mut was: Value, mut is: Value) -> impl Iterator<Item = FieldPath> {
    known::align(&mut was, &mut is);
    merge::fields(&was, &is).into_iter().map(|field| field.path)
}

/// The list at a field with what came in its place again, where the field is about nothing else: what
/// others put into the list or took out of it meanwhile is theirs.
fn joined(told: &Value, field: &Field, came: &impl Fn(&str) -> bool) -> Option<Value> {
    let (Value::Array(old), Value::Array(new)) = (&field.old, &field.new) else { return None };
    let came_in = |link: &Value| link.as_str().is_some_and(came);
    let others = |list: &[Value]| -> Vec<Value> {
        list.iter().filter(|link| !came_in(link)).cloned().collect()
    };
    let is_order = field.path.steps().last() == Some(&Step::Order);
    if is_order || !new.iter().any(came_in) || others(old) != others(new) {
        return None;
    }
    let mut list = value(told, &field.path).as_array()?.clone();
    gid::put_back(&mut list, new, came);
    Some(list.into())
}

/// Whether a state tells enough to decide about some fields: each is there as wanted or as expected, or the
/// list is in which it would be. A member that is not there was not told.
pub(super) fn tells(live: &Value, fields: &[Field]) -> bool {
    fields.iter().filter(|field| !write::names_bytes(&field.path)).all(|field| {
        let has_place = match parent(&field.path) {
            Some(parent) => merge::get(live, &parent).is_some(),
            None => true,
        };
        let there = merge::get(live, &field.path).is_some();
        let member = live.get(field.path.member()).is_some();
        let matches = is(live, &field.path, &field.new) || is(live, &field.path, &field.old);
        let is_member = matches!(field.path.steps().last(), Some(Step::Member(_)));
        matches && (there || (!is_member && has_place && member))
    })
}

/// What stands at a path; `null` for nothing.
fn value(state: &Value, path: &FieldPath) -> Value {
    if path.steps().last() == Some(&Step::Order) {
        let order = parent(path).and_then(|list| merge::order(state, &list));
        return order.map_or(Value::Null, |known| known.into_iter().map(Value::String).collect());
    }
    merge::get(state, path).cloned().unwrap_or(Value::Null)
}

/// Whether a field has this value. An order has it if those elements that are there stand so.
fn is(state: &Value, path: &FieldPath, expected: &Value) -> bool {
    let found = value(state, path);
    match (path.steps().last(), &found, expected) {
        (Some(Step::Order), Value::Array(found), Value::Array(expected)) => {
            let common = |list: &[Value], other: &[Value]| -> Vec<Value> {
                list.iter().filter(|known| other.contains(known)).cloned().collect()
            };
            common(found, expected) == common(expected, found)
        }
        _ => found == *expected,
    }
}

/// Whether nothing is to be set: an order is always set, since elements may have been added before.
fn is_there(state: &Value, path: &FieldPath, wanted: &Value) -> bool {
    path.steps().last() != Some(&Step::Order) && value(state, path) == *wanted
}

/// The path to what a field is a part of; `None` for a member of the resource itself.
fn parent(path: &FieldPath) -> Option<FieldPath> {
    let steps = path.steps();
    let (_, before) = steps.split_last()?;
    if before.is_empty() {
        return None;
    }
    Some(before.iter().fold(FieldPath::root(), |path, step| path.then(step)))
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(path: &str, old: Value, new: Value) -> Field {
        Field { path: FieldPath::parse(path).expect("a path"), old, new }
    }

    fn change(live: &Value, fields: &[Field]) -> Change {
        super::change(live, live, fields, &|_| false, &|_| true)
    }

    #[test]
    fn a_field_is_set_from_what_is_expected_and_from_nothing_else() {
        let live = json!({"id": "p", "title": "Bad", "body": "kept"});
        let fields = [field("/title", json!("Bad"), json!("Good"))];
        let good = json!({"id": "p", "title": "Good", "body": "kept"});
        assert_eq!(change(&live, &fields), Change::Make(good.clone()));
        assert_eq!(change(&good, &fields), Change::Nothing);
        let other = json!({"id": "p", "title": "Better"});
        assert!(matches!(change(&other, &fields), Change::Conflict(why) if why.contains("Better")));
    }

    #[test]
    fn bytes_of_a_picture_come_along_with_it_and_are_no_difference_by_themselves() {
        let fields = [
            field("/image/blob", json!("bb"), json!("aa")),
            field("/image/url", json!("https://c/ad.png"), json!("https://c/bags.png")),
        ];
        let live =
            |file: &str| json!({"id": "c", "image": {"url": format!("https://c/{file}.png")}});
        let mut want = live("bags");
        want["image"]["blob"] = json!("aa");
        assert!(tells(&live("ad"), &fields));
        assert_eq!(change(&live("ad"), &fields), Change::Make(want));
        assert_eq!(change(&live("bags"), &fields), Change::Nothing);
    }

    #[test]
    fn bytes_that_are_known_are_a_field_like_any_other() {
        let fields = [
            field("/blob", json!("bb"), json!("aa")),
            field("/image/blob", json!("bb"), json!("aa")),
        ];
        let live = |blob: Option<&str>| match blob {
            Some(blob) => json!({"id": "f", "image": {"url": "https://c/a.png", "blob": blob}}),
            None => json!({"id": "f", "image": {"url": "https://c/a.png"}}),
        };
        let mut want = live(Some("aa"));
        want["blob"] = json!("aa");
        assert_eq!(change(&live(Some("bb")), &fields), Change::Make(want));
        assert_eq!(change(&live(Some("aa")), &fields), Change::Nothing);
        let conflict = |live: Value| matches!(change(&live, &fields), Change::Conflict(_));
        assert!(conflict(live(Some("cc"))), "somebody replaced it once more");
        assert!(conflict(live(None)), "nobody knows");
    }

    #[test]
    fn bytes_that_nobody_knows_keep_their_row_also_where_something_else_differs() {
        let fields = [
            field("/alt", json!("Ad"), json!("Mug")),
            field("/blob", json!("bb"), json!("aa")),
            field("/image/blob", json!("bb"), json!("aa")),
        ];
        let spec = backstock_proto::Kind::parse("file").expect("a kind").spec();
        let spec = spec.expect("it is understood");
        let mut live = json!({"id": "f", "alt": "Ad", "image": {"url": "https://c/a.png"}});
        assert!(unknown_bytes(spec, &live, &fields).is_some());
        assert_eq!(unknown_bytes(spec, &live, &fields[..1]), None);
        live["image"]["blob"] = json!("bb");
        assert_eq!(unknown_bytes(spec, &live, &fields), None);
    }

    #[test]
    fn what_was_half_done_is_completed() {
        let fields =
            [field("/a", json!(1), json!(2)), field("/list/{k}", json!(null), json!({"key": "k"}))];
        let live = json!({"id": "p", "a": 2, "list": [{"key": "j"}]});
        let want = json!({"id": "p", "a": 2, "list": [{"key": "j"}, {"key": "k"}]});
        assert_eq!(change(&live, &fields), Change::Make(want.clone()));
        assert_eq!(change(&want, &fields), Change::Nothing);
    }

    #[test]
    fn what_came_again_within_something_is_as_wanted() {
        let element = |a: u8, made: u8| json!({"key": "k", "a": a, "createdAt": made});
        let fields = [field("/list/{k}", json!(null), element(1, 1))];
        let chosen = |path: &FieldPath| !path.as_str().ends_with("/createdAt");
        let change = |a: u8| {
            let live = json!({"id": "p", "list": [element(a, 2)]});
            super::change(&live, &live, &fields, &|_| false, &chosen)
        };
        assert_eq!(change(1), Change::Nothing);
        assert!(matches!(change(2), Change::Conflict(_)), "somebody changed it since");
    }

    #[test]
    fn what_came_within_something_goes_again_unless_somebody_changed_it_since() {
        let element = |a: u8, made: u8| json!({"key": "k", "a": a, "createdAt": made});
        let fields = [field("/list/{k}", element(1, 1), json!(null))];
        let chosen = |path: &FieldPath| !path.as_str().ends_with("/createdAt");
        let change = |a: u8| {
            let live = json!({"id": "p", "list": [element(a, 2), {"key": "j"}]});
            super::change(&live, &live, &fields, &|_| false, &chosen)
        };
        assert_eq!(change(1), Change::Make(json!({"id": "p", "list": [{"key": "j"}]})));
        assert!(matches!(change(2), Change::Conflict(_)));
    }

    #[test]
    fn an_order_is_set_after_elements_were_added() {
        let fields = [
            field("/list/{a}", json!(null), json!({"key": "a"})),
            field("/list/{}", json!(["b", "c"]), json!(["a", "b", "c"])),
        ];
        let live = json!({"id": "p", "list": [{"key": "b"}, {"key": "c"}]});
        let want = json!({"id": "p", "list": [{"key": "a"}, {"key": "b"}, {"key": "c"}]});
        assert_eq!(change(&live, &fields), Change::Make(want));
    }

    #[test]
    fn what_points_to_the_id_of_before_is_as_expected() {
        let see = |gid: &str| json!({"id": "p", "see": gid, "title": "Mug"});
        let fields = [field("/see", json!("new"), json!("new"))];
        let change =
            |live: &Value, told: &Value| super::change(live, told, &fields, &|_| false, &|_| true);
        assert_eq!(change(&see("dead"), &see("new")), Change::Make(see("new")));
        assert_eq!(change(&see("new"), &see("new")), Change::Nothing);
        assert!(matches!(change(&see("other"), &see("other")), Change::Conflict(_)));
    }

    #[test]
    fn what_came_goes_into_its_lists_whatever_else_is_in_them() {
        let came = |gid: &str| gid == "new";
        let of = |list: &[&str]| json!({"id": "c", "productIds": list});
        let change = |old: &[&str], live: &[&str]| {
            let fields = [field("/productIds", json!(old), json!(["a", "new", "b"]))];
            super::change(&of(live), &of(live), &fields, &came, &|_| true)
        };
        let back = Change::Make(of(&["a", "new", "x"]));
        assert_eq!(change(&["a", "b"], &["a", "x"]), back);
        assert_eq!(change(&["a", "new", "b"], &["a", "x"]), back);
        assert_eq!(change(&["a", "b"], &["new", "x"]), Change::Nothing);
        assert!(
            matches!(change(&["a"], &["a", "x"]), Change::Conflict(_)),
            "more than that differs"
        );
    }

    #[test]
    fn a_part_that_was_not_read_tells_nothing() {
        let price = [field("/variants/{v}/price", json!("1"), json!("2"))];
        let core = json!({"id": "p", "variants": [{"id": "v", "price": "1"}]});
        assert!(tells(&core, &price));
        let added = [field("/publications/{x}", json!(null), json!({"id": "x"}))];
        assert!(!tells(&core, &added));
        assert!(tells(&json!({"id": "p", "publications": []}), &added));
        let gone = [field("/seo", json!({"title": "x"}), json!(null))];
        assert!(!tells(&core, &gone));
        let linked = [field("/options/{o}/linkedMetafield", json!(null), json!({"key": "color"}))];
        let option = |told: Value| json!({"id": "p", "options": [told]});
        assert!(!tells(&option(json!({"id": "o"})), &linked), "what it follows may be another one");
        assert!(tells(&option(json!({"id": "o", "linkedMetafield": null})), &linked));
    }
}
