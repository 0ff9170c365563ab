//! Rows that wait for others of the same job: for what they refer to, and for names that something else
//! has as yet.

use backstock_proto::ResourceId;
use serde_json::{Value, json};

use super::world::{World, result, state};

/// Makes something, and answers it as the shop then has it.
async fn made(world: &World, kind: &str, want: Value) -> (ResourceId, Value) {
    let type_name = crate::simulated::spec(kind).gid_type;
    world.shop.write(kind, None, Some(&want)).await.unwrap_or_else(|e| panic!("{kind}: {e}"));
    let id = world.shop.ids(type_name).pop().expect("it is made");
    let state = world.shop.read(kind, &id).await.expect("it is there");
    (id, state)
}

/// Makes something other, and answers it as the shop then has it.
async fn changed(world: &World, kind: &str, id: &ResourceId, change: impl Fn(&mut Value)) -> Value {
    let now = world.shop.read(kind, id).await.expect("it is there");
    let mut want = now.clone();
    change(&mut want);
    world.shop.write(kind, Some(&now), Some(&want)).await.unwrap_or_else(|e| panic!("{kind}: {e}"));
    world.shop.read(kind, id).await.expect("it is there")
}

/// What a row's resource is now that it was made anew.
async fn anew(world: &World, job: &Value, (kind, id): (&str, &ResourceId)) -> Value {
    let gid = result(job, id)["new_gid"].as_str().unwrap_or_else(|| panic!("{kind}: {job}"));
    let id = ResourceId::parse(gid).expect("an id");
    world.shop.read(kind, &id).await.expect("it is there")
}

fn text(key: &str) -> Value {
    json!({"key": key, "name": key, "required": false, "type": {"name": "single_line_text_field"},
           "validations": []})
}

/// A field that refers to metaobjects of a definition.
fn link(key: &str, kind: &str, to: &Value) -> Value {
    let by = json!([{"name": "metaobject_definition_id", "value": to}]);
    json!({"key": key, "name": key, "required": false, "type": {"name": kind}, "validations": by})
}

