//! The HTTP API: routes, and the translation between requests and the service layer.

mod access;
mod agents;
mod approvals;
mod capabilities;
mod error;
mod health;
mod inbox;
mod intents;
mod invites;
mod media;
mod middleware;
mod openapi;
mod pages;
mod params;
mod pushes;
mod request;
mod scenarios;
mod schemas;
mod service_accounts;
mod streams;
mod tasks;
mod users;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};

use self::request::RequestContext;
use crate::service::Service;

/// All routes.
pub(crate) fn router(service: Arc<Service>) -> Router {
    let authenticated = Router::new()
        .merge(intents())
        .merge(pushes())
        .merge(accounts())
        .merge(inboxes())
        .merge(people())
        .merge(catalogue())
        .route_layer(from_fn_with_state(Arc::clone(&service), middleware::admit));
    let linked = Router::new()
        .route("/v1/media/upload/{upload_id}", put(media::upload))
        .route("/v1/media/download/{upload_id}", get(media::download))
        .route("/v1/media/preview/{upload_id}", get(media::preview))
        .route_layer(from_fn_with_state(Arc::clone(&service), middleware::admit_linked));
    Router::new()
        .merge(authenticated)
        .merge(linked)
        .route("/health", get(health::get))
        .route("/v1/health", get(health::get))
        .route("/openapi.json", get(openapi::get))
        .route("/t/{token}", get(pages::show).post(pages::decide))
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(error::unknown_route)
        .layer(from_fn_with_state(Arc::clone(&service), middleware::observe))
        .with_state(service)
}

/// Intents, the tasks in them, and scenarios, which are intents with a workflow.
fn intents() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/intents", post(intents::submit).get(intents::list))
        .route("/v1/intents/{intent_id}", get(intents::get))
        .route("/v1/intents/{intent_id}/events", get(intents::events))
        .route("/v1/intents/{intent_id}/events/stream", get(streams::intent))
        .route("/v1/intents/{intent_id}/resolve", post(intents::resolve))
        .route("/v1/intents/{intent_id}/resume", post(intents::resume))
        .route("/v1/intents/{intent_id}/controls", post(intents::controls))
        .route("/v1/intents/{intent_id}/policy", post(intents::policy))
        .route("/v1/intents/bulk-cancel", post(intents::bulk_cancel))
        .route("/v1/me/tasks", get(tasks::list))
        .route("/v1/scenarios/validate", post(scenarios::validate))
        .route("/v1/scenarios/apply", post(scenarios::apply))
        .route("/v1/tool-registry/macros", get(scenarios::macros))
        .route("/v1/tool-registry/macros/{macro_id}", get(scenarios::macro_by_id))
}

/// Pushes and webhooks.
fn pushes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/intents/{intent_id}/redeliver", post(pushes::redeliver))
        .route("/v1/push/dead-letters", get(pushes::dead_letters))
        .route("/v1/webhooks/subscriptions", post(webhooks::subscribe).get(webhooks::list))
        .route("/v1/webhooks/subscriptions/{subscription_id}", delete(webhooks::unsubscribe))
        .route("/v1/webhooks/events", post(webhooks::publish))
        .route("/v1/webhooks/events/{event_id}", get(webhooks::event))
        .route("/v1/webhooks/events/{event_id}/replay", post(webhooks::replay))
}

/// Agents, the accounts behind them, and who may send to whom.
fn accounts() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/agents", get(agents::list))
        .route(
            "/v1/agents/{*rest}",
            get(agents::by_path)
                .put(access::put_by_path)
                .post(access::post_by_path)
                .merge(delete(access::delete_by_path)),
        )
        .route(
            "/v1/organizations/{org_id}/receive-policy",
            get(access::get_of_organization).put(access::put_of_organization),
        )
        .route(
            "/v1/organizations/{org_id}/receive-policy/entries",
            post(access::post_of_organization),
        )
        .route(
            "/v1/organizations/{org_id}/receive-policy/entries/{entry_id}",
            delete(access::delete_of_organization),
        )
        .route("/v1/service-accounts", post(service_accounts::create).get(service_accounts::list))
        .route(
            "/v1/service-accounts/{account_id}",
            get(service_accounts::get)
                .patch(service_accounts::update)
                .merge(delete(service_accounts::delete)),
        )
        .route(
            "/v1/service-accounts/{account_id}/signing-secret/rotate",
            post(service_accounts::rotate_secret),
        )
        .route("/v1/service-accounts/{account_id}/keys", post(service_accounts::create_key))
        .route(
            "/v1/service-accounts/{account_id}/keys/{key_id}/revoke",
            post(service_accounts::revoke_key),
        )
}

/// Inboxes and what is decided in them.
fn inboxes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/inbox", get(inbox::list))
        .route("/v1/inbox/changes", get(inbox::changes))
        .route("/v1/inbox/{thread_id}", get(inbox::get))
        .route("/v1/inbox/{thread_id}/reply", post(inbox::reply))
        .route("/v1/inbox/{thread_id}/delegate", post(inbox::delegate))
        .route("/v1/inbox/{thread_id}/approve", post(inbox::approve))
        .route("/v1/inbox/{thread_id}/reject", post(inbox::reject))
        .route("/v1/inbox/{thread_id}/messages/delete", post(inbox::delete_messages))
        .route("/v1/inbox/{thread_id}/read", post(inbox::read))
        .route("/v1/approvals/{approval_id}/decision", post(approvals::decide))
}

/// Users and invitations.
fn people() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/users/check-nick", get(users::check))
        .route("/v1/users/resolve-nick", get(users::resolve))
        .route("/v1/users/register-nick", post(users::register))
        .route("/v1/users/rename-nick", post(users::rename))
        .route("/v1/users/profile", get(users::profile))
        .route("/v1/users/profile/update", post(users::update))
        .route("/v1/invites/create", post(invites::create))
        .route("/v1/invites/{token}", get(invites::get))
        .route("/v1/invites/{token}/accept", post(invites::accept))
}

/// Schemas, media, and what this server can do.
fn catalogue() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/schemas", post(schemas::upsert))
        .route("/v1/schemas/{semantic_type}", get(schemas::get))
        .route("/v1/media/create-upload", post(media::create))
        .route("/v1/media/finalize-upload", post(media::finalize))
        .route("/v1/media/{upload_id}", get(media::get))
        .route("/v1/capabilities", get(capabilities::get))
}
