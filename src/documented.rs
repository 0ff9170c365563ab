//! What the documents tell people to type, to configure and to ask for, held against the binary. That
//! the commands do what is said of them is tried by `tests/documents/run.sh`, which runs them.

use backstock_restorer::document;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use serde_json::Value;

use crate::Cli;
use crate::config::Config;

const DOCUMENTS: [(&str, &str); 10] = [
    ("README.md", include_str!("../README.md")),
    ("docs/restore.md", include_str!("../docs/restore.md")),
    ("docs/faq.md", include_str!("../docs/faq.md")),
    ("docs/security.md", include_str!("../docs/security.md")),
    ("docs/export.md", include_str!("../docs/export.md")),
    ("docs/reference.md", REFERENCE),
    ("ARCHITECTURE.md", include_str!("../ARCHITECTURE.md")),
    ("k8s/README.md", include_str!("../k8s/README.md")),
    ("k8s/RUNBOOK.md", include_str!("../k8s/RUNBOOK.md")),
    ("tests/shopify/README.md", include_str!("../tests/shopify/README.md")),
];

const REFERENCE: &str = include_str!("../docs/reference.md");

/// What the reference begins with.
const REFERENCE_HEAD: &str = "\
# Every verb

What each says of itself with `--help`. This is made from the binary, and a test holds it against that:
`BACKSTOCK_WRITE=1 cargo nextest run --release --locked --workspace the_reference` writes it anew.
";

/// How wide it is, in characters.
const REFERENCE_WIDTH: usize = 100;

/// A fenced block, without the indentation of its fence.
struct Block {
    language: String,
    lines: Vec<String>,
}

/// Something that a document says, and where.
struct Said {
    at: String,
    text: String,
    /// Whether it is a whole command line rather than a mention of one.
    whole: bool,
}

/// The fenced blocks of a document, and what stands between them.
fn parts(text: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut open: Option<(usize, Block)> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        match (bare.strip_prefix("```"), open.as_mut()) {
            (Some(language), None) => {
                let language = language.trim().to_owned();
                open = Some((indent, Block { language, lines: Vec::new() }));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (None, Some((fence, block))) => {
                block.lines.push(line.get(*fence..).unwrap_or_default().to_owned());
            }
            (None, None) => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    (blocks, prose)
}

/// The command lines of a block. What is indented is what a command prints, or goes on with one.
fn command_lines(block: &Block) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in block.lines.iter().filter(|line| !line.trim().is_empty()) {
        match lines.last_mut().filter(|last| last.ends_with('\\')) {
            Some(last) => {
                last.pop();
                last.push_str(line.trim_start());
            }
            None if !line.starts_with(' ') => lines.push(line.clone()),
            None => {}
        }
    }
    lines
}

/// The words of a command line, as a shell takes them, up to where another command begins.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ';' | '&' | '|' | '>') => break,
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Everything that the documents say in code: command lines in blocks, mentions between them.
fn said() -> Vec<Said> {
    let mut all = Vec::new();
    for (name, text) in DOCUMENTS {
        let (blocks, prose) = parts(text);
        let lines = blocks.iter().filter(|block| block.language.is_empty()).flat_map(command_lines);
        all.extend(lines.map(|text| Said { at: name.into(), text, whole: true }));
        let spans = prose.split('`').skip(1).step_by(2);
        let spans = spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
        all.extend(spans.map(|text| Said { at: name.into(), text, whole: false }));
    }
    let mut command = Cli::command();
    command.build();
    let mut commands = vec![command];
    while let Some(command) = commands.pop() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let at = format!("backstock {} --help", command.get_name());
        let examples = help.split_once("Examples:").map_or("", |(_, examples)| examples);
        let lines = examples.lines().map(str::trim).filter(|line| !line.is_empty());
        all.extend(lines.map(|line| Said { at: at.clone(), text: line.into(), whole: true }));
        commands.extend(command.get_subcommands().cloned());
    }
    all
}

