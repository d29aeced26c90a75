//! Lists of intents (contract, intents.md 3).

use axp_proto::ids::IntentId;
use axp_proto::log::MailboxEntry;
use axp_proto::node::IntentRow;
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::service::{BulkCanceled, Pending};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IntentListBody {
    pub(crate) ok: bool,
    pub(crate) intents: Vec<IntentRowBody>,
    /// With `status=pending`: where the next page begins, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_since: Option<u32>,
}

impl IntentListBody {
    pub(crate) fn new(rows: &[IntentRow]) -> Self {
        let intents = rows.iter().filter_map(IntentRowBody::new).collect();
        Self { ok: true, intents, next_since: None }
    }

    /// What is pending for an agent, from one sender or from all.
    pub(crate) fn pending(pending: &Pending, from_agent: Option<&str>) -> Self {
        let rows = pending.entries.iter().filter_map(IntentRowBody::delivered);
        let wanted = |row: &IntentRowBody| from_agent.is_none_or(|from| row.from_agent == from);
        Self { ok: true, intents: rows.filter(wanted).collect(), next_since: pending.next_since }
    }
}

/// An intent in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IntentRowBody {
    pub(crate) intent_id: String,
    pub(crate) intent_type: String,
    pub(crate) status: &'static str,
    pub(crate) lifecycle_status: &'static str,
    pub(crate) to_agent: String,
    pub(crate) from_agent: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

impl IntentRowBody {
    /// Absent for a row without an id or summary, which no node sends.
    pub(crate) fn new(row: &IntentRow) -> Option<Self> {
        let summary = row.summary.as_ref()?;
        Some(Self {
            intent_id: IntentId::from_slice(&row.intent_id).ok()?.to_string(),
            intent_type: summary.intent_type.clone(),
            status: summary.status().wire_name(),
            lifecycle_status: summary.status().wire_name(),
            to_agent: summary.to_agent.clone(),
            from_agent: summary.from_agent.clone(),
            created_at: rfc3339(summary.created_at_ms),
            updated_at: rfc3339(summary.updated_at_ms),
        })
    }

    /// An entry of a mailbox, as of when it was put there.
    fn delivered(entry: &MailboxEntry) -> Option<Self> {
        let delivery = entry.delivery.as_ref()?;
        Some(Self {
            intent_id: IntentId::from_slice(&delivery.intent_id).ok()?.to_string(),
            intent_type: delivery.intent_type.clone(),
            status: delivery.status().wire_name(),
            lifecycle_status: delivery.status().wire_name(),
            to_agent: delivery.to_agent.clone(),
            from_agent: delivery.from_agent.clone(),
            created_at: rfc3339(delivery.created_at_ms),
            updated_at: rfc3339(delivery.at_ms),
        })
    }
}

/// What a bulk cancel did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkCancelBody {
    pub(crate) ok: bool,
    pub(crate) dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) canceled: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) would_cancel: Option<usize>,
    pub(crate) intent_ids: Vec<String>,
}

impl From<BulkCanceled> for BulkCancelBody {
    fn from(done: BulkCanceled) -> Self {
        let count = done.intent_ids.len();
        Self {
            ok: true,
            dry_run: done.dry_run,
            canceled: (!done.dry_run).then_some(count),
            would_cancel: done.dry_run.then_some(count),
            intent_ids: done.intent_ids,
        }
    }
}
