//! Keys of service accounts: created once in clear, stored as a hash, revoked for good.

use std::sync::Arc;

use axp_proto::control;
use axp_proto::log::RowChange;
use axp_proto::node::{ApiKey, ServiceAccount};
use bytes::Bytes;

use super::{own_account, put, put_id, unknown_account};
use crate::clock;
use crate::cluster::{Plan, Tables, Versioned};
use crate::error::ApiError;
use crate::json::Reader;
use crate::model::{key_body, revoked_body};
use crate::service::answers::Stored;
use crate::service::credential::{hash, hex, hint, new_id, new_token};
use crate::service::idempotency::Claim;
use crate::service::{Call, Service};

/// A new key with its token, which is told this once.
#[derive(Debug)]
pub(crate) struct CreatedKey {
    pub(crate) key: ApiKey,
    pub(crate) token: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Revoked {
    pub(crate) account_id: String,
    pub(crate) key_id: String,
    pub(crate) revoked_at_ms: i64,
}

impl Service {
    /// # Errors
    /// 404 for an unknown account, 403 for one of another workspace, 422 for a bad body.
    pub(crate) async fn create_key(
        &self,
        call: &Call,
        account_id: &str,
        body: &Bytes,
    ) -> Result<Stored<CreatedKey>, ApiError> {
        let mut reader = Reader::new(body)?;
        let creator = reader.string("created_by_actor_id", 1, 255);
        let expires_at_ms = reader.instant("expires_at");
        let now = clock::now_ms();
        if expires_at_ms.is_some_and(|end| end <= now) {
            reader.problem("expires_at", "is in the past", "value_error");
        }
        reader.finish()?;
        let claim = Claim::of(call, &format!("POST /v1/service-accounts/{account_id}/keys"), body)?;
        let token = new_token(account_id);
        let creator = creator.unwrap_or_else(|| call.caller.address().to_owned());
        let key_id = new_id("sak_");
        self.cluster.refresh(call.deadline).await?;
        let decide = |tables: &Tables| {
            let account = own_account(tables, call, account_id)?;
            if account.value.status != "active" {
                return Err(unknown_account());
            }
            let made = new_key(&account.value, &key_id, &token, &creator, now, expires_at_ms);
            let (key, mut changes) = made;
            let then = CreatedKey { key, token: token.clone() };
            if tables.keys.get(&key_id).is_some() {
                return Ok(Plan::Done(then));
            }
            // Fails when the account is deleted meanwhile: a key must not outlive it.
            let unchanged = &account.value;
            changes.push(put(control::service_account(account_id), account.revision, unchanged));
            Ok(Plan::Commit { changes, then })
        };
        let answer = |created: &CreatedKey| serde_json::json!({ "ok": true, "key": key_body(&created.key, None) });
        self.transact_once(call, claim, decide, answer).await
    }

    /// # Errors
    /// 404 for an unknown account or key, 403 for one of another workspace. Revoking twice is no
    /// error and tells the first time.
    pub(crate) async fn revoke_key(
        &self,
        call: &Call,
        account_id: &str,
        key_id: &str,
        body: &[u8],
    ) -> Result<Stored<Revoked>, ApiError> {
        let route = format!("POST /v1/service-accounts/{account_id}/keys/{key_id}/revoke");
        let claim = Claim::of(call, &route, body)?;
        let now = clock::now_ms();
        self.cluster.refresh(call.deadline).await?;
        let decide = |tables: &Tables| {
            own_account(tables, call, account_id)?;
            let key = tables
                .keys
                .get(key_id)
                .filter(|key| key.value.service_account_id == account_id)
                .ok_or_else(|| ApiError::not_found("key not found"))?;
            let revoked = |revoked_at_ms| Revoked {
                account_id: account_id.to_owned(),
                key_id: key_id.to_owned(),
                revoked_at_ms,
            };
            if key.value.status == "revoked" {
                return Ok(Plan::Done(revoked(key.value.revoked_at_ms.unwrap_or_default())));
            }
            Ok(Plan::Commit { changes: vec![revocation(key, now)], then: revoked(now) })
        };
        let answer = |revoked: &Revoked| serde_json::json!(revoked_body(revoked));
        self.transact_once(call, claim, decide, answer).await
    }
}

/// A key for `token`, and the rows that make it known.
pub(crate) fn new_key(
    account: &ServiceAccount,
    key_id: &str,
    token: &str,
    creator: &str,
    created_at_ms: i64,
    expires_at_ms: Option<i64>,
) -> (ApiKey, Vec<RowChange>) {
    let token_hash = hash(token);
    let key = ApiKey {
        key_id: key_id.to_owned(),
        service_account_id: account.service_account_id.clone(),
        org_id: account.org_id.clone(),
        workspace_id: account.workspace_id.clone(),
        token_hash: Bytes::copy_from_slice(&token_hash),
        key_hint: hint(token),
        status: "active".to_owned(),
        created_at_ms,
        expires_at_ms,
        revoked_at_ms: None,
        created_by_actor_id: creator.to_owned(),
    };
    let changes = vec![
        put(control::api_key(key_id), 0, &key),
        put_id(control::api_key_hash(&hex(&token_hash)), 0, key_id),
    ];
    (key, changes)
}

pub(super) fn revocation(key: &Arc<Versioned<ApiKey>>, now: i64) -> RowChange {
    let revoked =
        ApiKey { status: "revoked".to_owned(), revoked_at_ms: Some(now), ..key.value.clone() };
    put(control::api_key(&revoked.key_id), key.revision, &revoked)
}