/// Whether the binary's own parser takes a command line. A mention may leave out what a verb needs,
/// and the value of its last option.
fn parsed(words: &[String], whole: bool) -> Result<(), clap::Error> {
    let placed = |word: &String| if word == "SHOP" { "acme".to_owned() } else { word.clone() };
    let words: Vec<String> = words.iter().map(placed).collect();
    let Err(error) = Cli::try_parse_from(&words) else { return Ok(()) };
    let unfinished = words.last().is_some_and(|word| word.starts_with("--"));
    match error.kind() {
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if !whole =>
        {
            Ok(())
        }
        ErrorKind::InvalidValue if !whole && unfinished => {
            parsed(&[words, vec!["acme".into()]].concat(), whole)
        }
        _ => Err(error),
    }
}

#[test]
fn every_documented_command_is_one_of_the_binarys() {
    let (mut whole, mut mentioned) = (0, 0);
    for Said { at, text, whole: is_whole } in said() {
        let words = words(&text);
        if words.first().is_none_or(|word| word != "backstock") || words.len() == 1 {
            continue;
        }
        if let Err(error) = parsed(&words, is_whole) {
            panic!("{at} says `{text}`: {error}");
        }
        *if is_whole { &mut whole } else { &mut mentioned } += 1;
    }
    assert!(whole > 40 && mentioned > 30, "only {whole} and {mentioned} were found");
}

#[test]
fn a_command_that_is_none_of_the_binarys_is_noticed() {
    let told = |line: &str, whole| parsed(&words(line), whole).map_err(|error| error.kind());
    assert_eq!(told("backstock changes --form yesterday", false), Err(ErrorKind::UnknownArgument));
    assert_eq!(told("backstock restore --at x", false), Err(ErrorKind::InvalidSubcommand));
    assert_eq!(told("backstock import", true), Err(ErrorKind::MissingRequiredArgument));
    assert_eq!(told("backstock import # a file", false), Ok(()));
    let line = "backstock mark \"about to; install\" --app 'Bulk Editor' && make demo";
    assert_eq!(words(line), ["backstock", "mark", "about to; install", "--app", "Bulk Editor"]);
}

/// What every verb says of itself, in the order in which `--help` lists them.
fn reference() -> String {
    let mut root = Cli::command().term_width(REFERENCE_WIDTH);
    root.build();
    let (mut text, mut open) = (REFERENCE_HEAD.to_owned(), vec![root]);
    while let Some(mut command) = open.pop() {
        let help = command.render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        let (name, help) = (command.get_bin_name().unwrap_or("backstock"), help.join("\n"));
        text += &format!("\n## {name}\n\n```text\n{}\n```\n", help.trim_end());
        let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        let mut verbs: Vec<_> = shown.filter(|verb| verb.get_name() != "help").cloned().collect();
        verbs.reverse();
        open.append(&mut verbs);
    }
    text
}

#[test]
fn the_reference_is_what_the_binary_says() {
    let now = reference();
    if std::env::var_os("BACKSTOCK_WRITE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md");
        std::fs::write(path, now).expect("written");
        return;
    }
    let same = REFERENCE.lines().zip(now.lines()).take_while(|(was, is)| was == is).count();
    assert!(
        REFERENCE == now,
        "docs/reference.md is not what the binary says, from line {} on. To write it anew:\n  \
         BACKSTOCK_WRITE=1 cargo nextest run --release --locked --workspace the_reference",
        same + 1
    );
}

#[test]
fn every_documented_make_target_is_there() {
    let makefile = include_str!("../Makefile");
    let targets: Vec<&str> =
        makefile.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    let mut found = 0;
    for Said { at, text, .. } in said() {
        let words = words(&text);
        if let [make, target, ..] = words.as_slice()
            && make == "make"
        {
            assert!(targets.contains(&target.as_str()), "{at} says `{text}`");
            found += 1;
        }
    }
    assert!(found >= 8, "only {found} were found");
}

