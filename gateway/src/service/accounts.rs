//! Service accounts and their keys (contract, organizations.md). Decided over cached rows, committed
//! by compare-and-set; ids are fixed before the first attempt.

mod create;
mod keys;
mod update;

use std::sync::Arc;

use axp_proto::control;
use axp_proto::error_code::ErrorCode;
use axp_proto::log::RowChange;
use axp_proto::node::{ApiKey, ServiceAccount};
use prost::Message;
use serde_json::{Value, json};

pub(crate) use self::create::{AccountPlan, CreatedAccount, plan_account};
pub(crate) use self::keys::{Revoked, new_key};
use super::agents::require_own;
use super::answers::Stored;
use super::idempotency::Claim;
use super::{Call, Service};
use crate::clock;
use crate::cluster::{Plan, Tables, Versioned};
use crate::error::ApiError;

type AccountKeys = (Arc<Versioned<ServiceAccount>>, Vec<Arc<Versioned<ApiKey>>>);

impl Service {
    /// The accounts of the caller's workspace, oldest first.
    ///
    /// # Errors
    /// 403 when another organization or workspace is named.
    pub(crate) async fn accounts(
        &self,
        call: &Call,
        org_id: Option<&str>,
        workspace_id: Option<&str>,
    ) -> Result<Vec<Arc<Versioned<ServiceAccount>>>, ApiError> {
        require_own(call, org_id, workspace_id)?;
        let tables = self.cluster.refresh(call.deadline).await?;
        let mut accounts = tables.accounts_of(call.caller.workspace_id());
        accounts.retain(|account| account.value.status != "revoked");
        accounts.sort_by_key(|account| account.value.created_at_ms);
        Ok(accounts)
    }

    /// An account and its keys, the oldest first.
    ///
    /// # Errors
    /// 404 when it is unknown or deleted, 403 when it belongs to another workspace.
    pub(crate) async fn account(&self, call: &Call, id: &str) -> Result<AccountKeys, ApiError> {
        let tables = self.cluster.refresh(call.deadline).await?;
        let account = own_account(&tables, call, id)?;
        if account.value.status == "revoked" {
            return Err(unknown_account());
        }
        let mut keys = tables.keys_of(id);
        keys.sort_by_key(|key| key.value.created_at_ms);
        Ok((account, keys))
    }

    /// Deletes an account: no key of it works any more, its address is free again.
    ///
    /// # Errors
    /// As [`Self::account`]; deleting twice is no error.
    pub(crate) async fn delete_account(
        &self,
        call: &Call,
        id: &str,
    ) -> Result<Stored<()>, ApiError> {
        let claim = Claim::of(call, &format!("DELETE /v1/service-accounts/{id}"), b"")?;
        let now = clock::now_ms();
        self.cluster.refresh(call.deadline).await?;
        let decide = |tables: &Tables| {
            let account = own_account(tables, call, id)?;
            if account.value.status == "revoked" {
                return Ok(Plan::Done(()));
            }
            Ok(Plan::Commit { changes: deletion(tables, &account, now), then: () })
        };
        self.transact_once(call, claim, decide, |()| deleted_body(id)).await
    }
}

/// What is answered to a deletion.
pub(crate) fn deleted_body(id: &str) -> Value {
    json!({ "ok": true, "service_account_id": id, "deleted": true })
}

fn deletion(tables: &Tables, account: &Versioned<ServiceAccount>, now: i64) -> Vec<RowChange> {
    let id = account.value.service_account_id.as_str();
    let revoked = ServiceAccount {
        status: "revoked".to_owned(),
        updated_at_ms: now,
        ..account.value.clone()
    };
    let mut changes = vec![put(control::service_account(id), account.revision, &revoked)];
    let keys = tables.keys_of(id);
    let open = keys.iter().filter(|key| key.value.status != "revoked");
    changes.extend(open.map(|key| keys::revocation(key, now)));
    if let Some(agent) = tables.agents.get(&account.value.agent_address)
        && agent.value.service_account_id == id
    {
        let mut gone = agent.value.clone();
        "deleted".clone_into(&mut gone.status);
        gone.updated_at_ms = now;
        changes.push(put(control::agent(&gone.address), agent.revision, &gone));
        changes.extend(super::access::forget(tables, &gone.address));
    }
    let (workspace, name) = (&account.value.workspace_id, &account.value.name);
    if let Some(row) = tables.account_names.get(format!("{workspace}/{name}"))
        && row.value == id
    {
        changes.push(RowChange {
            key: control::service_account_name(workspace, name),
            expected_revision: row.revision,
            value: bytes::Bytes::new(),
            deleted: true,
        });
    }
    changes
}

/// An account of the caller's workspace, deleted or not.
pub(super) fn own_account(
    tables: &Tables,
    call: &Call,
    id: &str,
) -> Result<Arc<Versioned<ServiceAccount>>, ApiError> {
    let account = tables.accounts.get(id).ok_or_else(unknown_account)?;
    if account.value.workspace_id != call.caller.workspace_id() {
        let message = "the service account belongs to another workspace";
        return Err(ApiError::new(ErrorCode::InvalidActorScope, message));
    }
    Ok(Arc::clone(account))
}

pub(super) fn unknown_account() -> ApiError {
    ApiError::not_found("service account not found")
}

/// A row as a compare-and-set writes it.
pub(crate) fn put(key: String, expected_revision: u64, row: &impl Message) -> RowChange {
    RowChange { key, expected_revision, value: row.encode_to_vec().into(), deleted: false }
}

/// A row whose value is an id.
pub(crate) fn put_id(key: String, expected_revision: u64, id: &str) -> RowChange {
    let value = bytes::Bytes::copy_from_slice(id.as_bytes());
    RowChange { key, expected_revision, value, deleted: false }
}
