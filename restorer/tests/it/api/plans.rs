//! Plans over HTTP.

use backstock_proto::publish::Records as _;

use super::*;

mod following;

const PLANS: &str = "/v1/shops/acme/plans";

/// Before the mug's price fell and the tote was deleted.
fn noon() -> Value {
    json!({"at": "2026-11-20T12:00:00Z"})
}

impl Server {
    async fn plan(&self, request: &Value) -> Value {
        let answer = self.post(PLANS, request).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let plan = answer.json();
        let path =
            format!("/v1/shops/acme.myshopify.com/plans/{}", plan["id"].as_str().expect("an id"));
        assert_eq!(answer.header("location"), path);
        plan
    }
}

fn actions(plan: &Value) -> Vec<String> {
    let rows = plan["rows"].as_array().expect("rows").iter();
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    rows.map(|row| format!("{} {} {}", text(row, "action"), text(row, "kind"), text(row, "id")))
        .collect()
}

#[tokio::test]
async fn a_plan_says_what_would_be_written() {
    let server = start().await;
    let mut plan = server.plan(&noon()).await;
    assert_eq!(actions(&plan), ["create product 501".to_owned(), format!("update product {MUG}")]);
    let mug = &plan["rows"][1];
    assert_eq!(
        mug["fields"][1],
        json!({
            "path": "/variants/{gid:~1~1shopify~1ProductVariant~111}/price",
            "old": "6.40",
            "new": "64.00"
        })
    );
    assert_eq!(mug["fields"][0]["new"], "<p>Holds 350 ml.</p>");
    plan["rows"][1]["fields"][0]["old"] = json!("…");
    plan["id"] = json!("plan-…");
    assert_eq!(plan["digest"].as_str().map(str::len), Some(64));
    plan["digest"] = json!("…");
    insta::assert_snapshot!("plan", pretty(&plan));
}

#[tokio::test]
async fn the_same_history_gives_the_same_digest() {
    let server = start().await;
    let (one, two) = (server.plan(&noon()).await, server.plan(&noon()).await);
    assert_ne!(one["id"], two["id"]);
    assert_eq!(one["digest"], two["digest"]);
    let other = server.plan(&json!({"at": "2026-11-20T12:00:01Z"})).await;
    assert_ne!(other["digest"], one["digest"]);
}

