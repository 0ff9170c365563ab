//! What makes no sense is kept aside whole; everything else goes on. Numbers keep their digits.

use crate::support::{Delivery, at, key, product, titled};
use backstock_journal::decode::Message;
use backstock_proto::journal::{AsOf, Journal, Raw};
use backstock_proto::{Op, ResourceKey, event};

fn body(key: &ResourceKey, body: impl Into<Vec<u8>>) -> Delivery {
    let mut delivery = titled(key, "x", at(5));
    delivery.payload = body.into();
    delivery
}

/// A message whose envelope was changed after it was written.
fn changed(seq: u64, name: &str, value: Option<&str>) -> Message {
    let mut message = titled(&product("acme", "1"), "x", at(5)).message(seq);
    let mut headers = async_nats::HeaderMap::new();
    for (known, values) in message.headers.iter() {
        if known.to_string() != name {
            values.iter().for_each(|v| headers.append(known.to_string().as_str(), v.as_str()));
        }
    }
    if let Some(value) = value {
        headers.insert(name, value);
    }
    message.headers = headers;
    message
}

#[tokio::test]
async fn poison_is_kept_aside_and_the_rest_flows_on() {
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let product = product("acme", "1");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let other = br#"{"id": 2, "admin_graphql_api_id": "gid://shopify/Product/2", "title": "x"}"#;
    let mut messages: Vec<Message> = vec![
        body(&product, "{not json").message(1),
        body(&product, deep.clone()).message(2),
        body(&key("acme", "theme", "1"), deep).message(3),
        body(&product, br#"{"id": 1, "title": "\ud800"}"#).message(4),
        body(&product, b"{\"id\": 1, \"title\": \"\0\"}").message(5),
        body(&product, b"\xff\xfe").message(6),
        body(&product, other).message(7),
        body(&product, "").message(8),
        changed(9, event::header::FORMAT, Some("rumour")),
        changed(10, event::header::DIGEST, None),
        changed(11, event::header::RECEIVED_AT, Some("yesterday")),
    ];
    let mut foreign = titled(&product, "x", at(5)).message(12);
    foreign.subject = "backstock.0.rumour.acme.mark.1".into();
    messages.push(foreign);
    for (seq, subject, payload) in [
        (13, "backstock.0.ops.acme.mark.1", "{not json"),
        (14, "backstock.0.ops.acme.mark.1.2", "{}"),
        (15, "backstock.0.ops.acme.mark.a%00b", "{}"),
    ] {
        let mut message = titled(&product, "x", at(5)).message(seq);
        message.subject = subject.into();
        message.payload = payload.into();
        messages.push(message);
    }
    let poison = messages.len() as u64;
    messages.push(titled(&product, "good", at(6)).message(poison + 1));
    let kept = messages.clone();
    let decoded: Vec<_> = messages.into_iter().map(Message::decode).collect();
    let appended = store.append(&decoded, at(0)).expect("append");
    assert_eq!((appended.stored.len(), appended.quarantined.len() as u64), (1, poison));
    for message in kept.iter().take(poison as usize) {
        let found = store.quarantined(message.seq).expect("read").expect("kept");
        assert_eq!(found.message.payload, message.payload);
        assert_eq!(found.message.subject, message.subject);
        assert_eq!(found.message.headers, message.headers);
        assert!(!found.reason.is_empty());
    }
    let reader = crate::support::reader(&store);
    let status = reader.status(&product.shop).await.expect("status").expect("there");
    assert_eq!((status.quarantined, status.summary.versions), (poison, 1));
    let now = reader.resource(&product, AsOf::Latest).await.expect("read").expect("there");
    assert_eq!(now.state["title"], "good");
    assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
}

#[tokio::test]
async fn numbers_and_odd_texts_are_kept_as_they_were_written() {
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let key = key("acme", "tender", "18446744073709551615");
    let written = r#"{"id":18446744073709551615,"exact":0.1000000000000000055511151231257827,"large":123456789012345678901234567890,"exponent":1E400,"nul":"a\u0000b","pair":"\ud83d\ude42"}"#;
    let delivery = Delivery { payload: written.into(), ..titled(&key, "x", at(1)).op(Op::Update) };
    store.append(&crate::support::decoded(1, [delivery]), at(0)).expect("append");
    let reader = crate::support::reader(&store);
    let raw = reader.raw(&key, 1).await.expect("raw");
    assert_eq!(raw, Some(Raw::Bytes(written.into())));
    let state = reader.resource(&key, AsOf::Latest).await.expect("read").expect("there").state;
    let text = state.to_string();
    for digits in [
        "18446744073709551615",
        "0.1000000000000000055511151231257827",
        "123456789012345678901234567890",
        "400",
    ] {
        assert!(text.contains(digits), "{digits} in {text}");
    }
    assert_eq!(state["nul"], "a\0b");
    assert_eq!(state["pair"], "\u{1f642}");
}
