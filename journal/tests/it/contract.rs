//! One suite for everybody who answers as a journal: the store in process, and over HTTP.

use std::sync::Arc;

use crate::support::model::Model;
use crate::support::{at, deleted, metafield, note, product, pulled, signal, titled};
use backstock_journal::decode::Message;
use backstock_journal::{Store, http};
use backstock_proto::Shop;
use backstock_proto::journal::{
    AsOf, ChangeFilter, Client, Journal, JournalError, Numbers, Page, ResourceFilter, Span,
};
use backstock_proto::{Facet, Op, Timestamp, listen};
use futures::TryStreamExt;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A store with a history, and what that history should be.
fn told(dir: &std::path::Path) -> (Arc<Store>, Model, Shop) {
    let store = crate::support::open(dir);
    let (one, two) = (product("acme", "1"), product("acme", "2"));
    let arrival = [
        titled(&one, "A", at(1)).op(Op::Create).webhook("1"),
        titled(&two, "Ü \u{1f642} \"quoted\"", at(2)).webhook("2"),
        titled(&one, "B", at(5)).webhook("3"),
        titled(&one, "A", at(3)).webhook("4"),
        titled(&one, "B", at(6)).webhook("5"),
        deleted(&two, at(7)).webhook("6"),
        metafield(&one, "cold", at(0)),
        pulled(&one, "B", at(8)).earliest(at(6)),
        signal(&one, "inventory moved", at(9)).webhook("7"),
        // Nothing else is known of it: it is history, and no resource.
        metafield(&product("acme", "3"), "warm", at(2)),
    ];
    let mut model = Model::default();
    for (seq, delivery) in (1..).zip(&arrival) {
        model.apply(seq, delivery);
    }
    let mut messages = crate::support::decoded(1, arrival);
    let mark = |seq, id, label: &str| note("acme", "mark", id, &json!({"label": label}), seq);
    messages.extend(
        [mark(11, "a", "before"), mark(12, "b", "Ü"), mark(13, "a", "after")].map(Message::decode),
    );
    store.append(&messages, at(0)).expect("append");
    (store, model, one.shop)
}

