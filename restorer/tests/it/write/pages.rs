//! What is written to the shop for content, customers and all that is not goods: what is deleted
//! comes back, a changed field is put right by one mutation, what is right is left alone, and a lost
//! answer makes no second one.

mod customers;
mod discounts;
mod furnished;

use crate::simulated::{Simulated, spec};
use backstock_proto::{ResourceId, Timestamp};
use backstock_restorer::write::{WriteError, Written};
use serde_json::{Value, json};
use shopify::change::Deed;
use shopify::fault::Fault;

use furnished::{furnished, ids, states};

/// A kind, and the members of it that a recreation cannot bring back.
struct Case {
    kind: &'static str,
    lost: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case { kind: "metaobject_definition", lost: &[] },
    Case { kind: "metaobject", lost: &[] },
    Case { kind: "page", lost: &[] },
    Case { kind: "article", lost: &[] },
    Case { kind: "redirect", lost: &[] },
    Case { kind: "menu", lost: &["isDefault"] },
    Case { kind: "segment", lost: &[] },
    Case { kind: "market", lost: &[] },
    Case { kind: "metafield_definition", lost: &[] },
    Case { kind: "discount", lost: &[] },
    Case { kind: "script_tag", lost: &[] },
    Case { kind: "customer", lost: &["emailMarketingConsent", "smsMarketingConsent"] },
    Case { kind: "blog", lost: &["tags"] },
];

/// A state without ids, and without what cannot come back.
fn comparable(state: &Value, lost: &[&str]) -> Value {
    fn bare(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let kept = members.iter().filter(|(name, _)| *name != "id" && *name != "createdAt");
                kept.map(|(name, value)| (name.clone(), bare(value)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }
            Value::Array(items) => items.iter().map(bare).collect(),
            other => other.clone(),
        }
    }
    let mut state = bare(state);
    let object = state.as_object_mut().expect("an object");
    // An article goes back into its blog, which has an id of its own.
    lost.iter().for_each(|member| drop(object.remove(*member)));
    state
}

fn id_of(written: &Written) -> ResourceId {
    let Written::Created { gid, .. } = written else { panic!("{written:?}") };
    ResourceId::parse(gid).expect("an id")
}

#[tokio::test]
async fn what_is_deleted_comes_back_as_it_was() {
    let shop = furnished(1).await;
    for Case { kind, lost } in CASES {
        for (id, was) in states(&shop, kind).await {
            let has_orders = shop.buyers().contains(&id.to_string());
            // The market that every shop has does not go.
            if was["isDefault"] == true || was["handle"] == "us" || *kind == "blog" || has_orders {
                continue;
            }
            // What goes with a definition is written for itself.
            let entries = match *kind {
                "metaobject_definition" => states(&shop, "metaobject").await,
                _ => Vec::new(),
            };
            let deleted = shop.write(kind, Some(&was), None).await;
            assert_eq!(deleted.expect("it goes"), Written::Deleted, "{kind}");
            assert_eq!(shop.read(kind, &id).await, None, "{kind}");
            let written = shop.write(kind, None, Some(&was)).await;
            let written = written.unwrap_or_else(|error| panic!("{kind} {was}: {error}"));
            let Written::Created { gid, ids } = &written else { panic!("{written:?}") };
            assert_eq!(ids.get(was["id"].as_str().expect("an id")), Some(gid), "{kind}");
            let is = shop.read(kind, &id_of(&written)).await.expect("it is there");
            assert_eq!(comparable(&is, lost), comparable(&was, lost), "{kind}");
            shop.writes();
            let again = shop.write(kind, Some(&is), Some(&is)).await;
            assert_eq!(again.expect("an answer"), Written::Unchanged, "{kind}");
            assert_eq!(shop.writes().len(), 0, "{kind}");
            for (_, entry) in entries.iter().filter(|(_, entry)| entry["type"] == was["type"]) {
                shop.write("metaobject", None, Some(entry)).await.expect("it comes back");
            }
        }
    }
    shop.assert_simulated();
}

