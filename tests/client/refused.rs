//! What cannot be answered: what is not there, what a token may not do, and what cannot be meant.

use crate::canned::{self, Server};
use crate::{asking, command, run};

#[test]
fn what_is_not_there_ends_with_1_and_says_what_is() {
    let server = Server::start();
    let (code, text) = run(asking(&server, &["show", "product", "404"]));
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @"
    error: acme.myshopify.com had never had a product 404 by 2026-11-23T14:30:00Z
      this token sees acme; `backstock find --shop acme TEXT` looks for a resource there
    ");
    let (code, text) = run(asking(&server, &["find", "mug", "--shop", "nowhere"]));
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @r#"
    error: there is no shop "nowhere.myshopify.com" here, or this token does not see it
      this token sees acme; `backstock find --shop acme TEXT` looks for a resource there
    "#);
    let agency = ["find", "mug", "--shop", "nowhere", "--token", canned::AGENCY];
    let (_, text) = run(asking(&server, &agency));
    let there = "this token sees acme, behind, new; `backstock find --shop SHOP TEXT` looks";
    assert!(text.contains(there), "{text}");
}

#[test]
fn a_refused_token_says_how_to_make_one() {
    let server = Server::start();
    let (code, text) = run({
        let mut without = asking(&server, &["status"]);
        without.env_remove("BACKSTOCK_TOKEN");
        without
    });
    assert_eq!(code, 1);
    insta::assert_snapshot!(text.replace(&server.url, "URL"), @"
    error: URL wants a token, and none was given
      `backstock token new --name NAME --scope read` makes one: put the [[token]] it prints in Backstock's configuration file, and set BACKSTOCK_TOKEN
    ");
    let (code, text) = run(asking(&server, &["status", "--token", "bst_wrong"]));
    assert_eq!(code, 1);
    assert!(text.contains("does not know this token") && !text.contains("bst_wrong"), "{text}");
    let (code, text) = run(asking(&server, &["verify", "--token", canned::READER]));
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @r#"
    error: token "reader" lacks the scope "admin"
      `backstock token new --name NAME --scope SCOPE` makes a token that may do this
    "#);
}

#[test]
fn a_server_on_this_machine_is_asked_without_a_proxy() {
    let server = Server::start();
    let mut status = asking(&server, &["status"]);
    status.env("HTTP_PROXY", "http://127.0.0.1:1").env_remove("NO_PROXY").env_remove("no_proxy");
    let (code, text) = run(status);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let (code, text) = run(command(&["status", "--url", "127.0.0.1:1"]));
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @"
    error: http://127.0.0.1:1 cannot be reached: Connection refused (os error 111)
      is `backstock serve` running there? --url or BACKSTOCK_URL says where it is
    ");
    let server = Server::start();
    let (code, text) = run(asking(&server, &["status", "--url", &format!("{}/else", server.url)]));
    assert_eq!(code, 1);
    insta::assert_snapshot!(text.replace(&server.url, "URL"), @"
    error: URL/else answered 404 Not Found and no reason
      is that Backstock's restorer? --url or BACKSTOCK_URL says where it is
    ");
}

#[test]
fn what_cannot_be_meant_ends_with_2() {
    let server = Server::start();
    let (code, text) = run(asking(&server, &["status", "--token", canned::AGENCY]));
    assert_eq!(code, 2);
    insta::assert_snapshot!(text, @"
    error: this token sees several shops: acme, behind, new
      say which with --shop, or set BACKSTOCK_SHOP
    ");
    for args in [
        &["show", "product"][..],
        &["show", "product", "1", "--at", "soonish"],
        &["show", "Pro/duct", "1"],
        &["diff", "product", "1"],
        &["find", "x", "--limit", "0"],
        &["status", "--shop", "not a shop"],
        &["status", "--url", "ftp://127.0.0.1"],
        &["token", "new", "--name", "x", "--scope", "all"],
        &["token", "new", "--name", "x"],
        &["plan", "plan-0193-5f2a", "--kind", "product"],
        &["plan", "plan-0193-5f2a", "--overwrite"],
        &["frobnicate"],
    ] {
        assert_eq!(run(asking(&server, args)).0, 2, "{args:?}");
    }
    let (_, text) = run(asking(&server, &["show", "product", "1", "--at", "soonish"]));
    assert!(text.contains("\"2 hours ago\"") && text.contains("2026-11-20"), "{text}");
}
