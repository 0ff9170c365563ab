//! The keys that storage is sealed with, out of `storage.key_file`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};

/// Length of a key.
const KEY_BYTES: usize = 32;
/// What the names of keys are derived for.
const NAMES: &str = "backstock 2026-11 name of a storage key";

/// What names a key in what it sealed, and says nothing about it.
pub(super) type KeyName = [u8; 8];

/// Keys: the first one seals, all of them open. Without any, nothing is sealed.
#[derive(Clone, Default)]
pub struct Keys(Arc<[Key]>);

#[derive(Clone)]
pub(super) struct Key {
    pub(super) name: KeyName,
    pub(super) cipher: XChaCha20Poly1305,
}

/// The keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    Unreadable(String, std::io::Error),
    /// A line is no key.
    #[error(
        "{0}: line {1} is no key: expected 32 bytes as 64 hexadecimal digits or as base64, such as \
         `openssl rand -hex 32` makes"
    )]
    Malformed(String, usize),
    /// There is none.
    #[error("{0} holds no key")]
    Empty(String),
}

impl Keys {
    /// Reads them: one a line; empty lines and what follows a `#` count for nothing.
    pub fn read(file: &Path) -> Result<Self, KeysError> {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text, &name),
            Err(error) => Err(KeysError::Unreadable(name, error)),
        }
    }

    fn parse(text: &str, file: &str) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let bytes = bytes(line).ok_or_else(|| KeysError::Malformed(file.into(), n + 1))?;
            keys.push(Key::new(&bytes));
        }
        match keys.is_empty() {
            true => Err(KeysError::Empty(file.into())),
            false => Ok(Self(keys.into())),
        }
    }

    /// The one that seals.
    pub(super) fn first(&self) -> Option<&Key> {
        self.0.first()
    }

    pub(super) fn named(&self, name: &KeyName) -> Option<&Key> {
        self.0.iter().find(|key| key.name == *name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Key {
    fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let derived = blake3::derive_key(NAMES, bytes);
        Self {
            name: std::array::from_fn(|i| derived[i]),
            cipher: XChaCha20Poly1305::new(bytes.into()),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

fn bytes(text: &str) -> Option<[u8; KEY_BYTES]> {
    // Any 64 hexadecimal digits are a hash to the parser of hashes.
    if let Ok(hex) = blake3::Hash::from_hex(text) {
        return Some(*hex.as_bytes());
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hexadecimal_or_base64_and_nothing_else_is_one() {
        let hex = "07".repeat(32);
        let text = format!("# the new one\n{hex}\n\n{} # the old one\n", STANDARD.encode([8; 32]));
        let keys = Keys::parse(&text, "keys").expect("two keys");
        assert_eq!(keys.first().expect("one").name, Key::new(&[7; 32]).name);
        assert!(keys.named(&Key::new(&[8; 32]).name).is_some());
        assert!(keys.named(&Key::new(&[9; 32]).name).is_none());
        assert!(!format!("{keys:?}").contains("07"), "{keys:?}");
        for wrong in ["07", "hunter2", &"0".repeat(63), &"0".repeat(66)] {
            let error =
                Keys::parse(&format!("\n{wrong}"), "keys").expect_err("refused").to_string();
            assert!(error.contains("line 2") && !error.contains(wrong), "{error}");
        }
        assert!(matches!(Keys::parse("# none\n", "keys"), Err(KeysError::Empty(_))));
    }
}
