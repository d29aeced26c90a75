//! What nodes say, in the words of `axp.v1`.

use axp_proto::ids::IntentId;
use axp_proto::log::{Event, MailboxEntry, Status};
use axp_proto::node::{IntentRow, IntentView};
use axp_proto::v1;
use prost_types::{Struct, Timestamp};

use super::structs;
use crate::error::ApiError;
use crate::json::Fields;
use crate::model;
use crate::service::{Resolved, Submitted};

pub(super) fn timestamp(unix_ms: i64) -> Timestamp {
    let nanos = i32::try_from(unix_ms.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    Timestamp { seconds: unix_ms.div_euclid(1000), nanos }
}

pub(super) fn unix_ms(at: &Timestamp) -> i64 {
    at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos / 1_000_000))
}

pub(super) fn submitted(submitted: &Submitted) -> v1::SubmitResponse {
    v1::SubmitResponse {
        intent_id: submitted.intent_id.to_string(),
        status: submitted.status.wire_name().to_owned(),
        created_at: Some(timestamp(submitted.created_at_ms)),
    }
}

pub(super) fn intent(view: &IntentView) -> Result<v1::Intent, ApiError> {
    let (Some(state), Some(submission)) = (&view.state, &view.submission) else {
        return Err(ApiError::internal());
    };
    let outcome = |member: &str, status: Status| -> Option<Struct> {
        let event = view.terminal_event.as_ref().filter(|event| event.status() == status)?;
        let details = Fields::parse(&event.details_json).ok()?;
        details.get(member).map(|value| structs::from_bytes(value.get().as_bytes()))
    };
    let waiting = state.waiting_reason().wire_name().filter(|_| state.status() == Status::Waiting);
    Ok(v1::Intent {
        intent_id: id(&view.intent_id)?.to_string(),
        intent_type: submission.intent_type.clone(),
        status: state.status().wire_name().to_owned(),
        correlation_id: submission.correlation_id.clone(),
        from_agent: submission.from_agent.clone(),
        to_agent: submission.to_agent.clone(),
        payload: Some(structs::from_bytes(&submission.payload_json)),
        result: outcome("result", Status::Completed),
        error: outcome("error", Status::Failed),
        created_at: Some(timestamp(state.created_at_ms)),
        updated_at: Some(timestamp(state.updated_at_ms)),
        deadline_at: submission.deadline_at_ms.map(timestamp),
        reply_to: submission.reply_to.clone(),
        last_seq: state.last_seq,
        waiting_reason: waiting.unwrap_or_default().to_owned(),
        policy_generation: state.policy_generation,
        handler: state.handler.clone(),
        delivery_attempt: state.delivery_attempt,
        remind_count: state.remind_count,
        controls: Some(structs::from_bytes(&model::controls_of(state))),
        policy: Some(structs::from_bytes(&model::policy_of(state))),
        human_task: (!submission.human_task_json.is_empty())
            .then(|| structs::from_bytes(&submission.human_task_json)),
    })
}

pub(super) fn row(row: &IntentRow) -> Option<v1::IntentSummary> {
    let summary = row.summary.as_ref()?;
    Some(v1::IntentSummary {
        intent_id: id(&row.intent_id).ok()?.to_string(),
        status: summary.status().wire_name().to_owned(),
        to_agent: summary.to_agent.clone(),
        from_agent: summary.from_agent.clone(),
        intent_type: summary.intent_type.clone(),
        created_at: Some(timestamp(summary.created_at_ms)),
        updated_at: Some(timestamp(summary.updated_at_ms)),
    })
}

pub(super) fn event(intent_id: IntentId, event: &Event) -> v1::Event {
    v1::Event {
        intent_id: intent_id.to_string(),
        seq: event.seq,
        event_type: event.r#type().wire_name().to_owned(),
        status: event.status().wire_name().to_owned(),
        at: Some(timestamp(event.at_ms)),
        actor: event.actor.clone(),
        waiting_reason: event.waiting_reason().wire_name().unwrap_or_default().to_owned(),
        details: Some(structs::from_bytes(&event.details_json)),
    }
}

/// The intent and the event that a command led to.
pub(super) fn resolved(
    resolved: &Resolved,
) -> Result<(Option<v1::Intent>, Option<v1::Event>), ApiError> {
    let id = id(&resolved.intent.intent_id)?;
    let last = resolved.event.as_ref().map(|last| event(id, last));
    Ok((Some(intent(&resolved.intent)?), last))
}

pub(super) fn delivery(entry: &MailboxEntry) -> Option<v1::Delivery> {
    let delivery = entry.delivery.as_ref()?;
    Some(v1::Delivery {
        cursor: entry.cursor,
        intent_id: id(&delivery.intent_id).ok()?.to_string(),
        intent_type: delivery.intent_type.clone(),
        from_agent: delivery.from_agent.clone(),
        to_agent: delivery.to_agent.clone(),
        correlation_id: delivery.correlation_id.clone(),
        status: delivery.status().wire_name().to_owned(),
        at: Some(timestamp(delivery.at_ms)),
    })
}

fn id(bytes: &[u8]) -> Result<IntentId, ApiError> {
    IntentId::from_slice(bytes).map_err(|_| ApiError::internal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_round_trip() {
        for ms in [0, 1, 1_764_000_000_123, -1] {
            assert_eq!(unix_ms(&timestamp(ms)), ms);
        }
    }
}
