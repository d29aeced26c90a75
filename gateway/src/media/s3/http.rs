//! How requests get to S3: hyper over rustls with ring, as everything else of ours, within a time.

use std::error::Error as _;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::metrics::{MEDIA_STORAGE_REQUESTS_TOTAL, storage};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_MAX: usize = 32;

/// Makes clients that give up after `patience`.
#[derive(Debug)]
pub(super) struct Connector {
    tls: ClientConfig,
    patience: Duration,
}

impl Connector {
    /// # Errors
    /// When there can be no TLS at all; a system without certificates is told of in the log.
    pub(super) fn new(patience: Duration) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let (added, _) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 {
            tracing::warn!("the system has no certificates: no https for media-s3");
        }
        // The provider is named here, so that nothing depends on what a process has installed.
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls, patience })
    }
}

impl object_store::client::HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Ok(HttpClient::new(HyperService { client, patience: self.patience }))
    }
}

struct HyperService {
    client: Client<HttpsConnector<HttpConnector>, HttpRequestBody>,
    patience: Duration,
}

impl fmt::Debug for HyperService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperService").field("patience", &self.patience).finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl HttpService for HyperService {
    /// One attempt: to the head of the answer within the patience, and so for each piece after it.
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (answer, outcome) = match timeout(self.patience, self.client.request(request)).await {
            Ok(Ok(answer)) if answer.status().is_server_error() => (Ok(answer), storage::FAILED),
            Ok(Ok(answer)) => (Ok(answer), storage::ANSWERED),
            Ok(Err(error)) => (Err(HttpError::new(kind(&error), error)), storage::FAILED),
            Err(late) => (Err(HttpError::new(HttpErrorKind::Timeout, late)), storage::TIMED_OUT),
        };
        metrics::counter!(MEDIA_STORAGE_REQUESTS_TOTAL, "outcome" => outcome).increment(1);
        let patience = self.patience;
        Ok(answer?.map(|body| HttpResponseBody::new(Patient::new(body, patience))))
    }
}

/// What a retry is decided on.
fn kind(error: &hyper_util::client::legacy::Error) -> HttpErrorKind {
    if error.is_connect() {
        return HttpErrorKind::Connect;
    }
    match error.source().and_then(|source| source.downcast_ref::<hyper::Error>()) {
        // A pooled connection that the server had closed.
        Some(error)
            if error.is_closed() || error.is_canceled() || error.is_incomplete_message() =>
        {
            HttpErrorKind::Request
        }
        Some(error) if error.is_timeout() => HttpErrorKind::Timeout,
        _ => HttpErrorKind::Interrupted,
    }
}

/// A body each piece of which has to come in time.
struct Patient {
    body: Incoming,
    patience: Duration,
    /// Set while a piece is waited for: a slow reader is no fault of the storage's.
    waiting: bool,
    late: Pin<Box<Sleep>>,
}

impl Patient {
    fn new(body: Incoming, patience: Duration) -> Self {
        Self { body, patience, waiting: false, late: Box::pin(sleep(patience)) }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the media storage stopped in the middle of an answer")]
struct Late;

impl Body for Patient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waiting = false;
            let interrupted = |error| HttpError::new(HttpErrorKind::Interrupted, error);
            return Poll::Ready(frame.map(|frame| frame.map_err(interrupted)));
        }
        if !self.waiting {
            self.waiting = true;
            let end = Instant::now() + self.patience;
            self.late.as_mut().reset(end);
        }
        ready!(self.late.as_mut().poll(cx));
        Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, Late))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
