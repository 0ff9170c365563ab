//! Every GraphQL document of the product is valid in every supported version. Documents live in
//! `.graphql` files of the crates that send them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod client;

use std::path::{Path, PathBuf};

use shopify::admin::document;
use shopify::admin::schema::Version;

/// The `.graphql` files below a directory.
fn documents(below: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(below) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|extension| extension == "graphql") {
            found.push(path);
        }
    }
    found
}

/// What is wrong with the documents below a directory, a line for each version. A document that
/// begins with `# since 2026-07` is sent in no earlier one.
fn complaints(below: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in documents(below) {
        let text = std::fs::read_to_string(&path).unwrap();
        let since = text.strip_prefix("# since ").and_then(|rest| rest.lines().next());
        for version in Version::ALL.into_iter().filter(|v| since.is_none_or(|s| v.name() >= s)) {
            if let Err(errors) = document::parse(client::schema(version), &text) {
                complaints.push(format!("{} in {}: {errors:?}", path.display(), version.name()));
            }
        }
    }
    complaints
}

#[test]
fn the_products_documents_are_valid_in_every_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for member in ["proto", "ingest", "journal", "compactor", "restorer", "src"] {
        assert_eq!(complaints(&root.join(member)), Vec::<String>::new());
    }
}

#[test]
fn a_misspelt_document_is_found() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("good.graphql"), "{ shop { name } }").unwrap();
    assert_eq!(complaints(directory.path()), Vec::<String>::new());
    std::fs::write(directory.path().join("bad.graphql"), "{ shop { nam } }").unwrap();
    assert_eq!(complaints(directory.path()).len(), Version::ALL.len());
    let later = "# since 2026-07\n{ shop { nam } }";
    std::fs::write(directory.path().join("bad.graphql"), later).unwrap();
    assert_eq!(complaints(directory.path()).len(), Version::ALL.len() - 1);
}