#[tokio::test]
async fn a_blog_comes_back_with_its_articles() {
    let shop = furnished(2).await;
    let (id, was) = states(&shop, "blog").await.remove(0);
    let articles = states(&shop, "article").await;
    shop.write("blog", Some(&was), None).await.expect("it goes");
    assert_eq!(shop.ids("Article"), []);
    let written = shop.write("blog", None, Some(&was)).await.expect("it comes back");
    let is = shop.read("blog", &id_of(&written)).await.expect("it is there");
    assert_eq!(comparable(&is, &["tags"]), comparable(&was, &["tags"]));
    for (_, article) in articles {
        let mut wanted = article.clone();
        wanted["blog"] = json!({"id": is["id"]});
        let written = shop.write("article", None, Some(&wanted)).await.expect("it comes back");
        let there = shop.read("article", &id_of(&written)).await.expect("it is there");
        assert_eq!(there["blog"]["id"], is["id"]);
        assert_eq!(comparable(&there, &[]), comparable(&article, &[]));
    }
    assert_ne!(ResourceId::parse(is["id"].as_str().expect("an id")).expect("an id"), id);
    shop.assert_simulated();
}

/// Fields of each kind, and what somebody might make of them.
fn edits(kind: &str) -> Vec<(&'static str, Value)> {
    match kind {
        "page" => vec![
            ("title", json!("Hacked")),
            ("body", json!("<p>Sold out</p>")),
            ("body", Value::Null),
            ("handle", json!("elsewhere")),
            ("templateSuffix", json!("wide")),
            ("metafields", json!([])),
        ],
        "blog" => vec![
            ("title", json!("News")),
            ("handle", json!("news")),
            ("commentPolicy", json!("MODERATED")),
            ("metafields", json!([])),
        ],
        "article" => vec![
            ("title", json!("Gone")),
            ("summary", json!("Short")),
            ("summary", Value::Null),
            ("tags", json!(["a", "b"])),
            ("author", json!({"name": "Nobody"})),
            ("handle", json!("elsewhere")),
            ("image", Value::Null),
            ("image", json!({"url": "https://cdn.example/b.jpg", "altText": null})),
        ],
        "redirect" => vec![("path", json!("/elsewhere")), ("target", json!("/404"))],
        "menu" => vec![
            ("title", json!("Menu")),
            ("items", json!([])),
            (
                "items",
                json!([{"title": "Only", "type": "HTTP", "url": "/x", "items": [], "tags": [],
                              "resourceId": null}]),
            ),
        ],
        "market" => vec![
            ("name", json!("Elsewhere")),
            ("handle", json!("elsewhere")),
            ("status", json!("DRAFT")),
            (
                "currencySettings",
                json!({"baseCurrency": {"currencyCode": "CHF"},
                                        "localCurrencies": true, "roundingEnabled": false}),
            ),
            (
                "priceInclusions",
                json!({"inclusiveDutiesPricingStrategy": "INCLUDE_DUTIES_IN_PRICE",
                       "inclusiveTaxPricingStrategy": "INCLUDES_TAXES_IN_PRICE"}),
            ),
        ],
        "metafield_definition" => vec![
            ("name", json!("Other")),
            ("description", json!("Changed")),
            ("pinnedPosition", Value::Null),
            ("validations", json!([{"name": "max", "value": "20"}])),
        ],
        "discount" => vec![
            ("title", json!("Everything free")),
            ("endsAt", json!("2030-01-01T00:00:00Z")),
            ("context", json!({"customers": []})),
            ("minimumRequirement", json!({"greaterThanOrEqualToQuantity": "9"})),
            (
                "combinesWith",
                json!({"orderDiscounts": true, "productDiscounts": true,
                                    "shippingDiscounts": true}),
            ),
        ],
        "script_tag" => vec![
            ("src", json!("https://elsewhere.example/a.js")),
            ("displayScope", json!("ALL")),
            ("cache", json!(true)),
        ],
        "segment" => vec![("name", json!("None")), ("query", json!("number_of_orders > 3"))],
        "metaobject" => vec![("handle", json!("elsewhere"))],
        "metaobject_definition" => vec![
            ("name", json!("Other")),
            ("description", json!("Changed")),
            (
                "access",
                json!({"admin": "PUBLIC_READ_WRITE", "customerAccount": "READ", "storefront": "NONE"}),
            ),
        ],
        "customer" => vec![
            ("firstName", json!("X")),
            ("firstName", Value::Null),
            ("note", json!("scrubbed")),
            ("note", Value::Null),
            ("tags", json!(["spam"])),
            ("taxExempt", json!(true)),
            ("taxExemptions", json!(["CA_BC_RESELLER_EXEMPTION"])),
            ("email", json!("somebody.else@example.com")),
            ("phone", json!("+16135551234")),
            ("locale", json!("fr")),
            ("multipassIdentifier", json!("mp-1")),
            ("metafields", json!([])),
        ],
        other => panic!("{other}"),
    }
}

