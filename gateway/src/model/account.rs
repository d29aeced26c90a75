//! Service accounts, keys and agents (contract, organizations.md and agents.md).

use axp_proto::node::{ApiKey, ServiceAccount};
use serde::Serialize;
use utoipa::ToSchema;

use super::event::present;
use crate::clock::rfc3339;
use crate::service::{AgentEntry, Revoked};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceAccountBody {
    pub(crate) service_account_id: String,
    pub(crate) org_id: String,
    pub(crate) workspace_id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) display_name: Option<String>,
    /// `active`, `suspended` or `revoked`.
    pub(crate) status: String,
    pub(crate) created_by_actor_id: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) agent_address: String,
    pub(crate) delivery_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) callback_url: Option<String>,
    /// Told once, when an agent is made to be pushed to: what `X-Axme-Signature` is made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_secret: Option<String>,
    /// Of one account that is asked for: its keys by their hints, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keys: Option<Vec<KeyBody>>,
}

pub(crate) fn account_body(account: &ServiceAccount) -> ServiceAccountBody {
    ServiceAccountBody {
        service_account_id: account.service_account_id.clone(),
        org_id: account.org_id.clone(),
        workspace_id: account.workspace_id.clone(),
        name: account.name.clone(),
        description: present(&account.description),
        display_name: present(&account.display_name),
        status: account.status.clone(),
        created_by_actor_id: account.created_by_actor_id.clone(),
        created_at: rfc3339(account.created_at_ms),
        updated_at: rfc3339(account.updated_at_ms),
        agent_address: account.agent_address.clone(),
        delivery_mode: account.delivery_mode().wire_name(),
        callback_url: present(&account.callback_url),
        signing_secret: None,
        keys: None,
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountAnswer {
    pub(crate) ok: bool,
    pub(crate) service_account: ServiceAccountBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountListAnswer {
    pub(crate) ok: bool,
    pub(crate) service_accounts: Vec<ServiceAccountBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountDeletedAnswer {
    pub(crate) ok: bool,
    pub(crate) service_account_id: String,
    pub(crate) deleted: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyBody {
    pub(crate) key_id: String,
    pub(crate) service_account_id: String,
    /// Enough to tell it from others.
    pub(crate) key_hint: String,
    pub(crate) status: String,
    pub(crate) created_at: String,
    pub(crate) expires_at: Option<String>,
    /// Told once, when the key is made; a repeated request under the same idempotency key does not
    /// tell it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

pub(crate) fn key_body(key: &ApiKey, token: Option<&str>) -> KeyBody {
    KeyBody {
        key_id: key.key_id.clone(),
        service_account_id: key.service_account_id.clone(),
        key_hint: key.key_hint.clone(),
        status: key.status.clone(),
        created_at: rfc3339(key.created_at_ms),
        expires_at: key.expires_at_ms.map(rfc3339),
        token: token.map(str::to_owned),
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyAnswer {
    pub(crate) ok: bool,
    pub(crate) key: KeyBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyRevokedAnswer {
    pub(crate) ok: bool,
    pub(crate) key: RevokedKeyBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedKeyBody {
    pub(crate) service_account_id: String,
    pub(crate) key_id: String,
    pub(crate) status: &'static str,
    pub(crate) revoked_at: String,
}

pub(crate) fn revoked_body(revoked: &Revoked) -> KeyRevokedAnswer {
    KeyRevokedAnswer {
        ok: true,
        key: RevokedKeyBody {
            service_account_id: revoked.account_id.clone(),
            key_id: revoked.key_id.clone(),
            status: "revoked",
            revoked_at: rfc3339(revoked.revoked_at_ms),
        },
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentBody {
    pub(crate) address: String,
    pub(crate) service_account_id: String,
    pub(crate) service_account_name: String,
    pub(crate) display_name: Option<String>,
    pub(crate) status: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) delivery_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) callback_url: Option<String>,
}

impl AgentBody {
    pub(crate) fn new(entry: &AgentEntry) -> Self {
        let (agent, account) = (&entry.agent.value, &entry.account.value);
        Self {
            address: agent.address.clone(),
            service_account_id: account.service_account_id.clone(),
            service_account_name: account.name.clone(),
            display_name: present(&account.display_name),
            status: agent.status.clone(),
            created_at: rfc3339(agent.created_at_ms),
            updated_at: rfc3339(agent.updated_at_ms),
            delivery_mode: account.delivery_mode().wire_name(),
            callback_url: present(&account.callback_url),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentAnswer {
    pub(crate) ok: bool,
    pub(crate) agent: AgentBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentListAnswer {
    pub(crate) ok: bool,
    pub(crate) agents: Vec<AgentBody>,
}
