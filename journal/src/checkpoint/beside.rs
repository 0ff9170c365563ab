//! Directories to work in beside a store, on the same disk, and what killed processes left of them.

use std::path::Path;

use tempfile::TempDir;

/// A directory to work in beside a store. Its name says whose it is.
pub(crate) fn beside(store: &Path) -> std::io::Result<TempDir> {
    let parent = store.parent().unwrap_or(store);
    tempfile::Builder::new().prefix(&prefix(store)).tempdir_in(parent)
}

/// Removes what a killed process left beside a store: hard links of its files, in which nothing is
/// erased, and what an erasure took in once more. Only whoever has the store open may. Answers how much
/// there was.
pub fn clear_beside(store: &Path) -> std::io::Result<usize> {
    let prefix = prefix(store);
    // Of what older versions left it cannot be seen whose it is, and nobody makes such any more.
    let is_left =
        |name: &str| name.starts_with(&prefix) || (name.starts_with(".tmp") && !name.contains('-'));
    let mut cleared = 0;
    for entry in std::fs::read_dir(store.parent().unwrap_or(store))? {
        let entry = entry?;
        if is_left(&entry.file_name().to_string_lossy()) {
            std::fs::remove_dir_all(entry.path())?;
            cleared += 1;
        }
    }
    Ok(cleared)
}

fn prefix(store: &Path) -> String {
    format!(".tmp-{}-", store.file_name().unwrap_or_default().to_string_lossy())
}
