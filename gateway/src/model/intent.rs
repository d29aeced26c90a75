//! Intents as readers see them (contract, intents.md 2 to 8).

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::inbox::uuid_text;
use axp_proto::log::{IntentState, Status, Submission, TimerKind, WaitingReason};
use axp_proto::node::IntentView;
use axp_proto::workflow::{current_human_step, current_step};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::event::present;
use super::{EventBody, PendingWithBody, RawJson, controls_json, policy_json};
use crate::clock::rfc3339;
use crate::error::ApiError;
use crate::json::Fields;
use crate::service::{Completion, Resolved, Submitted};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubmittedBody {
    pub(crate) ok: bool,
    pub(crate) intent_id: String,
    pub(crate) status: &'static str,
    pub(crate) created_at: String,
    pub(crate) correlation_id: String,
    pub(crate) to_agent: String,
    /// What is wrong with the payload although it was taken: `code`, `semantic_type` and `errors`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub(crate) warnings: Vec<serde_json::Value>,
}

impl From<Submitted> for SubmittedBody {
    fn from(submitted: Submitted) -> Self {
        Self {
            ok: true,
            intent_id: submitted.intent_id.to_string(),
            status: submitted.status.wire_name(),
            created_at: rfc3339(submitted.created_at_ms),
            correlation_id: submitted.correlation_id,
            to_agent: submitted.to_agent,
            warnings: submitted.warnings,
        }
    }
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IntentBody {
    pub(crate) intent_id: String,
    pub(crate) intent_type: String,
    pub(crate) status: &'static str,
    pub(crate) lifecycle_status: &'static str,
    pub(crate) legacy_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle_waiting_reason: Option<&'static str>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) correlation_id: String,
    pub(crate) from_agent: String,
    pub(crate) to_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_to: Option<String>,
    pub(crate) payload: RawJson,
    /// After completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<RawJson>,
    /// After failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remind_after_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remind_interval_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_reminders: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) escalate_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_delivery_attempts: Option<u32>,
    /// Reminders sent by now.
    pub(crate) remind_count: u32,
    /// Attempts to deliver it that were made by now.
    pub(crate) delivery_attempt: u32,
    /// Who has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handler: Option<String>,
    /// Who may answer the human task; none: the workspace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) assignees: Vec<String>,
    pub(crate) controls: RawJson,
    pub(crate) policy: RawJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) human_task: Option<RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pending_with: Option<PendingWithBody>,
    /// The scenario that it carries out, or is a step of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scenario_id: Option<String>,
    /// The step at which the scenario is, or that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step_id: Option<String>,
    /// Of a step: the intent that carries the scenario out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_intent_id: Option<String>,
    /// Of a scenario that waits for an agent: the intent that the agent was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step_intent_id: Option<String>,
    pub(crate) policy_generation: u32,
    /// Number of the last event.
    pub(crate) last_seq: u32,
}

impl IntentBody {
    /// # Errors
    /// When a node left out what every intent has.
    pub(crate) fn new(view: &IntentView) -> Result<Self, ApiError> {
        let (Some(state), Some(submission)) = (&view.state, &view.submission) else {
            return Err(ApiError::internal());
        };
        let id = IntentId::from_slice(&view.intent_id).map_err(|_| ApiError::internal())?;
        let waiting_reason = if state.status() == Status::Waiting {
            state.waiting_reason().wire_name()
        } else {
            WaitingReason::Unspecified.wire_name()
        };
        let outcome = |member: &str, status: Status| {
            let event = view.terminal_event.as_ref().filter(|event| event.status() == status)?;
            let details = Fields::parse(&event.details_json).ok()?;
            details.get(member).map(|value: &RawValue| RawJson::new(value.get().as_bytes()))
        };
        let timer = |kind| state.timers.iter().find(|timer| timer.kind() == kind)?.due_at_ms;
        let due = [
            submission.deadline_at_ms,
            timer(TimerKind::Execution),
            timer(TimerKind::StepDeadline),
        ];
        let due = due.into_iter().flatten();
        let place = Place::of(submission, state);
        let human_task = match current_human_step(submission, state) {
            Some((_, step)) => &step.human_task_json,
            None => &submission.human_task_json,
        };
        Ok(Self {
            intent_id: id.to_string(),
            intent_type: submission.intent_type.clone(),
            status: state.status().wire_name(),
            lifecycle_status: state.status().wire_name(),
            legacy_status: state.status().legacy_name(),
            waiting_reason,
            lifecycle_waiting_reason: waiting_reason,
            created_at: rfc3339(state.created_at_ms),
            updated_at: rfc3339(state.updated_at_ms),
            correlation_id: submission.correlation_id.clone(),
            from_agent: submission.from_agent.clone(),
            to_agent: submission.to_agent.clone(),
            reply_to: present(&submission.reply_to),
            payload: RawJson::new(&submission.payload_json),
            result: outcome("result", Status::Completed),
            error: outcome("error", Status::Failed),
            due_at: due.min().map(rfc3339),
            deadline_at: submission.deadline_at_ms.map(rfc3339),
            remind_after_seconds: submission.remind_after_seconds,
            remind_interval_seconds: submission.remind_interval_seconds,
            max_reminders: submission.max_reminders,
            escalate_to: present(&submission.escalate_to),
            max_delivery_attempts: submission.max_delivery_attempts,
            remind_count: state.remind_count,
            delivery_attempt: state.delivery_attempt,
            handler: present(&state.handler),
            assignees: state.assignees.clone(),
            controls: controls_json(state),
            policy: policy_json(state),
            human_task: (!human_task.is_empty()).then(|| RawJson::new(human_task)),
            scenario_id: place.scenario_id,
            step_id: place.step_id,
            parent_intent_id: place.parent_intent_id,
            step_intent_id: place.step_intent_id,
            pending_with: state.pending_with.as_ref().map(PendingWithBody::new),
            policy_generation: state.policy_generation,
            last_seq: state.last_seq,
        })
    }
}