async fn suite(journal: &dyn Journal, model: &Model, shop: &Shop) {
    for limit in [1, 2, 1_000] {
        model.check(journal, shop, limit).await;
    }
    let nobody = Shop::from_name("nobody").expect("shop");
    assert_eq!(journal.status(&nobody).await.expect("status"), None);
    assert!(journal.resource(&product("nobody", "1"), AsOf::Latest).await.expect("read").is_none());
    let named = ["2", "9", "1"].map(|id| product("acme", id));
    let (kind, ids) = (named[0].kind.clone(), named.each_ref().map(|key| key.id.clone()));
    let several = journal.several(shop, &kind, &ids, AsOf::Latest).await.expect("read");
    assert_eq!(several.len(), named.len());
    for (key, found) in named.iter().zip(several) {
        assert_eq!(found, journal.resource(key, AsOf::Latest).await.expect("read"));
    }
    assert_eq!(journal.shops().await.expect("shops").len(), 1);

    let list = |q: &str, deleted| ResourceFilter {
        q: Some(q.into()),
        deleted,
        ..ResourceFilter::default()
    };
    for (filter, found) in [
        (list("sku-ü", None), 1),
        (list("sku-ü", Some(false)), 0),
        (list("B", None), 1),
        (list("nothing", None), 0),
    ] {
        let items = journal.resources(shop, &filter, &Page::default()).await.expect("list").items;
        assert_eq!(items.len(), found, "{filter:?}");
    }
    let span = Span { from: at(3), to: at(5) };
    let changes = ChangeFilter { span, ..ChangeFilter::default() };
    let items = journal.changes(shop, &changes, &Page::default()).await.expect("changes").items;
    assert_eq!(items.iter().map(|change| change.version.seq).collect::<Vec<_>>(), [3]);
    let also = ChangeFilter { span: Span::default(), unchanged: true, ..changes };
    let items = journal.changes(shop, &also, &Page::default()).await.expect("changes").items;
    let idle = items.iter().find(|change| change.version.unchanged);
    let idle = idle.expect("one that changed nothing");
    assert!(idle.version.unchanged && idle.changes.is_empty(), "{idle:?}");
    let key = product("acme", "1");
    let items = journal.versions(&key, span, &Page::default()).await.expect("versions").items;
    assert_eq!(items.iter().map(|version| version.seq).collect::<Vec<_>>(), [3, 4]);
    let items = journal.versions(&key, Span::default(), &Page::default()).await.expect("all").items;
    let newest = &items[0];
    assert_eq!((newest.facet, newest.seq), (Facet::Signal, 9));
    assert_eq!((items[1].earliest_at, items[1].unchanged), (Some(at(6)), true));

    for page in [
        Page { limit: 0, cursor: None },
        Page { limit: 1_001, cursor: None },
        Page { limit: 1, cursor: Some("?".into()) },
    ] {
        let refused = journal.changes(shop, &ChangeFilter::default(), &page).await;
        assert!(matches!(refused, Err(JournalError::Invalid(_))), "{page:?}");
        let refused = journal.resources(shop, &ResourceFilter::default(), &page).await;
        assert!(matches!(refused, Err(JournalError::Invalid(_))), "{page:?}");
        let refused = journal.versions(&key, Span::default(), &page).await;
        assert!(matches!(refused, Err(JournalError::Invalid(_))), "{page:?}");
    }
    for (id, found) in [(None, vec![13, 12]), (Some("a"), vec![13, 11]), (Some("c"), vec![])] {
        let list = journal.records(shop, "mark", id, &Page::default()).await.expect("records");
        assert_eq!(list.items.iter().map(|record| record.seq).collect::<Vec<_>>(), found);
    }
    let first = Page { limit: 1, cursor: None };
    let list = journal.records(shop, "mark", None, &first).await.expect("records");
    assert_eq!(list.items[0].payload, json!({"label": "after"}));
    let rest = Page { cursor: list.next, ..first };
    let list = journal.records(shop, "mark", None, &rest).await.expect("records");
    assert_eq!((list.items[0].id.as_str(), list.next), ("b", None));

    let rebuilt = async |second| {
        let all = journal.rebuilt(shop, &key.kind, at(second)).await.expect("asked");
        all.try_collect::<Vec<_>>().await.expect("rebuilt")
    };
    let all = rebuilt(8).await;
    // What has no core is no resource; what is gone is told as gone.
    assert_eq!(all.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let now = journal.resource(&key, AsOf::At(at(8))).await.expect("read").expect("there");
    assert_eq!((all[0].state.as_ref(), all[0].damage.as_ref()), (Some(&now.state), None));
    assert_eq!(
        all[0].facets.iter().map(|head| (head.facet, head.deleted)).collect::<Vec<_>>(),
        [(Facet::Core, false), (Facet::Metafields, false)]
    );
    let heads = journal.heads(shop, &key.kind, None).await.expect("asked");
    let heads: Vec<_> = heads.try_collect().await.expect("heads");
    assert!(all[0].facets.iter().all(|head| heads.contains(head)), "hashed anew, the same");
    assert_eq!((all[1].state.as_ref(), all[1].facets[0].deleted), (None, true));
    assert!(rebuilt(6).await[1].state.is_some(), "it was there before its end");
    assert_eq!(rebuilt(1).await.len(), 1);

    let report = journal.verify().await.expect("verify");
    assert_eq!((report.versions, report.faults), (10, vec![]));
}

#[tokio::test]
async fn the_store_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, model, shop) = told(dir.path());
    suite(&crate::support::reader(&store), &model, &shop).await;
    assert!(store.verified_at().expect("read").is_some());
}

#[tokio::test]
async fn the_client_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, model, shop) = told(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let base = format!("http://{}", listener.local_addr().expect("address"));
    let router = http::router(Arc::new(crate::support::reader(&store)));
    let shutdown = CancellationToken::new();
    let serving = listen::serve(listener, router, listen::Limits::default(), shutdown.clone());
    let serving = tokio::spawn(serving);
    let client = client(&base);
    suite(&client, &model, &shop).await;
    shutdown.cancel();
    serving.await.expect("no panic").expect("served");
    let gone = client.shops().await;
    assert!(matches!(gone, Err(JournalError::Unavailable(_))), "{gone:?}");
}

#[tokio::test]
async fn whoever_asks_a_journal_that_starts_hears_so() {
    let dir = tempfile::tempdir().expect("dir");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let client = client(&format!("http://{}", listener.local_addr().expect("address")));
    let (door, shutdown) = (http::Door::default(), CancellationToken::new());
    let limits = listen::Limits::default();
    let serving = tokio::spawn(listen::serve(listener, door.router(), limits, shutdown.clone()));
    let starting = client.shops().await;
    let Err(JournalError::Unavailable(why)) = starting else { panic!("{starting:?}") };
    assert!(why.contains("it is starting"), "{why}");
    door.open(Arc::new(crate::support::reader(&crate::support::open(dir.path()))));
    assert_eq!(client.shops().await.expect("an answer"), []);
    shutdown.cancel();
    serving.await.expect("no panic").expect("served");
}

