//! Decides one command against one intent, where its shard is led.

use std::sync::Arc;

use axp_proto::ids::IntentId;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{
    DeliveryMode, Deposit, Effect, Event, EventType, Holder, QueuePush, StateChange, Status,
    Submission, TaskLink, TaskLinks, TimerChange, TimerKind, WaitingReason, Withdraw, WithdrawPush,
    state_change,
};
use bytes::Bytes;

use super::command::{
    Command, acknowledge, agent_result, control_resume, delivery_result, expire, rebind, resolve,
    task_result, transfer, update_controls, update_policy,
};
use super::rejection::Rejection;
use super::state::Intent;
use super::{links, notice, workflow};

/// What a command leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Append(Decision),
    /// It is as the caller wants it already: a repeat, or a resume of what does not wait.
    Unchanged,
    /// The caller looked at an older policy generation; told with 200 (contract, intents.md 7).
    StaleGeneration,
}

/// What is to be appended, all or nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    pub submission: Option<Arc<Submission>>,
    pub events: Vec<Event>,
    pub effects: Vec<Effect>,
    pub timers: Vec<TimerChange>,
    pub changes: Vec<StateChange>,
}

/// Decides; `intent` is absent when no append was ever made for `id`.
///
/// # Errors
/// A [`Rejection`] when the command may not happen to the intent as it stands.
pub fn decide(
    id: IntentId,
    intent: Option<&Intent>,
    command: &Command,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    match command {
        Command::Submit(submission) => {
            return super::command::submit::decide(id, intent, submission, now_ms);
        }
        Command::StartStep(submission) => {
            return Ok(workflow::start(id, intent, submission, now_ms));
        }
        _ => {}
    }
    let intent = intent.ok_or_else(Rejection::not_found)?;
    // Per intent time never goes back, whatever the clocks of two leaders say.
    let now_ms = now_ms.max(intent.state.updated_at_ms);
    match command {
        Command::Submit(_) | Command::StartStep(_) => unreachable!("handled above"),
        Command::Resolve(resolve) => resolve::decide(intent, resolve, now_ms),
        Command::AgentResult(result) => agent_result::decide(intent, result, now_ms),
        Command::ControlResume { reason, actor, expected } => {
            control_resume::decide(intent, reason, actor, *expected, now_ms)
        }
        Command::TaskResult(answer) => task_result::decide(intent, answer, now_ms),
        Command::UpdateControls(update) => update_controls::decide(intent, update, now_ms),
        Command::UpdatePolicy(update) => update_policy::decide(intent, update, now_ms),
        Command::Acknowledge { actor } => acknowledge::decide(intent, actor, now_ms),
        Command::Transfer(transfer) => transfer::decide(intent, transfer, now_ms),
        Command::Rebind(mode) => Ok(rebind::decide(intent, *mode, now_ms)),
        Command::DeliveryResult(result) => Ok(delivery_result::decide(intent, result, now_ms)),
        Command::StopStep { status, reason } => Ok(workflow::stop(intent, *status, reason, now_ms)),
        Command::StepEnded(ended) => Ok(workflow::step_ended(intent, ended, now_ms)),
        Command::AddLink(link) => links::add(intent, link),
        Command::Expire(kind) => Ok(expire::decide(intent, *kind, now_ms)),
    }
}

impl Decision {
    /// The one way an intent ends: one terminal event, no timer left, nothing left in a mailbox.
    pub(super) fn ending(intent: &Intent, event: Event) -> Self {
        debug_assert!(event.status().is_terminal());
        let timers = intent
            .state
            .timers
            .iter()
            .map(|timer| TimerChange { kind: timer.kind, due_at_ms: None });
        let mut decision = Self { timers: timers.collect(), ..Self::default() };
        // The outcome first: if it goes to the target itself, its thread is then done already.
        decision.effects.extend(notice::completed(intent, &event));
        decision.effects.extend(notice::ended(intent, event.status()));
        // The publisher sees to a target that was pushed to from the start.
        if intent.state.holder.as_ref().is_some_and(|it| it.mode() == DeliveryMode::Http) {
            let intent_id = intent.id.to_bytes();
            decision.effect(EffectKind::WithdrawPush(WithdrawPush { intent_id }));
        }
        let reason = "the scenario has ended";
        let state = intent.state.workflow.as_ref();
        decision.effects.extend(workflow::child_stopped(state, Status::Canceled, reason));
        decision.effects.extend(workflow::child_ended(intent, &event));
        decision.events.push(event);
        decision
    }

