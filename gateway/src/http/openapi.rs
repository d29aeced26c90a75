//! The OpenAPI document, generated from the handlers and the types that they answer with.
//!
//! Request bodies are read leniently and therefore not by a type; the types here say what is read.

use std::sync::OnceLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::access::documented as access;
use super::{
    agents, approvals, capabilities, health, inbox, intents, invites, media, pushes, scenarios,
    schemas, service_accounts, streams, users, webhooks,
};
use crate::model::RawJson;

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

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/submission.rs reads")]
pub(super) struct SubmitIntent {
    /// e.g. `intent.approval.v1`
    #[schema(pattern = r"^[a-z0-9_]+(?:\.[a-z0-9_]+)+\.v[0-9]+$")]
    intent_type: String,
    /// A canonical address, a name in the own workspace, or any opaque address.
    to_agent: String,
    /// A UUID; made when missing.
    correlation_id: Option<String>,
    payload: Option<RawJson>,
    reply_to: Option<String>,
    #[schema(format = DateTime)]
    deadline_at: Option<String>,
    remind_after_seconds: Option<u32>,
    remind_interval_seconds: Option<u32>,
    max_reminders: Option<u32>,
    escalate_to: Option<String>,
    max_delivery_attempts: Option<u32>,
    human_task: Option<RawJson>,
    /// Names the schema of the payload; the intent type does when missing.
    semantic_type: Option<String>,
    /// `none`, `warn` or `enforce`; no less than what the server is set to
    schema_mode: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/resolve.rs reads")]
pub(super) struct ResolveIntent {
    /// `COMPLETED`, `FAILED` or `CANCELED`
    status: String,
    actor: Option<String>,
    result: Option<RawJson>,
    /// With `FAILED`.
    error: Option<RawJson>,
    /// With `CANCELED`.
    reason: Option<String>,
    expected_policy_generation: Option<u32>,
}

/// With `task_result`: a person's answer. With nothing but control members: a control resume. Else
/// everything but `action` is the agent's result.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/resume.rs reads")]
pub(super) struct ResumeIntent {
    /// `complete` (default) or `fail`
    action: Option<String>,
    task_result: Option<RawJson>,
    approve_current_step: Option<bool>,
    actor: Option<String>,
    reason: Option<String>,
    expected_policy_generation: Option<u32>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/controls.rs reads")]
pub(super) struct UpdateControls {
    /// `timeout_seconds`, `max_retry_count` and `retry_backoff_seconds` act, others are kept.
    controls_patch: RawJson,
    actor: Option<String>,
    reason: Option<String>,
    expected_policy_generation: Option<u32>,
    internal_scheduler: Option<bool>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/controls.rs reads")]
pub(super) struct UpdatePolicy {
    /// `delegate:<address>` to `{"allow": ["resume", "update_controls", "update_policy"]}`, or `null`.
    grants_patch: Option<RawJson>,
    /// `max_retry_count`, `retry_backoff_seconds`, `execution_timeout_seconds`, `ttl_seconds`, `expires_at`.
    envelope_patch: Option<RawJson>,
    actor: Option<String>,
    reason: Option<String>,
    expected_policy_generation: Option<u32>,
    internal_scheduler: Option<bool>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/bulk_cancel.rs reads")]
pub(super) struct BulkCancel {
    /// Counted from the last event.
    older_than_hours: f64,
    dry_run: Option<bool>,
    reason: Option<String>,
    /// 500 unless told, at most 1000.
    limit: Option<u32>,
    /// Open statuses; all but `CREATED` unless told.
    status_filter: Option<Vec<String>>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/inbox.rs reads")]
pub(super) struct ReplyToThread {
    #[schema(min_length = 1, max_length = 131_072)]
    message: String,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/inbox.rs reads")]
pub(super) struct DelegateThread {
    /// Without it nobody is told.
    delegate_to: Option<String>,
    note: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/inbox.rs reads")]
pub(super) struct DecideThread {
    comment: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/inbox.rs reads")]
pub(super) struct DeleteMessages {
    /// `self` or `both`
    mode: String,
    /// 1 to 100 of them.
    message_ids: Option<Vec<String>>,
    /// The last so many, 1 to 100; counts for nothing beside ids.
    limit: Option<u32>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/approvals.rs reads")]
pub(super) struct DecideApproval {
    /// `approve` or `reject`
    decision: String,
    comment: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/accounts/create.rs reads")]
pub(super) struct CreateServiceAccount {
    org_id: Option<String>,
    workspace_id: Option<String>,
    /// A name, or an agent address whose last part becomes the name in the address.
    name: String,
    description: Option<String>,
    display_name: Option<String>,
    created_by_actor_id: Option<String>,
    /// `stream` (default), `poll`, `http`, `inbox` or `internal`
    delivery_mode: Option<String>,
    callback_url: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/accounts/keys.rs reads")]
pub(super) struct CreateKey {
    created_by_actor_id: Option<String>,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/accounts/update.rs reads")]
pub(super) struct UpdateServiceAccount {
    description: Option<String>,
    display_name: Option<String>,
    /// `stream`, `poll`, `http`, `inbox` or `internal`
    delivery_mode: Option<String>,
    callback_url: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/signing.rs reads")]
pub(super) struct RotateSecret {
    /// How long the old secret stays valid; default one day, at most 30.
    overlap_seconds: Option<u32>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/webhooks.rs reads")]
pub(super) struct Subscribe {
    callback_url: String,
    /// Published names, lifecycle events such as `intent.completed`, or `intent.*`.
    event_types: Vec<String>,
    /// 16 to 128 characters; made when missing.
    secret: Option<String>,
    active: Option<bool>,
    description: Option<String>,
    /// How long a secret that is replaced stays valid; default one day, at most 30.
    overlap_seconds: Option<u32>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/webhooks/events.rs reads")]
pub(super) struct PublishEvent {
    event_type: String,
    source: String,
    payload: RawJson,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/users.rs reads")]
pub(super) struct RegisterNick {
    /// 3 to 32 of a-z, 0-9, `_`, `.` and `-`, usually with `@` before them; case does not matter
    nick: String,
    display_name: Option<String>,
    phone: Option<String>,
    email: Option<String>,
}

/// Of `profile/update` the nick may be left out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/users.rs reads")]
pub(super) struct ChangeUser {
    /// `agent://user/<user id>`
    owner_agent: String,
    nick: Option<String>,
    display_name: Option<String>,
    phone: Option<String>,
    email: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/invites.rs reads")]
pub(super) struct CreateInvite {
    owner_agent: String,
    recipient_hint: Option<String>,
    /// 60 to 1209600, default 86400
    ttl_seconds: Option<u32>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/invites.rs reads")]
pub(super) struct AcceptInvite {
    nick: String,
    display_name: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/schemas.rs reads")]
pub(super) struct UpsertSchema {
    /// e.g. `acme.compliance.check.v1`
    #[schema(pattern = r"^[a-z0-9_]+(?:\.[a-z0-9_]+){2,}\.v[0-9]+$")]
    semantic_type: String,
    /// JSON Schema 2020-12
    schema_json: RawJson,
    /// `registry://<semantic_type>` when missing
    schema_ref: Option<String>,
    /// `strict`, `backward` or `warn`: what later changes of the schema may do
    compatibility_mode: String,
    /// `tenant`
    scope: Option<String>,
    active: Option<bool>,
    owner_agent: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/media.rs reads")]
pub(super) struct CreateUpload {
    owner_agent: String,
    filename: String,
    mime_type: String,
    /// At most `media.size-bytes-max`.
    size_bytes: u64,
    sha256: Option<String>,
    /// 60 to 604800, default 3600: until when it can be uploaded and finalized
    ttl_seconds: Option<u32>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/media.rs reads")]
pub(super) struct FinalizeUpload {
    upload_id: String,
    size_bytes: u64,
    sha256: Option<String>,
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
        assert_eq!(operations, 74);
        assert!(document["components"]["schemas"]["IntentBody"].is_object());
    }
}

/// A bundle; `docs/scenarios.md` says what is tolerated and what steps there are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(super) struct ScenarioBundle {
    /// Words of a-z, 0-9, _ and - that are separated by dots.
    scenario_id: String,
    title: Option<String>,
    description: Option<String>,
    idempotency_key: Option<String>,
    agents: Option<Vec<ScenarioAgent>>,
    humans: Option<Vec<ScenarioHuman>>,
    workflow: Option<ScenarioWorkflow>,
    intent: Option<ScenarioIntent>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(super) struct ScenarioAgent {
    role: String,
    address: String,
    create_if_missing: Option<bool>,
    display_name: Option<String>,
    delivery_mode: Option<String>,
    callback_url: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(super) struct ScenarioHuman {
    role: String,
    contact: Option<String>,
    display_name: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(super) struct ScenarioWorkflow {
    macro_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    parameters: Option<RawJson>,
    entry_step: Option<String>,
    steps: Option<Vec<ScenarioStep>>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(super) struct ScenarioStep {
    step_id: String,
    tool_id: Option<String>,
    /// `human_approval`, `timeout`, `reminder`, `delay`, `escalation` or `notification`
    runtime_type: Option<String>,
    #[schema(value_type = Option<Object>)]
    runtime_config: Option<RawJson>,
    /// A role of the bundle, an agent address or a mail address.
    assigned_to: Option<String>,
    requires_approval: Option<bool>,
    step_deadline_seconds: Option<u32>,
    #[schema(value_type = Option<Object>)]
    retry: Option<RawJson>,
    #[schema(value_type = Option<Object>)]
    human_task: Option<RawJson>,
    remind_after_seconds: Option<u32>,
    remind_interval_seconds: Option<u32>,
    max_reminders: Option<u32>,
    escalate_to: Option<String>,
    /// The next step; absent: the next element; `end`: none.
    on_success: Option<String>,
    on_failure: Option<String>,
    /// Absent: as `on_failure`.
    on_timeout: Option<String>,
    #[schema(value_type = Option<Object>)]
    input: Option<RawJson>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(super) struct ScenarioIntent {
    /// Absent: the scenario's id.
    r#type: Option<String>,
    #[schema(value_type = Option<Object>)]
    payload: Option<RawJson>,
    reply_to: Option<String>,
    deadline_at: Option<String>,
    remind_after_seconds: Option<u32>,
    remind_interval_seconds: Option<u32>,
    max_reminders: Option<u32>,
    escalate_to: Option<String>,
    max_delivery_attempts: Option<u32>,
    #[schema(value_type = Option<Object>)]
    human_task: Option<RawJson>,
}
