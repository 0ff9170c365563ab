use super::*;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::parse("test.toml", text, variables).map_err(|e| e.to_string())
}

const SHOP: &str = "[[shop]]\ndomain = \"acme.myshopify.com\"\nwebhook_secrets = [\"hush\"]\n";

#[test]
fn nothing_at_all_is_a_configuration() {
    let config = parse("", &[]).expect("defaults");
    assert_eq!(config.http.ingest.to_string(), "127.0.0.1:8081");
    assert_eq!(config.nats.partitions, 1);
}

#[test]
fn every_fault_has_its_line() {
    let text = "colour = 1\n[http]\ningst = \"x\"\n[nats]\npartitions = 0\n\
                [[shop]]\ndomain = \"acme.myshopify.com\"\n\
                [[token]]\nname = \"ops\"\nsha256 = \"12\"\nscopes = [\"read\"]\n";
    let faults = parse(text, &[]).expect_err("faults");
    insta::assert_snapshot!(faults, @r#"
    test.toml: unknown key colour
    test.toml: unknown key http.ingst
    test.toml: shop acme.myshopify.com has neither webhook_secrets nor webhook_secrets_file
    test.toml: token "ops": sha256 is not 64 hexadecimal digits
    test.toml: nats.partitions is 0, expected 1 to 1024
    "#);
    assert!(parse("[http]\ningest = \"nowhere\"", &[]).expect_err("address").contains("ingest"));
}

#[test]
fn the_environment_comes_last() {
    let config = parse(
        SHOP,
        &[
            ("BACKSTOCK_DATA_DIR", "/srv/backstock"),
            ("BACKSTOCK_HTTP__INGEST", "0.0.0.0:1"),
            ("BACKSTOCK_NATS__PARTITIONS", "4"),
            ("BACKSTOCK_NATS__ACCEPT_LAZY_SYNC", "true"),
            ("BACKSTOCK_SHOP__0__WEBHOOK_SECRETS", "[\"new\", \"old\"]"),
            ("BACKSTOCK_SHOP__1__DOMAIN", "other.myshopify.com"),
            ("BACKSTOCK_SHOP__1__WEBHOOK_SECRETS", "[\"x\"]"),
            ("BACKSTOCK_URL", "http://client.example"),
            ("BACKSTOCK_TOKEN", "client's"),
            ("BACKSTOCK_SHOP", "acme.myshopify.com"),
        ],
    )
    .expect("a configuration");
    assert_eq!(config.data_dir, PathBuf::from("/srv/backstock"));
    assert_eq!(config.http.ingest.port(), 1);
    assert_eq!(config.nats.partitions, 4);
    assert!(config.nats.accept_lazy_sync);
    assert_eq!(config.shop[0].webhook_secrets.len(), 2);
    assert_eq!(config.shop[1].domain.name(), "other");
    let faults = parse("", &[("BACKSTOCK_HTPP__INGEST", "x")]).expect_err("typo");
    assert_eq!(faults, "test.toml: unknown key htpp");
}

#[test]
fn the_admin_opens_the_page_only_where_an_app_and_scopes_say_so() {
    let app = "client_id = \"id\"\nclient_secret = \"hidden\"\n";
    let tokens = |text: &str| parse(text, &[]).map(|config| config.tokens().expect("tokens"));
    assert_eq!(tokens(&format!("{SHOP}{app}")).expect("none").len(), 0);
    let tokens_of = |scopes: &str| tokens(&format!("{SHOP}{app}embedded_scopes = {scopes}\n"));
    let [token] = &tokens_of("[\"read\"]").expect("one")[..] else { panic!("not one") };
    assert!(token.shops.holds(&Shop::from_name("acme").expect("a shop")));
    assert!(!token.shops.holds(&Shop::from_name("bolt").expect("a shop")));
    assert_eq!(token.scopes.len(), 1);
    assert!(tokens_of("[\"write\"]").expect_err("a fault").contains("\"write\""));
    let alone = format!("{SHOP}embedded_scopes = [\"read\"]\n");
    assert!(tokens(&alone).expect_err("a fault").contains("client_id and client_secret"));
}

#[test]
fn spans_go_to_a_collector_if_one_is_named() {
    let url = |text: &str| -> Result<String, String> {
        let config = parse(&format!("[telemetry]\notlp_endpoint = \"{text}\""), &[])?;
        Ok(config.telemetry.traces_url().expect("checked").expect("named").to_string())
    };
    assert_eq!(url("http://c:4318").expect("an address"), "http://c:4318/v1/traces");
    assert_eq!(url("https://c/otlp/").expect("an address"), "https://c/otlp/v1/traces");
    assert!(url("collector:4317").expect_err("a fault").contains("telemetry.otlp_endpoint"));
    assert!(parse("", &[]).expect("defaults").telemetry.traces_url().expect("none").is_none());
    let faults = parse("[telemetry]\nsample = 1.5", &[]).expect_err("a fault");
    assert_eq!(faults, "test.toml: telemetry.sample is 1.5, expected 0 to 1");
}

#[test]
fn where_two_persons_are_needed_no_two_have_one_name() {
    let named = |second: bool, names: [&str; 2]| {
        let token = |name| {
            let digest = "5".repeat(64);
            format!("[[token]]\nname = \"{name}\"\nsha256 = \"{digest}\"\nscopes = []\n")
        };
        let [a, b] = names.map(token);
        parse(&format!("{SHOP}second_person = {second}\n{a}{b}"), &[])
    };
    assert!(named(false, ["ops", "ops"]).expect("one alone").second_person().is_empty());
    assert_eq!(named(true, ["ops", "me"]).expect("two").second_person().len(), 1);
    assert!(named(true, ["ops", "ops"]).expect_err("a fault").contains("two tokens"));
}

#[test]
fn a_fault_repeats_no_secret() {
    let shop = "[[shop]]\ndomain = \"acme.myshopify.com\"\n";
    let fault = |line: &str| parse(&format!("{shop}{line}\n"), &[]).expect_err(line);
    let in_words = fault("access_token = shpat_hidden");
    assert!(in_words.starts_with("test.toml: line 3: "), "{in_words}");
    let no_list = fault("webhook_secrets = \"hidden\"");
    assert!(no_list.contains("shop") && no_list.contains("webhook_secrets"), "{no_list}");
    let number = fault("webhook_secrets = [\"hush\"]\naccess_token = 4711");
    assert!(number.contains("access_token") && !number.contains("4711"), "{number}");
    assert!(!in_words.contains("hidden") && !no_list.contains("hidden"), "{in_words}\n{no_list}");
}

#[test]
fn what_is_shown_holds_no_secret() {
    let text = format!(
        "{SHOP}access_token = \"shpat_hidden\"\nclient_id = \"id\"\nclient_secret = \"hidden\"\n\
         [shop.guard]\nwebhook_url = \"https://me:hidden@hooks.example.com/hidden?key=hidden\"\n\
         webhook_secret = \"hidden\"\n\
         [nats]\nurl = \"nats://me:hidden@one:4222, two:4222\"\n\
         [telemetry]\notlp_endpoint = \"https://me:hidden@collector/otlp\"\n"
    );
    let config = parse(&text, &[]).expect("a configuration");
    let shown = config.shown().expect("toml");
    assert!(!shown.contains("hush") && !shown.contains("hidden"), "{shown}");
    assert!(shown.contains("\"https://hooks.example.com/***\""), "{shown}");
    assert!(shown.contains("\"nats://***@one:4222, two:4222\""), "{shown}");
    assert!(!format!("{config:?}").contains("hush"));
    let again = parse(&shown, &[]).expect("what is shown can be read");
    assert_eq!(again.shop[0].domain, config.shop[0].domain);
}
