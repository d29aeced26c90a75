//! Bodies of requests. They are read leniently and therefore not by a type; the types here say what is
//! read.

use utoipa::ToSchema;

use crate::model::RawJson;

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/submission.rs reads")]
pub(in crate::http) struct SubmitIntent {
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
pub(in crate::http) struct ResolveIntent {
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
pub(in crate::http) struct ResumeIntent {
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
pub(in crate::http) struct UpdateControls {
    /// `timeout_seconds`, `max_retry_count` and `retry_backoff_seconds` act, others are kept.
    controls_patch: RawJson,
    actor: Option<String>,
    reason: Option<String>,
    expected_policy_generation: Option<u32>,
    internal_scheduler: Option<bool>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/controls.rs reads")]
pub(in crate::http) struct UpdatePolicy {
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
pub(in crate::http) struct BulkCancel {
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
pub(in crate::http) struct ReplyToThread {
    #[schema(min_length = 1, max_length = 131_072)]
    message: String,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/inbox.rs reads")]
pub(in crate::http) struct DelegateThread {
    /// Without it nobody is told.
    delegate_to: Option<String>,
    note: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/inbox.rs reads")]
pub(in crate::http) struct DecideThread {
    comment: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/inbox.rs reads")]
pub(in crate::http) struct DeleteMessages {
    /// `self` or `both`
    mode: String,
    /// 1 to 100 of them.
    message_ids: Option<Vec<String>>,
    /// The last so many, 1 to 100; counts for nothing beside ids.
    limit: Option<u32>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/approvals.rs reads")]
pub(in crate::http) struct DecideApproval {
    /// `approve` or `reject`
    decision: String,
    comment: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/accounts/create.rs reads")]
pub(in crate::http) struct CreateServiceAccount {
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
pub(in crate::http) struct CreateKey {
    created_by_actor_id: Option<String>,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/accounts/update.rs reads")]
pub(in crate::http) struct UpdateServiceAccount {
    description: Option<String>,
    display_name: Option<String>,
    /// `stream`, `poll`, `http`, `inbox` or `internal`
    delivery_mode: Option<String>,
    callback_url: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/signing.rs reads")]
pub(in crate::http) struct RotateSecret {
    /// How long the old secret stays valid; default one day, at most 30.
    overlap_seconds: Option<u32>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/webhooks.rs reads")]
pub(in crate::http) struct Subscribe {
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
pub(in crate::http) struct PublishEvent {
    event_type: String,
    source: String,
    payload: RawJson,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/users.rs reads")]
pub(in crate::http) struct RegisterNick {
    /// 3 to 32 of a-z, 0-9, `_`, `.` and `-`, usually with `@` before them; case does not matter
    nick: String,
    display_name: Option<String>,
    phone: Option<String>,
    email: Option<String>,
}

/// Of `profile/update` the nick may be left out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/users.rs reads")]
pub(in crate::http) struct ChangeUser {
    /// `agent://user/<user id>`
    owner_agent: String,
    nick: Option<String>,
    display_name: Option<String>,
    phone: Option<String>,
    email: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/invites.rs reads")]
pub(in crate::http) struct CreateInvite {
    owner_agent: String,
    recipient_hint: Option<String>,
    /// 60 to 1209600, default 86400
    ttl_seconds: Option<u32>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/invites.rs reads")]
pub(in crate::http) struct AcceptInvite {
    nick: String,
    display_name: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what service/schemas.rs reads")]
pub(in crate::http) struct UpsertSchema {
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
pub(in crate::http) struct CreateUpload {
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
pub(in crate::http) struct FinalizeUpload {
    upload_id: String,
    size_bytes: u64,
    sha256: Option<String>,
}
