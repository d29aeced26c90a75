//! The child intent of an agent step: an intent like any other, but that its end is told to its
//! parent, in the append that ends it.

use std::sync::Arc;

use axp_proto::hash::stable_hash;
use axp_proto::ids::IntentId;
use axp_proto::json::{ObjectWriter, member};
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{
    Effect, Event, EventType, Holder, Status, Step, StepEnded, StepOf, StepStop, Submission,
    WorkflowState,
};
use bytes::Bytes;

use crate::intent::command::submit;
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::state::Intent;

/// The id of an attempt, in the slot of its parent. A function of what it is for: the core draws no
/// numbers.
pub(super) fn id(parent: &Intent, state: &WorkflowState, now_ms: i64) -> IntentId {
    let (entered, attempt) = (state.entered.to_be_bytes(), state.attempt.to_be_bytes());
    let hash = stable_hash(&[parent.id.as_bytes(), &entered, &attempt]);
    IntentId::new(now_ms.unsigned_abs(), parent.id.slot(), hash)
}

/// What the agent of a step is asked.
pub(super) fn submission(
    parent: &Intent,
    state: &WorkflowState,
    step: &Step,
    holder: Holder,
) -> Submission {
    let of = &parent.submission;
    let scenario_id =
        of.workflow.as_ref().map(|workflow| workflow.scenario_id.clone()).unwrap_or_default();
    let mailbox = holder.mailbox.clone().unwrap_or_default();
    let payload = ObjectWriter::default()
        .raw("parent_payload", &of.payload_json)
        .string("parent_intent_id", &parent.id.to_string())
        .string("scenario_id", &scenario_id)
        .string("step_id", &step.step_id)
        .raw("input", &step.input_json)
        .raw("previous_results", &previous_results(parent, state));
    Submission {
        org_id: of.org_id.clone(),
        workspace_id: of.workspace_id.clone(),
        intent_type: of.intent_type.clone(),
        correlation_id: of.correlation_id.clone(),
        from_agent: of.from_agent.clone(),
        to_agent: mailbox.address,
        payload_json: payload.finish(),
        max_delivery_attempts: of.max_delivery_attempts,
        traceparent: of.traceparent.clone(),
        delivery_mode: holder.mode,
        target_workspace_id: mailbox.workspace_id,
        target_org_id: holder.org_id,
        sender_identity: of.sender_identity.clone(),
        parent: Some(StepOf {
            intent_id: parent.id.to_bytes(),
            entered: state.entered,
            attempt: state.attempt,
            scenario_id,
            step_id: step.step_id.clone(),
        }),
        ..Submission::default()
    }
}

fn previous_results(parent: &Intent, state: &WorkflowState) -> Bytes {
    let steps = parent.submission.workflow.as_ref().map(|it| &it.steps[..]).unwrap_or_default();
    let mut results = ObjectWriter::default();
    for known in &state.results {
        if let Some(step) = steps.get(known.step as usize) {
            results = results.raw(&step.step_id, &known.result_json);
        }
    }
    results.finish()
}

/// Makes the child; asked again, it is there already.
pub(in crate::intent) fn start(
    id: IntentId,
    intent: Option<&Intent>,
    submission: &Arc<Submission>,
    now_ms: i64,
) -> Verdict {
    match intent {
        Some(_) => Verdict::Unchanged,
        None => Verdict::Append(submit::create(id, submission, now_ms)),
    }
}

/// Nobody needs the child any more. Its parent knows, so it is not told.
pub(in crate::intent) fn stop(
    intent: &Intent,
    status: Status,
    reason: &str,
    now_ms: i64,
) -> Verdict {
    if intent.is_terminal() {
        return Verdict::Unchanged;
    }
    let (kind, status) = match status {
        Status::TimedOut => (EventType::TimedOut, Status::TimedOut),
        _ => (EventType::Canceled, Status::Canceled),
    };
    let event = Event {
        details_json: ObjectWriter::default().string("reason", reason).finish(),
        ..next_event(intent, kind, status, submit::RUNTIME, now_ms)
    };
    let mut decision = Decision::ending(intent, event);
    decision.effects.retain(|effect| !matches!(effect.kind, Some(EffectKind::StepEnded(_))));
    Verdict::Append(decision)
}

/// What the parent of an intent is told when it ends, if it has one.
pub(in crate::intent) fn ended(intent: &Intent, event: &Event) -> Option<Effect> {
    let parent = intent.submission.parent.as_ref()?;
    let name = if event.status() == Status::Completed { "result" } else { "error" };
    // A cancellation has a reason and no error.
    let outcome = member(&event.details_json, name).unwrap_or(&event.details_json);
    let ended = StepEnded {
        intent_id: parent.intent_id.clone(),
        entered: parent.entered,
        attempt: parent.attempt,
        status: event.status().into(),
        outcome_json: Bytes::copy_from_slice(outcome),
        actor: event.actor.clone(),
    };
    Some(Effect { kind: Some(EffectKind::StepEnded(ended)) })
}

/// Ends the open child of an intent that ends or goes on without it.
pub(in crate::intent) fn stopped(
    state: Option<&WorkflowState>,
    status: Status,
    reason: &str,
) -> Option<Effect> {
    let intent_id = state.map(|state| state.child_id.clone()).filter(|id| !id.is_empty())?;
    let stop = StepStop { intent_id, status: status.into(), reason: reason.to_owned() };
    Some(Effect { kind: Some(EffectKind::StepStop(stop)) })
}
