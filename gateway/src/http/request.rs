//! What handlers take from a request: its context, the call with its caller, and the body.

use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use tracing::Span;
use uuid::Uuid;

use super::params::Params;
use crate::clock::Deadline;
use crate::error::ApiError;
use crate::server::Peer;
use crate::service::{Call, Caller, Channel, MediaAccess, Origin, Service};
use crate::trace::TraceContext;

const ID_LENGTH_MAX: usize = 128;

/// What is known of a request before anything else.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(super) request_id: HeaderValue,
    /// As the client sent it, else the id of our trace.
    pub(super) trace_id: HeaderValue,
    pub(super) trace: TraceContext,
    pub(super) deadline: Deadline,
}

impl RequestContext {
    pub(super) fn begin(headers: &HeaderMap, span: &Span, deadline: Deadline) -> Self {
        let parent = header_text(headers, "traceparent").and_then(TraceContext::parse);
        let trace = parent.unwrap_or_else(TraceContext::begin).enter(span);
        let text = |text: String| {
            HeaderValue::from_str(&text).expect("hexadecimal digits make a header value")
        };
        Self {
            request_id: given_id(headers, "x-request-id")
                .unwrap_or_else(|| text(Uuid::new_v4().to_string())),
            trace_id: given_id(headers, "x-trace-id").unwrap_or_else(|| text(trace.trace_id())),
            trace,
            deadline,
        }
    }
}

fn given_id(headers: &HeaderMap, name: &str) -> Option<HeaderValue> {
    let value = headers.get(name)?;
    let usable = (1..=ID_LENGTH_MAX).contains(&value.len())
        && value.as_bytes().iter().all(u8::is_ascii_graphic);
    usable.then(|| value.clone())
}

/// A header as trimmed text; absent when empty.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let context = parts.extensions.get::<RequestContext>().ok_or_else(ApiError::internal)?;
        let caller = parts.extensions.get::<Arc<Caller>>().ok_or_else(ApiError::internal)?;
        let params = Params::parse(&parts.uri)?;
        let owner = owner(caller, header_text(&parts.headers, "x-owner-agent"), &params)?;
        let idempotency_key = header_text(&parts.headers, "idempotency-key").map(str::to_owned);
        Ok(Self {
            caller: Arc::clone(caller),
            deadline: context.deadline,
            trace: context.trace,
            idempotency_key,
            owner,
            origin: origin(parts),
        })
    }
}

fn origin(parts: &Parts) -> Origin {
    let header = |name| header_text(&parts.headers, name);
    Origin {
        channel: Channel::of(header("x-axme-client"), header("user-agent")),
        peer: parts.extensions.get::<Peer>().map(|peer| peer.0),
    }
}

/// What a link allows, or what the key of the caller does.
impl<S: Sync> FromRequestParts<S> for MediaAccess {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if let Some(access) = parts.extensions.get::<Self>() {
            return Ok(access.clone());
        }
        Call::from_request_parts(parts, state).await.map(|call| Self::of(&call))
    }
}

/// The asserted owner, by header or by query; both must mean the same.
fn owner(
    caller: &Caller,
    header: Option<&str>,
    params: &Params,
) -> Result<Option<String>, ApiError> {
    let query = params.get("owner_agent");
    if let (Some(header), Some(query)) = (header, query)
        && caller.normalise(header)? != caller.normalise(query)?
    {
        return Err(ApiError::bad_request("x-owner-agent and owner_agent name different agents"));
    }
    Ok(header.or(query).map(str::to_owned))
}

/// Parameters in the path. What cannot be decoded is refused in our words.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(values)) => Ok(Self(values)),
            Err(_) => Err(ApiError::bad_request("the path cannot be read")),
        }
    }
}

/// The bytes of a body, within size and time. The content type does not matter: official clients
/// name JSON on requests without a body.
#[derive(Debug)]
pub(super) struct Body(pub(super) Bytes);

impl FromRequest<Arc<Service>> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, ApiError> {
        let config = &service.config.http;
        let reading = read(request.into_body(), config.body_bytes_max);
        match tokio::time::timeout(config.body_timeout(), reading).await {
            Ok(body) => Ok(Self(body?)),
            Err(_) => Err(ApiError::bad_request("the body did not arrive in time")),
        }
    }
}

/// What is read beyond a body that is too large, so that its client gets to read why.
const EXCESS_BYTES_MAX: usize = 1 << 20;

async fn read(mut body: axum::body::Body, most: usize) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body is larger than {most} bytes");
        ApiError::new(ErrorCode::PayloadTooLarge, message)
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most.saturating_add(EXCESS_BYTES_MAX) {
        return Err(too_large());
    }
    // Most bodies are one piece, which is then not copied.
    let (mut first, mut joined, mut length) = (Bytes::new(), BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > most.saturating_add(EXCESS_BYTES_MAX) {
            break;
        }
        if length > most {
            continue;
        }
        if first.is_empty() {
            first = data;
        } else {
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&data);
        }
    }
    let whole = if joined.is_empty() { first } else { joined.freeze() };
    if length > most { Err(too_large()) } else { Ok(whole) }
}