/// What is asked of the API: a method, a path from `/v1` on, the names in the query.
fn asked(text: &str) -> Option<(String, String, Vec<String>)> {
    let words = words(text);
    let (method, address) = match words.as_slice() {
        [method, path] if ["GET", "POST"].contains(&method.as_str()) => (method.clone(), path),
        [curl, rest @ ..] if curl == "curl" => {
            let method = rest.iter().skip_while(|word| *word != "-X").nth(1);
            let address = rest.iter().find(|word| word.contains("/v1/"))?;
            (method.cloned().unwrap_or_else(|| "GET".into()), address)
        }
        _ => return None,
    };
    let path = match (address.strip_prefix('…'), address.find("/v1/")) {
        (Some(rest), _) => format!("/v1/shops/{{shop}}{rest}"),
        (None, Some(begin)) => address[begin..].to_owned(),
        (None, None) => return None,
    };
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let names = query.split('&').filter_map(|pair| pair.split('=').next()).map(str::to_owned);
    Some((method, path.to_owned(), names.filter(|name| !name.is_empty()).collect()))
}

/// The operation that is asked for, if there is one.
fn operation<'d>(paths: &'d Value, method: &str, asked: &str) -> Option<&'d Value> {
    let is_of = |template: &str| {
        let (template, asked) = (template.split('/'), asked.split('/'));
        template.clone().count() == asked.clone().count()
            && template.zip(asked).all(|(a, b)| a == b || a.starts_with('{') && !b.is_empty())
    };
    let (_, item) = paths.as_object()?.iter().find(|(template, _)| is_of(template))?;
    item.get(method.to_ascii_lowercase())
}

#[test]
fn every_documented_request_is_one_of_the_apis() {
    let described = serde_json::to_value(document()).expect("json");
    let paths = &described["paths"];
    let mut found = 0;
    for Said { at, text, .. } in said() {
        let Some((method, path, query)) = asked(&text) else { continue };
        let operation = operation(paths, &method, &path);
        let operation = operation.unwrap_or_else(|| panic!("{at} says `{text}`: no such route"));
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for name in query {
            let there = parameters.iter().any(|p| p["in"] == "query" && p["name"] == name.as_str());
            assert!(there, "{at} says `{text}`: there is no {name}");
        }
        found += 1;
    }
    assert!(found >= 6, "only {found} were found");
    assert!(operation(paths, "POST", "/v1/shops/acme/snapshot").is_none());
    assert!(operation(paths, "GET", "/v1/shop/acme/snapshot").is_none());
}

/// Configurations that a block shows: itself, and itself with each of the settings that it has
/// commented out.
fn configurations(block: &Block) -> Vec<String> {
    let mut all = vec![block.lines.join("\n")];
    let setting = |line: &str| {
        let line = line.strip_prefix("# ")?;
        let name = line.split(" = ").next().filter(|_| line.contains(" = "))?;
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_').then_some(line.to_owned())
    };
    let table = |line: &str| line.starts_with("# [shop.").then(|| line[2..].to_owned());
    let mut n = 0;
    while n < block.lines.len() {
        let mut shown = block.lines.clone();
        let begin = n;
        // A table that is commented out goes with its settings.
        let is_table = table(&shown[n]).map(|line| shown[n] = line).is_some();
        n += usize::from(is_table);
        while n < shown.len() {
            let Some(line) = setting(&shown[n]) else { break };
            shown[n] = line;
            n += 1;
            if !is_table {
                break;
            }
        }
        match n > begin {
            true => all.push(shown.join("\n")),
            false => n += 1,
        }
    }
    all
}

#[test]
fn every_documented_configuration_is_one() {
    // What is left out for the reader to fill in, and room for the partitions of several journals.
    let digest = format!("\"{}\"", "5".repeat(64));
    let partitions = ("BACKSTOCK_NATS__PARTITIONS".to_owned(), "12".to_owned());
    let dir = tempfile::tempdir().expect("a directory");
    let keys = dir.path().join("storage.keys");
    std::fs::write(&keys, "5".repeat(64)).expect("a key");
    let mut found = 0;
    for (name, text) in DOCUMENTS {
        let (blocks, _) = parts(text);
        for block in blocks.iter().filter(|block| block.language == "toml") {
            for shown in configurations(block) {
                let whole = shown.replace("\"…hex…\"", &digest).replace("\"…\"", &digest);
                let whole = whole.replace("/run/secrets/storage.keys", &keys.to_string_lossy());
                if let Err(error) = Config::parse(name, &whole, [partitions.clone()].into_iter()) {
                    panic!("{error}\n{shown}");
                }
                found += 1;
            }
        }
    }
    assert!(found > 25, "only {found} were found");
}
