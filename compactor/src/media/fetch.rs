//! Fetches bytes from an address that a shop's data names: from nowhere but where Shopify keeps media,
//! no more than is allowed, and as they are.

use std::time::Duration;

use backstock_proto::Shop;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::{StatusCode, header};
use reqwest::Client;
use reqwest::redirect::Policy;
use url::Url;

use super::address::{Allowed, PublicOnly, Way};

/// How long a connection may take, the next bytes, and all of it.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);
const WHOLE: Duration = Duration::from_secs(900);
/// How often an answer may send elsewhere on the same host.
const REDIRECTS_MAX: usize = 3;
/// How often a failure that passes by itself is waited out, and how long at first.
const TRIES: u32 = 3;
const WAIT_FIRST: Duration = Duration::from_millis(500);

/// Fetches media of one shop.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    allowed: Allowed,
    public: Client,
    simulated: Client,
    bytes_max: u64,
}

/// Why there are no bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("its address is none that media are fetched from")]
    Refused,
    #[error("the address answers {0}: the bytes are gone")]
    Gone(StatusCode),
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    #[error("fetching failed: {0}")]
    Failed(String),
}

impl Fetcher {
    pub(super) fn new(shop: &Shop, admin: &Url, bytes_max: u64) -> reqwest::Result<Self> {
        let begin = || {
            Client::builder()
                .redirect(Policy::none())
                .no_proxy()
                .connect_timeout(CONNECT)
                .read_timeout(SILENCE)
                .timeout(WHOLE)
        };
        Ok(Self {
            allowed: Allowed::new(shop, admin),
            public: begin().dns_resolver(PublicOnly::resolver()).build()?,
            simulated: begin().build()?,
            bytes_max,
        })
    }