/// Whoever edits, by whatever way, does it through the writer here; what is put right is then held
/// against the state before.
#[tokio::test]
async fn a_changed_field_is_put_right_by_one_mutation_to_that_resource_alone() {
    let shop = furnished(3).await;
    for Case { kind, .. } in CASES {
        for (id, was) in states(&shop, kind).await {
            for (member, value) in edits(kind) {
                let mut edited = was.clone();
                edited[member] = value;
                // Not every sort of discount has every member.
                if edited == was || was.get(member).is_none() {
                    continue;
                }
                if was["isDefault"] == true && member == "handle" {
                    continue;
                }
                let changed = shop.write(kind, Some(&was), Some(&edited)).await;
                let changed = changed.unwrap_or_else(|e| panic!("{kind} {member}: {e}"));
                assert!(matches!(changed, Written::Updated { .. }), "{kind} {member}: {changed:?}");
                let now = shop.read(kind, &id).await.expect("it is there");
                assert_ne!(now, was, "{kind} {member}");
                shop.writes();
                let put_right = shop.write(kind, Some(&now), Some(&was)).await;
                let put_right = put_right.unwrap_or_else(|e| panic!("{kind} {member}: {e}"));
                assert!(matches!(put_right, Written::Updated { .. }), "{kind} {member}");
                let writes = shop.writes();
                let sent: Vec<&str> = writes.iter().map(|w| w.mutation.as_str()).collect();
                assert_eq!(writes.len(), 1, "{kind} {member}: {sent:?}");
                assert_eq!(writes[0].user_errors, 0);
                let others: Vec<_> = writes[0]
                    .touched
                    .iter()
                    .filter(|touched| {
                        let beside = ["/Metafield/", "/BasicEvent/"];
                        let own = ResourceId::parse(&touched.gid).expect("an id") == id;
                        !own && !beside.iter().any(|b| touched.gid.contains(b))
                    })
                    .collect();
                assert!(others.is_empty() || *kind == "metaobject_definition", "{others:?}");
                assert!(
                    writes[0].touched.iter().all(|t| t.deed != Deed::Delete),
                    "{kind} {member}"
                );
                let is = shop.read(kind, &id).await.expect("it is there");
                let unlisted: &[&str] = if member == "items" { &["id"] } else { &[] };
                match unlisted.is_empty() {
                    true => assert_eq!(is, was, "{kind} {member}"),
                    false => assert_eq!(comparable(&is, &[]), comparable(&was, &[]), "{kind}"),
                }
            }
        }
    }
    shop.assert_simulated();
}

