//! Who may send (contract, agents.md 6 and 7).

use axp_proto::node::AccessEntry;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::service::{AccessTarget, AccessView};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessEntryBody {
    pub(crate) entry_id: String,
    /// An address, `agent://org/workspace/*`, `agent://org/*` or `*`.
    pub(crate) sender_pattern: String,
    pub(crate) created_at: String,
}

impl AccessEntryBody {
    fn new(entry: &AccessEntry) -> Self {
        Self {
            entry_id: entry.entry_id.clone(),
            sender_pattern: entry.sender_pattern.clone(),
            created_at: rfc3339(entry.created_at_ms),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SendPolicyBody {
    /// `open`, `allowlist` or `denylist`.
    pub(crate) policy_type: String,
    pub(crate) entries: Vec<AccessEntryBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceivePolicyBody {
    pub(crate) policy_id: String,
    pub(crate) org_id: String,
    /// `open`, `allowlist` or `closed`.
    pub(crate) policy_type: String,
    pub(crate) entries: Vec<AccessEntryBody>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceiveOverrideBody {
    pub(crate) address: String,
    pub(crate) address_id: String,
    /// `open`, `allowlist`, `closed` or `use_org_default`.
    pub(crate) override_type: String,
    pub(crate) entries: Vec<AccessEntryBody>,
}

/// What each change of a policy answers; `entry` when one was added.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessAnswer<T> {
    pub(crate) ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<AccessEntryBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<T>,
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    pub(crate) override_: Option<T>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessEntryRemoved {
    pub(crate) ok: bool,
    pub(crate) removed: bool,
    pub(crate) entry_id: String,
}

pub(crate) fn access_entry_removed(entry_id: &str) -> Value {
    json!(AccessEntryRemoved { ok: true, removed: true, entry_id: entry_id.to_owned() })
}

/// A policy as it stands, and the entry that was added.
pub(crate) fn access_answer(view: &AccessView, entry: Option<&AccessEntry>) -> Value {
    let policy = &view.policy;
    let entry = entry.map(AccessEntryBody::new);
    let entries = policy.entries.iter().map(AccessEntryBody::new).collect();
    let policy_type = policy.policy_type.clone();
    match &view.target {
        AccessTarget::Send => {
            let policy = Some(SendPolicyBody { policy_type, entries });
            json!(AccessAnswer { ok: true, entry, policy, override_: None })
        }
        AccessTarget::Override { address, account_id } => {
            let override_ = Some(ReceiveOverrideBody {
                address: address.clone(),
                address_id: format!("addr_{}", account_id.trim_start_matches("sa_")),
                override_type: policy_type,
                entries,
            });
            json!(AccessAnswer { ok: true, entry, policy: None, override_ })
        }
        AccessTarget::Organization { org_id } => {
            let policy = Some(ReceivePolicyBody {
                policy_id: format!("orp_{}", org_id.replace('-', "")),
                org_id: org_id.clone(),
                policy_type,
                entries,
                created_at: rfc3339(policy.created_at_ms),
                updated_at: rfc3339(policy.updated_at_ms),
            });
            json!(AccessAnswer { ok: true, entry, policy, override_: None })
        }
    }
}
