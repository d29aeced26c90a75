//! Around every call: room, the caller, its rate, a span and a deadline, as HTTP has them.

use std::future::Future;
use std::time::Duration;

use axp_proto::error_code::ErrorCode;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use tracing::Instrument as _;

use crate::clock::Deadline;
use crate::error::ApiError;
use crate::metrics::{REQUEST_SECONDS, REQUESTS_TOTAL};
use crate::service::{Call, Credentials, Origin, Service};
use crate::trace::TraceContext;

/// What a method is called in metrics and for rates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    pub(super) name: &'static str,
    /// Bounded by the number of open streams, not by a rate.
    pub(super) is_stream: bool,
}

impl Method {
    pub(super) const fn unary(name: &'static str) -> Self {
        Self { name, is_stream: false }
    }

    pub(super) const fn stream(name: &'static str) -> Self {
        Self { name, is_stream: true }
    }
}

/// Lets a call in and runs it.
pub(super) async fn enter<M, T, F, R>(
    service: &Service,
    method: Method,
    request: Request<M>,
    handle: F,
) -> Result<Response<T>, Status>
where
    F: FnOnce(Call, M) -> R,
    R: Future<Output = Result<T, ApiError>>,
{
    let started = Instant::now();
    let peer = request.remote_addr().map(|address| address.ip());
    let (metadata, _, message) = request.into_parts();
    let span = tracing::info_span!(
        "grpc.request",
        rpc.method = method.name,
        rpc.code = tracing::field::Empty
    );
    let parent = text(&metadata, "traceparent").and_then(TraceContext::parse);
    let trace = parent.unwrap_or_else(TraceContext::begin).enter(&span);
    let work = async {
        let room = service.limits.request()?;
        let call = Call {
            origin: Origin { peer, ..Origin::default() },
            ..admit(service, method, &metadata, trace).await?
        };
        let own_room = service.limits.request_of(call.caller.org_id())?;
        let answer = handle(call, message).await;
        drop((room, own_room));
        answer
    };
    let answer = trace.scope(work).instrument(span.clone()).await;
    let code = answer.as_ref().map_or_else(|error| error.code.grpc_code(), |_| Code::Ok);
    span.record("rpc.code", tracing::field::debug(code));
    count(method, code, started);
    Ok(Response::new(answer?))
}

async fn admit(
    service: &Service,
    method: Method,
    metadata: &MetadataMap,
    trace: TraceContext,
) -> Result<Call, ApiError> {
    let deadline = match text(metadata, "grpc-timeout").and_then(grpc_timeout) {
        Some(timeout) if !method.is_stream => {
            Deadline::after(timeout.min(service.config.cluster.request_timeout()))
        }
        _ => service.deadline(),
    };
    let bearer = text(metadata, "authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let credentials = Credentials { api_key: text(metadata, "x-api-key"), bearer };
    let caller = service.authenticate(credentials, deadline).await?;
    if !method.is_stream
        && let Some(verdict) = service.limits.rate(&caller.key.value.key_id, method.name)
        && let Some(seconds) = verdict.retry_after_seconds
    {
        let error = ApiError::new(ErrorCode::RateLimitExceeded, "rate limit exceeded");
        return Err(error.retry_after(seconds));
    }
    Ok(Call {
        caller,
        deadline,
        trace,
        idempotency_key: text(metadata, "idempotency-key").map(str::to_owned),
        owner: text(metadata, "x-owner-agent").map(str::to_owned),
        origin: Origin::default(),
    })
}

fn text<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

/// At most eight digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number = digits.parse::<u32>().ok().filter(|_| digits.len() <= 8)?;
    let number = u64::from(number);
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn count(method: Method, code: Code, started: Instant) {
    let labels = [("route", method.name), ("method", "grpc")];
    metrics::histogram!(REQUEST_SECONDS, &labels).record(started.elapsed().as_secs_f64());
    let status = match code {
        Code::Ok => "2xx",
        Code::Internal | Code::Unavailable | Code::Unknown => "5xx",
        _ => "4xx",
    };
    let [route, method] = labels;
    metrics::counter!(REQUESTS_TOTAL, &[route, method, ("status", status)]).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_units() {
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(grpc_timeout("2S"), Some(Duration::from_secs(2)));
        for bad in ["", "S", "5", "123456789S", "-1S", "1x", "1é"] {
            assert_eq!(grpc_timeout(bad), None, "{bad}");
        }
    }
}