fn field<'a>(metaobject: &'a Value, key: &str) -> &'a Value {
    let mut fields = metaobject["fields"].as_array().expect("fields").iter();
    &fields.find(|field| field["key"] == key).expect("a field")["value"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metaobject_that_cannot_be_without_a_product_comes_back_after_it() {
    let mut world = World::new(101).await;
    let product = world.shop.ids("Product").remove(0);
    let of_product = world.shop.read("product", &product).await.expect("a product");
    let mut needs = text("made_of");
    (needs["required"], needs["type"]["name"]) = (json!(true), json!("product_reference"));
    let definition = json!({"type": "recipe", "name": "Recipe", "fieldDefinitions": [needs]});
    made(&world, "metaobject_definition", definition).await;
    let fields = json!([{"key": "made_of", "value": of_product["id"]}]);
    let soup = json!({"type": "recipe", "handle": "soup", "fields": fields});
    let (soup, of_soup) = made(&world, "metaobject", soup).await;
    world.deleted("metaobject", &soup, &of_soup).await;
    world.deleted("product", &product, &of_product).await;
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!((state(&job), &job["counts"]["created"]), ("done", &json!(2)), "{job}");
    let of_soup = anew(&world, &job, ("metaobject", &soup)).await;
    assert_eq!(*field(&of_soup, "made_of"), result(&job, &product)["new_gid"]);
    world.shop.assert_simulated();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_metaobjects_comes_back_link_by_link() {
    let mut world = World::new(102).await;
    let definition = json!({"type": "step", "name": "Step", "fieldDefinitions": [text("name")]});
    let (definition, of_definition) = made(&world, "metaobject_definition", definition).await;
    let step =
        |handle: &str, fields: Value| json!({"type": "step", "handle": handle, "fields": fields});
    let mut last = made(&world, "metaobject", step("end", json!([]))).await.1["id"].clone();
    changed(&world, "metaobject_definition", &definition, |definition| {
        let mut next = link("next", "metaobject_reference", &of_definition["id"]);
        next["required"] = json!(true);
        definition["fieldDefinitions"].as_array_mut().expect("a list").push(next);
    })
    .await;
    let mut chain = Vec::new();
    for handle in ["third", "second", "first"] {
        let fields = json!([{"key": "next", "value": last}]);
        let link = made(&world, "metaobject", step(handle, fields)).await;
        last = link.1["id"].clone();
        chain.push(link);
    }
    for (id, state) in chain.iter().rev() {
        world.deleted("metaobject", id, state).await;
    }
    world.planned_in_pieces("plan-a", 1).await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!((state(&job), &job["counts"]["created"]), ("done", &json!(3)), "{job}");
    for links in chain.windows(2) {
        let of_link = anew(&world, &job, ("metaobject", &links[1].0)).await;
        assert_eq!(*field(&of_link, "next"), result(&job, &links[0].0)["new_gid"]);
    }
    world.shop.assert_simulated();
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_name_each_other_come_back_with_that_and_so_do_their_metaobjects() {
    let mut world = World::new(103).await;
    let definition =
        |kind: &str, fields: Value| json!({"type": kind, "name": kind, "fieldDefinitions": fields});
    let author = definition("author", json!([text("name")]));
    let (author, of_author) = made(&world, "metaobject_definition", author).await;
    let by = link("by", "metaobject_reference", &of_author["id"]);
    let book = definition("book", json!([by, text("title")]));
    let (book, of_book) = made(&world, "metaobject_definition", book).await;
    let of_author = changed(&world, "metaobject_definition", &author, |definition| {
        let wrote = link("wrote", "list.metaobject_reference", &of_book["id"]);
        definition["fieldDefinitions"].as_array_mut().expect("a list").insert(0, wrote);
    })
    .await;
    let ada =
        json!({"type": "author", "handle": "ada", "fields": [{"key": "name", "value": "Ada"}]});
    let (ada, of_ada) = made(&world, "metaobject", ada).await;
    let fields = json!([{"key": "by", "value": of_ada["id"]}, {"key": "title", "value": "Notes"}]);
    let notes = json!({"type": "book", "handle": "notes", "fields": fields});
    let (notes, of_notes) = made(&world, "metaobject", notes).await;
    let of_ada = changed(&world, "metaobject", &ada, |ada| {
        let list = json!([of_notes["id"]]).to_string();
        for field in ada["fields"].as_array_mut().expect("fields") {
            if field["key"] == "wrote" {
                field["value"] = json!(list);
            }
        }
    })
    .await;
    // With a definition go its metaobjects.
    world.deleted("metaobject_definition", &author, &of_author).await;
    world.deleted("metaobject_definition", &book, &of_book).await;
    world.went("metaobject", &notes, &of_notes);
    world.went("metaobject", &ada, &of_ada);
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!((state(&job), &job["counts"]["created"]), ("done", &json!(4)), "{job}");
    let gid = |id: &ResourceId| result(&job, id)["new_gid"].clone();
    for (id, key, to) in [(&author, "wrote", &book), (&book, "by", &author)] {
        let is = anew(&world, &job, ("metaobject_definition", id)).await;
        let first = &is["fieldDefinitions"][0];
        assert_eq!(first["key"], key, "{is}");
        assert_eq!(first["validations"][0]["value"], gid(to), "{is}");
    }
    let is = anew(&world, &job, ("metaobject", &notes)).await;
    assert_eq!(*field(&is, "by"), gid(&ada));
    let is = anew(&world, &job, ("metaobject", &ada)).await;
    assert_eq!(*field(&is, "wrote"), json!([gid(&notes)]).to_string());
    world.shop.assert_simulated();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_out_for_something_that_failed_is_written_when_a_retry_brings_that_back() {
    let mut world = World::new(104).await;
    let (product, page) = (world.shop.ids("Product").remove(0), world.shop.ids("Page").remove(0));
    let of_product = world.shop.read("product", &product).await.expect("a product");
    let of_page = changed(&world, "page", &page, |page| {
        page["metafields"] = json!([{
            "namespace": "custom", "key": "sells", "type": "product_reference",
            "value": of_product["id"],
        }]);
    })
    .await;
    world.deleted("product", &product, &of_product).await;
    world.deleted("page", &page, &of_page).await;
    let in_the_way =
        json!({"title": "In the way", "handle": of_product["handle"], "status": "DRAFT"});
    let (in_the_way, other) = made(&world, "product", in_the_way).await;
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    let counts = (&job["counts"]["created"], &job["counts"]["failed"]);
    assert_eq!((state(&job), counts), ("failed", (&json!(1), &json!(1))), "{job}");
    let bare = anew(&world, &job, ("page", &page)).await;
    assert_eq!(bare["metafields"], json!([]), "it names nothing that is not there");
    let reason = result(&job, &page)["reason"].as_str().expect("a reason");
    assert!(reason.contains("was left out"), "{reason}");

    assert_eq!(world.shop.read("product", &in_the_way).await.as_ref(), Some(&other));
    world.shop.write("product", Some(&other), None).await.expect("deleted");
    let id = job["id"].as_str().expect("an id");
    let (status, _) = process.post(&format!("/jobs/{id}/retry"), json!(null)).await;
    assert_eq!(status, 202);
    let job = process.until(id, |job| state(job) == "done").await;
    let is = anew(&world, &job, ("page", &page)).await;
    assert_eq!(is["metafields"][0]["value"], result(&job, &product)["new_gid"], "{is}");
    assert_eq!(result(&job, &page).get("reason"), None, "nothing is left out any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_something_new_has_is_had_once_that_is_deleted() {
    let mut world = World::new(105).await;
    // An app called a page otherwise, and gave its name to a page of its own.
    let page = world.shop.ids("Page").remove(0);
    let was = world.shop.read("page", &page).await.expect("a page");
    changed(&world, "page", &page, |page| page["handle"] = json!("moved-aside")).await;
    let own = json!({"title": "Their own", "handle": was["handle"], "body": "<p>Buy!</p>"});
    let (new_page, of_new) = made(&world, "page", own).await;
    world.remembers("page", &new_page, &of_new);
    let field = json!({"path": "/handle", "old": "moved-aside", "new": was["handle"]});
    world.changes("page", &page, json!([field]));
    // And a redirect stands here for what plans do not see to have the name of what is to come back,
    // such as a discount with its code or a customer with their phone number.
    let redirect = world.shop.ids("UrlRedirect").remove(0);
    let of_redirect = world.shop.read("redirect", &redirect).await.expect("a redirect");
    world.deleted("redirect", &redirect, &of_redirect).await;
    let own = json!({"path": of_redirect["path"], "target": "/theirs"});
    let (new_redirect, of_new) = made(&world, "redirect", own).await;
    world.remembers("redirect", &new_redirect, &of_new);
    world.deletes("redirect", &new_redirect);
    world.deletes("page", &new_page);
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!(state(&job), "done", "{job}");
    for (id, ended) in [
        (&page, "updated"),
        (&redirect, "created"),
        (&new_redirect, "deleted"),
        (&new_page, "deleted"),
    ] {
        assert_eq!(result(&job, id)["state"], ended, "{job}");
    }
    let is = world.shop.read("page", &page).await.expect("a page");
    assert_eq!(is["handle"], was["handle"]);
    let is = anew(&world, &job, ("redirect", &redirect)).await;
    assert_eq!((&is["path"], &is["target"]), (&of_redirect["path"], &of_redirect["target"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_are_to_swap_names_are_left_and_what_to_do_by_hand_is_told() {
    let mut world = World::new(106).await;
    let ids = world.shop.ids("Page");
    let handle = |page: &Value| page["handle"].clone();
    let a = handle(&world.shop.read("page", &ids[0]).await.expect("a page"));
    let b = handle(&world.shop.read("page", &ids[1]).await.expect("a page"));
    for (id, old, new) in [(&ids[0], &a, &b), (&ids[1], &b, &a)] {
        world.changes("page", id, json!([{"path": "/handle", "old": old, "new": new}]));
    }
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!((state(&job), &job["counts"]["failed"]), ("failed", &json!(2)), "{job}");
    let reason = result(&job, &ids[0])["reason"].as_str().expect("a reason");
    assert!(reason.contains("goes by") && reason.contains("swap names"), "{reason}");
    // Somebody does as told.
    changed(&world, "page", &ids[1], |page| page["handle"] = json!("for-the-moment")).await;
    let id = job["id"].as_str().expect("an id");
    let (status, _) = process.post(&format!("/jobs/{id}/retry"), json!(null)).await;
    assert_eq!(status, 202);
    let job = process.until(id, |job| state(job) == "done").await;
    assert_eq!(handle(&world.shop.read("page", &ids[0]).await.expect("a page")), b);
    let left = result(&job, &ids[1]);
    assert!(left["reason"].as_str().expect("a reason").contains("Make a new plan"), "{left}");
}
