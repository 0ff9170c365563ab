//! What is written to the shop for pages and redirects.

mod simulated;

use backstock_restorer::write::Written;
use serde_json::Value;
use shopify::fault::Fault;
use simulated::{Simulated, spec};

/// A state without what a recreation cannot bring back.
fn without(state: &Value, members: &[&str]) -> Value {
    let mut state = state.clone();
    let object = state.as_object_mut().expect("an object");
    members.iter().for_each(|member| drop(object.remove(*member)));
    state
}

/// What is gone comes back under a new id with all that it had; what is there is not made twice.
#[tokio::test]
async fn what_is_deleted_comes_back() {
    let shop = Simulated::start(1, 10, true).await;
    for kind in ["page", "redirect"] {
        let ids = shop.ids(spec(kind).gid_type);
        assert!(ids.len() >= 3, "{kind}");
        for id in ids {
            let was = shop.read(kind, &id).await.expect("it is there");
            assert_eq!(shop.write(kind, Some(&was), None).await.unwrap(), Written::Deleted);
            assert_eq!(shop.read(kind, &id).await, None);
            shop.writes();
            let written = shop.write(kind, None, Some(&was)).await.unwrap();
            let Written::Created { gid, ids } = written else { panic!("{written:?}") };
            assert_eq!(ids.get(was["id"].as_str().unwrap()), Some(&gid));
            assert_eq!(shop.writes().len(), 1);
            let id = backstock_proto::ResourceId::parse(&gid).unwrap();
            let is = shop.read(kind, &id).await.expect("it is there");
            assert_eq!(
                without(&is, &["id", "createdAt"]),
                without(&was, &["id", "createdAt"]),
                "{kind}"
            );
            assert_eq!(shop.write(kind, Some(&is), Some(&is)).await.unwrap(), Written::Unchanged);
            assert_eq!(shop.writes().len(), 0);
        }
    }
    shop.assert_simulated();
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_one() {
    let mut shop = Simulated::start(2, 10, true).await;
    shop.begin(backstock_proto::Timestamp::from_micros(0));
    for kind in ["page", "redirect"] {
        let id = shop.ids(spec(kind).gid_type).remove(0);
        let was = shop.read(kind, &id).await.expect("it is there");
        shop.write(kind, Some(&was), None).await.unwrap();
        let before = shop.ids(spec(kind).gid_type).len();
        // The question whether it is there is answered, the answer to the creation is lost.
        shop.fates(&[None, Some(Fault::Lost)]);
        let written = shop.write(kind, None, Some(&was)).await.unwrap();
        assert!(matches!(written, Written::Created { .. }), "{written:?}");
        assert_eq!(shop.ids(spec(kind).gid_type).len(), before + 1);
    }
}
