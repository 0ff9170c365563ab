//! Markets: name, state, currency, what prices include, whom they are for, and which of the shop's web
//! addresses lead to them.

use backstock_proto::merge::FieldPath;
use serde_json::{Map, Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written, publication};

const MARKET: Crud = Crud {
    kind: "market",
    gid_type: None,
    called: "market",
    create: include_str!("graphql/market_create.graphql"),
    update: include_str!("graphql/market_update.graphql"),
    delete: include_str!("graphql/market_delete.graphql"),
    result: "market",
    find: Find {
        // Markets cannot be searched by their handle, but there are few.
        document: include_str!("graphql/market_find.graphql"),
        variables: |want| want["handle"].is_string().then(|| json!({})),
        is: |node, want| node["handle"] == want["handle"],
        refuses_second: false,
    },
    made,
    changed,
    children: crud::childless,
};

const FIELDS: [&str; 3] = ["name", "handle", "status"];

/// What a market can be for: the condition, its list, the member that tells its elements apart, and
/// how they are named when they are added and when they are taken out.
const CONDITIONS: [(&str, &str, &str, &str, &str); 3] = [
    ("regionsCondition", "regions", "code", "regions", "regionIds"),
    ("locationsCondition", "locations", "id", "locationIds", "locationIds"),
    (
        "companyLocationsCondition",
        "companyLocations",
        "id",
        "companyLocationIds",
        "companyLocationIds",
    ),
];

/// Lists of what else a market refers to.
const REFERENCES: [&str; 3] = [
    "/webPresences",
    "/conditions/locationsCondition/locations",
    "/conditions/companyLocationsCondition/companyLocations",
];

/// Makes one market what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    if let (None, Some(want)) = (now, want) {
        if want.get("conditions").is_none() {
            return Err(WriteError::Unwritable(
                "which regions the market is for was not kept: make it again in Settings → Markets"
                    .into(),
            ));
        }
        let regions = list(&want["conditions"]["regionsCondition"], "regions");
        let parts: Vec<&str> = regions
            .filter(|region| region["code"].is_null())
            .filter_map(|region| region["name"].as_str())
            .collect();
        if !parts.is_empty() {
            around.note(format!(
                "parts of countries are added to a market by hand in Settings → Markets: {}",
                parts.join(", ")
            ));
        }
        let is_null = |(name, ..): &Condition| want["conditions"][*name].is_null();
        if want["type"] != "NONE" && CONDITIONS.iter().all(is_null) {
            return Err(WriteError::Unwritable(
                "which sales channels the market is for was not kept: make it again in Settings → Markets"
                    .into(),
            ));
        }
    }
    let Some(want) = want else { return MARKET.write(around, now, None).await };
    let want = present(around, now.unwrap_or(&Value::Null), want).await?;
    MARKET.write(around, now, Some(&want)).await
}

/// A wanted state without what it refers to and is not there any more: Shopify takes nothing of a market
/// that names such (`CUSTOMIZATIONS_NOT_FOUND`), and web addresses of its own go with a market.
async fn present(around: &dyn Around, now: &Value, want: &Value) -> Result<Value, WriteError> {
    let named = |market: &Value| -> Vec<String> {
        let lists = REFERENCES.iter().filter_map(|path| market.pointer(path)?.as_array());
        lists.flatten().filter_map(|entry| entry["id"].as_str().map(str::to_owned)).collect()
    };
    let known = named(now);
    let mut missing: Vec<String> =
        named(want).into_iter().filter(|id| !known.contains(id)).collect();
    let there = publication::there(around, &missing).await?;
    missing.retain(|id| !there.contains(id));
    let mut want = want.clone();
    if missing.is_empty() {
        return Ok(want);
    }
    for path in REFERENCES {
        if let Some(entries) = want.pointer_mut(path).and_then(Value::as_array_mut) {
            entries.retain(|entry| !missing.iter().any(|id| entry["id"] == **id));
        }
    }
    around.note(format!(
        "{} of the web addresses and locations that the market was for are not there any more: restore \
         the locations first, then it, and choose its web address in Settings → Markets",
        missing.len()
    ));
    Ok(want)
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "type" => Some("what sort of market it is follows from whom it is for"),
        "conditions" if path.as_str().ends_with("/applicationLevel") => {
            Some("whether a market is for all of a sort or for some is set in Settings → Markets")
        }
        "webPresences" if path.as_str().ends_with("/subfolderSuffix") => {
            Some("the subfolder of a market's web address is set in Settings → Markets")
        }
        _ => None,
    }
}

