//! What is gone: found by a whole look only, and by many at once only with a word.

use serde_json::json;

use super::{assert_known_as_it_is, known, truth};
use crate::pulls::{SHOP, known_shop, reconciled};

#[tokio::test]
async fn a_deletion_that_no_webhook_told_of_is_found_by_a_whole_look_only() {
    let more = ["--products", "30", "--rate", "0", "--plan", "plus", "--drop", "1"];
    let (backstock, simulator) = known_shop(&more).await;
    let gone: Vec<String> = truth(&simulator).await.into_keys().take(2).collect();
    for id in &gone {
        simulator.delete_product(id).await;
    }
    simulator.post("bulk", json!({"fail_next": "TIMEOUT"})).await;
    assert_eq!(reconciled(&backstock, "product").await["state"], "failed");
    assert_eq!(known(&backstock).await.len(), 30, "what failed took something for gone");
    let pull = reconciled(&backstock, "product").await;
    assert_eq!(pull["drift"], json!({"missed": 0, "changed": 0, "extra": 2}), "{pull}");
    assert_known_as_it_is(&backstock, &simulator).await;
    let number = gone[0].rsplit('/').next().expect("a number");
    let (status, last) = backstock.get(&format!("{SHOP}/resources/product/{number}")).await;
    assert_eq!((status, &last["deleted"]), (410, &json!(true)), "{last}");
    let versions = backstock.list(&format!("{SHOP}/resources/product/{number}/versions")).await;
    assert_eq!(versions[0]["source"], "reconcile");
    assert!(versions[0]["earliest_at"].is_string(), "{}", versions[0]);
}

#[tokio::test]
async fn many_deletions_at_once_wait_for_a_word() {
    let more = ["--products", "60", "--rate", "0", "--plan", "plus", "--drop", "1"];
    let (backstock, simulator) = known_shop(&more).await;
    for id in truth(&simulator).await.into_keys().take(25) {
        simulator.delete_product(&id).await;
    }
    let held = reconciled(&backstock, "product").await;
    assert_eq!(held["state"], "failed", "{held}");
    let reason = held["reason"].as_str().expect("a reason");
    assert!(reason.contains("25 of 60") && reason.contains("--confirm-deletions"), "{reason}");
    assert_eq!(known(&backstock).await.len(), 60);
    let done = backstock.client_verb(&["reconcile", "--kind", "product", "--confirm-deletions"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_known_as_it_is(&backstock, &simulator).await;
}

#[tokio::test]
async fn entries_go_with_their_definition_and_wait_for_no_word() {
    let more = ["--products", "5", "--rate", "0", "--plan", "plus", "--drop", "1"];
    let (backstock, simulator) = known_shop(&more).await;
    let define = "mutation { metaobjectDefinitionCreate(definition: {type: \"lamp\", \
                  displayNameKey: \"n\", fieldDefinitions: [{key: \"n\", \
                  type: \"single_line_text_field\"}]}) { metaobjectDefinition { id } } }";
    let defined = simulator.ask(define).await;
    let definition = &defined["metaobjectDefinitionCreate"]["metaobjectDefinition"]["id"];
    for n in 0..25 {
        let make = format!(
            "mutation {{ metaobjectCreate(metaobject: {{type: \"lamp\", fields: [{{key: \"n\", \
             value: \"Lamp {n}\"}}]}}) {{ metaobject {{ id }} }} }}"
        );
        simulator.ask(&make).await;
    }
    for kind in ["metaobject_definition", "metaobject"] {
        assert_eq!(reconciled(&backstock, kind).await["state"], "complete", "{kind}");
    }
    let delete =
        format!("mutation {{ metaobjectDefinitionDelete(id: {definition}) {{ deletedId }} }}");
    let deleted = simulator.ask(&delete).await;
    assert_eq!(deleted["metaobjectDefinitionDelete"]["deletedId"], *definition);
    for kind in ["metaobject_definition", "metaobject"] {
        let pull = reconciled(&backstock, kind).await;
        assert_eq!(pull["state"], "complete", "{pull}");
    }
    let entries = backstock.snapshot(SHOP, "metaobject", None).await;
    assert!(entries.iter().all(|entry| entry["state"]["type"] != "lamp"), "{entries:?}");
}
