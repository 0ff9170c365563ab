//! The bytes of files.

use bytes::Bytes;

use super::Shop;
use crate::dice::Dice;
use crate::gid::Gid;

impl Shop {
    /// What is served under a path of the CDN, and its type, for as long as its file is there.
    pub(crate) fn file_at(&self, path: &str) -> Option<(String, Bytes)> {
        if let Some(gid) = self.paths.get(path) {
            let state = self.store.get(*gid)?;
            let mime = state["mimeType"].as_str().unwrap_or("application/octet-stream").to_owned();
            let bytes = self.blobs.get(gid).cloned();
            return Some((mime, bytes.unwrap_or_else(|| seeded(path))));
        }
        let stem = path.rsplit('/').next()?.rsplit_once('.')?.0;
        let n = stem.rsplit_once('-')?.1.parse::<u64>().ok()?;
        let (gid, state) = ["MediaImage", "GenericFile", "Video"].into_iter().find_map(|kind| {
            let gid = Gid::nth(kind, n);
            let state = self.store.get(gid)?;
            let url = state["image"]["url"].as_str().or_else(|| state["url"].as_str())?;
            url.split('?').next().is_some_and(|url| url.ends_with(path)).then_some((gid, state))
        })?;
        let mime = state["mimeType"].as_str().unwrap_or("application/octet-stream").to_owned();
        let bytes = self.blobs.get(&gid).cloned();
        Some((mime, bytes.unwrap_or_else(|| seeded(path))))
    }
}

impl Shop {
    /// The address of a new file: under its own name, or with something put to it where that name is
    /// taken.
    pub(crate) fn new_address(&mut self, gid: Gid, folder: &str, name: &str) -> String {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "bin"));
        let stem: String =
            stem.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
        let mut path = format!("s/files/1/0788/{folder}{stem}.{extension}");
        if self.file_at(&path).is_some() {
            path = format!("s/files/1/0788/{folder}{stem}_{}.{extension}", self.token());
        }
        let version = self.now().as_second();
        let address = format!("{}/cdn/{path}?v={version}", self.base());
        self.paths.insert(path, gid);
        address
    }
}

/// Bytes that follow from the name, so that a copy can be checked.
fn seeded(path: &str) -> Bytes {
    let dice = Dice::new(0).of(path);
    let words = 128 + dice.below(0, 1024);
    (0..words).flat_map(|n| dice.roll(n + 1).to_le_bytes()).collect()
}