fn made(want: &Value) -> Value {
    let mut input = crud::present(want, &FIELDS);
    if want["currencySettings"].is_object() {
        input.insert("currencySettings".into(), currency(&want["currencySettings"]));
    }
    if want["priceInclusions"].is_object() {
        input.insert("priceInclusions".into(), inclusions(&want["priceInclusions"]));
    }
    let presences = ids(want);
    if !presences.is_empty() {
        input.insert("webPresences".into(), presences.into());
    }
    let mut conditions = Map::new();
    for condition in CONDITIONS {
        let wanted = &want["conditions"][condition.0];
        if wanted["applicationLevel"] == "ALL" {
            conditions.insert(condition.0.into(), json!({"applicationLevel": "ALL"}));
        } else if let Some(given) = added(&Value::Null, wanted, condition) {
            conditions.insert(condition.0.into(), given);
        }
    }
    input.insert("conditions".into(), conditions.into());
    json!({"input": input})
}

fn changed(now: &Value, want: &Value) -> Option<Value> {
    let mut input = crud::differing(now, want, &FIELDS);
    match crud::differing(now, want, &["currencySettings"]).get("currencySettings") {
        Some(Value::Null) => drop(input.insert("removeCurrencySettings".into(), true.into())),
        Some(settings) => drop(input.insert("currencySettings".into(), currency(settings))),
        None => {}
    }
    match crud::differing(now, want, &["priceInclusions"]).get("priceInclusions") {
        Some(Value::Null) => drop(input.insert("removePriceInclusions".into(), true.into())),
        Some(wanted) => drop(input.insert("priceInclusions".into(), inclusions(wanted))),
        None => {}
    }
    if want.get("webPresences").is_some() {
        let (was, wanted) = (ids(now), ids(want));
        let apart = |from: &[Value], other: &[Value]| -> Vec<Value> {
            from.iter().filter(|id| !other.contains(id)).cloned().collect()
        };
        for (name, list) in [
            ("webPresencesToAdd", apart(&wanted, &was)),
            ("webPresencesToDelete", apart(&was, &wanted)),
        ] {
            if !list.is_empty() {
                input.insert(name.into(), list.into());
            }
        }
    }
    if want["conditions"].is_object() && now["conditions"].is_object() {
        let (was, wanted) = (&now["conditions"], &want["conditions"]);
        let mut conditions = Map::new();
        let (mut to_add, mut to_delete) = (Map::new(), Map::new());
        for condition in CONDITIONS {
            let (was, wanted) = (&was[condition.0], &wanted[condition.0]);
            to_add.extend(added(was, wanted, condition).map(|given| (condition.0.into(), given)));
            to_delete
                .extend(taken_out(was, wanted, condition).map(|given| (condition.0.into(), given)));
        }
        for (name, changes) in [("conditionsToAdd", to_add), ("conditionsToDelete", to_delete)] {
            if !changes.is_empty() {
                conditions.insert(name.into(), changes.into());
            }
        }
        if !conditions.is_empty() {
            input.insert("conditions".into(), conditions.into());
        }
    }
    (!input.is_empty()).then(|| json!({"input": input}))
}

type Condition = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// What a condition gains.
fn added(now: &Value, want: &Value, (_, of, by, name, _): Condition) -> Option<Value> {
    let there = |wanted: &Value| list(now, of).any(|known| known[by] == wanted[by]);
    let gained = list(want, of).filter(|wanted| wanted[by].is_string() && !there(wanted));
    let given: Vec<Value> = gained
        .map(|wanted| match by {
            "code" => json!({"countryCode": wanted["code"]}),
            _ => wanted["id"].clone(),
        })
        .collect();
    (!given.is_empty()).then(|| json!({name: given}))
}

