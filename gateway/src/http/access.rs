//! Who may send (contract, agents.md 6 and 7): policies below an agent's path, and an organization's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::error::method_not_allowed;
use super::request::{Body, Path};
use crate::error::ApiError;
use crate::service::{AccessPart, AccessSubject, AgentPath, Call, Service};

/// Changes below `/v1/agents/`: only policies are changed there.
pub(super) async fn put_by_path(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(rest): Path<String>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    match AgentPath::parse(&rest) {
        AgentPath::Access(subject, AccessPart::Whole) => {
            service.set_access(&call, subject, &body).await.map(Json)
        }
        _ => Err(method_not_allowed().await),
    }
}

pub(super) async fn post_by_path(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(rest): Path<String>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    match AgentPath::parse(&rest) {
        AgentPath::Access(subject, AccessPart::Entries) => {
            service.add_access_entry(&call, subject, &body).await.map(Json)
        }
        _ => Err(method_not_allowed().await),
    }
}

pub(super) async fn delete_by_path(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(rest): Path<String>,
) -> Result<Json<Value>, ApiError> {
    match AgentPath::parse(&rest) {
        AgentPath::Access(subject, AccessPart::Entry(id)) => {
            service.remove_access_entry(&call, subject, id).await.map(Json)
        }
        _ => Err(method_not_allowed().await),
    }
}

/// A policy of an agent; its entries are read with it.
pub(super) async fn get_of_agent(
    service: &Service,
    call: &Call,
    subject: AccessSubject<'_>,
    part: AccessPart<'_>,
) -> Result<Response, ApiError> {
    if part != AccessPart::Whole {
        return Err(method_not_allowed().await);
    }
    Ok(Json(service.access(call, subject).await?).into_response())
}

pub(super) async fn get_of_organization(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(org_id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    service.access(&call, AccessSubject::Organization(&org_id)).await.map(Json)
}

pub(super) async fn put_of_organization(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(org_id): Path<String>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    service.set_access(&call, AccessSubject::Organization(&org_id), &body).await.map(Json)
}

pub(super) async fn post_of_organization(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(org_id): Path<String>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    service.add_access_entry(&call, AccessSubject::Organization(&org_id), &body).await.map(Json)
}

pub(super) async fn delete_of_organization(
    State(service): State<Arc<Service>>,
    call: Call,
    Path((org_id, entry_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let subject = AccessSubject::Organization(&org_id);
    service.remove_access_entry(&call, subject, &entry_id).await.map(Json)
}

/// What the OpenAPI document says of them: one function of the router serves several paths.
pub(super) mod documented {
    use utoipa::ToSchema;

    use crate::model::{
        AccessAnswer, AccessEntryRemoved, ErrorBody, ReceiveOverrideBody, ReceivePolicyBody,
        SendPolicyBody,
    };

    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what service/access/manage.rs reads")]
    pub(in crate::http) struct SetPolicy {
        /// `open`, `allowlist`; `denylist` of an agent, `closed` of an organization
        policy_type: String,
    }

    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what service/access/manage.rs reads")]
    pub(in crate::http) struct SetOverride {
        /// `open`, `allowlist`, `closed`, or `use_org_default`, which gives the override up
        override_type: String,
    }

    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes what service/access/manage.rs reads")]
    pub(in crate::http) struct AddAccessEntry {
        /// An address, `agent://org/workspace/*`, `agent://org/*` or `*`
        sender_pattern: String,
    }

    macro_rules! operations {
        ($name:ident, $tag:literal, $whole:literal, $entries:literal, $entry:literal, $id:literal,
         $set:ty, $body:ty) => {
            pub(in crate::http) mod $name {
                use super::*;

                #[utoipa::path(
                    get, path = $whole, tag = $tag, security(("api-key" = [])),
                    params(($id = String, Path)),
                    responses(
                        (status = 200, body = AccessAnswer<$body>), (status = 403, body = ErrorBody),
                        (status = 404, body = ErrorBody),
                    ),
                )]
                #[expect(dead_code, reason = "only its description is used")]
                pub(in crate::http) fn get() {}

                #[utoipa::path(
                    put, path = $whole, tag = $tag, security(("api-key" = [])),
                    params(($id = String, Path), ("Idempotency-Key" = Option<String>, Header)),
                    request_body(content = $set),
                    responses(
                        (status = 200, body = AccessAnswer<$body>), (status = 403, body = ErrorBody),
                        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
                    ),
                )]
                #[expect(dead_code, reason = "only its description is used")]
                pub(in crate::http) fn set() {}

                #[utoipa::path(
                    post, path = $entries, tag = $tag, security(("api-key" = [])),
                    params(($id = String, Path), ("Idempotency-Key" = Option<String>, Header)),
                    request_body(content = AddAccessEntry),
                    responses(
                        (status = 200, body = AccessAnswer<$body>), (status = 403, body = ErrorBody),
                        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
                    ),
                )]
                #[expect(dead_code, reason = "only its description is used")]
                pub(in crate::http) fn add() {}

                #[utoipa::path(
                    delete, path = $entry, tag = $tag, security(("api-key" = [])),
                    params(
                        ($id = String, Path), ("entry_id" = String, Path),
                        ("Idempotency-Key" = Option<String>, Header),
                    ),
                    responses(
                        (status = 200, body = AccessEntryRemoved), (status = 403, body = ErrorBody),
                        (status = 404, body = ErrorBody),
                    ),
                )]
                #[expect(dead_code, reason = "only its description is used")]
                pub(in crate::http) fn remove() {}
            }
        };
    }

    operations!(
        send,
        "agents",
        "/v1/agents/{address}/policy",
        "/v1/agents/{address}/policy/entries",
        "/v1/agents/{address}/policy/entries/{entry_id}",
        "address",
        SetPolicy,
        SendPolicyBody
    );
    operations!(
        own,
        "agents",
        "/v1/agents/{address}/receive-override",
        "/v1/agents/{address}/receive-override/entries",
        "/v1/agents/{address}/receive-override/entries/{entry_id}",
        "address",
        SetOverride,
        ReceiveOverrideBody
    );
    operations!(
        organization,
        "organizations",
        "/v1/organizations/{org_id}/receive-policy",
        "/v1/organizations/{org_id}/receive-policy/entries",
        "/v1/organizations/{org_id}/receive-policy/entries/{entry_id}",
        "org_id",
        SetPolicy,
        ReceivePolicyBody
    );
}
