//! Events and deliveries (contract, intents.md 1 and agents.md 4).

use axp_proto::ids::IntentId;
use axp_proto::log::{Event, EventType, MailboxEntry, PendingWith};
use serde::Serialize;
use utoipa::ToSchema;

use super::RawJson;
use crate::clock::rfc3339;
use crate::json::Fields;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct EventBody {
    pub(crate) intent_id: String,
    /// 1, 2, 3 ... per intent, without gap or repeat.
    pub(crate) seq: u32,
    pub(crate) event_type: &'static str,
    /// The intent's status after this event, for ever.
    pub(crate) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle_waiting_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handler: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<String>,
    pub(crate) at: String,
    pub(crate) details: RawJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pending_with: Option<PendingWithBody>,
    /// On `intent.human_task_assigned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) human_task: Option<RawJson>,
}

/// Who has the next move.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PendingWithBody {
    /// `agent`, `human` or `internal`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    #[serde(rename = "ref")]
    pub(crate) reference: String,
    pub(crate) name: String,
}

impl EventBody {
    pub(crate) fn new(intent_id: IntentId, event: &Event) -> Self {
        let waiting_reason = event.waiting_reason().wire_name();
        let human_task = (event.r#type() == EventType::HumanTaskAssigned)
            .then(|| {
                let details = Fields::parse(&event.details_json).ok()?;
                Some(RawJson::new(details.get("human_task")?.get().as_bytes()))
            })
            .flatten();
        Self {
            intent_id: intent_id.to_string(),
            seq: event.seq,
            event_type: event.r#type().wire_name(),
            status: event.status().wire_name(),
            waiting_reason,
            lifecycle_waiting_reason: waiting_reason,
            handler: present(&event.handler),
            actor: present(&event.actor),
            at: rfc3339(event.at_ms),
            details: RawJson::new(&event.details_json),
            pending_with: event.pending_with.as_ref().map(PendingWithBody::new),
            human_task,
        }
    }
}

impl PendingWithBody {
    pub(crate) fn new(holder: &PendingWith) -> Self {
        Self {
            kind: holder.kind().wire_name(),
            reference: holder.r#ref.clone(),
            name: holder.name.clone(),
        }
    }
}

/// An intent on its way to an agent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeliveryBody {
    pub(crate) intent_id: String,
    /// The cursor in this agent's stream; ask for what follows with `since`.
    pub(crate) seq: u32,
    pub(crate) event_type: &'static str,
    pub(crate) status: &'static str,
    pub(crate) at: String,
    pub(crate) intent_type: String,
    pub(crate) to_agent: String,
    pub(crate) from_agent: String,
    pub(crate) correlation_id: String,
    /// The number of the intent's own event that put it here.
    pub(crate) intent_seq: u32,
    /// W3C trace context of the submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
}

impl DeliveryBody {
    /// Absent for an entry without a delivery, which no node sends.
    pub(crate) fn new(entry: &MailboxEntry) -> Option<Self> {
        let delivery = entry.delivery.as_ref()?;
        Some(Self {
            intent_id: IntentId::from_slice(&delivery.intent_id).ok()?.to_string(),
            seq: entry.cursor,
            event_type: EventType::Delivered.wire_name(),
            status: delivery.status().wire_name(),
            at: rfc3339(delivery.at_ms),
            intent_type: delivery.intent_type.clone(),
            to_agent: delivery.to_agent.clone(),
            from_agent: delivery.from_agent.clone(),
            correlation_id: delivery.correlation_id.clone(),
            intent_seq: delivery.intent_seq,
            traceparent: present(&delivery.traceparent),
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventListBody {
    pub(crate) ok: bool,
    pub(crate) events: Vec<EventBody>,
}

/// Empty stands for absent in stored text.
pub(super) fn present(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
