//! The two event streams (contract, intents.md 6 and agents.md 4).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::params::Params;
use super::request::{Path, header_text};
use crate::error::ApiError;
use crate::model::ErrorBody;
use crate::service::{Call, Service};
use crate::sse::{Feed, Position, Reading, Rhythm, Stream};

/// The events of an intent as they happen.
///
/// With `wait_seconds` a batch that ends with `stream.timeout`; without it a live stream that ends
/// with the terminal event.
#[utoipa::path(
    get, path = "/v1/intents/{intent_id}/events/stream", tag = "streams", security(("api-key" = [])),
    params(
        ("intent_id" = String, Path),
        ("since" = Option<u32>, Query, description = "only events with a larger seq"),
        ("wait_seconds" = Option<u32>, Query, description = "1 to 60"),
        ("Last-Event-ID" = Option<u32>, Header, description = "like since"),
    ),
    responses(
        (status = 200, body = crate::model::EventBody, content_type = "text/event-stream"),
        (status = 404, body = ErrorBody), (status = 503, body = ErrorBody),
    ),
)]
pub(super) async fn intent(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(intent_id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let reading =
        Reading::of(header_text(&headers, "user-agent"), header_text(&headers, "x-axme-client"));
    let position = position(&params, &headers, reading)?;
    let rhythm = rhythm(&service, params.wait_seconds()?, service.config.streams.linger(), false);
    let permits = service.limits.stream_of(call.caller.workspace_id())?;
    let (id, subscription) = service.watch(&call, &intent_id, position.after()).await?;
    let feed = Feed::of_intent(id, subscription).open(call.deadline).await?;
    Ok(respond(Stream::new(feed, position, rhythm, service.stop.clone(), permits)))
}

/// The deliveries of an agent as they come. `seq` is the cursor to continue after.
#[utoipa::path(
    get, path = "/v1/agents/{address}/intents/stream", tag = "streams", security(("api-key" = [])),
    params(
        ("address" = String, Path, description = "`org/workspace/name`, or a name in the own workspace"),
        ("since" = Option<u32>, Query, description = "only deliveries with a larger cursor"),
        ("wait_seconds" = Option<u32>, Query, description = "1 to 60; 1 answers what is there at once"),
        ("status" = Option<String>, Query, description = "a comma list; default: all that are not terminal"),
        ("Last-Event-ID" = Option<u32>, Header, description = "like since"),
    ),
    responses(
        (status = 200, body = crate::model::DeliveryBody, content_type = "text/event-stream"),
        (status = 403, body = ErrorBody, description = "an address of another workspace"),
        (status = 503, body = ErrorBody),
    ),
)]
pub(super) async fn agent(
    service: &Arc<Service>,
    call: &Call,
    address: &str,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    // No rule for the Go CLI here: its `last + 1` skips nothing, as cursors go in steps of two.
    let position = position(params, headers, Reading::Exclusive)?;
    let wait = params.wait_seconds()?;
    let linger = service.config.streams.agent_linger();
    let rhythm = rhythm(service, wait, linger, wait == Some(1));
    let statuses = params.statuses()?.list;
    let permits = service.limits.stream_of(call.caller.workspace_id())?;
    let listening = service.listen(call, address, position.after(), statuses).await?;
    let feed = Feed::of_agent(listening).open(call.deadline).await?;
    Ok(respond(Stream::new(feed, position, rhythm, service.stop.clone(), permits)))
}

/// A browser repeats the first `since` when it reconnects, so its `Last-Event-ID` is ahead of it.
fn position(params: &Params, headers: &HeaderMap, reading: Reading) -> Result<Position, ApiError> {
    let since = params.number("since")?.unwrap_or(0);
    let last_id = header_text(headers, "last-event-id").and_then(|id| id.parse::<u32>().ok());
    Ok(match last_id {
        // An id names what the client has, whatever it means by `since`.
        Some(id) if id >= since => Position::new(Reading::Exclusive, id),
        _ => Position::new(reading, since),
    })
}

fn rhythm(service: &Service, wait: Option<u32>, linger: Duration, at_once: bool) -> Rhythm {
    match wait {
        Some(seconds) => {
            let wait = Duration::from_secs(u64::from(seconds));
            Rhythm::Batch { wait, linger, at_once }
        }
        None => Rhythm::Live { heartbeat: service.config.streams.heartbeat() },
    }
}

fn respond(stream: Stream) -> Response {
    let mut response = Body::from_stream(stream.into_body()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Neither caches nor compressing or buffering proxies may come between.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
