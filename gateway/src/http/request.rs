//! What handlers take from a request: its context, the call with its caller, and the body.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::error_code::ErrorCode;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tracing::Span;
use uuid::Uuid;

use super::params::Params;
use crate::clock::Deadline;
use crate::error::ApiError;
use crate::service::{Call, Caller, Service};
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
    pub(super) fn begin(headers: &HeaderMap, span: &Span, patience: Duration) -> Self {
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
            deadline: Deadline::after(patience),
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
        })
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

/// The bytes of a body, within size and time. The content type does not matter: official clients
/// name JSON on requests without a body.
#[derive(Debug)]
pub(super) struct Body(pub(super) Bytes);

impl FromRequest<Arc<Service>> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, ApiError> {
        let config = &service.config.http;
        let limited = Limited::new(request.into_body(), config.body_bytes_max);
        let collected = tokio::time::timeout(config.body_timeout(), limited.collect()).await;
        match collected {
            Ok(Ok(body)) => Ok(Self(body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let message = format!("the body is larger than {} bytes", config.body_bytes_max);
                Err(ApiError::new(ErrorCode::PayloadTooLarge, message))
            }
            Ok(Err(_)) => Err(ApiError::bad_request("the body ended early")),
            Err(_) => Err(ApiError::bad_request("the body did not arrive in time")),
        }
    }
}
