//! The headers of a Shopify delivery.
//!
//! Classic webhooks carry `X-Shopify-Topic` and so on, Events the same names without the prefix
//! (`shopify-topic`). A test delivery may carry both; then the unprefixed ones count. Nothing in
//! them is signed: the HMAC covers the body alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};

use crate::event::Source;
use crate::shop::ShopError;
use crate::{Shop, Timestamp};

/// Longest accepted value of a header that becomes part of an event, in bytes.
const VALUE_BYTES_MAX: usize = 255;

/// One header in its two families.
struct Name {
    events: HeaderName,
    classic: HeaderName,
}

macro_rules! names {
    ($($constant:ident = $name:literal;)*) => {
        $(static $constant: Name = Name {
            events: HeaderName::from_static(concat!("shopify-", $name)),
            classic: HeaderName::from_static(concat!("x-shopify-", $name)),
        };)*
    };
}

names! {
    HMAC = "hmac-sha256";
    TOPIC = "topic";
    SHOP = "shop-domain";
    API_VERSION = "api-version";
    WEBHOOK_ID = "webhook-id";
    EVENT_ID = "event-id";
    TRIGGERED_AT = "triggered-at";
    ACTION = "action";
    HANDLE = "handle";
    NAME = "name";
}

/// What the headers of a delivery say. None of it is proven until the HMAC is checked, and of all
/// this the HMAC proves only who sent the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whose store it is about.
    pub shop: Shop,
    /// [`Source::Webhook`] or [`Source::Events`], as the topic's header tells.
    pub source: Source,
    /// `products/update`, or for Events `Product`.
    pub topic: Box<str>,
    /// What happened, said by Events only: `update`.
    pub action: Option<Box<str>>,
    /// The subscription's name: the handle of an Events subscription.
    pub handle: Option<Box<str>>,
    /// What the body's HMAC-SHA256 must be.
    pub hmac: [u8; 32],
    /// The API version in which the body was written.
    pub api_version: Option<Box<str>>,
    /// Shopify's id of this delivery, the same in each retry.
    pub webhook_id: Option<Box<str>>,
    /// Shopify's id of the action behind it, shared by all deliveries that it caused.
    pub event_id: Option<Box<str>>,
    /// When Shopify says that it happened.
    pub triggered_at: Option<Timestamp>,
}

/// Why headers are not those of a delivery.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeliveryError {
    /// There is no HMAC.
    #[error("there is no HMAC header")]
    HmacMissing,
    /// There are several, so that none is the one.
    #[error("the HMAC header occurs more than once")]
    HmacRepeated,
    /// Not the padded base64 of 32 bytes.
    #[error("the HMAC header is not the base64 of 32 bytes")]
    HmacMalformed,
    /// A header that every delivery has is missing, occurs more than once, or cannot be read.
    #[error("header {name} {fault}")]
    Header {
        /// Its classic name.
        name: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The shop's domain is none.
    #[error("header x-shopify-shop-domain: {0}")]
    Shop(#[from] ShopError),
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It is there more than once.
    Repeated,
    /// It is empty, longer than 255 bytes, or holds other than visible ASCII.
    Malformed,
}

impl DeliveryError {
    /// Whether it is the signature that is at fault (401) rather than another header (400).
    pub fn is_unsigned(&self) -> bool {
        match self {
            Self::HmacMissing | Self::HmacRepeated | Self::HmacMalformed => true,
            Self::Header { .. } | Self::Shop(_) => false,
        }
    }
}

impl Delivery {
    /// Reads the headers of a delivery. Only HMAC, topic and shop are required; what else is missing
    /// or cannot be read counts as not said.
    pub fn parse(headers: &HeaderMap) -> Result<Self, DeliveryError> {
        let hmac = match value(headers, &HMAC) {
            Ok(text) => parse_hmac(text).ok_or(DeliveryError::HmacMalformed)?,
            Err(Fault::Missing) => return Err(DeliveryError::HmacMissing),
            Err(Fault::Repeated) => return Err(DeliveryError::HmacRepeated),
            Err(Fault::Malformed) => return Err(DeliveryError::HmacMalformed),
        };
        let source =
            if headers.contains_key(&TOPIC.events) { Source::Events } else { Source::Webhook };
        let topic = required(headers, &TOPIC)?;
        let shop = Shop::parse(required(headers, &SHOP)?)?;
        let said = |name: &Name| value(headers, name).ok().map(Into::into);
        Ok(Self {
            shop,
            source,
            topic: topic.into(),
            action: said(&ACTION),
            handle: said(&HANDLE).or_else(|| said(&NAME)),
            hmac,
            api_version: said(&API_VERSION),
            webhook_id: said(&WEBHOOK_ID),
            event_id: said(&EVENT_ID),
            triggered_at: value(headers, &TRIGGERED_AT)
                .ok()
                .and_then(|text| Timestamp::parse(text).ok()),
        })
    }

    /// The topic under which its event is kept: `products/update`, and for Events `Product/update`.
    pub fn full_topic(&self) -> Box<str> {
        match &self.action {
            Some(action) if self.source == Source::Events => {
                format!("{}/{action}", self.topic).into()
            }
            _ => self.topic.clone(),
        }
    }
}

/// The one value of a header, without spaces around it.
fn value<'a>(headers: &'a HeaderMap, name: &Name) -> Result<&'a str, Fault> {
    let family = if headers.contains_key(&name.events) { &name.events } else { &name.classic };
    let mut values = headers.get_all(family).iter();
    let value = values.next().ok_or(Fault::Missing)?;
    if values.next().is_some() {
        return Err(Fault::Repeated);
    }
    let text = value.to_str().map_err(|_| Fault::Malformed)?.trim();
    let plain = !text.is_empty()
        && text.len() <= VALUE_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_graphic());
    if plain { Ok(text) } else { Err(Fault::Malformed) }
}