    /// Remembers the request that asks for the end, if it can be told from others.
    pub(super) fn asked_by(mut self, request_id: &Bytes) -> Self {
        if !request_id.is_empty() {
            self.change(state_change::Kind::EndedBy(request_id.clone()));
        }
        self
    }

    /// Takes the intent out of its holder's mailbox, if it lies there.
    pub(super) fn withdraw(&mut self, intent: &Intent) {
        if intent.is_deposited() {
            let (mailbox, intent_id) = (Some(intent.mailbox()), intent.id.to_bytes());
            let withdraw = Withdraw { mailbox, intent_id, ..Withdraw::default() };
            self.effect(EffectKind::Withdraw(withdraw));
        }
    }

    /// Moves the push queue on from `before` to `after`, who holds the intent or how.
    pub(super) fn requeue(&mut self, before: &Intent, after: &Intent) {
        let intent_id = after.id.to_bytes();
        if before.holder().mode() == DeliveryMode::Http {
            self.effect(EffectKind::WithdrawPush(WithdrawPush { intent_id: intent_id.clone() }));
        }
        let holder = after.holder();
        if holder.mode() == DeliveryMode::Http {
            let mailbox = holder.mailbox.unwrap_or_default();
            self.effect(EffectKind::QueuePush(QueuePush {
                intent_id,
                workspace_id: mailbox.workspace_id,
                address: mailbox.address,
                at_ms: after.state.updated_at_ms,
                again: after.state.status() != Status::Submitted,
            }));
        }
    }

    /// Puts links in the place of all that were; those of others than `passed_to` end with a task that
    /// was passed on.
    pub(super) fn set_links(&mut self, mut links: Vec<TaskLink>, passed_to: Option<&Holder>) {
        if links.is_empty() {
            return;
        }
        if let Some(to) = passed_to {
            let address = to.mailbox.as_ref().map(|it| it.address.as_str()).unwrap_or_default();
            links::revoke_for_others(&mut links, address);
        }
        self.changes.retain(|it| !matches!(it.kind, Some(state_change::Kind::Links(_))));
        self.change(state_change::Kind::Links(TaskLinks { links }));
    }

    fn effect(&mut self, kind: EffectKind) {
        self.effects.push(Effect { kind: Some(kind) });
    }

    pub(super) fn change(&mut self, kind: state_change::Kind) {
        self.changes.push(StateChange { kind: Some(kind) });
    }

    pub(super) fn timer(&mut self, kind: TimerKind, due_at_ms: Option<i64>) {
        self.timers.push(TimerChange { kind: kind.into(), due_at_ms });
    }

    /// Clears timers that are set.
    pub(super) fn clear(&mut self, intent: &Intent, kinds: &[TimerKind]) {
        for &kind in kinds.iter().filter(|&&kind| intent.timer(kind).is_some()) {
            self.timer(kind, None);
        }
    }

    pub(super) fn deposit(&mut self, deposit: Deposit) {
        self.effect(EffectKind::Deposit(deposit));
    }
}

/// An event that follows the last one of `intent`.
pub(super) fn next_event(
    intent: &Intent,
    kind: EventType,
    status: Status,
    actor: &str,
    now_ms: i64,
) -> Event {
    Event {
        seq: intent.state.last_seq + 1,
        r#type: kind.into(),
        status: status.into(),
        at_ms: now_ms,
        actor: actor.to_owned(),
        waiting_reason: WaitingReason::Unspecified.into(),
        ..Event::default()
    }
}
