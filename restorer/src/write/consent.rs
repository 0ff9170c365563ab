//! Consent to marketing, which is the customer's own to give: nobody is ever subscribed here, and what
//! they agreed to since the time that a plan goes back to stays. A withdrawal is written.

use backstock_proto::merge::{Field, FieldPath};
use serde_json::{Value, json};

use super::{Around, WriteError, send};

const EMAIL: &str = include_str!("graphql/customer_email_consent.graphql");
const SMS: &str = include_str!("graphql/customer_sms_consent.graphql");

/// What tells of a consent, the address or number that it goes with, and the mutation that sets it.
const CONSENTS: [(&str, &str, &str); 2] =
    [("emailMarketingConsent", "email", EMAIL), ("smsMarketingConsent", "phone", SMS)];

/// How consent is withdrawn: Shopify does not take `NOT_SUBSCRIBED`.
const WITHDRAWN: &str = "UNSUBSCRIBED";

/// Why a part of it stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    let text = path.as_str();
    let is_how = text.ends_with("/marketingOptInLevel") || text.ends_with("/consentUpdatedAt");
    (is_of(path) && is_how).then_some("when and how consent was given cannot be written")
}

/// Why a difference stays: it would subscribe somebody.
pub(super) fn unwritable_to(path: &FieldPath, new: &Value) -> Option<&'static str> {
    (is_of(path) && is_given(state(new))).then_some(
        "nobody is subscribed to marketing on their behalf: ask the customer for consent again",
    )
}

/// Whether a field takes consent back.
pub(super) fn withdraws(field: &Field) -> bool {
    is_of(&field.path) && is_given(state(&field.old)) && *state(&field.new) != "SUBSCRIBED"
}

/// Why a field stays that a plan of a time would make what it was: consent would go with it, or with
/// the address or number that it was given for.
pub(super) fn given_since(field: &Field, now: &Value) -> Option<&'static str> {
    let goes_with = |(member, owner, _): &(&str, &str, &str)| {
        let is_owner = field.path.member() == *owner && field.new.is_null();
        is_owner && is_given(&now[*member]["marketingState"])
    };
    (withdraws(field) || CONSENTS.iter().any(goes_with)).then_some(
        "consent to marketing was given since, and stays; select the field itself to withdraw it",
    )
}

/// Says of an earlier state with the words of now what it means. Who has not agreed has not, whatever
/// Shopify calls it; who had not before they did is unsubscribed, which is all that can be written; and
/// when and how they agreed cannot.
pub(super) fn alike(now: &Value, then: &mut Value) {
    for (member, ..) in CONSENTS {
        let (Some(is), Some(was)) = (now.get(member), then.get_mut(member)) else { continue };
        let (told, meant) = (&is["marketingState"], was["marketingState"].clone());
        if !told.is_string() || !meant.is_string() {
            continue;
        }
        let meant = match (is_given(&meant), is_given(told)) {
            (true, _) => meant,
            (false, true) => WITHDRAWN.into(),
            (false, false) => told.clone(),
        };
        *was = is.clone();
        was["marketingState"] = meant;
    }
}

/// Leaves out of a wanted state what somebody agreed to who is there again.
pub(super) fn leave_given(there: &Value, want: &mut Value) {
    let Some(want) = want.as_object_mut() else { return };
    for (member, ..) in CONSENTS {
        if is_given(&there[member]["marketingState"]) {
            want.remove(member);
        }
    }
}

/// Writes withdrawals. `now` is `null` for somebody new. Whether anything was sent.
pub(super) async fn write(
    around: &dyn Around,
    id: &str,
    now: &Value,
    want: &Value,
) -> Result<bool, WriteError> {
    let mut sent = false;
    for (member, owner, document) in CONSENTS {
        let (was, wanted) = (&now[member]["marketingState"], &want[member]["marketingState"]);
        if is_given(wanted) && !is_given(was) {
            around.note(format!(
                "the customer had agreed to marketing by {owner}: nobody is subscribed on their \
                 behalf, ask them again"
            ));
        }
        let no_longer = is_given(was) && wanted.is_string() && !is_given(wanted);
        let withdrawn = no_longer || (*wanted == WITHDRAWN && wanted != was);
        if withdrawn && want[owner].is_string() {
            let consent = json!({"marketingState": WITHDRAWN});
            let input = json!({"customerId": id, member: consent});
            send::set(around, document, json!({"input": input})).await?;
            sent = true;
        }
    }
    Ok(sent)
}

fn is_of(path: &FieldPath) -> bool {
    CONSENTS.iter().any(|(member, ..)| *member == path.member())
}

/// The state in a field, which is that or the whole consent.
fn state(value: &Value) -> &Value {
    value.get("marketingState").unwrap_or(value)
}

fn is_given(state: &Value) -> bool {
    *state == "SUBSCRIBED" || *state == "PENDING"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(path: &str, old: Value, new: Value) -> Field {
        Field { path: FieldPath::parse(path).expect("a path"), old, new }
    }

    #[test]
    fn what_was_given_since_stays_and_so_does_the_number_that_it_is_for() {
        let state = "/smsMarketingConsent/marketingState";
        let now = json!({
            "phone": "+1", "smsMarketingConsent": {"marketingState": "SUBSCRIBED"}, "email": "a@b",
            "emailMarketingConsent": {"marketingState": "UNSUBSCRIBED"},
        });
        let stays = |path: &str, old: Value, new: Value| {
            given_since(&field(path, old, new), &now).is_some()
        };
        assert!(stays(state, json!("SUBSCRIBED"), json!("UNSUBSCRIBED")));
        assert!(stays(state, json!("SUBSCRIBED"), json!("PENDING")));
        assert!(stays("/smsMarketingConsent", now["smsMarketingConsent"].clone(), Value::Null));
        assert!(stays("/phone", json!("+1"), Value::Null));
        assert!(!stays("/phone", json!("+1"), json!("+2")));
        assert!(!stays("/email", json!("a@b"), Value::Null), "nobody agreed to that one");
        assert!(!stays(state, json!("PENDING"), json!("SUBSCRIBED")));
        assert!(!stays(state, json!("UNSUBSCRIBED"), json!("NOT_SUBSCRIBED")));
    }

    #[test]
    fn who_did_not_agree_did_not_whatever_it_is_called() {
        let of = |state: &str, at: Value| json!({"emailMarketingConsent": {"marketingState": state, "consentUpdatedAt": at}});
        for (is, was, meant) in [
            ("UNSUBSCRIBED", "NOT_SUBSCRIBED", "UNSUBSCRIBED"),
            ("NOT_SUBSCRIBED", "UNSUBSCRIBED", "NOT_SUBSCRIBED"),
            ("INVALID", "UNSUBSCRIBED", "INVALID"),
            ("SUBSCRIBED", "NOT_SUBSCRIBED", "UNSUBSCRIBED"),
            ("SUBSCRIBED", "SUBSCRIBED", "SUBSCRIBED"),
            ("UNSUBSCRIBED", "SUBSCRIBED", "SUBSCRIBED"),
        ] {
            let mut then = of(was, Value::Null);
            alike(&of(is, json!("2026-11-20T12:00:00Z")), &mut then);
            assert_eq!(then, of(meant, json!("2026-11-20T12:00:00Z")), "{is} of {was}");
        }
        let mut unknown = json!({"email": "a@b", "smsMarketingConsent": null});
        alike(&of("SUBSCRIBED", Value::Null), &mut unknown);
        assert_eq!(unknown, json!({"email": "a@b", "smsMarketingConsent": null}));
    }
}