fn client(base: &str) -> Client {
    // Somebody else in this process may have chosen already.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    Client::new(reqwest::Client::new(), url::Url::parse(base).expect("url"))
}

#[tokio::test]
async fn a_snapshot_that_breaks_off_is_never_taken_for_a_whole_one() {
    let whole = concat!(r#"{"end":{"count":0}}"#, "\n");
    for (body, fails) in [(whole, false), ("", true), (r#"{"end":{"count":2}}"#, true)] {
        let router = axum::Router::new().fallback(move || async move { body });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let base = format!("http://{}", listener.local_addr().expect("address"));
        let shutdown = CancellationToken::new();
        tokio::spawn(listen::serve(listener, router, listen::Limits::default(), shutdown));
        let shop = Shop::from_name("acme").expect("shop");
        let snapshot = client(&base).snapshot(&shop, AsOf::Latest, None).await.expect("begins");
        let read: Result<Vec<_>, _> = snapshot.try_collect().await;
        assert_eq!(read.is_err(), fails, "{body:?}: {read:?}");
    }
}

#[tokio::test]
async fn what_names_something_is_found_by_its_number() {
    const NUMBER: &str = "8072139866342";
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let [escaped, twice, gone, other, itself] =
        ["1", "2", "3", "4", NUMBER].map(|id| product("acme", id));
    let link = format!("[\"gid://shopify/Product/{NUMBER}\"]");
    let mut slashes = metafield(&escaped, &link, at(2));
    let text = String::from_utf8(slashes.payload).expect("text");
    slashes.payload = text.replace('/', "\\/").into_bytes();
    let arrival = [
        titled(&escaped, "A", at(1)).webhook("1"),
        titled(&twice, "B", at(1)).webhook("2"),
        titled(&gone, "C", at(1)).webhook("3"),
        titled(&other, "D", at(1)).webhook("4"),
        titled(&itself, "E", at(1)).webhook("5"),
        slashes,
        metafield(&twice, &link, at(2)),
        metafield(&gone, &link, at(2)),
        metafield(&other, &format!("gid://shopify/Product/{NUMBER}0"), at(2)),
        metafield(&escaped, "nothing", at(4)),
        // Says the same: it has no bytes of its own.
        metafield(&twice, &link, at(4)),
        deleted(&gone, at(4)).webhook("6"),
    ];
    store.append(&crate::support::decoded(1, arrival), at(0)).expect("append");
    let reader = crate::support::reader(&store);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let base = format!("http://{}", listener.local_addr().expect("address"));
    let router = http::router(Arc::new(reader.clone()));
    let limits = listen::Limits::default();
    tokio::spawn(listen::serve(listener, router, limits, CancellationToken::new()));
    let numbers = Numbers::of([format!("gid://shopify/Product/{NUMBER}").as_str()]);
    let numbers = numbers.expect("a number");
    let (shop, kind, client) = (&itself.shop, &itself.kind, client(&base));
    for journal in [&reader as &dyn Journal, &client] {
        for (then, expected) in [
            (AsOf::At(at(1)), vec![NUMBER]),
            (AsOf::At(at(3)), vec!["1", "2", "3", NUMBER]),
            (AsOf::Latest, vec!["2", NUMBER]),
        ] {
            let found = journal.mentioning(shop, then, kind, &numbers).await.expect("asked");
            let found: Vec<_> = found.try_collect().await.expect("whole");
            let ids: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
            assert_eq!(ids, expected, "{then:?}");
            for found in &found {
                let whole = journal.resource(&product("acme", found.id.as_str()), then).await;
                assert_eq!(whole.expect("read").as_ref(), Some(found), "{then:?}");
            }
        }
    }
}

#[tokio::test]
async fn variants_that_a_webhook_only_names_are_as_they_were() {
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let key = product("acme", "1");
    let gid = |n: u64| format!("gid://shopify/ProductVariant/{n}");
    let variant = |n: u64, price: &str| {
        json!({"id": gid(n), "title": format!("V{n}"), "position": n, "price": price,
               "selectedOptions": []})
    };
    let node = json!({"id": "gid://shopify/Product/1", "title": "Mug", "updatedAt": at(1),
        "variants": [variant(1, "10.00"), variant(2, "20.00")]});
    let sent = json!({"id": 1, "admin_graphql_api_id": "gid://shopify/Product/1", "title": "Mug",
        "updated_at": at(2), "variants": [{"id": 1, "title": "V1", "position": 1, "price": "1.00"}],
        "variant_gids": [{"admin_graphql_api_id": gid(1)}, {"admin_graphql_api_id": gid(2)}]});
    let again = json!({"id": 1, "admin_graphql_api_id": "gid://shopify/Product/1", "title": "Cup",
        "updated_at": at(3), "variants": [{"id": 1, "title": "V1", "position": 1, "price": "1.00"}],
        "variant_gids": [{"admin_graphql_api_id": gid(1)}, {"admin_graphql_api_id": gid(2)}]});
    let arrival = [
        crate::support::facet(&key, Facet::Core, &node, at(1)),
        crate::support::Delivery::of(&key, Op::Update, &sent, at(2)).webhook("1"),
        crate::support::Delivery::of(&key, Op::Update, &again, at(3)).webhook("2"),
    ];
    store.append(&crate::support::decoded(1, arrival), at(0)).expect("append");
    let reader = crate::support::reader(&store);
    let now = reader.resource(&key, AsOf::Latest).await.expect("read").expect("there");
    let told = |n: usize| now.state["variants"][n]["price"].clone();
    assert_eq!((told(0), told(1)), (json!("1.00"), json!("20.00")), "{}", now.state);
    let filter = ChangeFilter::default();
    let changes = reader.changes(&key.shop, &filter, &Page::default()).await.expect("changes");
    let paths = |n: usize| -> Vec<String> {
        changes.items[n].changes.iter().map(|change| change.path.clone()).collect()
    };
    assert_eq!(paths(0), ["/title"]);
    assert!(paths(1).contains(&"/variants/0/price".into()), "{:?}", paths(1));
    assert!(paths(1).iter().all(|path| !path.starts_with("/variants/1")), "{:?}", paths(1));
    assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
}

#[tokio::test]
async fn a_webhook_that_tells_nothing_new_as_far_as_it_can_makes_no_other_state() {
    let key = product("acme", "1");
    let gid = |n: u64| format!("gid://shopify/ProductVariant/{n}");
    let variant = |n: u64, price: &str| {
        json!({"id": gid(n), "title": format!("V{n}"), "position": n, "price": price,
               "selectedOptions": []})
    };
    let whole = |price: &str, then: Timestamp| {
        let node = json!({"id": "gid://shopify/Product/1", "title": "Mug", "updatedAt": then,
            "variants": [variant(1, "10.00"), variant(2, price)]});
        crate::support::facet(&key, Facet::Core, &node, then)
    };
    let in_part = |title: &str, then: Timestamp| {
        let body = json!({"id": 1, "admin_graphql_api_id": "gid://shopify/Product/1",
            "title": title, "updated_at": then,
            "variants": [{"id": 1, "title": "V1", "position": 1, "price": "10.00"}],
            "variant_gids": [{"admin_graphql_api_id": gid(1)}, {"admin_graphql_api_id": gid(2)}]});
        crate::support::Delivery::of(&key, Op::Update, &body, then)
    };
    let arrival = || {
        vec![
            whole("20.00", at(1)),
            in_part("Mug", at(2)).webhook("2"),
            // Whoever was asked says the same.
            whole("20.00", at(2)),
            in_part("Mug", at(3)).webhook("3"),
            // What it could not tell was otherwise.
            whole("30.00", at(3)),
            in_part("Cup", at(4)).webhook("4"),
        ]
    };
    for together in [1, 6] {
        let dir = tempfile::tempdir().expect("dir");
        let store = crate::support::open(dir.path());
        for batch in crate::support::decoded(1, arrival()).chunks(together) {
            store.append(batch, at(0)).expect("append");
        }
        let reader = crate::support::reader(&store);
        let versions = reader.versions(&key, Span::default(), &Page::default()).await;
        let versions = versions.expect("versions").items.into_iter().rev();
        let seen: Vec<_> = versions.map(|v| (v.valid_at, v.unchanged)).collect();
        let expected = [(1, false), (2, true), (3, true), (3, false), (4, false)]
            .map(|(n, same)| (at(n), same));
        assert_eq!(seen, expected, "{together} at once");
        let then = reader.resource(&key, AsOf::Latest).await.expect("read").expect("there");
        assert_eq!(then.state["variants"][1]["price"], "30.00", "{}", then.state);
        assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
    }
}
