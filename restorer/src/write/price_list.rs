//! Price lists with their fixed prices and rules of quantity. Both stand at variants, by whose gid they
//! are known.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::crud::unless_refused;
use super::step::{Step, ask, delete, is_unknown, list, patiently, send, text};
use super::{Around, WriteError, Written, look, publication};

const BY_NAME: &str = include_str!("graphql/price_lists_by_name.graphql");
const CREATE: &str = include_str!("graphql/price_list_create.graphql");
const UPDATE: &str = include_str!("graphql/price_list_update.graphql");
const DELETE: &str = include_str!("graphql/price_list_delete.graphql");
const ADD_PRICES: &str = include_str!("graphql/price_list_prices_add.graphql");
const DELETE_PRICES: &str = include_str!("graphql/price_list_prices_delete.graphql");
const ADD_RULES: &str = include_str!("graphql/quantity_rules_add.graphql");
const DELETE_RULES: &str = include_str!("graphql/quantity_rules_delete.graphql");

/// A list in an input has no more elements than this.
const INPUT_MAX: usize = 250;

/// Brings a price list from one state to another.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => delete(around, DELETE, text(now, "id")).await,
        (Some(now), Some(want)) => {
            let mut want = want.clone();
            drop_missing(around, now, &mut want).await?;
            match bring(around, now, &want).await? {
                true => Ok(Written::Updated { ids: BTreeMap::new() }),
                false => Ok(Written::Unchanged),
            }
        }
        (None, Some(want)) => {
            let mut want = want.clone();
            drop_missing(around, &json!({}), &mut want).await?;
            let gid = create(around, &want).await?;
            let mut made = want.clone();
            made["id"] = json!(gid);
            let steps = steps(&json!({"id": gid}), &made).into_iter();
            for step in steps.filter(|step| step.document != UPDATE) {
                let sent = patiently(around, step).await;
                unless_refused(around, "some of its prices and rules", sent)?;
            }
            let ids = [(text(&want, "id").to_owned(), gid.clone())].into();
            Ok(Written::Created { gid, ids })
        }
    }
}

/// What Shopify says of rules of quantity in a list that has no catalog, or one of a market.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/QuantityRuleUserErrorCode>
const NO_RULES: &str = "(CATALOG_CONTEXT_DOES_NOT_SUPPORT_QUANTITY_RULES)";

/// Sends what makes `now` become `want`; whether there was anything. Shopify deletes no price and no rule
/// twice (`VARIANT_NOT_FOUND`, `VARIANT_QUANTITY_RULE_DOES_NOT_EXIST`), which an earlier try may have
/// deleted or which went with its variant: what is left to do is then looked for once more.
async fn bring(around: &dyn Around, now: &Value, want: &Value) -> Result<bool, WriteError> {
    let first = steps(now, want);
    let any = !first.is_empty();
    let Err(error) = all(around, first.clone()).await else { return Ok(any) };
    if !is_gone(&error) {
        return Err(error);
    }
    let there = look::by_gid(around, "price_list", text(now, "id")).await?;
    let left = steps(&there, want);
    if left == first {
        return Err(error);
    }
    all(around, left).await.map(|()| any)
}

async fn all(around: &dyn Around, steps: Vec<Step>) -> Result<(), WriteError> {
    for step in steps {
        patiently(around, step).await.map_err(waiting)?;
    }
    Ok(())
}

/// Its catalog may come later, or become one of locations of companies again.
fn waiting(error: WriteError) -> WriteError {
    match &error {
        WriteError::Refused(why) if why.iter().any(|why| why.contains(NO_RULES)) => {
            WriteError::Missing(
                "Shopify takes rules of quantity only in the price list of a catalog of company \
                 locations: restore its catalog first, then it"
                    .into(),
            )
        }
        _ => error,
    }
}

