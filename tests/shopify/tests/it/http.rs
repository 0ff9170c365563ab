//! The simulator as a server: bulk operations, uploads, faults, tokens, stories.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use shopify::access::Client;
use shopify::admin::cost::Plan;
use shopify::catalog::Size;
use shopify::dispatch::Dispatch;
use shopify::disturbance::Disturbance;
use shopify::server;
use shopify::shop::Actor;
use shopify::simulator::{Settings, Simulator};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct Server {
    base: String,
    http: reqwest::Client,
    simulator: Arc<Simulator>,
    stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(products: u64) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let settings = Settings {
        shop: "acme.myshopify.com".into(),
        seed: 3,
        size: Size::of_products(products),
        founded: None,
        webhooks: None,
        api_version: "2026-10".into(),
        rate: 0.0,
        dispatch: Dispatch {
            secret: "hush".into(),
            disturbance: Disturbance::default(),
            retry_scale: 0.000_01,
            concurrency: 4,
            seed: 3,
        },
        base: base.clone(),
        clients: vec![Client {
            title: "Backstock".into(),
            client_id: "backstock".into(),
            client_secret: "hush".into(),
            token: "shpat_test".into(),
            theme_exemption: true,
        }],
        plan: Plan::Unlimited,
        schemas: crate::client::fetched(),
    };
    let simulator = Simulator::start(settings, stop.clone()).unwrap();
    tokio::spawn(server::serve(simulator.clone(), listener, stop.clone()));
    let http = reqwest::Client::new();
    Server { base, http, simulator, stop }
}

