//! Golden data: what lies on users' disks, kept in the repository, so that today's code is held against
//! it. A test reads a file to exactly the values that went into it, and writes these values to exactly
//! the file.
//!
//! Files are text. Where a format is not, its bytes stand as in a Rust byte string: `\x01mug\x00`.
//!
//! A file that is there is never changed. One that is missing is written by the test that asks for it,
//! which then fails: whoever makes a new version of a format looks at it and commits it beside the old.

#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What to do when a format is no longer what it was.
pub const HOW_TO_CHANGE: &str = "this format is on users' disks. To change it, raise its version, go \
    on reading the old one, and put golden data of the new one beside that of the old one, which stays \
    as it is";

/// Golden data of one crate.
#[derive(Clone, Debug)]
pub struct Golden {
    dir: PathBuf,
}

impl Golden {
    /// In `tests/golden` of the crate whose `CARGO_MANIFEST_DIR` this is.
    pub fn of(manifest_dir: &str) -> Self {
        Self { dir: Path::new(manifest_dir).join("tests/golden") }
    }

    /// The file `name`, which today's code writes as `now`.
    #[track_caller]
    pub fn same(&self, name: &str, now: &str) -> String {
        let golden = self.kept(name, now);
        if let Some((line, was, is)) = first_difference(&golden, now) {
            let path = self.dir.join(name);
            let path = path.display();
            panic!("{HOW_TO_CHANGE}.\n{path} line {line}:\n  golden: {was}\n  today:  {is}");
        }
        golden
    }

    /// What stands in the file `name` as `what`, on a line of its own: JSON behind a tab. Today's code
    /// writes what it reads there with the same members.
    #[track_caller]
    pub fn json<T: Serialize + DeserializeOwned>(&self, name: &str, what: &str) -> T {
        let path = self.dir.join(name);
        let text = std::fs::read_to_string(&path).expect(name);
        let mut lines = text.lines().filter_map(|line| line.split_once('\t'));
        let line = lines.find(|(of, _)| *of == what);
        let (_, golden) = line.unwrap_or_else(|| panic!("{name} holds no {what}"));
        let read: T = serde_json::from_str(golden)
            .unwrap_or_else(|e| panic!("{HOW_TO_CHANGE}.\n{what} in {name}: {e}"));
        let now = serde_json::to_value(&read).expect("JSON");
        let was: Value = serde_json::from_str(golden).expect("JSON");
        means(now.to_string(), was.to_string());
        read
    }

    /// The file `name`, which today's code writes like `now`, though not byte by byte.
    #[track_caller]
    pub fn kept(&self, name: &str, now: &str) -> String {
        let path = self.dir.join(name);
        let Ok(golden) = std::fs::read_to_string(&path) else {
            let made = std::fs::create_dir_all(&self.dir);
            made.and_then(|()| std::fs::write(&path, now)).expect("written");
            panic!("{} was not there. It is now: look at it, and commit it", path.display());
        };
        golden
    }
}

/// Fails unless golden data is read as what went into it.
#[track_caller]
pub fn means<T: std::fmt::Debug + PartialEq<U>, U: std::fmt::Debug>(read: T, went_in: U) {
    assert!(read == went_in, "{HOW_TO_CHANGE}.\n  went in: {went_in:?}\n  read:    {read:?}");
}

/// Bytes as text on one line.
pub fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The bytes that [`shown`] made a line of.
pub fn bytes(shown: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = shown.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, used) = match (first, after.first()) {
            (b'\\', Some(b'x')) => (hexadecimal(after.get(1..3).expect("two digits")), 3),
            (b'\\', Some(b't')) => (b'\t', 1),
            (b'\\', Some(b'n')) => (b'\n', 1),
            (b'\\', Some(b'r')) => (b'\r', 1),
            (b'\\', Some(itself)) => (*itself, 1),
            (plain, _) => (*plain, 0),
        };
        bytes.push(byte);
        rest = &after[used..];
    }
    bytes
}

fn hexadecimal(digits: &[u8]) -> u8 {
    let digits = std::str::from_utf8(digits).expect("digits");
    u8::from_str_radix(digits, 16).expect("hexadecimal digits")
}

/// The first line that differs, as it was and as it is.
fn first_difference<'a>(golden: &'a str, now: &'a str) -> Option<(usize, &'a str, &'a str)> {
    const NOTHING: &str = "(nothing)";
    let (mut was, mut is) = (golden.split('\n'), now.split('\n'));
    for line in 1.. {
        match (was.next(), is.next()) {
            (None, None) => return None,
            (was, is) if was == is => {}
            (was, is) => return Some((line, was.unwrap_or(NOTHING), is.unwrap_or(NOTHING))),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_read_as_it_was_shown() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&shown(&all)), all);
        assert_eq!(shown(b"\x01mug\0\t\\"), r"\x01mug\x00\t\\");
    }

    #[test]
    fn the_first_line_that_differs_is_told() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb", "a\nc"), Some((2, "b", "c")));
        assert_eq!(first_difference("a", "a\nc"), Some((2, "(nothing)", "c")));
    }
}
