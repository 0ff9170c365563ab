//! Asking the restorer over HTTP, and what to say when it does not answer as hoped.

use std::time::Duration;

use backstock_proto::journal::{List, PAGE_LIMIT_MAX, ShopSummary};
use backstock_proto::problem::Problem;
use backstock_proto::{Shop, Timestamp};
use clap::Args;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::fs::File;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio_util::io::ReaderStream;
use url::Host;

use super::{Exit, Failure};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take. Reading everything back takes as long as it takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How to come by a token.
const NEW_TOKEN: &str = "`backstock token new --name NAME --scope read` makes one: put the \
                         [[token]] it prints in Backstock's configuration file, and set \
                         BACKSTOCK_TOKEN";

/// Which restorer is asked.
#[derive(Args)]
pub(super) struct Server {
    /// Where the restorer answers
    #[arg(long, value_name = "URL", env = "BACKSTOCK_URL", hide_env_values = true,
          default_value = "http://127.0.0.1:8080", value_parser = base, help_heading = "Connection")]
    pub(super) url: Url,
    /// Token of the HTTP API; `backstock token new` makes one
    #[arg(
        long,
        value_name = "TOKEN",
        env = "BACKSTOCK_TOKEN",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    pub(super) token: Option<SecretString>,
    /// Print the API's JSON as it is, for programs
    #[arg(long)]
    pub(super) json: bool,
}

/// Which shop of which restorer is asked about.
#[derive(Args)]
pub(super) struct Target {
    #[command(flatten)]
    pub(super) server: Server,
    /// The shop, such as acme or acme.myshopify.com; not needed if the token sees one only
    #[arg(long, value_name = "SHOP", env = "BACKSTOCK_SHOP", hide_env_values = true,
          value_parser = shop, help_heading = "Connection")]
    pub(super) shop: Option<Shop>,
}

/// A list of a shop's, as much of it as was asked for.
#[derive(Args)]
pub(super) struct Limit {
    /// At most so many
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    pub(super) limit: usize,
}

/// A restorer that can be asked.
pub(super) struct Api {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
}

/// What was answered, whatever it says.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

/// Members of a query.
pub(super) type Query<'a> = [(&'a str, Option<String>)];

/// A shop by its domain or its bare name.
pub(super) fn shop(text: &str) -> Result<Shop, String> {
    let name = text.trim().to_ascii_lowercase();
    Shop::parse(&name).or_else(|_| Shop::from_name(&name)).map_err(|e| e.to_string())
}

fn base(text: &str) -> Result<Url, String> {
    let whole = if text.contains("://") { text.into() } else { format!("http://{text}") };
    let mut url = Url::parse(&whole).map_err(|e| e.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("expected http://… or https://…".into());
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Whether an address is one of this machine, of which no proxy knows.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number from 1 on".into()),
        Ok(limit) => Ok(limit),
    }
}

/// The text of an instant in a query.
pub(super) fn instant(at: Option<Timestamp>) -> Option<String> {
    at.map(|t| t.to_string())
}