impl Server {
    async fn send(
        &self,
        token: &str,
        query: &str,
        variables: Value,
    ) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}/admin/api/2026-10/graphql.json", self.base);
        let body = json!({ "query": query, "variables": variables });
        self.http.post(url).header("X-Shopify-Access-Token", token).json(&body).send().await
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let answer: Value =
            self.send("shpat_test", query, variables).await.unwrap().json().await.unwrap();
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].clone()
    }

    async fn tell(&self, path: &str, body: Value) {
        let answer =
            self.http.post(format!("{}{path}", self.base)).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    async fn bulk(&self, query: &str, grouped: bool) -> Value {
        let start = "mutation($q: String!, $g: Boolean!) { bulkOperationRunQuery(query: $q, groupObjects: $g) { bulkOperation { id } userErrors { code message } } }";
        let started = self.ask(start, json!({ "q": query, "g": grouped })).await;
        let id = started["bulkOperationRunQuery"]["bulkOperation"]["id"].clone();
        assert!(id.is_string(), "{started}");
        self.finished(&id).await
    }

    async fn finished(&self, id: &Value) -> Value {
        let poll = "query($id: ID!) { bulkOperation(id: $id) { id status errorCode objectCount rootObjectCount fileSize url partialDataUrl } }";
        loop {
            let operation = self.ask(poll, json!({ "id": id })).await["bulkOperation"].clone();
            if !matches!(operation["status"].as_str(), Some("CREATED" | "RUNNING" | "CANCELING")) {
                return operation;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn lines(&self, url: &Value) -> Vec<Value> {
        let text = self.http.get(url.as_str().unwrap()).send().await.unwrap().text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

const TREE: &str =
    "{ products { edges { node { id variants { edges { node { id title } } } } } } }";

#[tokio::test]
async fn a_bulk_result_is_a_tree_in_lines() {
    let server = serve(60).await;
    let operation = server.bulk(TREE, false).await;
    assert_eq!(operation["status"], "COMPLETED");
    assert_eq!(operation["rootObjectCount"], "60");
    let lines = server.lines(&operation["url"]).await;
    assert_eq!(operation["objectCount"], lines.len().to_string());
    let parents: Vec<&Value> =
        lines.iter().filter(|line| line.get("__parentId").is_none()).collect();
    assert_eq!(parents.len(), 60);
    let known = |id: &Value| parents.iter().any(|parent| parent["id"] == *id);
    assert!(lines.iter().filter_map(|line| line.get("__parentId")).all(known));
    // Each line has the shape of the documented sample.
    let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert!(
        lines
            .iter()
            .all(|line| keys(line) == ["id"] || keys(line) == ["__parentId", "id", "title"])
    );
    let text = server
        .http
        .get(operation["url"].as_str().unwrap())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.contains("gid:\\/\\/shopify\\/Product\\/"), "slashes are escaped");
    // Ungrouped, a child may come before its parent; grouped, it never does.
    let after = |lines: &[Value]| {
        let place = |id: &Value| lines.iter().position(|line| line["id"] == *id).unwrap();
        lines
            .iter()
            .enumerate()
            .all(|(at, line)| line.get("__parentId").is_none_or(|id| place(id) < at))
    };
    let big = serve(220).await;
    let ungrouped = big.bulk(TREE, false).await;
    assert!(!after(&big.lines(&ungrouped["url"]).await));
    let grouped = big.bulk(TREE, true).await;
    assert!(after(&big.lines(&grouped["url"]).await));
}

#[tokio::test]
async fn a_child_without_id_has_none_and_no_results_have_no_url() {
    let server = serve(10).await;
    let levels = "{ productVariants { edges { node { id inventoryItem { inventoryLevels { edges { node { location { id } } } } } } } } }";
    let operation = server.bulk(levels, false).await;
    let lines = server.lines(&operation["url"]).await;
    let levels: Vec<&Value> = lines.iter().filter(|line| line.get("location").is_some()).collect();
    assert!(!levels.is_empty());
    assert!(levels.iter().all(|line| line.get("id").is_none() && line["__parentId"].is_string()));
    let nothing =
        server.bulk("{ products(query: \"title:zzz\") { edges { node { id } } } }", false).await;
    assert_eq!(
        (&nothing["status"], &nothing["url"], &nothing["objectCount"]),
        (&json!("COMPLETED"), &Value::Null, &json!("0"))
    );
}

#[tokio::test]
async fn bulk_operations_have_rules_and_ends() {
    let server = serve(300).await;
    let start = "mutation($q: String!) { bulkOperationRunQuery(query: $q, groupObjects: false) { bulkOperation { id } userErrors { code message } } }";
    for refused in [
        "{ shop { name } }",
        "{ node(id: \"gid://shopify/Product/1\") { id } }",
        "{ products { edges { node { titel } } } }",
        "{ products { edges { node { variants { edges { node { metafields { edges { node { owner { ... on ProductVariant { media { edges { node { id } } } } } } } } } } } } } } }",
    ] {
        let answer = server.ask(start, json!({ "q": refused })).await;
        assert_eq!(
            answer["bulkOperationRunQuery"]["userErrors"][0]["code"], "INVALID",
            "{refused}"
        );
    }
    server.tell("/_sim/bulk", json!({ "fail_next": "TIMEOUT" })).await;
    let failed = server.bulk(TREE, false).await;
    assert_eq!(
        (&failed["status"], &failed["errorCode"], &failed["url"]),
        (&json!("FAILED"), &json!("TIMEOUT"), &Value::Null)
    );
    let partial = server.lines(&failed["partialDataUrl"]).await;
    assert!(!partial.is_empty());
    let whole = server.bulk(TREE, false).await;
    assert!(partial.len() < server.lines(&whole["url"]).await.len());
    server.tell("/_sim/bulk", json!("expire")).await;
    let gone = server.http.get(whole["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(gone.status(), 403);
}

impl Server {
    /// Begins a bulk mutation of products with these titles; what the shop answers.
    async fn makes(&self, selected: &str, titles: &[&str]) -> Value {
        let staged = self.ask(STAGE, json!({})).await;
        let url = &staged["stagedUploadsCreate"]["stagedTargets"][0]["url"];
        let url = url.as_str().unwrap().to_owned();
        let lines: String =
            titles.iter().map(|title| format!("{{\"p\":{{\"title\":\"{title}\"}}}}\n")).collect();
        assert_eq!(self.http.put(&url).body(lines).send().await.unwrap().status(), 201);
        let mutation = format!(
            "mutation Make($p: ProductCreateInput!) {{ productCreate(product: $p) {{ product {{ {selected} }} userErrors {{ message }} }} }}"
        );
        let start = "mutation($m: String!, $k: String!) { bulkOperationRunMutation(mutation: $m, stagedUploadPath: $k) { bulkOperation { id } userErrors { message code } } }";
        let key = url.rsplit('/').next().unwrap();
        let started = self.ask(start, json!({ "m": mutation, "k": key })).await;
        started["bulkOperationRunMutation"].clone()
    }

    fn products(&self) -> usize {
        self.simulator.shop().store.live_ids("Product").count()
    }
}

#[tokio::test]
async fn a_bulk_mutation_ends_as_it_is_doomed_to_with_what_it_did() {
    let server = serve(10).await;
    for (doom, status) in [("TIMEOUT", "FAILED"), ("CANCELED", "CANCELED")] {
        let before = server.products();
        server.tell("/_sim/bulk", json!({ "fail_next": doom })).await;
        let started = server.makes("id", &["One", "Two", "Three", "Four"]).await;
        let ended = server.finished(&started["bulkOperation"]["id"]).await;
        assert_eq!((&ended["status"], &ended["url"]), (&json!(status), &Value::Null));
        let lines = server.lines(&ended["partialDataUrl"]).await;
        assert_eq!((lines.len(), server.products() - before), (2, 2), "{doom}");
    }
}

#[tokio::test]
async fn bulk_mutations_keep_their_pace_and_five_run_at_once() {
    let server = serve(10).await;
    let two = "variants(first: 1) { nodes { id } } media(first: 1) { nodes { id } }";
    let refused = server.makes(two, &["One"]).await;
    assert_eq!(refused["userErrors"][0]["code"], "INVALID_MUTATION", "{refused}");
    server.tell("/_sim/bulk", json!({ "pace": 2.0 })).await;
    let titles: Vec<String> = (0..100).map(|n| format!("Slow {n}")).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(server.makes("id", &titles).await["bulkOperation"]["id"].clone());
    }
    let sixth = server.makes("id", &["One"]).await;
    assert_eq!(sixth["userErrors"][0]["code"], "OPERATION_IN_PROGRESS", "{sixth}");
    let list =
        "{ bulkOperations(first: 10, query: \"operation_type:mutation\") { nodes { id query } } }";
    let listed = server.ask(list, json!({})).await["bulkOperations"]["nodes"].clone();
    assert!(listed[0]["query"].as_str().unwrap().contains("mutation Make("), "{listed}");
    for id in &ids {
        let cancel =
            "mutation($id: ID!) { bulkOperationCancel(id: $id) { userErrors { message } } }";
        server.ask(cancel, json!({ "id": id })).await;
    }
    for id in &ids {
        assert_eq!(server.finished(id).await["status"], "CANCELED");
    }
    assert!(server.products() < 510, "they did not do all of it");
    server.tell("/_sim/bulk", json!({ "pace": 0 })).await;
    let none = server.makes("id", &["One"]).await;
    assert_eq!(none["userErrors"][0]["code"], "LIMIT_REACHED", "{none}");
}

const STAGE: &str = "mutation { stagedUploadsCreate(input: [{ resource: BULK_MUTATION_VARIABLES, filename: \"v\", mimeType: \"text/jsonl\", httpMethod: PUT }]) { stagedTargets { url resourceUrl } userErrors { message } } }";

#[tokio::test]
async fn a_bulk_mutation_answers_line_by_line() {
    let server = serve(10).await;
    let started = server.makes("id title", &["One", "", "Three"]).await;
    let operation = server.finished(&started["bulkOperation"]["id"]).await;
    let lines = server.lines(&operation["url"]).await;
    assert_eq!(operation["status"], "COMPLETED");
    assert_eq!(
        lines.iter().map(|line| line["__lineNumber"].as_u64().unwrap()).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert_eq!(
        lines[1]["data"]["productCreate"]["userErrors"][0]["message"],
        "Title can't be blank"
    );
}

#[tokio::test]
async fn a_file_is_ready_in_time_and_its_address_dies_with_it() {
    let server = serve(10).await;
    let stage = "mutation { stagedUploadsCreate(input: [{ resource: IMAGE, filename: \"a.png\", mimeType: \"image/png\", httpMethod: POST }]) { stagedTargets { url resourceUrl parameters { name value } } userErrors { message } } }";
    let staged = server.ask(stage, json!({})).await;
    let target = &staged["stagedUploadsCreate"]["stagedTargets"][0];
    let form = |parts: &[(&str, &str)]| {
        let fields = parts.iter().map(|(name, value)| {
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        });
        fields.collect::<String>() + "--x--\r\n"
    };
    let key = target["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "key").unwrap()
        ["value"]
        .as_str()
        .unwrap();
    let post = |body: String| {
        server
            .http
            .post(target["url"].as_str().unwrap())
            .header("content-type", "multipart/form-data; boundary=x")
            .body(body)
            .send()
    };
    assert_eq!(
        post(form(&[("file", "bytes"), ("key", key)])).await.unwrap().status(),
        400,
        "the file comes last"
    );
    assert_eq!(post(form(&[("key", key), ("file", "real bytes")])).await.unwrap().status(), 201);
    let create = "mutation($f: [FileCreateInput!]!) { fileCreate(files: $f) { files { id fileStatus ... on MediaImage { image { url } } } userErrors { message } } }";
    let made = server
        .ask(create, json!({ "f": [{ "originalSource": target["resourceUrl"], "alt": "a" }] }))
        .await;
    let file = made["fileCreate"]["files"][0].clone();
    assert_eq!((&file["fileStatus"], &file["image"]), (&json!("PROCESSING"), &Value::Null));
    tokio::time::sleep(Duration::from_millis(400)).await;
    let read =
        "query($id: ID!) { node(id: $id) { ... on MediaImage { fileStatus image { url } } } }";
    let ready = server.ask(read, json!({ "id": file["id"] })).await["node"].clone();
    assert_eq!(ready["fileStatus"], "READY");
    let url = ready["image"]["url"].as_str().unwrap();
    assert_eq!(server.http.get(url).send().await.unwrap().text().await.unwrap(), "real bytes");
    let delete = "mutation($f: [ID!]!) { fileDelete(fileIds: $f) { deletedFileIds userErrors { message } } }";
    server.ask(delete, json!({ "f": [file["id"]] })).await;
    assert_eq!(server.http.get(url).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_lost_answer_was_applied_and_a_reset_was_not() {
    let server = serve(5).await;
    let count = "{ productsCount { count } }";
    let create = "mutation { productCreate(product: { title: \"x\" }) { product { id } } }";
    for (fault, after) in [("lost", 6), ("reset", 6), ("internal", 6)] {
        server.tell("/_sim/faults", json!({ "next": [fault] })).await;
        let answer = server.send("shpat_test", create, json!({})).await;
        let body = match answer {
            Ok(answer) => {
                answer.json::<Value>().await.ok().filter(|body| body.get("data").is_some())
            }
            Err(_) => None,
        };
        assert_eq!(body, None, "{fault}");
        assert_eq!(server.ask(count, json!({})).await["productsCount"]["count"], after, "{fault}");
    }
    server.tell("/_sim/faults", json!({ "next": ["rejected", "too_many"] })).await;
    assert_eq!(server.send("shpat_test", count, json!({})).await.unwrap().status(), 430);
    let refused = server.send("shpat_test", count, json!({})).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()),
        (429, "2")
    );
    let struck = server.http.get(format!("{}/_sim/faults", server.base)).send().await.unwrap();
    let each_once = json!({ "too_many": 1, "rejected": 1, "internal": 1, "reset": 1, "lost": 1 });
    assert_eq!(struck.json::<Value>().await.unwrap(), each_once);
}

#[tokio::test]
async fn tokens_are_asked_for_expire_and_are_revoked() {
    let server = serve(5).await;
    let grant = |secret: &'static str| {
        let body =
            format!("grant_type=client_credentials&client_id=backstock&client_secret={secret}");
        server
            .http
            .post(format!("{}/admin/oauth/access_token", server.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
    };
    assert_eq!(grant("wrong").await.unwrap().status(), 401);
    let granted: Value = grant("hush").await.unwrap().json().await.unwrap();
    assert_eq!(granted["expires_in"], 86_399);
    let token = granted["access_token"].as_str().unwrap();
    let server = &server;
    let ask = |token: String| async move {
        server.send(&token, "{ shop { name } }", json!({})).await.unwrap().status().as_u16()
    };
    assert_eq!(ask(token.into()).await, 200);
    server.tell("/_sim/tokens", json!("expire")).await;
    assert_eq!((ask(token.into()).await, ask("shpat_test".into()).await), (401, 200));
    server.tell("/_sim/tokens", json!("revoke")).await;
    assert_eq!(ask("shpat_test".into()).await, 401);
}

#[tokio::test]
async fn what_was_answered_by_id_is_on_the_books_and_what_is_done_later_is_dated_later() {
    let server = serve(5).await;
    let first = server.ask("{ products(first: 1) { nodes { id } } }", json!({})).await;
    let id = first["products"]["nodes"][0]["id"].clone();
    let question = "query ProductsById($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    server.ask(question, json!({ "ids": [id, "gid://shopify/Product/1"] })).await;
    let answers = server.lines(&json!(format!("{}/_sim/answers", server.base))).await;
    assert_eq!(answers.len(), 1, "of what is not there nothing is told: {answers:?}");
    assert_eq!((&answers[0]["question"], &answers[0]["gid"]), (&json!("ProductsById"), &id));
    let answered: Timestamp = answers[0]["at"].as_str().unwrap().parse().unwrap();
    let late = Timestamp::UNIX_EPOCH;
    let done = server.simulator.shop().act(late, Actor::Buyer, |shop| shop.now());
    assert!(done > answered, "done at {done}, after the answer of {answered}");
}

#[tokio::test]
async fn a_story_is_told_and_the_truth_is_known() {
    let server = serve(40).await;
    let truth = |at: String| {
        let url = format!("{}/_sim/truth?kind=product&at={at}", server.base);
        async move {
            let text = reqwest::get(url).await.unwrap().text().await.unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
        }
    };
    let told: Value = server
        .http
        .post(format!("{}/_sim/scenario/bad_app?products=10", server.base))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!((&told["products"], &told["deleted_collections"]), (&json!(10), &json!(3)));
    let before = truth(told["before"].as_str().unwrap().to_owned()).await;
    let after = truth(told["after"].as_str().unwrap().to_owned()).await;
    let price =
        |product: &Value| product["variants"][0]["price"].as_str().unwrap().parse::<f64>().unwrap();
    let fallen = before.iter().zip(&after).filter(|(b, a)| price(a) < price(b) / 9.0).count();
    assert_eq!((before.len(), after.len(), fallen), (40, 40, 10));
    assert!(server.simulator.not_simulated().is_empty());
}