/// Whether a refusal is for something that is not there to be deleted.
fn is_gone(error: &WriteError) -> bool {
    let codes = ["(VARIANT_NOT_FOUND)", "(VARIANT_QUANTITY_RULE_DOES_NOT_EXIST)"];
    let is = |why: &String| codes.iter().any(|code| why.contains(code));
    matches!(error, WriteError::Refused(why) if why.iter().any(is))
}

/// Leaves out a catalog and variants that are not there any more, and says so.
async fn drop_missing(
    around: &dyn Around,
    now: &Value,
    want: &mut Value,
) -> Result<(), WriteError> {
    let known = |member: &str| -> BTreeSet<String> {
        list(now, member).iter().map(|entry| text(entry, "id").to_owned()).collect()
    };
    let mut new: BTreeSet<String> = BTreeSet::new();
    for member in ["prices", "quantityRules"] {
        let known = known(member);
        let ids = list(want, member).iter().map(|entry| text(entry, "id").to_owned());
        new.extend(ids.filter(|id| !known.contains(id)));
    }
    let catalog = text(&want["catalog"], "id").to_owned();
    if !catalog.is_empty() && now["catalog"] != want["catalog"] {
        new.insert(catalog.clone());
    }
    let new: Vec<String> = new.into_iter().collect();
    let there: BTreeSet<String> = publication::there(around, &new).await?.into_iter().collect();
    let is_missing = |id: &str| new.iter().any(|new| new == id) && !there.contains(id);
    if is_missing(&catalog) {
        // The catalog names its list itself, once it is there again.
        want["catalog"] = Value::Null;
    }
    let mut missing = 0;
    for member in ["prices", "quantityRules"] {
        if let Some(entries) = want[member].as_array_mut() {
            let before = entries.len();
            entries.retain(|entry| !is_missing(text(entry, "id")));
            missing += before - entries.len();
        }
    }
    if missing > 0 {
        around.note(format!(
            "{missing} of its prices and rules are of variants that are not there any more: restore \
             their products first, then it"
        ));
    }
    Ok(())
}

/// The fields that differ, as an input has them.
fn changed(now: &Value, want: &Value) -> Map<String, Value> {
    let mut input = Map::new();
    for name in ["name", "currency"] {
        if let Some(value) = want.get(name).filter(|v| !v.is_null() && now.get(name) != Some(v)) {
            input.insert(name.into(), value.clone());
        }
    }
    if want["parent"].is_object() && want["parent"] != now["parent"] {
        let (adjustment, settings) = (&want["parent"]["adjustment"], &want["parent"]["settings"]);
        let mut parent = json!({
            "adjustment": {"type": adjustment["type"], "value": adjustment["value"]},
        });
        if settings.is_object() {
            parent["settings"] = json!({"compareAtMode": settings["compareAtMode"]});
        }
        input.insert("parent".into(), parent);
    }
    if let Some(catalog) = want["catalog"]["id"].as_str()
        && now["catalog"]["id"] != want["catalog"]["id"]
    {
        input.insert("catalogId".into(), catalog.into());
    }
    input
}

fn steps(now: &Value, want: &Value) -> Vec<Step> {
    let gid = &now["id"];
    let mut steps = Vec::new();
    let input = changed(now, want);
    if !input.is_empty() {
        steps.push(Step::setting(UPDATE, json!({"id": gid, "input": input})));
    }
    let price = |price: &Value| {
        let mut input = json!({"variantId": price["id"], "price": money(&price["price"])});
        if price["compareAtPrice"].is_object() {
            input["compareAtPrice"] = money(&price["compareAtPrice"]);
        }
        input
    };
    let (set, gone) = differing(now, want, "prices");
    for prices in set.chunks(INPUT_MAX) {
        let prices: Vec<Value> = prices.iter().map(|entry| price(entry)).collect();
        steps.push(Step::setting(ADD_PRICES, json!({"id": gid, "prices": prices})));
    }
    for ids in gone.chunks(INPUT_MAX) {
        steps.push(Step::setting(DELETE_PRICES, json!({"id": gid, "variantIds": ids})));
    }
    let (set, gone) = differing(now, want, "quantityRules");
    let rule = |rule: &&Value| {
        json!({
            "variantId": rule["id"], "minimum": rule["minimum"], "maximum": rule["maximum"],
            "increment": rule["increment"],
        })
    };
    for rules in set.chunks(INPUT_MAX) {
        let rules: Vec<Value> = rules.iter().map(rule).collect();
        steps.push(Step::setting(ADD_RULES, json!({"id": gid, "rules": rules})));
    }
    for ids in gone.chunks(INPUT_MAX) {
        steps.push(Step::setting(DELETE_RULES, json!({"id": gid, "variantIds": ids})));
    }
    steps
}

