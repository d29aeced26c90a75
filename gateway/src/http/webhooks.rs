//! `/v1/webhooks` (contract, webhooks.md).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::params::Params;
use super::request::{Body, Path};
use super::service_accounts::answer;
use crate::error::ApiError;
use crate::model::{
    ErrorBody, EventAnswer, ReplayAnswer, SubscriptionAnswer, SubscriptionListAnswer,
    UnsubscribedAnswer, published_body, subscription_body, unsubscribed_body,
};
use crate::service::{Call, Service};

/// Subscribes a callback to events, or changes the subscription that it has.
#[utoipa::path(
    post, path = "/v1/webhooks/subscriptions", tag = "webhooks", security(("api-key" = [])),
    params(("owner_agent" = Option<String>, Query), ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::Subscribe),
    responses(
        (status = 200, body = SubscriptionAnswer), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn subscribe(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let subscribed = service.subscribe(&call, &body).await?;
    Ok(answer(subscribed, |subscribed| SubscriptionAnswer {
        ok: true,
        subscription: subscription_body(&subscribed.subscription, subscribed.new_secret),
    }))
}

/// The subscriptions of the workspace.
#[utoipa::path(
    get, path = "/v1/webhooks/subscriptions", tag = "webhooks", security(("api-key" = [])),
    params(
        ("owner_agent" = Option<String>, Query), ("include_inactive" = Option<bool>, Query),
    ),
    responses((status = 200, body = SubscriptionListAnswer), (status = 403, body = ErrorBody)),
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<SubscriptionListAnswer>, ApiError> {
    let include_inactive = params.flag("include_inactive")?;
    let found = service.subscriptions(&call, include_inactive).await?;
    let subscriptions = found.iter().map(|it| subscription_body(&it.value, None)).collect();
    Ok(Json(SubscriptionListAnswer { ok: true, subscriptions }))
}

/// Revokes a subscription. Every key of the workspace may, whichever owner it names.
#[utoipa::path(
    delete, path = "/v1/webhooks/subscriptions/{subscription_id}", tag = "webhooks",
    security(("api-key" = [])), params(("subscription_id" = String, Path)),
    responses((status = 200, body = UnsubscribedAnswer), (status = 404, body = ErrorBody)),
)]
pub(super) async fn unsubscribe(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let revoked = service.unsubscribe(&call, &id).await?;
    Ok(answer(revoked, |revoked_at_ms| unsubscribed_body(&id, revoked_at_ms)))
}

/// Publishes an event. The answer does not wait for receivers.
#[utoipa::path(
    post, path = "/v1/webhooks/events", tag = "webhooks", security(("api-key" = [])),
    params(("owner_agent" = Option<String>, Query), ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::PublishEvent),
    responses(
        (status = 200, body = EventAnswer), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn publish(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<EventAnswer>, ApiError> {
    let published = service.publish_body(&call, &body).await?;
    Ok(Json(published_body(&published)?))
}

/// An event, and how far its deliveries are.
#[utoipa::path(
    get, path = "/v1/webhooks/events/{event_id}", tag = "webhooks", security(("api-key" = [])),
    params(("event_id" = String, Path)),
    responses((status = 200, body = EventAnswer), (status = 404, body = ErrorBody)),
)]
pub(super) async fn event(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(event_id): Path<String>,
) -> Result<Json<EventAnswer>, ApiError> {
    let published = service.published(&call, &event_id).await?;
    Ok(Json(published_body(&published)?))
}

/// Delivers an event again, to the subscriptions that want it now.
#[utoipa::path(
    post, path = "/v1/webhooks/events/{event_id}/replay", tag = "webhooks",
    security(("api-key" = [])),
    params(("event_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = ReplayAnswer), (status = 404, body = ErrorBody)),
)]
pub(super) async fn replay(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(event_id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let replayed = service.replay(&call, &event_id, &body).await?;
    Ok(answer(replayed, |body| body))
}
