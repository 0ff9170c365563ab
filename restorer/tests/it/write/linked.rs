//! Options whose values stand for metaobjects are written back as such, or as plain ones where that
//! cannot be.

use crate::simulated::Simulated;
use backstock_proto::ResourceId;
use backstock_restorer::write::Written;
use serde_json::{Value, json};

/// A shop with a product of two designers, and what the product is.
struct Try {
    shop: Simulated,
    was: Value,
    /// The definition of the metafield that its option follows.
    definition: String,
}

impl Try {
    async fn new(seed: u64) -> Self {
        let shop = Simulated::start(seed, 6, false).await;
        let designers = shop.ids("Metaobject");
        let designers = designers.iter().map(|id| format!("gid://shopify/Metaobject/{id}"));
        let designers: Vec<String> = designers.take(2).collect();
        let of = shop.ids("MetaobjectDefinition").remove(0);
        let create = "mutation($d: MetafieldDefinitionInput!) { metafieldDefinitionCreate( \
                      definition: $d) { createdDefinition { id } userErrors { field message } } }";
        let validation = json!({
            "name": "metaobject_definition_id",
            "value": format!("gid://shopify/MetaobjectDefinition/{of}"),
        });
        let definition = json!({
            "name": "Designer", "namespace": "custom", "key": "designer", "ownerType": "PRODUCT",
            "type": "list.metaobject_reference", "validations": [validation],
        });
        let made = shop.sent(create, json!({"d": definition})).await;
        let definition = &made["metafieldDefinitionCreate"]["createdDefinition"]["id"];
        let definition = definition.as_str().expect("a definition").to_owned();
        let set = "mutation($p: ProductSetInput!) { productSet(input: $p, synchronous: true) \
                   { product { id } userErrors { field message } } }";
        let link = json!({"namespace": "custom", "key": "designer", "values": designers});
        let variant = |designer: &String| {
            let chosen = json!({"optionName": "Designer", "linkedMetafieldValue": designer});
            json!({"price": "20.00", "optionValues": [chosen]})
        };
        let variants: Vec<Value> = designers.iter().map(variant).collect();
        let product = json!({
            "title": "Poster", "variants": variants,
            "productOptions": [{"name": "Designer", "linkedMetafield": link}],
        });
        let made = shop.sent(set, json!({"p": product})).await;
        let gid = made["productSet"]["product"]["id"].as_str().expect("a product").to_owned();
        let was = shop.read("product", &id_of(&gid)).await.expect("it is there");
        shop.writes();
        Self { shop, was, definition }
    }

    async fn now(&self, gid: &str) -> Value {
        self.shop.read("product", &id_of(gid)).await.expect("it is there")
    }

    fn gid(&self) -> &str {
        self.was["id"].as_str().expect("an id")
    }

    /// The metaobject that the first value stands for.
    fn designer(&self) -> String {
        let value = &self.was["options"][0]["optionValues"][0]["linkedMetafieldValue"];
        value.as_str().expect("a metaobject").to_owned()
    }

    /// Deletes the product, then something else, and makes the product anew.
    async fn made_without(&self, gone: Option<&str>) -> Value {
        let deleted = self.shop.write("product", Some(&self.was), None).await.expect("it goes");
        assert_eq!(deleted, Written::Deleted);
        if let Some(gone) = gone {
            self.shop.simulator.shop().remove(gone.parse().expect("a gid"));
        }
        self.shop.writes();
        let made = self.shop.write("product", None, Some(&self.was)).await.expect("it comes back");
        let Written::Created { gid, .. } = made else { panic!("{made:?}") };
        self.shop.assert_simulated();
        self.now(&gid).await
    }

    fn mutations(&self) -> Vec<String> {
        self.shop.writes().into_iter().map(|write| write.mutation).collect()
    }

    fn notes(&self) -> Vec<String> {
        self.shop.notes.lock().expect("no panic").clone()
    }
}

fn id_of(gid: &str) -> ResourceId {
    ResourceId::parse(gid).expect("an id")
}

/// What an option is, whatever its id.
fn option(product: &Value) -> Value {
    let mut option = product["options"][0].clone();
    option.as_object_mut().expect("an option").remove("id");
    option
}

