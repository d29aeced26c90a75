//! `/v1/capabilities`: what this server can do.

use axum::Json;

use crate::model::{CapabilitiesBody, ErrorBody};

const CAPABILITIES: &[&str] = &[
    "intent.submit",
    "intent.status.read",
    "intent.events.read",
    "intent.events.stream",
    "intent.resolve",
    "intent.resume",
    "agent.read",
    "agent.intents.stream",
    "service_account.manage",
    "user.nick.register",
    "user.profile.manage",
    "invite.create",
    "invite.accept",
    "media.upload",
    "media.download",
    "schema.manage",
    "schema.validate",
];
const INTENT_TYPES: [&str; 3] = ["intent.ask.v1", "intent.reply.v1", "intent.approval.v1"];

/// What this server can do.
#[utoipa::path(
    get, path = "/v1/capabilities", tag = "server", security(("api-key" = [])),
    responses((status = 200, body = CapabilitiesBody), (status = 401, body = ErrorBody)),
)]
pub(super) async fn get() -> Json<CapabilitiesBody> {
    Json(CapabilitiesBody {
        ok: true,
        capabilities: CAPABILITIES,
        supported_intent_types: &INTENT_TYPES,
    })
}
