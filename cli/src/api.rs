//! The HTTP client behind the user commands: a server, a key, JSON in and JSON out.
//!
//! Connections are kept and reused. Every request has a deadline. Plain HTTP only: in production
//! TLS ends in front of the gateway, and this command runs beside it or through a port forward.

mod follow;
mod stream;
mod target;

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

pub(crate) use self::follow::follow;
use self::stream::{Next, Stream};
pub(crate) use self::target::Target;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: usize = 64 << 20;

/// How user commands are told which server to talk to.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Base URL of the gateway.
    #[arg(
        long,
        env = "AXME_BASE_URL",
        default_value = "http://127.0.0.1:8100",
        value_name = "URL"
    )]
    url: String,
    /// API key.
    #[arg(long, env = "AXME_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Target(String),
    #[error("cannot build the request")]
    Request(#[source] hyper::http::Error),
    #[error("cannot reach the server")]
    Connect(#[source] hyper_util::client::legacy::Error),
    #[error("the connection broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("the server answered {status} {code}: {message}")]
    Refused { status: u16, code: String, message: String, after: Option<u64> },
    #[error("the answer does not follow the contract: {0}")]
    NotTheContract(String),
}

pub(crate) struct Api {
    target: Target,
    key: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Api {
    pub(crate) fn new(args: &ServerArgs) -> Result<Self, Error> {
        Self::at(&args.url, &args.api_key)
    }

    pub(crate) fn at(url: &str, key: &str) -> Result<Self, Error> {
        let target = Target::parse(url)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { target, key: key.to_owned(), client })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        self.call(self.request(Method::GET, path, &[], Bytes::new())?).await
    }

    /// `headers` beside those that every request carries.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Value, Error> {
        self.call(self.request(Method::POST, path, headers, body.to_string().into())?).await
    }

    /// Opens an event stream. Only the head has a deadline: a live stream may be silent for long,
    /// and its heartbeats are checked where it is read.
    pub(crate) async fn stream(&self, path: &str) -> Result<Stream, Error> {
        let request = self.request(Method::GET, path, &[], Bytes::new())?;
        let response = within(self.send(request)).await?;
        if response.status().is_success() {
            Ok(Stream::new(response.into_body()))
        } else {
            let status = response.status().as_u16();
            let after = retry_after(&response);
            let body = within(collect(response)).await?;
            Err(refused(status, after, &body))
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.target.url(path))
            .header("x-api-key", &self.key)
            .header("x-axme-client", concat!("axp/", env!("CARGO_PKG_VERSION")))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body)).map_err(Error::Request)
    }

    async fn call(&self, request: Request<Full<Bytes>>) -> Result<Value, Error> {
        let (status, after, body) = within(async {
            let response = self.send(request).await?;
            let (status, after) = (response.status(), retry_after(&response));
            Ok((status, after, collect(response).await?))
        })
        .await?;
        if !status.is_success() {
            return Err(refused(status.as_u16(), after, &body));
        }
        let value: Value = serde_json::from_slice(&body)
            .map_err(|error| Error::NotTheContract(format!("the body is no JSON: {error}")))?;
        if value.is_object() {
            Ok(value)
        } else {
            Err(Error::NotTheContract("the body is no JSON object".into()))
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        self.client.request(request).await.map_err(|error| {
            if error.is_connect() { Error::Connect(error) } else { Error::Broken(error.into()) }
        })
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(REQUEST_TIMEOUT, work)
        .await
        .unwrap_or(Err(Error::Timeout(REQUEST_TIMEOUT)))
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, Error> {
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX);
    Ok(body.collect().await.map_err(Error::Broken)?.to_bytes())
}

fn retry_after(response: &Response<Incoming>) -> Option<u64> {
    response.headers().get("retry-after")?.to_str().ok()?.parse().ok()
}

fn refused(status: u16, after: Option<u64>, body: &[u8]) -> Error {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let message = match text(&body["error"]["message"]) {
        message if message.is_empty() => text(&body["detail"]),
        message => message,
    };
    Error::Refused { status, code: text(&body["error"]["code"]), message, after }
}

/// For a path segment or a query value.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// `?a=b&c=d` of those that are set; empty when none is.
pub(crate) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let set = parameters.iter().filter_map(|(name, value)| {
        value.as_deref().map(|value| format!("{name}={}", percent_encoded(value)))
    });
    let text = set.collect::<Vec<_>>().join("&");
    if text.is_empty() { text } else { format!("?{text}") }
}

/// The path of an agent, whose address may come with or without its scheme.
pub(crate) fn agent_path(address: &str) -> String {
    let address = address.strip_prefix("agent://").unwrap_or(address);
    let segments: Vec<_> = address.split('/').map(percent_encoded).collect();
    format!("/v1/agents/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_what_the_body_says() {
        let body = br#"{"ok":false,"error":{"code":"not_found","message":"no such intent"}}"#;
        let shown = refused(404, None, body).to_string();
        assert_eq!(shown, "the server answered 404 not_found: no such intent");
        let shown = refused(502, None, b"<html>").to_string();
        assert_eq!(shown, "the server answered 502 : ");
    }

    #[test]
    fn reserved_bytes_are_encoded() {
        assert_eq!(percent_encoded("a/b c?~"), "a%2Fb%20c%3F~");
        assert_eq!(agent_path("agent://acme/prod/x y"), "/v1/agents/acme/prod/x%20y");
    }

    #[test]
    fn only_set_parameters_are_sent() {
        let parameters = [("since", None), ("status", Some("A,B".to_owned()))];
        assert_eq!(query(&parameters), "?status=A%2CB");
        assert_eq!(query(&parameters[..1]), "");
    }
}