    /// Most bytes that are taken.
    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The bytes at an address, as they come.
    pub(super) async fn fetch(
        &self,
        from: &str,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, FetchError> {
        let mut wait = WAIT_FIRST;
        for _ in 1..TRIES {
            match self.once(from).await {
                Err(FetchError::Failed(_)) => {}
                settled => return settled,
            }
            tokio::time::sleep(wait).await;
            wait *= 4;
        }
        self.once(from).await
    }

    async fn once(
        &self,
        from: &str,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, FetchError> {
        let mut url = Url::parse(from).map_err(|_| FetchError::Refused)?;
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.ask(&url).await?;
            let status = answer.status();
            if status.is_redirection() {
                let next = answer.headers().get(header::LOCATION).and_then(|at| at.to_str().ok());
                let next = next.and_then(|at| url.join(at).ok());
                // Elsewhere is nowhere, however it is called.
                url =
                    next.filter(|next| next.origin() == url.origin()).ok_or(FetchError::Refused)?;
                continue;
            }
            return self.bytes(answer);
        }
        Err(FetchError::Failed("it sends from one address to the next without end".into()))
    }

    async fn ask(&self, url: &Url) -> Result<reqwest::Response, FetchError> {
        let client = match self.allowed.way(url).ok_or(FetchError::Refused)? {
            Way::Public => &self.public,
            Way::Simulated => &self.simulated,
        };
        let asked = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        // The address may hold a signature.
        asked.send().await.map_err(|e| FetchError::Failed(e.without_url().to_string()))
    }

    fn bytes(
        &self,
        answer: reqwest::Response,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, FetchError> {
        match answer.status() {
            status if status.is_success() => {}
            gone @ (StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN) => {
                return Err(FetchError::Gone(gone));
            }
            other => return Err(FetchError::Failed(format!("the address answers {other}"))),
        }
        let encoded = answer.headers().get(header::CONTENT_ENCODING);
        if encoded.is_some_and(|encoding| encoding != "identity") {
            return Err(FetchError::Failed("it is packed, which was not asked for".into()));
        }
        if answer.content_length().is_some_and(|length| length > self.bytes_max) {
            return Err(FetchError::TooLarge(self.bytes_max));
        }
        let bytes = answer.bytes_stream();
        Ok(bytes.map_err(|e| std::io::Error::other(e.without_url())).boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Path;
    use axum::response::{IntoResponse, Redirect, Response};
    use axum::routing::get;

    async fn answer(Path(name): Path<String>) -> Response {
        match name.as_str() {
            "mug.jpg" => "mug".into_response(),
            "moved.jpg" => Redirect::permanent("/mug.jpg").into_response(),
            "away.jpg" => Redirect::temporary("http://127.0.0.1:9/mug.jpg").into_response(),
            "inward.jpg" => Redirect::temporary("http://169.254.169.254/latest").into_response(),
            "round.jpg" => Redirect::temporary("/round.jpg").into_response(),
            "packed.jpg" => ([(header::CONTENT_ENCODING, "gzip")], "…").into_response(),
            "long.jpg" => "x".repeat(2_000).into_response(),
            "endless.jpg" => {
                let piece = || Ok::<_, std::io::Error>(vec![7; 500]);
                let pieces = futures::stream::repeat_with(piece);
                Body::from_stream(pieces).into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    async fn served() -> (Fetcher, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("its address"));
        let router = Router::new().route("/{name}", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let shop = Shop::parse("acme.myshopify.com").expect("a shop");
        let admin = base.parse().expect("an address");
        (Fetcher::new(&shop, &admin, 1_000).expect("a client"), base)
    }

    async fn fetched(fetcher: &Fetcher, url: &str) -> Result<Vec<u8>, FetchError> {
        let pieces = fetcher.once(url).await?;
        let whole: Vec<Bytes> = pieces.take(100).try_collect().await.expect("bytes");
        Ok(whole.concat())
    }

    #[tokio::test]
    async fn bytes_come_from_where_they_are_and_from_nowhere_else() {
        let (fetcher, base) = served().await;
        let get = async |name: &str| fetched(&fetcher, &format!("{base}/{name}")).await;
        assert_eq!(get("mug.jpg").await.expect("bytes"), b"mug");
        assert_eq!(get("moved.jpg").await.expect("bytes"), b"mug");
        assert!(matches!(get("away.jpg").await, Err(FetchError::Refused)));
        assert!(matches!(get("inward.jpg").await, Err(FetchError::Refused)));
        assert!(matches!(get("round.jpg").await, Err(FetchError::Failed(_))));
        assert!(matches!(get("packed.jpg").await, Err(FetchError::Failed(_))));
        assert!(matches!(get("none.jpg").await, Err(FetchError::Gone(_))));
        assert!(matches!(get("long.jpg").await, Err(FetchError::TooLarge(1_000))));
        assert!(matches!(
            fetched(&fetcher, "http://127.0.0.1:1/x").await,
            Err(FetchError::Refused)
        ));
        assert!(matches!(fetched(&fetcher, "file:///etc/passwd").await, Err(FetchError::Refused)));
    }

    #[tokio::test]
    async fn what_does_not_say_its_length_is_cut_at_the_most() {
        use backstock_proto::blob::{BlobError, Blobs};
        let (fetcher, base) = served().await;
        let pieces = fetcher.once(&format!("{base}/endless.jpg")).await.expect("an answer");
        let shop = Shop::parse("acme.myshopify.com").expect("a shop");
        let put = Blobs::in_memory().put(&shop, pieces, fetcher.bytes_max()).await;
        assert!(matches!(put, Err(BlobError::TooLarge(1_000))));
    }

    #[tokio::test]
    async fn a_name_that_means_one_of_our_own_addresses_is_not_connected_to() {
        use reqwest::dns::Resolve as _;
        let name = "localhost".parse().expect("a name");
        let resolved = PublicOnly.resolve(name).await;
        assert!(resolved.err().is_some_and(|e| e.to_string().contains("no public address")));
    }
}