impl Api {
    pub(super) fn new(server: &Server) -> Result<Self, Failure> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT);
        let http = if is_here(&server.url) { http.no_proxy() } else { http };
        let http =
            http.build().map_err(|e| Failure::new(format!("cannot speak HTTP: {}", causes(&e))))?;
        let token = server.token.clone().filter(|t| !t.expose_secret().trim().is_empty());
        Ok(Self { http, base: server.url.clone(), token })
    }

    /// Asks, and hands back whatever is answered.
    pub(super) async fn ask(&self, path: &str, query: &Query<'_>) -> Result<Answer, Failure> {
        self.send(Method::GET, path, query, Some(ANSWER_TIMEOUT)).await
    }

    /// Asks, and takes nothing but 200 for an answer.
    pub(super) async fn get(&self, path: &str, query: &Query<'_>) -> Result<Vec<u8>, Failure> {
        let answer = self.ask(path, query).await?;
        self.expect_ok(answer).await
    }

    /// Starts something, and waits for its answer however long that takes.
    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Vec<u8>, Failure> {
        let mut request = self.request(Method::POST, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = self.sent(request).await?;
        self.expect_ok(answer).await
    }

    /// Asks for a file, and writes it as it comes. Answers how many bytes it has.
    pub(super) async fn download(
        &self,
        path: &str,
        query: &Query<'_>,
        mut into: impl AsyncWrite + Unpin,
    ) -> Result<u64, Failure> {
        let said: Vec<(&str, &str)> =
            query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        let request = self.request(Method::GET, path).query(&said);
        let mut answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            let body = answer.bytes().await.map_err(|e| self.unreachable(&e))?;
            return Err(self.refused(Answer { status, body: body.into() }).await);
        }
        let not_written = |e| Failure::new(format!("the file cannot be written: {e}"));
        let mut bytes = 0;
        loop {
            let piece = answer.chunk().await.map_err(|e| {
                Failure::new(format!("the file broke off after {bytes} bytes: {}", causes(&e)))
                    .then("the restorer's log says why; try again")
            })?;
            let Some(piece) = piece else { break };
            bytes += piece.len() as u64;
            into.write_all(&piece).await.map_err(not_written)?;
        }
        into.flush().await.map_err(not_written)?;
        Ok(bytes)
    }

    /// Sends a file, and waits for the answer however long that takes.
    pub(super) async fn upload(&self, path: &str, file: File) -> Result<Vec<u8>, Failure> {
        let body = reqwest::Body::wrap_stream(ReaderStream::new(file));
        let answer = self.sent(self.request(Method::POST, path).body(body)).await?;
        self.expect_ok(answer).await
    }

    /// Follows a list's pages until `limit` items are there or no more come. The items stay the
    /// text that was answered.
    pub(super) async fn list(
        &self,
        path: &str,
        query: &Query<'_>,
        limit: usize,
    ) -> Result<List<Box<RawValue>>, Failure> {
        let mut whole = List { items: Vec::new(), next: None };
        loop {
            let page = (limit - whole.items.len()).min(PAGE_LIMIT_MAX);
            let mut asked = query.to_vec();
            asked.push(("limit", Some(page.to_string())));
            let from = whole.next.take();
            asked.push(("cursor", from.clone()));
            let next: List<Box<RawValue>> = exact(&self.get(path, &asked).await?)?;
            // A search may find nothing in one part and something in the next.
            let stuck = next.items.is_empty() && next.next == from;
            whole.items.extend(next.items);
            whole.items.truncate(limit);
            whole.next = next.next;
            if whole.next.is_none() || whole.items.len() >= limit || stuck {
                return Ok(whole);
            }
        }
    }

    /// The shop that was named, or else the only one that the token sees.
    pub(super) async fn shop(&self, target: &Target) -> Result<Shop, Failure> {
        if let Some(shop) = &target.shop {
            return Ok(shop.clone());
        }
        let shops = self.shops().await?;
        match shops.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Failure::new("this token sees no shop that has any history")
                .then("has a webhook arrived yet? `backstock status --shop SHOP` says more")),
            several => {
                let names: Vec<&str> = several.iter().map(Shop::name).collect();
                Err(Failure::new(format!("this token sees several shops: {}", names.join(", ")))
                    .then("say which with --shop, or set BACKSTOCK_SHOP")
                    .exit(Exit::Usage))
            }
        }
    }

    async fn shops(&self) -> Result<Vec<Shop>, Failure> {
        let answer = self.send(Method::GET, "/v1/shops", &[], Some(ANSWER_TIMEOUT)).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(&answer));
        }
        let shops: List<ShopSummary> = read(&answer.body)?;
        Ok(shops.items.into_iter().map(|s| s.shop).collect())
    }

    async fn expect_ok(&self, answer: Answer) -> Result<Vec<u8>, Failure> {
        match answer.status {
            StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => Ok(answer.body),
            _ => Err(self.refused(answer).await),
        }
    }

    /// What an answer says that is not the one hoped for; of what is not there, also what is.
    pub(super) async fn refused(&self, answer: Answer) -> Failure {
        let failure = self.refusal(&answer);
        if answer.status.is_server_error() {
            return failure.passing();
        }
        if answer.status != StatusCode::NOT_FOUND || failure.next.is_some() {
            return failure;
        }
        match self.shops().await {
            Ok(shops) if shops.is_empty() => failure.then("this token sees no shop at all"),
            Ok(shops) => {
                let names: Vec<&str> = shops.iter().map(Shop::name).collect();
                let shop = match names.as_slice() {
                    [only] => *only,
                    _ => "SHOP",
                };
                failure.then(format!(
                    "this token sees {}; `backstock find --shop {shop} TEXT` looks for a resource there",
                    names.join(", ")
                ))
            }
            Err(_) => failure,
        }
    }

    fn refusal(&self, answer: &Answer) -> Failure {
        let status = answer.status;
        let detail = match read::<Problem>(&answer.body) {
            Ok(problem) => problem.detail,
            Err(_) => {
                return Failure::new(format!("{} answered {status} and no reason", self.shown()))
                    .then("is that Backstock's restorer? --url or BACKSTOCK_URL says where it is");
            }
        };
        let at = self.shown();
        let failure = Failure::new(detail);
        match status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => {
                Failure::new(format!("{at} wants a token, and none was given")).then(NEW_TOKEN)
            }
            StatusCode::UNAUTHORIZED => {
                Failure::new(format!("{at} does not know this token")).then(NEW_TOKEN)
            }
            StatusCode::FORBIDDEN => failure.then(
                "`backstock token new --name NAME --scope SCOPE` makes a token that may do this",
            ),
            StatusCode::SERVICE_UNAVAILABLE => failure.then(format!(
                "try again in a moment; {}/readyz says what is missing",
                self.shown()
            )),
            _ => failure,
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &Query<'_>,
        timeout: Option<Duration>,
    ) -> Result<Answer, Failure> {
        let said: Vec<(&str, &str)> =
            query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        let mut request = self.request(method, path).query(&said);
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        self.sent(request).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.shown()));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|e| self.unreachable(&e))?;
        Ok(Answer { status, body: body.into() })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let at = self.shown();
        if error.is_timeout() && !error.is_connect() {
            return Failure::new(format!("{at} did not answer in {} s", ANSWER_TIMEOUT.as_secs()))
                .then(format!("see {at}/readyz, and the log of `backstock serve`"))
                .passing();
        }
        if error.is_builder() {
            return Failure::new(format!("the request cannot be sent: {}", causes(error)))
                .exit(Exit::Usage);
        }
        Failure::new(format!("{at} cannot be reached: {}", causes(error)))
            .then("is `backstock serve` running there? --url or BACKSTOCK_URL says where it is")
            .passing()
    }

    /// The address as people write it.
    pub(super) fn shown(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }
}