/// Where an intent is in a scenario.
#[derive(Default)]
struct Place {
    scenario_id: Option<String>,
    step_id: Option<String>,
    parent_intent_id: Option<String>,
    step_intent_id: Option<String>,
}

impl Place {
    fn of(submission: &Submission, state: &IntentState) -> Self {
        let id = |bytes: &[u8]| IntentId::from_slice(bytes).ok().map(|id| id.to_string());
        if let Some(parent) = &submission.parent {
            return Self {
                scenario_id: present(&parent.scenario_id),
                step_id: present(&parent.step_id),
                parent_intent_id: id(&parent.intent_id),
                step_intent_id: None,
            };
        }
        let Some(workflow) = &submission.workflow else { return Self::default() };
        let step = current_step(submission, state);
        Self {
            scenario_id: present(&workflow.scenario_id),
            step_id: step.and_then(|(_, step)| present(&step.step_id)),
            parent_intent_id: None,
            step_intent_id: step.and_then(|(at, _)| id(&at.child_id)),
        }
    }
}

/// An intent, with what examples and the product page read at the top level.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GetIntentBody {
    pub(crate) ok: bool,
    pub(crate) intent_id: String,
    pub(crate) intent_type: String,
    pub(crate) status: &'static str,
    pub(crate) lifecycle_status: &'static str,
    pub(crate) payload: RawJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<RawJson>,
    pub(crate) to_agent: String,
    pub(crate) from_agent: String,
    pub(crate) correlation_id: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) intent: IntentBody,
}

impl From<IntentBody> for GetIntentBody {
    fn from(intent: IntentBody) -> Self {
        Self {
            ok: true,
            intent_id: intent.intent_id.clone(),
            intent_type: intent.intent_type.clone(),
            status: intent.status,
            lifecycle_status: intent.lifecycle_status,
            payload: intent.payload.clone(),
            result: intent.result.clone(),
            error: intent.error.clone(),
            to_agent: intent.to_agent.clone(),
            from_agent: intent.from_agent.clone(),
            correlation_id: intent.correlation_id.clone(),
            created_at: intent.created_at.clone(),
            updated_at: intent.updated_at.clone(),
            intent,
        }
    }
}

/// What a resolve or resume led to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandBody {
    pub(crate) ok: bool,
    /// False when it was refused without being an error; `reason` tells why.
    pub(crate) applied: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    pub(crate) intent_id: String,
    pub(crate) status: &'static str,
    pub(crate) policy_generation: u32,
    pub(crate) intent: IntentBody,
    /// The event that was appended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<EventBody>,
    /// After resolve: whether the outcome was handed to `reply_to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completion_delivery: Option<CompletionDeliveryBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompletionDeliveryBody {
    pub(crate) delivered: bool,
    /// Why not: `reply_to_not_set`, or `pending` when it has not arrived by now and will later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    /// As it was sent with the intent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_to: Option<String>,
    /// The thread in the inbox of `reply_to`: the intent's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thread_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completion: Option<CompletionBody>,
}

/// What was handed to `reply_to`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompletionBody {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) intent_id: String,
    pub(crate) status: &'static str,
}

impl CompletionDeliveryBody {
    fn new(completion: &Completion) -> Self {
        let none = Self {
            delivered: false,
            reason: Some("reply_to_not_set"),
            reply_to: None,
            thread_id: None,
            message_id: None,
            completion: None,
        };
        let Some(reply_to) = &completion.reply_to else { return none };
        Self {
            delivered: completion.delivered,
            reason: (!completion.delivered).then_some("pending"),
            reply_to: Some(reply_to.clone()),
            thread_id: Some(completion.intent_id.to_string()),
            message_id: Some(uuid_text(&completion.message_id)),
            completion: Some(CompletionBody {
                kind: completion.event.r#type().wire_name(),
                intent_id: completion.intent_id.to_string(),
                status: completion.event.status().wire_name(),
            }),
        }
    }
}

impl CommandBody {
    /// # Errors
    /// When a node left out what every intent has.
    pub(crate) fn new(resolved: &Resolved) -> Result<Self, ApiError> {
        let intent = IntentBody::new(&resolved.intent)?;
        let id = IntentId::from_slice(&resolved.intent.intent_id)
            .map_err(|_| ApiError::new(ErrorCode::Internal, "internal error"))?;
        let event = resolved.event.as_ref().map(|event| EventBody::new(id, event));
        // A control resume of an intent that does not wait changes nothing and is applied all the
        // same: what it asked for holds (contract, intents.md 8).
        let reason = resolved.stale.then_some("stale_policy_generation");
        Ok(Self {
            ok: true,
            applied: reason.is_none(),
            reason,
            intent_id: intent.intent_id.clone(),
            status: event.as_ref().map_or(intent.status, |event| event.status),
            policy_generation: intent.policy_generation,
            intent,
            event,
            completion_delivery: None,
        })
    }

    /// Says what became of the outcome for `reply_to`.
    pub(crate) fn with_completion(mut self, completion: Option<&Completion>) -> Self {
        self.completion_delivery = completion.map(CompletionDeliveryBody::new);
        self
    }
}
