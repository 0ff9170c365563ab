//! Companies with their people and locations, draft orders, selling plans and delivery profiles that
//! were deleted are as they were, whatever refers to them.

use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::pulls::{SHOP, backfilled, between, ordered, reconciled, settled};
use crate::simulator::{Simulator, planned};

const KINDS: [&str; 6] = [
    "company",
    "company_contact",
    "company_location",
    "selling_plan_group",
    "delivery_profile",
    "draft_order",
];

/// A state without what is new in what comes back: ids, numbers, and when it was made.
fn told(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let new = ["createdAt", "updatedAt", "version", "summary"];
            let kept = members.iter().filter(|(name, _)| !new.contains(&name.as_str()));
            kept.map(|(name, value)| (name.clone(), told(value))).collect()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(told).collect();
            items.sort_by_key(Value::to_string);
            items.into()
        }
        Value::String(text) if text.starts_with("gid://") => {
            text.rsplit_once('/').map(|(of, _)| of).unwrap_or_default().into()
        }
        Value::String(text) if text.starts_with("#D") => "#D".into(),
        Value::String(text) if text.is_empty() => Value::Null,
        other => other.clone(),
    }
}

async fn truth(simulator: &Simulator, kind: &str) -> Vec<Value> {
    let mut states: Vec<Value> = simulator.truth(kind).await.iter().map(told).collect();
    states.sort_by_key(Value::to_string);
    states
}

async fn ids(simulator: &Simulator, kind: &str) -> Vec<String> {
    let id = |state: &Value| state["id"].as_str().map(str::to_owned);
    simulator.truth(kind).await.iter().filter_map(id).collect()
}

/// Another app deletes all of it that can be deleted.
async fn delete_all(simulator: &Simulator) {
    for (kind, mutation) in [
        ("draft_order", "draftOrderDelete(input: {id: \"ID\"}) { userErrors { message } }"),
        ("company", "companyDelete(id: \"ID\") { userErrors { message } }"),
        ("selling_plan_group", "sellingPlanGroupDelete(id: \"ID\") { userErrors { message } }"),
        ("delivery_profile", "deliveryProfileRemove(id: \"ID\") { userErrors { message } }"),
    ] {
        for id in ids(simulator, kind).await {
            simulator.ask(&format!("mutation {{ {} }}", mutation.replace("ID", &id))).await;
        }
    }
    assert_eq!(ids(simulator, "company_location").await, Vec::<String>::new());
    assert_eq!(ids(simulator, "delivery_profile").await.len(), 1, "the default one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wholesale_needs_comes_back_with_its_references() {
    let (port, access) = planned();
    let mut backstock = Backstock::pulling(&access);
    let more = ["--products", "12", "--rate", "0", "--plan", "plus", "--seed", "8"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    let location = ids(&simulator, "location").await.remove(0);
    let profile = format!(
        "mutation {{ deliveryProfileCreate(profile: {{ name: \"Heavy\", locationGroupsToCreate: [{{ \
         locations: [\"{location}\"], zonesToCreate: [{{ name: \"Home\", \
         countries: [{{ code: CA, includeAllProvinces: true }}], methodDefinitionsToCreate: [{{ \
         name: \"Lorry\", rateDefinition: {{ price: {{ amount: 40, currencyCode: USD }} }} }}] }}] }}] \
         }}) {{ userErrors {{ message }} }} }}"
    );
    simulator.ask(&profile).await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    let mut before = Vec::new();
    for kind in KINDS {
        before.push(truth(&simulator, kind).await);
    }
    let at = between().await;
    delete_all(&simulator).await;
    simulator.quiet().await;
    for kind in KINDS {
        ordered(&backstock, json!({"kinds": [kind], "confirm_deletions": true})).await;
        reconciled(&backstock, kind).await;
    }
    settled(&backstock).await;
    let asked = json!({"at": at, "select": {"kinds": KINDS}});
    let (status, plan) = backstock.post(&format!("{SHOP}/plans"), asked).await;
    assert_eq!(status, 201, "{plan}");
    let job = backstock.applied(SHOP, &plan).await;
    assert_eq!((&job["state"], &job["counts"]["failed"]), (&json!("done"), &json!(0)), "{job}");
    for (kind, before) in KINDS.iter().zip(&before) {
        assert_eq!(truth(&simulator, kind).await, *before, "{kind}");
    }
    // Everything refers to what is there now.
    let companies = ids(&simulator, "company").await;
    for state in simulator.truth("company_location").await {
        let company = state["company"]["id"].as_str().expect("a company");
        assert!(companies.iter().any(|id| id == company), "{state}");
    }
    let contacts = ids(&simulator, "company_contact").await;
    for state in simulator.truth("company").await {
        let contact = state["mainContact"]["id"].as_str().expect("a main contact");
        assert!(contacts.iter().any(|id| id == contact), "{state}");
    }
    assert_eq!(simulator.lines("not_simulated").await, vec![json!({})]);
    let writes = simulator.lines("write_log").await.len();
    let again = backstock.applied(SHOP, &plan).await;
    assert_eq!((&again["counts"]["created"], &again["counts"]["failed"]), (&json!(0), &json!(0)));
    assert_eq!(simulator.lines("write_log").await.len(), writes, "{again}");
}
