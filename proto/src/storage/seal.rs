//! How an object is sealed, and opened.
//!
//! ```text
//! "BSTSEAL" 01 | name of the key (8) | nonce (19) | piece, piece, …, last piece
//! piece: up to 65,536 bytes, encrypted with XChaCha20-Poly1305, and a tag (16)
//! ```
//!
//! Every piece but the last is full, and there is always a last one, which may be empty. A piece's nonce
//! is that of the object with the piece's number and whether it is the last, so none can be left out,
//! put elsewhere, or taken for the end. The head and the object's place are authenticated with each: an
//! object that was moved to another place does not open.

use chacha20poly1305::XNonce;
use chacha20poly1305::aead::AeadInOut as _;
use object_store::path::Path as Place;
use rand::TryRngCore as _;
use rand::rngs::OsRng;

use super::keys::{Key, KeyName, Keys};

/// What every sealed object begins with; its last byte is the format.
pub(super) const MAGIC: [u8; 8] = *b"BSTSEAL\x01";
const NAME_BYTES: usize = size_of::<KeyName>();
const NONCE_BYTES: usize = 19;
/// What comes before the pieces.
pub(super) const HEAD_BYTES: usize = MAGIC.len() + NAME_BYTES + NONCE_BYTES;
/// Most bytes of a piece.
pub(super) const PIECE_BYTES: usize = 64 << 10;
const TAG_BYTES: usize = 16;

/// Why an object cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    #[error(
        "{place} is sealed with key {key}, which storage.key_file does not hold, or is not set"
    )]
    NoKey { place: Place, key: String },
    #[error("{0} is damaged: it is not what was sealed there")]
    Damaged(Place),
    #[error("{place} is sealed in format {format}, this binary knows 1; run a newer Backstock")]
    Newer { place: Place, format: u8 },
    #[error("{0} is too long to be sealed")]
    TooLong(Place),
    #[error("the system gives no random numbers: {0}")]
    Chance(String),
}

/// Whether what begins so is sealed, in whatever format.
pub(super) fn is_sealed(begin: &[u8]) -> bool {
    let (format, magic) = MAGIC.split_last().unwrap_or((&0, &[]));
    begin.starts_with(magic) && begin.get(magic.len()).is_some_and(|of| of >= format)
}

/// How long something is that is sealed so long. `None`: nothing sealed has that length.
pub(super) fn opened_length(sealed: u64) -> Option<u64> {
    let (piece, tag) = ((PIECE_BYTES + TAG_BYTES) as u64, TAG_BYTES as u64);
    let pieces = sealed.checked_sub(HEAD_BYTES as u64)?;
    pieces.checked_sub(pieces.div_ceil(piece).max(1) * tag)
}

/// The pieces of one object, one after the other.
struct Pieces {
    key: Key,
    place: Place,
    nonce: [u8; NONCE_BYTES],
    next: u32,
    authenticated: Vec<u8>,
}

impl Pieces {
    fn new(key: &Key, place: &Place, nonce: [u8; NONCE_BYTES]) -> Self {
        let mut authenticated = [&MAGIC[..], &key.name, &nonce].concat();
        authenticated.extend_from_slice(place.as_ref().as_bytes());
        Self { key: key.clone(), place: place.clone(), nonce, next: 0, authenticated }
    }

    fn head(&self) -> &[u8] {
        &self.authenticated[..HEAD_BYTES]
    }

    fn nonce(&mut self, is_last: bool) -> Result<XNonce, SealError> {
        let mut nonce = [0; NONCE_BYTES + 5];
        nonce[..NONCE_BYTES].copy_from_slice(&self.nonce);
        nonce[NONCE_BYTES..NONCE_BYTES + 4].copy_from_slice(&self.next.to_be_bytes());
        nonce[NONCE_BYTES + 4] = is_last.into();
        let next = self.next.checked_add(1);
        self.next = next.ok_or_else(|| SealError::TooLong(self.place.clone()))?;
        Ok(nonce.into())
    }

    fn seal(&mut self, piece: &mut Vec<u8>, is_last: bool) -> Result<(), SealError> {
        let nonce = self.nonce(is_last)?;
        let sealed = self.key.cipher.encrypt_in_place(&nonce, &self.authenticated, piece);
        sealed.map_err(|_| SealError::TooLong(self.place.clone()))
    }

    fn open(&mut self, piece: &mut Vec<u8>, is_last: bool) -> Result<(), SealError> {
        let nonce = self.nonce(is_last)?;
        let opened = self.key.cipher.decrypt_in_place(&nonce, &self.authenticated, piece);
        opened.map_err(|_| SealError::Damaged(self.place.clone()))
    }
}

/// Seals an object bit by bit.
pub(super) struct Sealing {
    pieces: Pieces,
    waiting: Vec<u8>,
    is_begun: bool,
}

