//! The HTTP client behind the user commands: a server, a key, JSON in and JSON out.
//!
//! Connections are kept and reused. Every request has a deadline. TLS is checked against the
//! system's certificates.

mod error;
mod follow;
mod path;
mod stream;
mod target;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

pub(crate) use self::error::{Error, Refusal};
pub(crate) use self::follow::follow;
pub(crate) use self::path::{agent_path, intent_path, percent_encoded, query};
use self::stream::{Next, Stream};
pub(crate) use self::target::Target;
use crate::config::{Server, ServerArgs};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: usize = 64 << 20;

pub(crate) struct Api {
    target: Target,
    key: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A body, and what is known about how it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What the server's clock says, as HTTP says it.
    pub(crate) date: Option<String>,
    pub(crate) body: Bytes,
}

impl Api {
    pub(crate) fn new(args: &ServerArgs) -> anyhow::Result<Self> {
        Ok(Self::to(&Server::resolve(args)?)?)
    }

    /// # Errors
    /// When there is no key for this server.
    pub(crate) fn to(server: &Server) -> Result<Self, Error> {
        let key = server.key.as_ref().ok_or_else(|| Error::NoKey(server.url.value.clone()))?;
        Self::at(&server.url.value, &key.value)
    }

    pub(crate) fn at(url: &str, key: &str) -> Result<Self, Error> {
        let target = Target::parse(url)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(target.tls)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { target, key: key.to_owned(), client })
    }

    pub(crate) fn url(&self) -> String {
        self.target.url("")
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        self.call(Method::GET, path, &[], Bytes::new()).await
    }

    /// `headers` beside those that every request carries.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Value, Error> {
        self.call(Method::POST, path, headers, body.to_string().into()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Error> {
        self.call(Method::DELETE, path, &[], Bytes::new()).await
    }

    /// Any request; the answer is what the server said, whatever its status.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, Error> {
        let request = self.request(method, path, headers, body)?;
        Ok(within(self.exchange(request)).await?.0)
    }

    /// Opens an event stream. Only the head has a deadline: a live stream may be silent for long,
    /// and its heartbeats are checked where it is read.
    pub(crate) async fn stream(&self, path: &str) -> Result<Stream, Error> {
        let request = self.request(Method::GET, path, &[], Bytes::new())?;
        let response = within(self.send(request)).await?;
        if response.status().is_success() {
            Ok(Stream::new(response.into_body()))
        } else {
            let refusal = Head::of(&response);
            Err(refusal.refused(&within(collect(response)).await?))
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

    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Value, Error> {
        let request = self.request(method, path, headers, body)?;
        let (answer, head) = within(self.exchange(request)).await?;
        if !(200..300).contains(&answer.status) {
            return Err(head.refused(&answer.body));
        }
        object(&answer.body)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(Answer, Head), Error> {
        let response = self.send(request).await?;
        let head = Head::of(&response);
        let date = header(&response, "date");
        let body = collect(response).await?;
        Ok((Answer { status: head.status, date, body }, head))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                Error::Connect { url: self.url(), source: error }
            } else {
                Error::Broken(error.into())
            }
        })
    }
}

/// What a refusal takes from the head of an answer.
struct Head {
    status: u16,
    after: Option<u64>,
    request_id: String,
}

impl Head {
    fn of(response: &Response<Incoming>) -> Self {
        Self {
            status: response.status().as_u16(),
            after: header(response, "retry-after").and_then(|seconds| seconds.parse().ok()),
            request_id: header(response, "x-request-id").unwrap_or_default(),
        }
    }

    fn refused(self, body: &[u8]) -> Error {
        Error::Refused(Box::new(Refusal::new(self.status, self.after, self.request_id, body)))
    }
}

/// With ring, and against the system's certificates; those are read only when they are needed.
fn tls(needed: bool) -> Result<rustls::ClientConfig, Error> {
    let mut roots = rustls::RootCertStore::empty();
    if needed {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(Error::Tls(
                "this system has no certificates to check a server's with".into(),
            ));
        }
    }
    let ring = rustls::crypto::ring::default_provider().into();
    let config = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn object(body: &[u8]) -> Result<Value, Error> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Error::NotTheContract(format!("the body is no JSON: {error}")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Error::NotTheContract("the body is no JSON object".into()))
    }
}

fn header(response: &Response<Incoming>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
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
