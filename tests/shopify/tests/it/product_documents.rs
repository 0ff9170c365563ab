//! Every GraphQL document of the product is valid in every supported version. Documents live in
//! `.graphql` files of the crates that send them.

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
            if let Err(errors) = document::parse(crate::client::schema(version), &text) {
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

/// What Shopify's schema says that a type takes, of the access scopes.
fn takes(schema: &serde_json::Value, gid_type: &str) -> Option<String> {
    let schema = schema.get("data").unwrap_or(schema);
    let types = schema["__schema"]["types"].as_array()?;
    let of = types.iter().find(|of| of["name"] == gid_type)?;
    of["requiredAccess"].as_str().map(str::to_owned)
}

#[test]
fn every_kind_knows_the_scope_that_its_type_takes() {
    let path = crate::client::fetched().join("admin_2026-10.json");
    let schema = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut said = 0;
    for spec in backstock_proto::kind::ALL {
        let Some(takes) = takes(&schema, spec.gid_type).filter(|takes| takes.contains("`read_"))
        else {
            continue;
        };
        said += 1;
        let known = spec.reads.iter().any(|scope| takes.contains(&format!("`{scope}`")));
        assert!(known, "{} is read with {:?}, and takes {takes}", spec.name, spec.reads);
    }
    assert!(said > 20, "the schema says of {said} kinds only what they take");
}
