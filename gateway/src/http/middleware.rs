//! Around every request: ids and trace, one span, panics, metrics; around most: who asks, and
//! whether there is room.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::RequestContext;
use super::params::Params;
use super::request::header_text;
use crate::error::ApiError;
use crate::limits::{Permit, Verdict};
use crate::metrics::{REQUEST_SECONDS, REQUESTS_TOTAL};
use crate::service::{Credentials, LinkClaim, MediaAccess, Service};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Names a request, follows it, and counts it.
pub(super) async fn observe(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let route = route_of(&request);
    let method = method_name(request.method());
    let span = tracing::info_span!(
        "http.request",
        http.method = method,
        http.route = %route,
        request.id = tracing::field::Empty,
        http.status = tracing::field::Empty,
    );
    let context = RequestContext::begin(request.headers(), &span, service.deadline());
    span.record("request.id", context.request_id.to_str().unwrap_or_default());
    let (request_id, trace_id) = (context.request_id.clone(), context.trace_id.clone());
    let trace = context.trace;
    request.extensions_mut().insert(context);

    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = match trace.scope(handled).instrument(span.clone()).await {
        Ok(response) => response,
        Err(_) => {
            // The panic itself was printed by the hook, with its place.
            tracing::error!(parent: &span, "a request handler panicked");
            ApiError::internal().into_response()
        }
    };
    let status = response.status();
    span.record("http.status", status.as_u16());
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        tracing::error!(parent: &span, %status, "request failed");
    }
    response.headers_mut().insert(REQUEST_ID, request_id);
    response.headers_mut().insert(TRACE_ID, trace_id);
    count(&route, method, status, started);
    response
}

/// Lets a request in: there is room, the caller is known, and it does not ask too often.
pub(super) async fn admit(
    State(service): State<Arc<Service>>,
    Extension(context): Extension<RequestContext>,
    mut request: Request,
    next: Next,
) -> Response {
    let room = match service.limits.request() {
        Ok(permit) => permit,
        Err(error) => return error.into_response(),
    };
    let credentials = Credentials {
        api_key: header_text(request.headers(), "x-api-key"),
        bearer: bearer(&request),
    };
    let caller = match service.authenticate(credentials, context.deadline).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let own_room = match service.limits.request_of(caller.org_id()) {
        Ok(permit) => permit,
        Err(error) => return error.into_response(),
    };
    // Streams are bounded by their number: clients come back as soon as one closes.
    let is_stream = request.uri().path().ends_with("/stream");
    let verdict = (!is_stream)
        .then(|| {
            let endpoint = format!("{} {}", request.method(), route_of(&request));
            service.limits.rate(&caller.key.value.key_id, &endpoint)
        })
        .flatten();
    if let Some(refusal) = verdict.and_then(too_often) {
        return refusal;
    }
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    drop((room, own_room));
    match verdict {
        Some(verdict) => with_rate(response, verdict),
        None => response,
    }
}

/// The refusal of a request that comes too soon.
fn too_often(verdict: Verdict) -> Option<Response> {
    let seconds = verdict.retry_after_seconds?;
    let code = axp_proto::error_code::ErrorCode::RateLimitExceeded;
    let error = ApiError::new(code, "rate limit exceeded").retry_after(seconds);
    Some(with_rate(error.into_response(), verdict))
}

/// As [`admit`], for what a signed link opens as well as a key does. Who sends a key is asked for it.
pub(super) async fn admit_linked(
    State(service): State<Arc<Service>>,
    Extension(context): Extension<RequestContext>,
    mut request: Request,
    next: Next,
) -> Response {
    let has_key =
        header_text(request.headers(), "x-api-key").is_some() || bearer(&request).is_some();
    let is_link = Params::parse(request.uri()).is_ok_and(|it| it.get("signature").is_some());
    if has_key || !is_link {
        return admit(State(service), Extension(context), request, next).await;
    }
    let uri = request.uri().clone();
    let (access, rooms) = match enter_by_link(&service, &context, &uri).await {
        Ok(entered) => entered,
        Err(error) => return error.into_response(),
    };
    let endpoint = format!("{} {}", request.method(), route_of(&request));
    let verdict = service.limits.rate(uri.path(), &endpoint);
    if let Some(refusal) = verdict.and_then(too_often) {
        return refusal;
    }
    request.extensions_mut().insert(access);
    let response = next.run(request).await;
    drop(rooms);
    match verdict {
        Some(verdict) => with_rate(response, verdict),
        None => response,
    }
}

/// The rooms that a request takes, everybody's and its organization's.
type Rooms = (Permit, Permit);

async fn enter_by_link(
    service: &Service,
    context: &RequestContext,
    uri: &Uri,
) -> Result<(MediaAccess, Rooms), ApiError> {
    let room = service.limits.request()?;
    let params = Params::parse(uri)?;
    let text = |name| params.get(name).unwrap_or_default();
    let claim = LinkClaim {
        workspace_id: text("workspace"),
        expires: text("expires"),
        signature: text("signature"),
    };
    let mut segments = uri.path().rsplit('/');
    let (id, what) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let access = service.open_link(what, id, claim, context.deadline).await?;
    let own_room = service.limits.request_of(access.org_id())?;
    Ok((access, (room, own_room)))
}

fn with_rate(mut response: Response, verdict: Verdict) -> Response {
    let headers = response.headers_mut();
    headers.insert(RATE_LIMIT, HeaderValue::from(verdict.limit));
    headers.insert(RATE_REMAINING, HeaderValue::from(verdict.remaining));
    headers.insert(RATE_RESET, HeaderValue::from(verdict.reset_at));
    response
}

fn bearer(request: &Request) -> Option<&str> {
    let value = header_text(request.headers(), header::AUTHORIZATION.as_str())?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The template of the route: bounded, unlike the path.
fn route_of(request: &Request) -> MatchedRoute {
    MatchedRoute(request.extensions().get::<MatchedPath>().cloned())
}

struct MatchedRoute(Option<MatchedPath>);

impl std::fmt::Display for MatchedRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_ref().map_or("none", MatchedPath::as_str))
    }
}

/// Methods are a label, so those that nobody serves are one.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn count(route: &MatchedRoute, method: &'static str, status: StatusCode, started: Instant) {
    let route = route.to_string();
    let class = match status.as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    let labels = [("route", route), ("method", method.to_owned())];
    metrics::histogram!(REQUEST_SECONDS, &labels).record(started.elapsed().as_secs_f64());
    let [route, method] = labels;
    let labels = [route, method, ("status", class.to_owned())];
    metrics::counter!(REQUESTS_TOTAL, &labels).increment(1);
}