/// What was chosen for each variant.
fn chosen(product: &Value) -> Vec<&Value> {
    let variants = product["variants"].as_array().expect("variants");
    variants.iter().map(|variant| &variant["selectedOptions"]).collect()
}

#[tokio::test]
async fn a_deleted_product_comes_back_with_its_options_linked() {
    let shop = Try::new(21).await;
    let metafield = json!({"namespace": "custom", "key": "designer"});
    assert_eq!(shop.was["options"][0]["linkedMetafield"], metafield);
    let is = shop.made_without(None).await;
    assert_eq!(option(&is), option(&shop.was));
    assert_eq!(chosen(&is), chosen(&shop.was));
    assert_eq!(is["metafields"], shop.was["metafields"], "it lists what the values stand for");
    let mutations = shop.mutations();
    assert!(!mutations.iter().any(|name| name == "metafieldsSet"), "{mutations:?}");
    assert_eq!(shop.notes(), [""; 0]);
}

#[tokio::test]
async fn an_option_that_was_parted_from_its_metafield_follows_it_again() {
    let shop = Try::new(22).await;
    shop.shop.simulator.shop().update(shop.gid().parse().expect("a gid"), |state| {
        let option = &mut state["options"][0];
        option["linkedMetafield"] = Value::Null;
        for value in option["optionValues"].as_array_mut().expect("values") {
            value["linkedMetafieldValue"] = Value::Null;
        }
    });
    let now = shop.now(shop.gid()).await;
    assert_eq!(now["options"][0]["linkedMetafield"], Value::Null);
    let written =
        shop.shop.write("product", Some(&now), Some(&shop.was)).await.expect("it is done");
    assert!(matches!(written, Written::Updated { .. }), "{written:?}");
    assert_eq!(shop.mutations(), ["productOptionUpdate"]);
    assert_eq!(shop.now(shop.gid()).await["options"], shop.was["options"]);
    shop.shop.assert_simulated();
}

#[tokio::test]
async fn a_value_stands_for_the_metaobject_that_was_made_anew() {
    let shop = Try::new(23).await;
    let old = shop.designer();
    let designer = shop.shop.read("metaobject", &id_of(&old)).await.expect("it is there");
    shop.shop.write("metaobject", Some(&designer), None).await.expect("it goes");
    let made = shop.shop.write("metaobject", None, Some(&designer)).await.expect("it comes back");
    let Written::Created { gid: new, .. } = made else { panic!("{made:?}") };
    let want = shop.was.to_string().replace(&old, &new);
    let want: Value = serde_json::from_str(&want).expect("JSON");
    let now = shop.now(shop.gid()).await;
    shop.shop.writes();
    shop.shop.write("product", Some(&now), Some(&want)).await.expect("it is done");
    assert_eq!(shop.mutations(), ["productOptionUpdate"]);
    let is = shop.now(shop.gid()).await;
    assert_eq!(is["options"], want["options"]);
    assert_eq!(is["metafields"], want["metafields"]);
    shop.shop.assert_simulated();
}

#[tokio::test]
async fn without_its_metaobject_or_definition_an_option_comes_back_plain_and_it_is_said() {
    for (seed, code) in [
        (24, "INVALID_METAFIELD_VALUE_FOR_LINKED_OPTION"),
        (25, "LINKED_METAFIELD_DEFINITION_NOT_FOUND"),
    ] {
        let shop = Try::new(seed).await;
        let gone = if seed == 24 { shop.designer() } else { shop.definition.clone() };
        let is = shop.made_without(Some(gone.as_str())).await;
        assert_eq!(is["options"][0]["linkedMetafield"], Value::Null);
        assert_eq!(is["options"][0]["values"], shop.was["options"][0]["values"]);
        assert_eq!(chosen(&is), chosen(&shop.was));
        let notes = shop.notes();
        let said = notes.iter().filter(|note| note.contains("stand for no metaobjects"));
        let said: Vec<&String> = said.collect();
        assert_eq!(said.len(), 1, "{notes:?}");
        assert!(said[0].contains(code) && said[0].contains("custom.designer"), "{said:?}");
    }
}