#[tokio::test]
async fn a_plan_can_be_read_again_in_pages_and_by_what_it_does() {
    let server = start().await;
    let plan = server.plan(&noon()).await;
    let path = format!("{PLANS}/{}", plan["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path).await.json(), plan);
    let first = server.get(&format!("{path}?limit=1")).await.json();
    assert_eq!((actions(&first), &first["next"]), (vec!["create product 501".into()], &json!("1")));
    let second = server.get(&format!("{path}?limit=1&cursor=1")).await.json();
    assert_eq!((&second["rows"][0], &second["next"]), (&plan["rows"][1], &Value::Null));
    let updates = server.get(&format!("{path}?action=update")).await.json();
    assert_eq!(actions(&updates), [format!("update product {MUG}")]);
    let none = server.get(&format!("{path}?kind=page")).await.json();
    assert_eq!(none["rows"], json!([]));
    let listed = server.get(PLANS).await.json();
    assert_eq!(listed["items"][0]["id"], plan["id"]);
    assert_eq!(listed["items"][0]["digest"], plan["digest"]);
    server.get(&format!("{PLANS}/plan-7")).await.problem(404);
    server.get(&format!("{path}?cursor=x")).await.problem(400);
}

#[tokio::test]
async fn a_plan_that_is_not_whole_on_record_is_not_listed_as_a_shorter_one() {
    let server = start().await;
    let plan = server.plan(&noon()).await;
    let id = plan["id"].as_str().expect("an id");
    server.journal.lose("plan_rows", &format!("{id}.0"));
    let why = server.get(&format!("{PLANS}/{id}")).await.problem(410);
    assert!(why.contains(&format!("piece 0 of plan {id} of acme")), "{why}");
    assert!(why.ends_with("make a new plan"), "{why}");
}

#[tokio::test]
async fn kinds_ids_texts_and_fields_narrow_it() {
    let server = start().await;
    let narrowed = async |select: Value| {
        let mut request = noon();
        request["select"] = select;
        actions(&server.plan(&request).await)
    };
    let update = format!("update product {MUG}");
    assert_eq!(narrowed(json!({"kinds": ["page"]})).await, Vec::<String>::new());
    assert_eq!(narrowed(json!({"ids": [MUG]})).await, std::slice::from_ref(&update));
    let gid = format!("gid://shopify/Product/{MUG}");
    assert_eq!(narrowed(json!({"ids": [gid]})).await, std::slice::from_ref(&update));
    assert_eq!(narrowed(json!({"q": "TOTE"})).await, ["create product 501"]);
    let mut request = noon();
    request["select"] = json!({"ids": [MUG], "fields": ["variants/11/price"]});
    let fields = server.plan(&request).await["rows"][0]["fields"].clone();
    assert_eq!(fields.as_array().map(Vec::len), Some(1), "{fields}");
    assert_eq!(fields[0]["new"], "64.00");
}

#[tokio::test]
async fn who_undoes_an_app_hears_of_translations_that_nobody_tells_who_changed() {
    let (before, then) = ("2026-11-19T08:00:00Z", "2026-11-22T08:00:00Z");
    let server = start_knowing(|history| {
        let gid = "gid://shopify/Page/71";
        let page = |title: &str| json!({"id": gid, "title": title, "handle": "care"});
        history.remember("page", "71", before, &page("Care"));
        history.remember("page", "71", then, &page("CARE!!"));
        history.log("Sweeper", "update", gid, then);
        for (value, at) in [("Soin", before), ("SOIN!!", "2026-11-22T09:00:00Z")] {
            let of = json!({"id": gid});
            let text = json!({"key": "title", "locale": "fr", "value": value, "resource": of});
            history.remember("translation", "Page-71-fr-title", at, &text);
        }
    })
    .await;
    let mut request = json!({"app": "Sweeper", "from": "2026-11-22T00:00:00Z"});
    let plan = server.plan(&request).await;
    assert_eq!(actions(&plan), ["update page 71"]);
    let said = plan["consequences"].to_string();
    assert!(said.contains("1 translation changed then or later and stays"), "{said}");
    request["select"] = json!({"kinds": ["page"]});
    let said = server.plan(&request).await["consequences"].to_string();
    assert!(!said.contains("translation"), "{said}");
}

#[tokio::test]
async fn who_brings_back_a_definition_hears_that_its_values_may_have_gone_with_it() {
    let server = start_knowing(|history| {
        let definition = json!({
            "id": "gid://shopify/MetafieldDefinition/31", "name": "Care", "namespace": "custom",
            "key": "care", "ownerType": "PRODUCT", "type": {"name": "single_line_text_field"},
        });
        history.remember("metafield_definition", "31", "2026-11-18T08:00:00Z", &definition);
        history.forget("metafield_definition", "31", "2026-11-21T08:00:00Z");
    })
    .await;
    let mut request = noon();
    request["select"] = json!({"kinds": ["metafield_definition"]});
    let plan = server.plan(&request).await;
    assert_eq!(actions(&plan), ["create metafield_definition 31"]);
    let said = plan["consequences"][0].as_str().expect("a sentence");
    assert!(said.contains("Values may have gone with 1 metafield definition, some"), "{said}");
    assert!(said.contains("`backstock reconcile --shop acme --kind product`"), "{said}");
}

#[tokio::test]
async fn what_took_the_place_of_something_goes_before_that_comes_back() {
    let server = start_knowing(|history| {
        let gid = |id: &str| format!("gid://shopify/Product/{id}");
        let cup =
            |id: &str| json!({"id": gid(id), "title": "Cup", "handle": "cup", "variants": []});
        history.make("product", "700", "2026-11-19T08:00:00Z", &cup("700"));
        history.forget("product", "700", "2026-11-22T08:00:00Z");
        history.make("product", "701", "2026-11-22T08:00:02Z", &cup("701"));
        history.log("Sweeper", "destroy", &gid("700"), "2026-11-22T08:00:00Z");
        history.log("Sweeper", "create", &gid("701"), "2026-11-22T08:00:02Z");
    })
    .await;
    let mut request = json!({
        "app": "Sweeper", "from": "2026-11-22T00:00:00Z", "modes": {"delete_new": true},
    });
    let plan = server.plan(&request).await;
    assert_eq!(actions(&plan), ["delete product 701", "create product 700"]);
    // Where it stays, nobody is promised that the other one comes back beside it.
    request["modes"] = json!({});
    let plan = server.plan(&request).await;
    assert_eq!(actions(&plan), ["create product 700"]);
    let (notes, said) = (plan["rows"][0]["notes"].to_string(), plan["consequences"].to_string());
    assert!(notes.contains("product 701 has its handle now"), "{notes}");
    assert!(said.contains("1 resource is not made anew as long as"), "{said}");
}

#[tokio::test]
async fn what_was_made_anew_has_the_past_of_what_it_was() {
    let gid = |id: &str| format!("gid://shopify/Product/{id}");
    let cup = |id: &str, title: &str| json!({"id": gid(id), "title": title, "handle": "cup"});
    let server = start_knowing(|history| {
        history.make("product", "800", "2026-11-19T08:00:00Z", &cup("800", "Cup"));
        history.forget("product", "800", "2026-11-21T08:00:00Z");
        history.make("product", "801", "2026-11-21T09:00:00Z", &cup("801", "CUP!"));
    })
    .await;
    let at = "2026-11-21T09:00:00Z";
    let wrote = json!({"job": "job-1", "kind": "product", "id": "801", "was": "800",
        "ids": {gid("800"): gid("801")}, "from": at, "to": at});
    let batch = json!({"rows": [wrote]});
    server.journal.put(&shop("acme"), "written", "job-1.1.1.0", &batch).await.expect("on record");
    for ids in [json!(["801"]), json!(["800", gid("801")])] {
        let mut request = noon();
        request["select"] = json!({"kinds": ["product"], "ids": ids});
        let plan = server.plan(&request).await;
        assert_eq!(actions(&plan), ["update product 801"], "{ids}");
        let title = json!({"path": "/title", "old": "CUP!", "new": "Cup"});
        assert_eq!(plan["rows"][0]["fields"], json!([title]), "{ids}");
    }
}

/// A cup that was made anew, from one id to the next, and how it was called under each, from when to when.
async fn a_cup_made_anew(lives: &'static [(&str, &str, &str, Option<&str>)]) -> Server {
    let gid = |id: &str| format!("gid://shopify/Product/{id}");
    let server = start_knowing(|history| {
        for (id, title, from, to) in lives {
            let cup = json!({"id": gid(id), "title": title, "handle": "cup"});
            history.make("product", id, from, &cup);
            if let Some(to) = to {
                history.forget("product", id, to);
            }
        }
    })
    .await;
    let wrote = |lives: &[(&str, &str, &str, Option<&str>)]| {
        let (was, id, at) = (lives[0].0, lives[1].0, lives[1].2);
        json!({"job": format!("job-{id}"), "kind": "product", "id": id, "was": was,
            "ids": {gid(was): gid(id)}, "from": at, "to": at})
    };
    let batch = json!({"rows": lives.windows(2).map(wrote).collect::<Vec<_>>()});
    server.journal.put(&shop("acme"), "written", "job-1.1.1.0", &batch).await.expect("on record");
    server
}

#[tokio::test]
async fn whatever_was_made_anew_twice_is_named_by_it_is_what_it_was_in_between() {
    let server = a_cup_made_anew(&[
        ("800", "cup", "2026-11-19T08:00:00Z", Some("2026-11-20T08:00:00Z")),
        ("801", "Cup", "2026-11-20T09:00:00Z", Some("2026-11-21T08:00:00Z")),
        ("802", "CUP!", "2026-11-21T09:00:00Z", None),
    ])
    .await;
    for id in ["800", "801", "802"] {
        let mut request = noon();
        request["select"] = json!({"kinds": ["product"], "ids": [id]});
        request["modes"] = json!({"delete_new": true});
        let plan = server.plan(&request).await;
        assert_eq!(actions(&plan), ["update product 802"], "{id}");
        let title = json!({"path": "/title", "old": "CUP!", "new": "Cup"});
        assert_eq!(plan["rows"][0]["fields"], json!([title]), "{id}");
    }
}

#[tokio::test]
async fn what_was_made_anew_within_a_window_was_there_at_its_end() {
    let server = a_cup_made_anew(&[
        ("800", "Cup", "2026-11-19T08:00:00Z", Some("2026-11-20T12:00:00Z")),
        ("801", "CUP!", "2026-11-20T13:00:00Z", None),
    ])
    .await;
    let window = json!({
        "from": "2026-11-20T10:00:00Z", "to": "2026-11-21T12:00:00Z", "select": {"q": "cup"},
    });
    let plan = server.plan(&window).await;
    assert_eq!(actions(&plan), ["update product 801"], "{plan}");
}

#[tokio::test]
async fn what_was_gone_then_and_came_again_under_its_name_is_new() {
    let id = "9-assets/sale.css";
    let server = start_knowing(|history| {
        let file = json!({"id": "gid://shopify/OnlineStoreThemeFile/9-assets/sale.css",
            "filename": "assets/sale.css", "theme": {"id": "gid://shopify/OnlineStoreTheme/9"}});
        history.remember("theme_file", id, "2026-11-18T08:00:00Z", &file);
        history.forget("theme_file", id, "2026-11-19T08:00:00Z");
        history.remember("theme_file", id, "2026-11-21T08:00:00Z", &file);
        history.found();
    })
    .await;
    let mut request = noon();
    request["modes"] = json!({"delete_new": true});
    for select in [json!({"kinds": ["theme_file"]}), json!({"kinds": ["theme_file"], "ids": [id]})]
    {
        request["select"] = select;
        let plan = server.plan(&request).await;
        assert_eq!(actions(&plan), [format!("delete theme_file {id}")], "{plan}");
    }
}

#[tokio::test]
async fn a_window_is_undone_and_what_came_after_it_stays() {
    let server = start().await;
    // The tote was deleted after the window.
    let window = json!({"from": "2026-11-20T14:00:00Z", "to": "2026-11-20T15:00:00Z"});
    let plan = server.plan(&window).await;
    assert_eq!(actions(&plan), [format!("update product {MUG}")]);
    let at = json!({"at": "2026-11-20T12:00:00Z", "to": "2026-11-20T15:00:00Z"});
    assert_eq!(actions(&server.plan(&at).await), actions(&plan));
}

#[tokio::test]
async fn nothing_to_do_is_a_plan_that_says_so() {
    let server = start().await;
    let plan = server.plan(&json!({"at": "2026-11-21T12:00:00Z"})).await;
    assert_eq!(plan["rows"], json!([]));
    assert!(plan["consequences"][0].as_str().is_some_and(|said| said.contains("Nothing to do")));
}

#[tokio::test]
async fn what_is_new_goes_last_and_only_if_asked() {
    let server = start().await;
    let early = json!({"at": "2026-11-19T09:00:00Z", "modes": {"delete_new": true}});
    let plan = server.plan(&early).await;
    // An order cannot be deleted; nobody asked for it by name, nor for who signed up.
    assert_eq!(actions(&plan), ["create product 501".into(), format!("delete product {MUG}")]);
    let said = plan["consequences"].to_string();
    assert!(said.contains("1 product is deleted for good."), "{said}");
    assert!(said.contains("1 customer is new and left in place"), "{said}");
    let mut named = early.clone();
    named["select"] = json!({"kinds": ["customer", "product"]});
    let plan = server.plan(&named).await;
    assert_eq!(
        actions(&plan),
        [
            "create product 501".into(),
            "delete customer 301".into(),
            format!("delete product {MUG}")
        ]
    );
    let said = plan["consequences"].to_string();
    assert!(said.contains("1 customer and 1 product are deleted for good."), "{said}");
    let kept = server.plan(&json!({"at": "2026-11-19T09:00:00Z"})).await;
    assert_eq!(actions(&kept), ["create product 501"]);
    let said = kept["consequences"].to_string();
    assert!(said.contains("new and stay"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_planned_says_what_to_do() {
    let server = start().await;
    for (request, status, says) in [
        (json!({}), 400, "exactly one"),
        (json!({"at": "2026-11-20T12:00:00Z", "from": "2026-11-20T12:00:00Z"}), 400, "several"),
        (json!({"at": "2027-11-20T12:00:00Z"}), 400, "future"),
        (json!({"at": "yesterday"}), 400, "RFC 3339"),
        (json!({"from": "2026-11-20T12:00:00Z", "to": "2026-11-20T11:00:00Z"}), 400, "after"),
        (json!({"app": "Bulk Editor"}), 400, "from"),
        (json!({"app": "Customers", "from": "2026-11-20T12:00:00Z"}), 400, "did themselves"),
        (
            json!({"at": "2026-11-20T12:00:00Z", "select": {"kinds": ["checkout"]}}),
            400,
            "these are",
        ),
        (json!({"at": "2026-11-20T12:00:00Z", "select": {"ids": ["77"]}}), 404, "never"),
        (
            json!({"at": "2026-11-20T12:00:00Z", "select": {"ids": ["gid://shopify/ProductVariant/11"]}}),
            400,
            "variants/11",
        ),
        (
            json!({"at": "2026-11-20T12:00:00Z", "modes": {"create": false, "update": false}}),
            400,
            "modes",
        ),
        (json!({"at": "2026-11-20T12:00:00Z", "selct": {}}), 400, "selct"),
    ] {
        let detail = server.post(PLANS, &request).await.problem(status);
        assert!(detail.contains(says), "{request}: {detail}");
    }
    server.ask("POST", PLANS, Some("bst_read")).await.problem(401);
}
