//! The verbs that people type, through the real binary, against a server that answers in the
//! API's exact shapes.

use std::process::{Command, Output};

use backstock_proto::journal::List;
use sha2::{Digest, Sha256};

mod canned;
mod refused;
mod restore;

use canned::Server;

/// Central European time, without needing a time zone database.
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstock"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BACKSTOCK_")) {
        command.env_remove(name);
    }
    command.env("TZ", ZONE).env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR").args(args);
    command
}

fn asking(server: &Server, args: &[&str]) -> Command {
    let mut command = command(args);
    command.env("BACKSTOCK_URL", &server.url).env("BACKSTOCK_TOKEN", canned::TOKEN);
    command
}

fn run(mut command: Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(stdout.is_empty() || stderr.is_empty(), "{stdout}\n{stderr}");
    (status.code().expect("an exit code"), stdout + &stderr)
}

/// What a verb prints, if it ends with 0.
fn said(server: &Server, args: &[&str]) -> String {
    let (code, text) = run(asking(server, args));
    assert_eq!(code, 0, "{text}");
    text
}

#[test]
fn a_shop_that_is_well_says_so() {
    let server = Server::start();
    insta::assert_snapshot!(said(&server, &["status"]), @"
    acme.myshopify.com: 1,234 resources, 48,211 versions kept

    Kind                 Living  Deleted  Versions  Newest version          Heard       Whole look
    product               1,200       31    48,000  2026-11-23 14:05:12.25  in seconds  never
    theme (as received)      34        0       211  2026-07-01 12:00:00     in seconds  never

    Up to date. The newest event arrived 5 min ago and can be read.
    No gaps. Every event of the stream was seen.
    No quarantine. Every event was understood.
    ");
}

#[test]
fn a_shop_that_is_not_well_says_what_is_wrong() {
    let server = Server::start();
    insta::assert_snapshot!(said(&server, &["status", "--shop", "Behind"]), @"
    behind.myshopify.com: 1,234 resources, 48,211 versions kept

    Kind      Living  Deleted  Versions  Newest version       Heard                   Whole look
    page           7        0         9  2026-11-23 14:05:12  in minutes              5 min ago
    product       60        0        61  2026-11-23 14:05:12  in seconds              failed; before that: 5 min ago
    redirect       1        0         1  2026-11-23 14:05:12  mostly within the hour  failed; before that: never

    12 min behind. Events that arrived since then are safe, but cannot be read yet.
    1 gap. The stream no longer held these events when they were due:
      3 events (7 to 9), noticed 2026-11-22 09:00:00
        read anew since: page; not yet: product
    2 events in quarantine. Kept as received, but not understood and not in any history.
    Not read whole:
      product: 25 of 60 are no longer in the shop. So many at once are not taken for deleted before somebody says so: `backstock reconcile --shop acme --kind product --confirm-deletions`
      redirect: Shopify did not answer
      The next whole look tries again, and `backstock reconcile --shop behind` at once.
    ");
    insta::assert_snapshot!(said(&server, &["status", "--shop", "new.myshopify.com"]), @"
    new.myshopify.com: No webhook has arrived yet. Those that are refused are in the log, with the reason.
    ");
}

#[test]
fn an_agency_sees_all_of_its_shops() {
    let server = Server::start();
    insta::assert_snapshot!(said(&server, &["shops", "--token", canned::AGENCY]), @"
    Shop                  Living  Versions  Newest event  Behind             Read whole  How it is
    acme.myshopify.com     1,234    48,211  5 min ago     up to date         5 min ago   well
    behind.myshopify.com   1,234    48,211  5 min ago     12 min             5 min ago   1 open incident
    new.myshopify.com          0         0  never         nothing heard yet              not known yet

    behind.myshopify.com
      12 products’ prices collapsed.
      1 gap in what reached us.
    ");
    let asked = server.asked();
    assert!(asked.last().is_some_and(|path| path.contains("health=true")), "{asked:?}");
    said(&server, &["shops", "beh", "--token", canned::AGENCY]);
    let asked = server.asked();
    assert!(asked.last().is_some_and(|path| path.contains("q=beh")), "{asked:?}");
}

#[test]
fn finding_tells_what_is_there_and_what_is_gone() {
    let server = Server::start();
    insta::assert_snapshot!(said(&server, &["find", "mug"]), @"
    Kind     Id  Title   Since
    product  12  Mug 12  2026-11-20 14:00:00
    product  13  Mug 13  2026-11-20 14:00:00  deleted
    ");
    insta::assert_snapshot!(said(&server, &["find", "mug", "--deleted"]), @"
    Kind     Id  Title   Since
    product  13  Mug 13  2026-11-20 14:00:00  deleted
    ");
    insta::assert_snapshot!(said(&server, &["find", "nothing like it"]), @r#"
    acme.myshopify.com has nothing with "nothing like it" in it.
    "#);
}

#[test]
fn pages_are_followed_as_far_as_asked() {
    let server = Server::start();
    let found = said(&server, &["find", "page", "--limit", "5"]);
    insta::assert_snapshot!(found, @"
    Kind     Id  Title  Since
    product  1   Mug 1  2026-11-20 14:00:00
    product  2   Mug 2  2026-11-20 14:00:00
    product  3   Mug 3  2026-11-20 14:00:00
    product  4   Mug 4  2026-11-20 14:00:00
    product  5   Mug 5  2026-11-20 14:00:00
    The first 5; there are more, and --limit says how many to list.
    ");
    let all = said(&server, &["find", "page", "--limit", "100", "--json"]);
    let all: List<serde_json::Value> = serde_json::from_str(&all).expect("a list");
    assert_eq!((all.items.len(), all.next), (7, None));
}

#[test]
fn a_resource_is_shown_whole() {
    let server = Server::start();
    insta::assert_snapshot!(said(&server, &["show", "product", "8072139866342"]), @"
    Enamel Mug (product 8072139866342)
    Unchanged since 2026-11-20 14:00:00 (webhook products/update)

    descriptionHtml  <p>Enamelled by hand in small runs, so that no two are quite the same. Holds 0.35 l of soft coffee and keeps it warm.</p>
    handle           enamel-mug
    id               gid://shopify/Product/8072139866342
    status           ACTIVE
    tags             kitchen, new
    title            Enamel Mug
    vendor           —
    weight           10.10000000000000000001
    media
      A mug
        alt               A mug
        id                gid://shopify/MediaImage/9
        mediaContentType  IMAGE
        url               https://cdn.shopify.com/s/files/1/1234/products/enamel-mug-blue.png
    options
      Size
        id      gid://shopify/ProductOption/5
        name    Size
        values  S, M
    variants
      S (MUG-S)
        id     gid://shopify/ProductVariant/1
        price  8.00
        sku    MUG-S
        title  S
      M (MUG-M)
        id     gid://shopify/ProductVariant/2
        price  9.50
        sku    MUG-M
        title  M
    ");
}

#[test]
fn a_deleted_resource_is_shown_as_it_last_was() {
    let server = Server::start();
    insta::assert_snapshot!(said(&server, &["show", "product", "13"]), @"
    Enamel Mug (product 13)
    Deleted 2026-11-21 10:30:00 (webhook products/delete). This is its last state:

    descriptionHtml  <p>Enamelled by hand in small runs, so that no two are quite the same. Holds 0.35 l of soft coffee and keeps it warm.</p>
    handle           enamel-mug
    id               gid://shopify/Product/8072139866342
    status           ACTIVE
    tags             kitchen, new
    title            Enamel Mug
    vendor           —
    weight           10.10000000000000000001
    media
      A mug
        alt               A mug
        id                gid://shopify/MediaImage/9
        mediaContentType  IMAGE
        url               https://cdn.shopify.com/s/files/1/1234/products/enamel-mug-blue.png
    options
      Size
        id      gid://shopify/ProductOption/5
        name    Size
        values  S, M
    variants
      S (MUG-S)
        id     gid://shopify/ProductVariant/1
        price  8.00
        sku    MUG-S
        title  S
      M (MUG-M)
        id     gid://shopify/ProductVariant/2
        price  9.50
        sku    MUG-M
        title  M

    What it would take to bring it back: backstock plan --shop acme --kind product --id 13 --at 2026-11-21T09:29:59.999999Z
    ");
}

#[test]
fn a_moment_is_said_in_local_time_and_asked_in_utc() {
    let server = Server::start();
    let at = "2026-11-20 14:00";
    let text =
        said(&server, &["show", "product", "gid://shopify/Product/8072139866342", "--at", at]);
    assert!(text.contains("As of 2026-11-20 14:00:00."), "{text}");
    assert_eq!(
        server.asked(),
        [
            "/v1/shops",
            "/v1/shops/acme.myshopify.com/resources/product/\
             gid%3A%2F%2Fshopify%2FProduct%2F8072139866342?at=2026-11-20T13%3A00%3A00Z",
        ]
    );
}

#[test]
fn json_is_what_the_api_answered() {
    let server = Server::start();
    for id in ["8072139866342", "13"] {
        let text = said(&server, &["show", "product", id, "--json"]);
        assert_eq!(text.trim_end(), server.last_body(), "{id}");
    }
    assert!(server.last_body().contains("10.10000000000000000001"), "no number is rounded");
    for verb in [
        &["status"][..],
        &["diff", "product", "8072139866342", "--from", "2026-11-20"],
        &["log", "product", "8072139866342"],
        &["changes", "--flat"],
        &["verify"],
    ] {
        let text = said(&server, &[verb, &["--json"]].concat());
        assert_eq!(text.trim_end(), server.last_body(), "{verb:?}");
    }
}

#[test]
fn a_log_is_the_life_of_a_resource() {
    let server = Server::start();
    insta::assert_snapshot!(said(&server, &["log", "product", "8072139866342"]), @"
    When                    What       How we know                Lag  Version
    2026-11-23 09:00:00     deleted    webhook products/delete  1.2 s     4715
    2026-11-22 12:00:00     updated    found by a full pull       4 h     4714
    2026-11-21 10:30:00.25  no change  webhook products/update  1.2 s     4713
    2026-07-01 12:00:00     created    webhook products/create  1.2 s     4711
    ");
}

#[test]
fn a_diff_goes_field_by_field() {
    let server = Server::start();
    let product = ["diff", "product", "8072139866342", "--from", "2026-11-20"];
    insta::assert_snapshot!(said(&server, &product), @"
    Enamel Mug (product 8072139866342)
    from 2026-11-20 00:00:00 to now

    Field                         Before                                     After
    descriptionHtml               …Holds 0.35 l of hot tea and keeps it wa…  …Holds 0.35 l of soft coffee and keeps it wa…
    media › A mug                 —                                          https://cdn.shopify.com/s/files/1/1234/products/enamel-mug-blue.png
    tags                          kitchen, sale                              kitchen, new
    title                         Mug                                        Enamel Mug
    variants › S (MUG-S)          —                                          title S, sku MUG-S, price 8.00
    variants › M (MUG-M) › price  9.00                                       9.50
    variants › L (MUG-L)          title L, sku MUG-L, price 10.00            —
    ");
    let full = said(&server, &[&product[..], &["--full"]].concat());
    assert!(full.contains(canned::LONG), "{full}");
    let same = ["diff", "product", "14", "--from", "2026-11-20", "--to", "2026-11-21"];
    insta::assert_snapshot!(said(&server, &same), @"
    Enamel Mug (product 14)
    from 2026-11-20 00:00:00 to 2026-11-21 00:00:00

    Nothing changed.
    ");
}

#[test]
fn what_belongs_together_is_told_together() {
    let server = Server::start();
    let asked = ["changes", "--app", "Bulk Editor", "--shop", "acme"];
    insta::assert_snapshot!(said(&server, &asked), @"
    2026-11-20 14:02:11 – 14:09:40  412 prices lowered by 90 %, by Bulk Editor
        cs-6437f0a2b1c40-1a2f · 412 changes · one of each: 26368.00 → 2636.80 · 93 % sure
        371 of 412 changes: Shopify's log names Bulk Editor
        41 of 412 changes: not in Shopify's log, but like those by Bulk Editor around them
    2026-11-20 13:00:00  1 product added
        cs-6437f0a2b1c3f-1a01 · 412 changes
        nothing says who did it
    What would undo the worst of it: backstock rollback --shop acme --change-set cs-6437f0a2b1c40-1a2f --dry-run
    ");
    assert!(
        server
            .asked()
            .iter()
            .any(|asked| asked.contains("app=Bulk%20Editor") || asked.contains("app=Bulk+Editor")),
        "{:?}",
        server.asked()
    );
}

#[test]
fn what_can_be_done_about_an_incident_names_the_shop() {
    let server = Server::start();
    let mut command = asking(&server, &["incidents", "--shop", "acme"]);
    command.env("BACKSTOCK_TOKEN", canned::AGENCY);
    let (code, text) = run(command);
    assert_eq!(code, 0, "{text}");
    for line in [
        "  incident-6  stuck\n",
        "  backstock job --shop acme job-6\n  backstock rollback --shop acme --change-set cs-",
        "  backstock job --shop acme job-5\n  backstock apply --shop acme plan-5\n",
        "  incident-4  put back by Ada: done\n",
        "  backstock job --shop acme job-4\n",
        "  backstock job --shop acme job-3\n",
        "  backstock apply --shop acme plan-2\n",
        "  if it was meant: backstock dismiss --shop acme incident-2\n",
        "  backstock rollback --shop acme --change-set cs-6437f0a2b1c40-1a2f --dry-run\n",
        "  if it was meant: backstock dismiss --shop acme incident-1\n",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    for over in ["plan-4", "dismiss --shop acme incident-4"] {
        assert!(!text.contains(over), "{over:?} in\n{text}");
    }
}

#[test]
fn every_receipt_of_an_erasure_is_told() {
    let server = Server::start();
    let text = said(&server, &["erasures"]);
    for line in [
        "2026-11-20 14:00:00  the whole shop  waits: the shop is still installed; \
         `backstock erase --shop acme` says yes  0 resources, 0 versions, 0 messages\n",
        "2026-11-20 14:00:00  customer 304  done  0 resources, 0 versions, 0 messages\n",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    let all: List<serde_json::Value> =
        serde_json::from_str(&said(&server, &["erasures", "--json"])).expect("a list");
    assert_eq!((all.items.len(), all.next), (2, None));
}

#[test]
fn changes_are_told_newest_first() {
    let server = Server::start();
    insta::assert_snapshot!(said(&server, &["changes", "--flat", "--from", "2026-11-20"]), @"
    2026-11-21 10:30:00  Old Mug (product 13) deleted, webhook products/delete
    2026-11-20 14:00:00  Enamel Mug (product 8072139866342) updated, webhook products/update
        descriptionHtml  …Holds 0.35 l of hot tea and keeps it wa… → …Holds 0.35 l of soft coffee and keeps it wa…
        media › A mug  — → https://cdn.shopify.com/s/files/1/1234/products/enamel-mug-blue.png
        tags  kitchen, sale → kitchen, new
        title  Mug → Enamel Mug
        variants › S (MUG-S)  — → title S, sku MUG-S, price 8.00
        variants › M (MUG-M) › price  9.00 → 9.50
        variants › L (MUG-L)  title L, sku MUG-L, price 10.00 → —
    2026-11-20 13:00:00.5  product 15 created, webhook products/create
    ");
}

#[test]
fn verifying_fails_if_anything_does_not_hold() {
    let server = Server::start();
    insta::assert_snapshot!(said(&server, &["verify"]), @"
    Read back 48,211 versions, 73.4 MB, in 1.2 s.
    All of it holds. Every digest and every index agrees.
    ");
    let damaged = Server::damaged();
    let (code, text) = run(asking(&damaged, &["verify"]));
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @"
    Read back 48,211 versions, 73.4 MB, in 1.2 s.
    5 faults found.
      acme/product/1: version 4711 does not have its digest
      acme/product/2: version 4711 does not have its digest
      and 3 more
    ");
    assert_eq!(run(asking(&damaged, &["verify", "--json"])).0, 1);
}

#[test]
fn a_new_token_is_known_by_its_hash_only() {
    let args =
        ["token", "new", "--name", "the \"ops\"", "--scope", "read", "admin", "--shop", "acme"];
    let (code, text) = run(command(&args));
    assert_eq!(code, 0);
    let (before, entry) = text.split_at(text.find("[[token]]").expect("an entry"));
    let token = before.lines().find(|line| line.starts_with("bst_")).expect("a token");
    assert_eq!(token.len(), "bst_".len() + 64);
    assert!(!entry.contains(token));
    let hash: String = Sha256::digest(token).iter().map(|b| format!("{b:02x}")).collect();
    insta::assert_snapshot!(entry.replace(&hash, "its hash"), @r#"
    [[token]]
    name = 'the "ops"'
    sha256 = "its hash"
    scopes = ["read", "admin"]
    shops = ["acme.myshopify.com"]
    "#);
    assert!(!run(command(&args)).1.contains(token), "the same token twice");
}

#[test]
fn a_new_token_is_accepted_by_the_configuration() {
    let (_, text) = run(command(&["token", "new", "--name", "ops", "--scope", "read"]));
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("backstock.toml");
    std::fs::write(&file, &text[text.find("[[token]]").expect("an entry")..]).expect("written");
    let file = file.to_str().expect("a path");
    let (code, shown) = run(command(&["check-config", "--config", file]));
    assert!(code == 0 && shown.contains("name = \"ops\""), "{shown}");
}

#[test]
fn colours_are_for_terminals() {
    let server = Server::start();
    let args = ["diff", "product", "8072139866342", "--from", "2026-11-20"];
    let plain = said(&server, &args);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let mut forced = asking(&server, &args);
    let coloured = run({
        forced.env("CLICOLOR_FORCE", "1");
        forced
    });
    assert!(coloured.1.contains('\u{1b}'), "{}", coloured.1);
    let mut refused = asking(&server, &args);
    refused.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1");
    let refused = run(refused).1;
    assert_eq!(refused, plain);
}

/// What a verb says of itself, and the verbs below it.
fn helped(verb: &[String]) -> (String, Vec<String>) {
    let args: Vec<&str> = verb.iter().map(String::as_str).chain(["--help"]).collect();
    let (code, help) = run(command(&args));
    assert_eq!(code, 0, "{help}");
    let listed = help.split_once("Commands:\n").map_or("", |(_, listed)| listed);
    let listed = listed.lines().take_while(|line| !line.is_empty());
    // What is further in goes on with the line above.
    let named = listed.filter_map(|line| line.strip_prefix("  ")).filter(|l| !l.starts_with(' '));
    let names = named.filter_map(|line| line.split_whitespace().next());
    let names = names.filter(|name| *name != "help").map(str::to_owned).collect();
    (help, names)
}

#[test]
fn every_verb_has_examples_and_completions() {
    let (mut open, mut found) = (vec![Vec::<String>::new()], 0);
    while let Some(verb) = open.pop() {
        let (help, below) = helped(&verb);
        let typed = ["backstock".to_owned()].into_iter().chain(verb.iter().cloned());
        let typed = typed.collect::<Vec<String>>().join(" ");
        assert!(help.contains(&format!("Examples:\n  {typed}")), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        open.extend(below.into_iter().map(|name| [&verb[..], &[name]].concat()));
        found += 1;
    }
    assert!(found > 40, "only {found} were found");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script) = run(command(&["completions", shell]));
        assert!(code == 0 && script.contains("changes"), "{shell}");
    }
}
