//! Decides one command against one intent, where its shard is led.

use std::sync::Arc;

use axp_proto::ids::IntentId;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{
    Deposit, Effect, Event, EventType, Status, Submission, TimerChange, WaitingReason, Withdraw,
};

use super::command::{Command, agent_result, control_resume, expire, resolve, submit};
use super::rejection::Rejection;
use super::state::Intent;

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
    if let Command::Submit(submission) = command {
        return submit::decide(id, intent, submission, now_ms);
    }
    let intent = intent.ok_or_else(Rejection::not_found)?;
    // Per intent time never goes back, whatever the clocks of two leaders say.
    let now_ms = now_ms.max(intent.state.updated_at_ms);
    match command {
        Command::Submit(_) => unreachable!("handled above"),
        Command::Resolve { status, outcome_json, reason, actor, expected } => {
            let outcome = resolve::Outcome { status: *status, outcome_json, reason };
            resolve::decide(intent, &outcome, actor, *expected, now_ms)
        }
        Command::AgentResult { failed, outcome_json, actor, expected } => {
            agent_result::decide(intent, *failed, outcome_json, actor, *expected, now_ms)
        }
        Command::ControlResume { reason, actor, expected } => {
            control_resume::decide(intent, reason, actor, *expected, now_ms)
        }
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
        if submit::is_deposited(&intent.submission) {
            let withdraw =
                Withdraw { mailbox: Some(intent.mailbox()), intent_id: intent.id.to_bytes() };
            decision.effects.push(Effect { kind: Some(EffectKind::Withdraw(withdraw)) });
        }
        decision.events.push(event);
        decision
    }

    pub(super) fn deposit(&mut self, deposit: Deposit) {
        self.effects.push(Effect { kind: Some(EffectKind::Deposit(deposit)) });
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
