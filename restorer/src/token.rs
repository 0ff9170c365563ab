//! Who may ask, and for what: tokens, known by their SHA-256 only.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use backstock_proto::Shop;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What a token's text begins with, so that people and secret scanners recognise one.
pub const PREFIX: &str = "bst_";

/// What a token may do in the shops that it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Read history.
    Read,
    /// Write to the shop.
    Restore,
    /// Look after Backstock itself.
    Admin,
}

/// Which shops a token sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shops {
    /// Every one, also those to come.
    All,
    /// These.
    These(BTreeSet<Shop>),
}

/// SHA-256 of a token's text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

/// One token, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What people call it; stands in log lines.
    pub name: String,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// What it may do. No scope contains another.
    pub scopes: BTreeSet<Scope>,
    /// Where.
    pub shops: Shops,
}

/// Why the description of a token makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// Not a digest.
    #[error("sha256 is not 64 hexadecimal digits")]
    Digest,
    /// Not a scope.
    #[error("scope {0:?} is not one of read, restore, admin")]
    Scope(String),
    /// Not a shop.
    #[error(transparent)]
    Shop(#[from] backstock_proto::shop::ShopError),
}

/// The tokens that are valid now. Clones share one table.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    table: Arc<RwLock<Arc<[Arc<Token>]>>>,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Restore, Self::Admin];

    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Restore => "restore",
            Self::Admin => "admin",
        }
    }

    /// From its name in the configuration.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

impl Shops {
    /// Whether the token sees this one.
    pub fn holds(&self, shop: &Shop) -> bool {
        match self {
            Self::All => true,
            Self::These(shops) => shops.contains(shop),
        }
    }
}

impl Digest {
    /// Of a token's text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// One that no text is known to have.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Result<Self, TokenError> {
        let mut bytes = [0; 32];
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(TokenError::Digest);
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).map_err(|_| TokenError::Digest)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

impl Token {
    /// From what the configuration says. `shops` holds domains, or `*` for every shop.
    pub fn parse(
        name: &str,
        sha256: &str,
        scopes: &[String],
        shops: &[String],
    ) -> Result<Self, TokenError> {
        let scope = |s: &String| Scope::parse(s).ok_or_else(|| TokenError::Scope(s.clone()));
        let shops = if shops.iter().any(|shop| shop == "*") {
            Shops::All
        } else {
            Shops::These(shops.iter().map(|shop| Shop::parse(shop)).collect::<Result<_, _>>()?)
        };
        Ok(Self {
            name: name.into(),
            digest: Digest::parse(sha256)?,
            scopes: scopes.iter().map(scope).collect::<Result<_, _>>()?,
            shops,
        })
    }
}

impl Tokens {
    /// These are valid.
    pub fn new(tokens: Vec<Token>) -> Self {
        let tokens_now = Self::default();
        tokens_now.replace(tokens);
        tokens_now
    }

    /// From now on only these are valid: the next request, and the next piece of a stream, is
    /// refused to any other.
    pub fn replace(&self, tokens: Vec<Token>) {
        let table = tokens.into_iter().map(Arc::new).collect();
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// The token with this text. Takes as long whichever it is, and whether there is one or not.
    pub fn find(&self, text: &str) -> Option<Arc<Token>> {
        let asked = Digest::of(text);
        let mut found = None;
        for token in self.table().iter() {
            if token.digest.0.ct_eq(&asked.0).into() {
                found = Some(token.clone());
            }
        }
        found
    }

    /// The token with this digest, for whoever has proved elsewhere to have its text.
    pub(crate) fn with_digest(&self, digest: &Digest) -> Option<Arc<Token>> {
        self.table().iter().find(|token| token.digest == *digest).cloned()
    }

    /// Whether a token found before still opens what it opened; its name may tell more than it did.
    pub fn still_valid(&self, token: &Token) -> bool {
        let Token { digest, scopes, shops, .. } = token;
        let opened = (digest, scopes, shops);
        self.table().iter().any(|now| (&now.digest, &now.scopes, &now.shops) == opened)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Arc<[Arc<Token>]> {
        self.table()
    }

    fn table(&self) -> Arc<[Arc<Token>]> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        let hex = Digest::of(text).to_string();
        Token::parse(text, &hex, &["read".into()], &["*".into()]).expect("a token")
    }

    #[test]
    fn only_the_whole_text_is_the_token() {
        let tokens = Tokens::new(vec![token("bst_a"), token("bst_b")]);
        assert_eq!(tokens.find("bst_b").expect("known").name, "bst_b");
        for text in ["", "bst_", "bst_c", "bst_b ", "BST_B", &Digest::of("bst_b").to_string()] {
            assert!(tokens.find(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_replaced_token_is_gone_at_once() {
        let tokens = Tokens::new(vec![token("bst_a")]);
        let held = tokens.find("bst_a").expect("known");
        tokens.clone().replace(vec![token("bst_b")]);
        assert!(tokens.find("bst_a").is_none() && !tokens.still_valid(&held));
        assert!(tokens.find("bst_b").is_some());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let hex = "ab".repeat(32);
        let parse = |sha: &str, scope: &str, shop: &str| {
            Token::parse("t", sha, &[scope.into()], &[shop.into()]).map_err(|e| e.to_string())
        };
        assert!(parse(&hex, "read", "acme.myshopify.com").is_ok());
        assert!(parse(&hex.to_uppercase(), "read", "*").is_ok());
        assert_eq!(parse("12", "read", "*"), Err("sha256 is not 64 hexadecimal digits".into()));
        assert!(parse(&format!("+{}", &hex[1..]), "read", "*").is_err());
        assert!(parse(&hex, "all", "*").expect_err("scope").contains("\"all\""));
        assert!(parse(&hex, "read", "acme").expect_err("shop").contains("\"acme\""));
        let nobody = Token::parse("t", &hex, &[], &[]).expect("sees nothing");
        assert!(!nobody.shops.holds(&Shop::parse("acme.myshopify.com").expect("shop")));
    }
}
