//! The OpenAPI document, generated from the handlers and the types that they answer with.

mod bodies;
mod scenarios_body;

use std::sync::OnceLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi};

pub(super) use self::bodies::*;
pub(super) use self::scenarios_body::*;
use super::access::documented as access;
use super::{
    agents, approvals, capabilities, health, inbox, intents, invites, media, pushes, scenarios,
    schemas, service_accounts, streams, tasks, users, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "AXP gateway",
        description = "The AXP Intent Protocol over HTTP. Unknown members of requests are ignored, empty strings \
                       are absent, every success is 200 with a JSON object."
    ),
    paths(
        health::get,
        capabilities::get,
        intents::submit,
        intents::list,
        intents::get,
        intents::events,
        intents::resolve,
        intents::resume,
        intents::controls,
        intents::policy,
        intents::bulk_cancel,
        streams::intent,
        streams::agent,
        tasks::list,
        agents::list,
        agents::get,
        access::send::get,
        access::send::set,
        access::send::add,
        access::send::remove,
        access::own::get,
        access::own::set,
        access::own::add,
        access::own::remove,
        access::organization::get,
        access::organization::set,
        access::organization::add,
        access::organization::remove,
        inbox::list,
        inbox::changes,
        inbox::get,
        inbox::reply,
        inbox::delegate,
        inbox::approve,
        inbox::reject,
        inbox::delete_messages,
        inbox::read,
        approvals::decide,
        service_accounts::create,
        service_accounts::list,
        service_accounts::get,
        service_accounts::delete,
        service_accounts::create_key,
        service_accounts::revoke_key,
        service_accounts::update,
        service_accounts::rotate_secret,
        pushes::redeliver,
        pushes::dead_letters,
        webhooks::subscribe,
        webhooks::list,
        webhooks::unsubscribe,
        webhooks::publish,
        webhooks::event,
        webhooks::replay,
        users::check,
        users::resolve,
        users::register,
        users::rename,
        users::profile,
        users::update,
        invites::create,
        invites::get,
        invites::accept,
        scenarios::validate,
        scenarios::apply,
        scenarios::macros,
        scenarios::macro_by_id,
        schemas::upsert,
        schemas::get,
        media::create,
        media::finalize,
        media::get,
        media::upload,
        media::download,
        media::preview,
    ),
    modifiers(&Keys)
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let key = ApiKeyValue::with_description(
            "x-api-key",
            "an API key; `Authorization: Bearer <key>` does as well",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("api-key", SecurityScheme::ApiKey(ApiKey::Header(key)));
    }
}

/// Built once per process, as nothing in it depends on this gateway.
pub(super) async fn get() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| {
        Bytes::from(serde_json::to_vec(&Document::openapi()).expect("the document serializes"))
    });
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], document.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_answers_and_only_health_is_public() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let mut operations = 0;
        for (path, item) in paths {
            for (method, operation) in item.as_object().unwrap() {
                operations += 1;
                assert!(operation["responses"]["200"].is_object(), "{method} {path}");
                assert_eq!(operation["security"].is_null(), path == "/health", "{method} {path}");
            }
        }
        assert_eq!(operations, 75);
        assert!(document["components"]["schemas"]["IntentBody"].is_object());
    }
}
