//! What a field was made, in few bytes: so that a write of ours is told from what somebody else does to
//! the same resource at the same time.

use backstock_proto::merge::{Field, Step};
use serde_json::Value;

/// Stands for any value in a member that holds a list or an object.
const ANY: &str = "\0any";
/// Stands for whatever was written in a member.
const SOME: &str = "\0some";

/// What a value is told from others by, within the member of the resource that it lies in. Lists and
/// objects are not told apart: of how much of them a change speaks differs.
pub(crate) fn made(member: &str, new: &Value) -> u32 {
    match new {
        Value::Array(_) | Value::Object(_) => digest(member, ANY),
        Value::String(text) => digest(member, text),
        other => digest(member, &other.to_string()),
    }
}

/// What some written fields were made.
pub(crate) fn all(fields: &[Field]) -> Vec<u32> {
    let of = |field: &Field| {
        let member = match field.path.steps().into_iter().next() {
            Some(Step::Member(name)) => name,
            _ => String::new(),
        };
        [made(&member, &field.new), digest(&member, SOME)]
    };
    let mut all: Vec<u32> = fields.iter().flat_map(of).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a change in a member can be what was written.
pub(crate) fn is_among(all: &[u32], member: &str, made: u32) -> bool {
    let has = |digest: u32| all.binary_search(&digest).is_ok();
    let any = digest(member, ANY);
    has(made) || has(any) || made == any && has(digest(member, SOME))
}

fn digest(member: &str, what: &str) -> u32 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(member.as_bytes()).update(&[0]).update(what.as_bytes());
    let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use backstock_proto::merge::FieldPath;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_was_not_written_is_somebody_elses() {
        let field = |path: &str, new: Value| Field {
            path: FieldPath::parse(path).expect("a path"),
            old: Value::Null,
            new,
        };
        let all = all(&[
            field("/variants/gid:~1~1shopify~1ProductVariant~17/price", json!("64.00")),
            field("/seo", json!({"title": "Mug"})),
        ]);
        let ours = |member: &str, new: Value| is_among(&all, member, made(member, &new));
        assert!(ours("variants", json!("64.00")), "the price that was written");
        assert!(!ours("variants", json!("6.40")), "another price");
        assert!(!ours("descriptionHtml", json!("64.00")), "a field that was not written");
        assert!(ours("variants", json!([])), "some of what was written");
        assert!(ours("seo", json!("Mug")), "a part of what was written");
    }
}