fn money(amount: &Value) -> Value {
    json!({"amount": amount["amount"], "currencyCode": amount["currencyCode"]})
}

/// What is new or other than now, and the variants of what is not wanted.
fn differing<'a>(
    now: &'a Value,
    want: &'a Value,
    member: &str,
) -> (Vec<&'a Value>, Vec<&'a Value>) {
    if !want[member].is_array() {
        return (Vec::new(), Vec::new());
    }
    let by_id = |state: &'a Value| -> BTreeMap<&'a str, &'a Value> {
        list(state, member).iter().map(|entry| (text(entry, "id"), entry)).collect()
    };
    let (is, should) = (by_id(now), by_id(want));
    let set = should.iter().filter(|(id, entry)| is.get(*id) != Some(entry)).map(|(_, e)| *e);
    let gone = is.iter().filter(|(id, _)| !should.contains_key(*id)).map(|(_, e)| &e["id"]);
    (set.collect(), gone.collect())
}

/// Makes the list, or finds that an earlier try has made it: no two have the same name.
async fn create(around: &dyn Around, want: &Value) -> Result<String, WriteError> {
    if let Some(gid) = named(around, want).await? {
        return Ok(gid);
    }
    let mut input = changed(&json!({}), want);
    // Shopify makes none without: an adjustment by nothing leaves prices as they are.
    input
        .entry("parent")
        .or_insert_with(|| json!({"adjustment": {"type": "PERCENTAGE_DECREASE", "value": 0.0}}));
    match send(around, Step::making(CREATE, json!({"input": input}))).await {
        Ok(payload) => Ok(text(&payload["priceList"], "id").to_owned()),
        Err(error) if is_unknown(&error) => named(around, want).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// The list of the name that an earlier try may have made. Any other one is somebody else's.
async fn named(around: &dyn Around, want: &Value) -> Result<Option<String>, WriteError> {
    let data = ask(around, BY_NAME, json!({})).await?;
    let found = list(&data["priceLists"], "nodes").iter().find(|l| l["name"] == want["name"]);
    let Some(found) = found else { return Ok(None) };
    let gid = text(found, "id");
    if found["currency"] == want["currency"] && around.may_be_ours(gid).await {
        return Ok(Some(gid.to_owned()));
    }
    Err(WriteError::Taken(format!(
        "another price list is called {:?} now: give that one another name, then try again",
        text(want, "name")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(id: &str, amount: &str) -> Value {
        json!({"id": id, "price": {"amount": amount, "currencyCode": "EUR"}, "compareAtPrice": null})
    }

    #[test]
    fn only_prices_that_differ_are_written() {
        let now = json!({"id": "l", "name": "EU", "prices": [price("a", "1.00"), price("b", "2.00"), price("x", "9.00")]});
        let want =
            json!({"id": "l", "name": "EU", "prices": [price("a", "1.00"), price("b", "3.00")]});
        let sent = steps(&now, &want);
        assert_eq!(
            sent,
            [
                Step::setting(
                    ADD_PRICES,
                    json!({"id": "l", "prices": [
                    {"variantId": "b", "price": {"amount": "3.00", "currencyCode": "EUR"}}]})
                ),
                Step::setting(DELETE_PRICES, json!({"id": "l", "variantIds": ["x"]})),
            ]
        );
        assert_eq!(steps(&now, &now), []);
        assert_eq!(steps(&now, &json!({"id": "l"})), []);
    }
}