#[tokio::test]
async fn what_is_within_a_definition_is_put_right() {
    let shop = furnished(4).await;
    let definitions = states(&shop, "metaobject_definition").await;
    let (id, was) = definitions.into_iter().find(|(_, d)| d["type"] == "shelf").expect("the shelf");
    let edits: [fn(&mut Value); 5] = [
        |d| d["fieldDefinitions"].as_array_mut().expect("a list").reverse(),
        |d| drop(d["fieldDefinitions"].as_array_mut().expect("a list").remove(0)),
        |d| d["fieldDefinitions"][1]["name"] = json!("Other"),
        |d| d["fieldDefinitions"][1]["validations"] = json!([]),
        |d| d["capabilities"]["publishable"]["enabled"] = json!(false),
    ];
    for (n, edit) in edits.iter().enumerate() {
        let mut edited = was.clone();
        edit(&mut edited);
        shop.write("metaobject_definition", Some(&was), Some(&edited)).await.expect("it is edited");
        let now = shop.read("metaobject_definition", &id).await.expect("it is there");
        assert_eq!(now, edited, "edit {n}");
        shop.writes();
        shop.write("metaobject_definition", Some(&now), Some(&was)).await.expect("it is put right");
        assert_eq!(shop.writes().len(), 1, "edit {n}");
        assert_eq!(shop.read("metaobject_definition", &id).await, Some(was.clone()), "edit {n}");
    }
    for (id, was) in states(&shop, "metaobject").await {
        let mut edited = was.clone();
        for field in edited["fields"].as_array_mut().expect("a list") {
            match field["key"].as_str() {
                Some("name" | "label") => field["value"] = json!("Changed"),
                Some("bio" | "size") => field["value"] = Value::Null,
                _ => {}
            }
        }
        shop.write("metaobject", Some(&was), Some(&edited)).await.expect("it is edited");
        let now = shop.read("metaobject", &id).await.expect("it is there");
        assert_eq!(now["fields"], edited["fields"]);
        shop.writes();
        shop.write("metaobject", Some(&now), Some(&was)).await.expect("it is put right");
        assert_eq!(shop.writes().len(), 1);
        assert_eq!(shop.read("metaobject", &id).await, Some(was));
    }
    shop.assert_simulated();
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_one() {
    let mut shop = furnished(5).await;
    shop.begin(Timestamp::from_micros(0));
    for Case { kind, lost } in CASES {
        let mut all = states(&shop, kind).await;
        let was = loop {
            let (_, was) = all.pop().expect("one that can go");
            if shop.write(kind, Some(&was), None).await.is_ok() {
                break was;
            }
        };
        let left = ids(&shop, kind).len();
        // Every question about it is answered, and the answer to its making is lost.
        let questions = if was["phone"].is_string() && was["email"].is_string() { 2 } else { 1 };
        let mut fates = vec![None; questions];
        fates.push(Some(Fault::Lost));
        shop.fates(&fates);
        shop.writes();
        let written = shop.write(kind, None, Some(&was)).await;
        let written = written.unwrap_or_else(|error| panic!("{kind}: {error}"));
        let of = if *kind == "discount" { "/Discount" } else { spec(kind).gid_type };
        let made = shop.writes().into_iter().filter(|write| {
            let is = |t: &shopify::change::Touched| {
                t.deed == Deed::Create && t.gid.contains(of) && !t.gid.contains("Redeem")
            };
            write.touched.iter().any(is)
        });
        let made = made.count();
        assert_eq!(made, 1, "{kind}");
        assert_eq!(ids(&shop, kind).len(), left + 1, "{kind}");
        let is = shop.read(kind, &id_of(&written)).await.expect("it is there");
        assert_eq!(comparable(&is, lost), comparable(&was, lost), "{kind}");
    }
    assert!(!shop.befores.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn what_somebody_else_made_in_its_place_is_left_alone() {
    let shop = furnished(6).await;
    for (kind, member) in [("page", "title"), ("redirect", "target"), ("customer", "lastName")] {
        let (id, there) = states(&shop, kind).await.remove(0);
        let mut gone = there.clone();
        gone["id"] = json!(format!("gid://shopify/{}/1", spec(kind).gid_type));
        gone[member] = json!("Another");
        shop.writes();
        let error = shop.write(kind, None, Some(&gone)).await.expect_err("it is taken");
        assert!(error.to_string().contains("another"), "{error}");
        assert!(!error.to_string().contains('@'), "no address in: {error}");
        assert_eq!(shop.writes().len(), 0);
        assert_eq!(shop.read(kind, &id).await, Some(there));
    }
}

#[tokio::test]
async fn what_somebody_else_made_since_the_job_began_is_left_alone() {
    let mut shop = furnished(14).await;
    shop.begin(Timestamp::from_micros(0));
    for (kind, member) in [
        ("page", "title"),
        ("blog", "title"),
        ("article", "title"),
        ("customer", "lastName"),
        ("collection", "descriptionHtml"),
    ] {
        let (id, there) = states(&shop, kind).await.remove(0);
        let mut gone = there.clone();
        gone["id"] = json!(format!("gid://shopify/{}/1", spec(kind).gid_type));
        gone[member] = json!("Another");
        let error = shop.write(kind, None, Some(&gone)).await.expect_err("it is taken");
        assert!(error.to_string().contains("another"), "{error}");
        assert_eq!(shop.writes().len(), 0, "{kind}");
        assert_eq!(shop.read(kind, &id).await, Some(there), "{kind}");
    }
}

#[tokio::test]
async fn a_blog_is_not_called_almost_as_another() {
    let shop = furnished(16).await;
    let (id, was) = states(&shop, "blog").await.remove(0);
    let mut moved = was.clone();
    moved["handle"] = json!("moved");
    shop.write("blog", Some(&was), Some(&moved)).await.expect("it is renamed");
    let mut other = was.clone();
    other["id"] = json!("gid://shopify/Blog/1");
    shop.write("blog", None, Some(&other)).await.expect("another takes its name");
    shop.writes();
    let error = shop.write("blog", Some(&moved), Some(&was)).await.expect_err("it is taken");
    assert!(matches!(error, WriteError::Taken(_)), "{error}");
    assert_eq!(shop.writes().len(), 0);
    assert_eq!(shop.read("blog", &id).await.expect("it is there")["handle"], "moved");
}

#[tokio::test]
async fn a_file_that_is_like_another_comes_back_beside_it() {
    let mut shop = Simulated::start(15, 6, false).await;
    shop.begin(Timestamp::from_micros(0));
    let id = shop.ids("MediaImage").remove(0);
    let mut twin = shop.read("file", &id).await.expect("a file");
    let url = twin["image"]["url"].as_str().expect("an address");
    let bytes = reqwest::get(url).await.expect("an answer").bytes().await.expect("bytes");
    let hash = blake3::hash(&bytes).to_hex().to_string();
    shop.blobs.insert(hash.clone(), bytes);
    (twin["blob"], twin["id"]) = (json!(hash), json!("gid://shopify/MediaImage/1"));
    let written = shop.write("file", None, Some(&twin)).await.expect("it comes back");
    assert_ne!(id_of(&written), id);
}

#[tokio::test]
async fn a_policy_is_put_right_by_one_mutation() {
    let shop = furnished(12).await;
    for (id, was) in states(&shop, "policy").await {
        let mut edited = was.clone();
        edited["body"] = json!("<p>No refunds.</p>");
        shop.write("policy", Some(&was), Some(&edited)).await.expect("it is edited");
        let now = shop.read("policy", &id).await.expect("it is there");
        assert_eq!(now["body"], edited["body"]);
        shop.writes();
        shop.write("policy", Some(&now), Some(&was)).await.expect("it is put right");
        assert_eq!(shop.writes().len(), 1);
        assert_eq!(shop.read("policy", &id).await.as_ref(), Some(&was));
        let again = shop.write("policy", Some(&was), Some(&was)).await.expect("an answer");
        assert_eq!(again, Written::Unchanged);
    }
    shop.assert_simulated();
}

/// A translation names the digest of the text as that is now, also when the text was changed since.
#[tokio::test]
async fn a_translation_is_made_changed_and_taken_out() {
    let shop = furnished(13).await;
    let (page, text) = states(&shop, "page").await.remove(0);
    let id = ResourceId::parse(&format!("Page-{page}-fr-title")).expect("an id");
    let wanted = |value: &str| json!({"key": "title", "locale": "fr", "value": value, "resource": {"id": text["id"]}});
    let first = wanted("À propos");
    let written = shop.write("translation", None, Some(&first)).await.expect("it is written");
    let Written::Created { gid, .. } = written else { panic!("{written:?}") };
    assert_eq!(ResourceId::parse(&gid).expect("an id"), id);
    let now = shop.read("translation", &id).await.expect("it is there");
    assert_eq!(now["value"], "À propos");
    let mut renamed = text.clone();
    renamed["title"] = json!("Who we are");
    shop.write("page", Some(&text), Some(&renamed)).await.expect("it is renamed");
    shop.writes();
    shop.write("translation", Some(&now), Some(&wanted("Qui nous sommes"))).await.expect("written");
    let refusals = || shop.writes().iter().map(|write| write.user_errors).collect::<Vec<usize>>();
    assert_eq!(refusals(), [1, 0], "the digest that was known was the one of before");
    let now = shop.read("translation", &id).await.expect("it is there");
    assert_eq!(now["value"], "Qui nous sommes");
    shop.write("translation", Some(&now), Some(&wanted("Qui sommes-nous"))).await.expect("written");
    assert_eq!(refusals(), [0], "the one of now is known since");
    let now = shop.read("translation", &id).await.expect("it is there");
    let mut other = wanted("Über uns");
    other["locale"] = json!("de");
    let error = shop.write("translation", None, Some(&other)).await.expect_err("no such language");
    assert!(error.to_string().contains("Settings → Languages"), "{error}");
    // As which one a metafield that went came back is not known.
    let mut lost = wanted("À la main");
    lost["resource"]["id"] = json!("gid://shopify/Metafield/1");
    let error = shop.write("translation", None, Some(&lost)).await.expect_err("it is not there");
    assert!(error.to_string().contains("by hand: \"À la main\" in fr"), "{error}");
    shop.write("translation", Some(&now), None).await.expect("it goes");
    assert_eq!(shop.read("translation", &id).await, None);
    shop.assert_simulated();
}
