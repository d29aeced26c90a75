//! `/v1/service-accounts` (contract, organizations.md).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::params::Params;
use super::request::{Body, Path};
use crate::error::ApiError;
use crate::model::{
    AccountAnswer, AccountDeletedAnswer, AccountListAnswer, ErrorBody, KeyAnswer, KeyRevokedAnswer,
    RotatedAnswer, ServiceAccountBody, account_body, key_body, revoked_body, rotated_body,
};
use crate::service::{Call, CreatedAccount, Service, Stored};

/// Creates a service account and registers its agent address.
#[utoipa::path(
    post, path = "/v1/service-accounts", tag = "service accounts", security(("api-key" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::CreateServiceAccount),
    responses(
        (status = 200, body = AccountAnswer), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "the name is taken; the body has `service_account`"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let created = service.create_account(&call, &body).await?;
    Ok(answer(created, created_answer))
}

/// Changes a service account: its words, or how its agent wants deliveries.
#[utoipa::path(
    patch, path = "/v1/service-accounts/{service_account_id}", tag = "service accounts",
    security(("api-key" = [])),
    params(("service_account_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::UpdateServiceAccount),
    responses(
        (status = 200, body = AccountAnswer), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn update(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(account_id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let updated = service.update_account(&call, &account_id, &body).await?;
    Ok(answer(updated, created_answer))
}

/// Replaces what pushes to the agent are signed with. The old secret stays valid for a while.
#[utoipa::path(
    post, path = "/v1/service-accounts/{service_account_id}/signing-secret/rotate",
    tag = "service accounts", security(("api-key" = [])),
    params(("service_account_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::RotateSecret),
    responses(
        (status = 200, body = RotatedAnswer), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn rotate_secret(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(account_id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let rotated = service.rotate_secret(&call, &account_id, &body).await?;
    Ok(answer(rotated, |rotated| rotated_body(&rotated, true)))
}

fn created_answer(created: CreatedAccount) -> AccountAnswer {
    let service_account = ServiceAccountBody {
        signing_secret: created.signing_secret,
        ..account_body(&created.account)
    };
    AccountAnswer { ok: true, service_account }
}

/// The service accounts of the workspace.
#[utoipa::path(
    get, path = "/v1/service-accounts", tag = "service accounts", security(("api-key" = [])),
    params(("org_id" = Option<String>, Query), ("workspace_id" = Option<String>, Query)),
    responses((status = 200, body = AccountListAnswer), (status = 403, body = ErrorBody)),
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<AccountListAnswer>, ApiError> {
    let accounts =
        service.accounts(&call, params.get("org_id"), params.get("workspace_id")).await?;
    let service_accounts = accounts.iter().map(|account| account_body(&account.value)).collect();
    Ok(Json(AccountListAnswer { ok: true, service_accounts }))
}

/// One service account.
#[utoipa::path(
    get, path = "/v1/service-accounts/{service_account_id}", tag = "service accounts",
    security(("api-key" = [])), params(("service_account_id" = String, Path)),
    responses((status = 200, body = AccountAnswer), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)),
)]
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(account_id): Path<String>,
) -> Result<Json<AccountAnswer>, ApiError> {
    let (account, keys) = service.account(&call, &account_id).await?;
    let keys = keys.iter().map(|key| key_body(&key.value, None)).collect();
    let service_account = ServiceAccountBody { keys: Some(keys), ..account_body(&account.value) };
    Ok(Json(AccountAnswer { ok: true, service_account }))
}

/// Deletes a service account: its keys are revoked and its address is free.
#[utoipa::path(
    delete, path = "/v1/service-accounts/{service_account_id}", tag = "service accounts",
    security(("api-key" = [])), params(("service_account_id" = String, Path)),
    responses(
        (status = 200, body = AccountDeletedAnswer), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ),
)]
pub(super) async fn delete(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(account_id): Path<String>,
) -> Result<Response, ApiError> {
    let deleted = service.delete_account(&call, &account_id).await?;
    Ok(answer(deleted, |()| AccountDeletedAnswer {
        ok: true,
        service_account_id: account_id,
        deleted: true,
    }))
}

/// Creates an API key. Its token is told this once.
#[utoipa::path(
    post, path = "/v1/service-accounts/{service_account_id}/keys", tag = "service accounts",
    security(("api-key" = [])),
    params(("service_account_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::CreateKey),
    responses(
        (status = 200, body = KeyAnswer), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn create_key(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(account_id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let created = service.create_key(&call, &account_id, &body).await?;
    Ok(answer(created, |created| KeyAnswer {
        ok: true,
        key: key_body(&created.key, Some(&created.token)),
    }))
}

/// Revokes an API key for good.
#[utoipa::path(
    post, path = "/v1/service-accounts/{service_account_id}/keys/{key_id}/revoke",
    tag = "service accounts", security(("api-key" = [])),
    params(("service_account_id" = String, Path), ("key_id" = String, Path)),
    responses(
        (status = 200, body = KeyRevokedAnswer), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ),
)]
pub(super) async fn revoke_key(
    State(service): State<Arc<Service>>,
    call: Call,
    Path((account_id, key_id)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let revoked = service.revoke_key(&call, &account_id, &key_id, &body).await?;
    Ok(answer(revoked, |revoked| revoked_body(&revoked)))
}

pub(super) fn answer<T, B: Serialize>(stored: Stored<T>, body: impl FnOnce(T) -> B) -> Response {
    match stored {
        Stored::Fresh(value) => Json(body(value)).into_response(),
        Stored::Replayed(body) => Json(body).into_response(),
    }
}