/// What a condition loses, by id.
fn taken_out(now: &Value, want: &Value, (_, of, by, _, name): Condition) -> Option<Value> {
    let wanted = |known: &Value| list(want, of).any(|wanted| wanted[by] == known[by]);
    let lost = list(now, of).filter(|known| known[by].is_string() && !wanted(known));
    let ids: Vec<Value> = lost.map(|known| known["id"].clone()).collect();
    (!ids.is_empty()).then(|| json!({name: ids}))
}

fn list<'a>(condition: &'a Value, of: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    condition[of].as_array().into_iter().flatten()
}

fn ids(market: &Value) -> Vec<Value> {
    list(market, "webPresences").map(|presence| presence["id"].clone()).collect()
}

fn currency(settings: &Value) -> Value {
    let mut input = crud::present(settings, &["localCurrencies", "roundingEnabled"]);
    if let Some(code) = settings["baseCurrency"]["currencyCode"].as_str() {
        input.insert("baseCurrency".into(), code.into());
    }
    input.into()
}

/// Whether prices include duties and taxes, as mutations take it.
fn inclusions(told: &Value) -> Value {
    let named = [
        ("inclusiveDutiesPricingStrategy", "dutiesPricingStrategy"),
        ("inclusiveTaxPricingStrategy", "taxPricingStrategy"),
    ];
    let said = named.into_iter().filter(|(from, _)| told[*from].is_string());
    said.map(|(from, to)| (to.to_owned(), told[from].clone())).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent() {
        let region = |id: &str, code: &str| json!({"id": id, "code": code, "name": code});
        let regions = |list: Value| json!({"regionsCondition": {"regions": list}});
        let now = json!({
            "name": "A", "currencySettings": null, "webPresences": [{"id": "1"}],
            "conditions": regions(json!([region("r1", "US"), region("r2", "CA")])),
        });
        let currency = json!({"baseCurrency": {"currencyCode": "CAD"}, "localCurrencies": true});
        let want = json!({
            "name": "A", "currencySettings": currency, "webPresences": [{"id": "2"}],
            "conditions": regions(json!([region("r3", "CA"), region("r4", "MX")])),
        });
        let sent = changed(&now, &want).expect("something differs");
        let expected = json!({"input": {
            "currencySettings": {"baseCurrency": "CAD", "localCurrencies": true},
            "webPresencesToAdd": ["2"], "webPresencesToDelete": ["1"],
            "conditions": {
                "conditionsToAdd": {"regionsCondition": {"regions": [{"countryCode": "MX"}]}},
                "conditionsToDelete": {"regionsCondition": {"regionIds": ["r1"]}},
            },
        }});
        assert_eq!(sent, expected);
        let back = changed(&want, &now).expect("something differs");
        assert_eq!(back["input"]["removeCurrencySettings"], true);
        assert_eq!(changed(&want, &want), None);
    }

    #[test]
    fn what_prices_include_is_written_and_taken_back() {
        let bare = json!({"name": "A", "priceInclusions": null});
        let mut inclusive = bare.clone();
        inclusive["priceInclusions"] = json!({
            "inclusiveDutiesPricingStrategy": "ADD_DUTIES_AT_CHECKOUT",
            "inclusiveTaxPricingStrategy": "INCLUDES_TAXES_IN_PRICE",
        });
        let said = json!({
            "dutiesPricingStrategy": "ADD_DUTIES_AT_CHECKOUT",
            "taxPricingStrategy": "INCLUDES_TAXES_IN_PRICE",
        });
        assert_eq!(changed(&bare, &inclusive), Some(json!({"input": {"priceInclusions": said}})));
        assert_eq!(
            changed(&inclusive, &bare),
            Some(json!({"input": {"removePriceInclusions": true}}))
        );
        assert_eq!(made(&inclusive)["input"]["priceInclusions"], said);
    }
}