impl Sealing {
    pub(super) fn new(key: &Key, place: &Place) -> Result<Self, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        let filled = OsRng.try_fill_bytes(&mut nonce);
        filled.map_err(|error| SealError::Chance(error.to_string()))?;
        let pieces = Pieces::new(key, place, nonce);
        Ok(Self { pieces, waiting: Vec::with_capacity(PIECE_BYTES + TAG_BYTES), is_begun: false })
    }

    /// Takes some bytes, and adds what is sealed by now to `sealed`.
    pub(super) fn push(&mut self, mut some: &[u8], sealed: &mut Vec<u8>) -> Result<(), SealError> {
        self.begin(sealed);
        while !some.is_empty() {
            if self.waiting.len() == PIECE_BYTES {
                self.piece(sealed, false)?;
            }
            let (now, later) = some.split_at(some.len().min(PIECE_BYTES - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            some = later;
        }
        Ok(())
    }

    /// There is no more: adds the rest to `sealed`.
    pub(super) fn finish(&mut self, sealed: &mut Vec<u8>) -> Result<(), SealError> {
        self.begin(sealed);
        self.piece(sealed, true)
    }

    fn begin(&mut self, sealed: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_begun, true) {
            sealed.extend_from_slice(self.pieces.head());
        }
    }

    fn piece(&mut self, sealed: &mut Vec<u8>, is_last: bool) -> Result<(), SealError> {
        self.pieces.seal(&mut self.waiting, is_last)?;
        sealed.extend_from_slice(&self.waiting);
        self.waiting.clear();
        Ok(())
    }
}

/// Opens an object bit by bit.
pub(super) struct Opening {
    pieces: Pieces,
    waiting: Vec<u8>,
}

impl Opening {
    /// One that begins with these bytes, at least as many as a head has.
    pub(super) fn new(keys: &Keys, place: &Place, begin: &[u8]) -> Result<Self, SealError> {
        if let Some(format) = begin.get(MAGIC.len() - 1).filter(|of| **of != MAGIC[7]) {
            return Err(SealError::Newer { place: place.clone(), format: *format });
        }
        let head = begin.get(..HEAD_BYTES).ok_or_else(|| SealError::Damaged(place.clone()))?;
        let (name, nonce) = head[MAGIC.len()..].split_at(NAME_BYTES);
        let name: KeyName = std::array::from_fn(|i| name[i]);
        let key = keys.named(&name).ok_or_else(|| SealError::NoKey {
            place: place.clone(),
            key: name.iter().map(|byte| format!("{byte:02x}")).collect(),
        })?;
        let pieces = Pieces::new(key, place, std::array::from_fn(|i| nonce[i]));
        Ok(Self { pieces, waiting: begin[HEAD_BYTES..].to_vec() })
    }

    /// Takes some bytes, and answers what is opened by now.
    pub(super) fn push(&mut self, some: &[u8]) -> Result<Vec<u8>, SealError> {
        self.waiting.extend_from_slice(some);
        let mut opened = Vec::new();
        // What may be the last one waits for the end.
        while self.waiting.len() > PIECE_BYTES + TAG_BYTES {
            let later = self.waiting.split_off(PIECE_BYTES + TAG_BYTES);
            let mut piece = std::mem::replace(&mut self.waiting, later);
            self.pieces.open(&mut piece, false)?;
            opened.append(&mut piece);
        }
        Ok(opened)
    }

    /// There is no more: answers the rest.
    pub(super) fn finish(&mut self) -> Result<Vec<u8>, SealError> {
        let mut opened = self.push(&[])?;
        let mut last = std::mem::take(&mut self.waiting);
        self.pieces.open(&mut last, true)?;
        opened.append(&mut last);
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("keys");
        std::fs::write(&file, "07".repeat(32)).expect("written");
        Keys::read(&file).expect("keys")
    }

    /// Seals as it is always done, but for the nonce.
    fn sealed(place: &Place, bytes: &[u8]) -> Vec<u8> {
        let nonce = std::array::from_fn(|n| n as u8 + 1);
        let keys = keys();
        let pieces = Pieces::new(keys.first().expect("a key"), place, nonce);
        let mut sealing = Sealing { pieces, waiting: Vec::new(), is_begun: false };
        let mut sealed = Vec::new();
        sealing.push(bytes, &mut sealed).expect("sealed");
        sealing.finish(&mut sealed).expect("sealed");
        sealed
    }

    fn opened(place: &Place, sealed: &[u8]) -> Vec<u8> {
        let mut opening = Opening::new(&keys(), place, &sealed[..HEAD_BYTES]).expect("a head");
        let mut opened = opening.push(&sealed[HEAD_BYTES..]).expect("opened");
        opened.extend(opening.finish().expect("whole"));
        opened
    }

    /// What is sealed lies in object stores, sealed by whichever version of Backstock. Made by another
    /// implementation of the same cipher.
    #[test]
    fn what_was_sealed_opens_and_is_sealed_so_again() {
        let place = Place::from("blobs/acme/mug");
        let golden = r#"BSTSEAL\x01n\x88C>\xebP\x87!\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x92\'nFq\xc8\x87s\x06\xdf*\xae\x89\x92\xc6\xb0)\xe8\xd6"#;
        golden::means(golden::shown(&sealed(&place, b"mug")), golden);
        golden::means(golden::shown(&opened(&place, &golden::bytes(golden))), "mug");
        let long: Vec<u8> = (0..PIECE_BYTES + 5).map(|n| (n % 251) as u8).collect();
        let several = sealed(&place, &long);
        let golden = "8b7e379ac7139b800c0a744b28f99f3d8c25f9d99539807da5ff19f188adea7f";
        golden::means(blake3::hash(&several).to_hex().as_str(), golden);
        assert!(opened(&place, &several) == long);
    }
}