fn required<'a>(headers: &'a HeaderMap, name: &Name) -> Result<&'a str, DeliveryError> {
    value(headers, name)
        .map_err(|fault| DeliveryError::Header { name: name.classic.to_string(), fault })
}

fn parse_hmac(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Repeated => "occurs more than once",
            Self::Malformed => "is empty, too long or not plain ASCII",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const MAC: &str = "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI=";

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name.parse().expect("a header name");
            headers.append(name, HeaderValue::from_str(value).expect("a header value"));
        }
        headers
    }

    fn parse(pairs: &[(&str, &str)]) -> Result<Delivery, DeliveryError> {
        Delivery::parse(&headers(pairs))
    }

    #[test]
    fn a_classic_delivery_is_read() {
        let delivery = parse(&[
            ("X-Shopify-Topic", "products/update"),
            ("X-Shopify-Hmac-Sha256", MAC),
            ("X-Shopify-Shop-Domain", "Acme.myshopify.com"),
            ("X-Shopify-API-Version", "2026-10"),
            ("X-Shopify-Webhook-Id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"),
            ("X-Shopify-Event-Id", "98880550-7158-44d4-b7cd-2c97c8a091b5"),
            ("X-Shopify-Triggered-At", "2023-03-29T18:00:27.877041743Z"),
        ])
        .expect("a delivery");
        assert_eq!(delivery.shop.name(), "acme");
        assert_eq!(delivery.source, Source::Webhook);
        assert_eq!(&*delivery.full_topic(), "products/update");
        assert_eq!(delivery.hmac[..2], [0x84, 0xc4]);
        assert_eq!(delivery.api_version.as_deref(), Some("2026-10"));
        assert_eq!(
            delivery.triggered_at.map(|t| t.to_string()).as_deref(),
            Some("2023-03-29T18:00:27.877041Z")
        );
    }

    #[test]
    fn unprefixed_headers_count_where_both_families_stand() {
        let delivery = parse(&[
            ("X-Shopify-Topic", "products/update"),
            ("shopify-topic", "Product"),
            ("shopify-action", "update"),
            ("shopify-handle", "catalog"),
            ("X-Shopify-Hmac-Sha256", "wrong"),
            ("shopify-hmac-sha256", MAC),
            ("X-Shopify-Shop-Domain", "acme.myshopify.com"),
            ("shopify-webhook-id", "w1"),
        ])
        .expect("a delivery");
        assert_eq!(delivery.source, Source::Events);
        assert_eq!(&*delivery.full_topic(), "Product/update");
        assert_eq!(delivery.handle.as_deref(), Some("catalog"));
        assert_eq!(delivery.webhook_id.as_deref(), Some("w1"));
    }

    const REQUIRED: [(&str, &str); 3] = [
        ("X-Shopify-Topic", "products/update"),
        ("X-Shopify-Hmac-Sha256", MAC),
        ("X-Shopify-Shop-Domain", "acme.myshopify.com"),
    ];

    /// The required headers with one replaced; an empty list takes it away.
    fn with(at: usize, values: &[&str]) -> Result<Delivery, DeliveryError> {
        let mut pairs = REQUIRED.to_vec();
        let (name, _) = pairs.remove(at);
        pairs.extend(values.iter().map(|value| (name, *value)));
        parse(&pairs)
    }

    #[test]
    fn only_three_headers_are_required() {
        let delivery = parse(&REQUIRED).expect("a delivery");
        assert_eq!(delivery.webhook_id, None);
        assert_eq!(delivery.triggered_at, None);
        for at in 0..REQUIRED.len() {
            let error = with(at, &[]).expect_err("one is missing");
            assert_eq!(error.is_unsigned(), at == 1, "{error}");
        }
    }

    #[test]
    fn what_is_optional_and_cannot_be_read_counts_as_not_said() {
        let mut pairs = REQUIRED.to_vec();
        pairs.extend([
            ("X-Shopify-Triggered-At", "yesterday"),
            ("X-Shopify-Webhook-Id", "a"),
            ("X-Shopify-Webhook-Id", "b"),
            ("X-Shopify-Event-Id", ""),
        ]);
        let delivery = parse(&pairs).expect("a delivery");
        assert_eq!(delivery.triggered_at, None);
        assert_eq!(delivery.webhook_id, None);
        assert_eq!(delivery.event_id, None);
    }

    #[test]
    fn a_faulty_signature_and_a_faulty_header_are_told_apart() {
        assert_eq!(with(1, &[MAC, MAC]), Err(DeliveryError::HmacRepeated));
        for bad in ["", "XXXXXaGVsbG8=", "YmxhaGJsYWgK", "wronghash", &MAC[..43]] {
            assert_eq!(with(1, &[bad]), Err(DeliveryError::HmacMalformed), "{bad:?}");
        }
        assert!(with(1, &[&format!(" {MAC} ")]).is_ok());
        for bad in [&["a b"][..], &["a", "b"], &[""]] {
            assert!(matches!(with(0, bad), Err(DeliveryError::Header { .. })), "{bad:?}");
        }
        assert!(matches!(with(2, &["acme.example"]), Err(DeliveryError::Shop(_))));
    }
}