/// Reads an answer for people. What a shop says in its texts is for the eye, never for the terminal:
/// anybody can write a sequence there that moves its cursor, or fills its clipboard.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    exact(&harmless(body))
}

/// JSON in which no text holds a control character but white space.
fn harmless(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        // One escape, or one character of two bytes, at a time.
        let (length, control) = match (byte, after) {
            (b'\\', [b'u', hex @ ..]) => (6, is_control(hex.get(..4))),
            (b'\\', [b'b' | b'f', ..]) => (2, true),
            (b'\\', _) => (2, false),
            (0xc2, [0x80..=0x9f, ..]) => (2, true),
            (0x7f, _) => (1, true),
            _ => (1, false),
        };
        let (one, next) = rest.split_at(length.min(rest.len()));
        out.extend_from_slice(if control { "\u{fffd}".as_bytes() } else { one });
        rest = next;
    }
    out
}

/// Whether an escape's four digits name a control character other than white space.
fn is_control(hex: Option<&[u8]>) -> bool {
    let digits = hex.and_then(|hex| std::str::from_utf8(hex).ok());
    let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let named = code.and_then(char::from_u32);
    named.is_some_and(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

/// Reads an answer as it is, for programs.
pub(super) fn exact<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|e| {
        Failure::new(format!("the answer cannot be understood: {e}")).then(
            "do this command and the server have the same version? both say it with --version",
        )
    })
}

/// An error with what caused it, without the address that reqwest puts first.
fn causes(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_of_the_shop_says_nothing_to_the_terminal() {
        let read = |text: &str| read::<Value>(text.as_bytes()).unwrap_or_default();
        let title = read(r#"{"title": "\u001b]52;c;cm0gLXJm\u0007Mug\u009b2J \b\u007f"}"#);
        assert_eq!(
            title,
            json!({"title": "\u{fffd}]52;c;cm0gLXJm\u{fffd}Mug\u{fffd}2J \u{fffd}\u{fffd}"})
        );
        let raw = read("{\"title\": \"a\u{9b}b\u{7f}\"}");
        assert_eq!(raw, json!({"title": "a\u{fffd}b\u{fffd}"}));
        for kept in [r#""a\nb\tc""#, r#""\\u001b""#, r#""\"\\""#, r#""é\u00e9\ud83d\ude00 ©""#] {
            assert_eq!(read(kept), serde_json::from_str::<Value>(kept).expect("json"), "{kept}");
        }
    }
}
