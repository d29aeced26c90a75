//! What became of an attempt to hand the intent to its agent (contract, agents.md 5).
//!
//! Attempts are counted 1, 2, 3 ...: a result that comes again or late, from whoever led before,
//! changes nothing. An attempt that nobody heard the end of leaves a gap. When they are used up and
//! the agent has not been heard of, the intent has failed.

use axp_proto::json::ObjectWriter;
use axp_proto::log::state_change::Kind;
use axp_proto::log::{Event, EventType, HolderKind, Status};

use super::submit;
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::state::Intent;

/// Attempts when neither the initiator nor a control says how many.
const ATTEMPTS: u32 = 3;
/// As much of an agent's words as an event keeps.
const ERROR_CHARS_MAX: usize = 500;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryResult {
    pub attempt: u32,
    pub delivered: bool,
    /// Why it was not delivered, for readers.
    pub error: String,
}

pub(in crate::intent) fn decide(intent: &Intent, result: &DeliveryResult, now_ms: i64) -> Verdict {
    if intent.is_terminal() || result.attempt <= intent.state.delivery_attempt {
        return Verdict::Unchanged;
    }
    let mut decision = Decision::default();
    // An agent that was heard of otherwise has it, whatever became of this attempt.
    let open =
        matches!(intent.state.status(), Status::Created | Status::Submitted | Status::Delivered);
    if result.delivered && intent.state.status() != Status::Delivered && open {
        deliver(&mut decision, intent, result.attempt, now_ms);
    } else if !result.delivered && open && result.attempt >= intent.delivery_attempts_max() {
        decision = Decision::ending(intent, failed(intent, result, now_ms));
    }
    decision.change(Kind::DeliveryAttempt(result.attempt));
    Verdict::Append(decision)
}

impl Intent {
    /// How many attempts to deliver it there are.
    #[must_use]
    pub fn delivery_attempts_max(&self) -> u32 {
        let retries = self.control("max_retry_count").map(|retries| retries.saturating_add(1));
        retries.or(self.submission.max_delivery_attempts).unwrap_or(ATTEMPTS).max(1)
    }
}

/// Appends that the holder has it, by this attempt.
fn deliver(decision: &mut Decision, intent: &Intent, attempt: u32, now_ms: i64) {
    let details = ObjectWriter::default().string("delivery_attempt", &attempt.to_string()).finish();
    let event = Event { details_json: details, ..delivered(intent, now_ms) };
    let mut after = intent.clone();
    after.evolve(&event);
    decision.events.push(event);
    if after.is_deposited() {
        // The same place in the mailbox, with the status as of now.
        decision.deposit(submit::deposit(&after));
    }
}

/// The event that says that the holder has it.
pub(in crate::intent) fn delivered(intent: &Intent, now_ms: i64) -> Event {
    let holder = intent.mailbox().address;
    Event {
        pending_with: Some(submit::pending_with(HolderKind::Agent, &holder)),
        handler: holder,
        ..next_event(intent, EventType::Delivered, Status::Delivered, submit::RUNTIME, now_ms)
    }
}

fn failed(intent: &Intent, result: &DeliveryResult, now_ms: i64) -> Event {
    let message: String = result.error.chars().take(ERROR_CHARS_MAX).collect();
    let error = ObjectWriter::default()
        .string("code", "delivery_failed")
        .string("message", if message.is_empty() { "the agent was not reached" } else { &message })
        .string("category", "transport")
        .raw("retryable", b"true")
        .finish();
    let details = ObjectWriter::default()
        // A string: official clients print nothing for a number (contract, intents.md 1).
        .string("delivery_attempt", &result.attempt.to_string())
        .raw("error", &error)
        .finish();
    Event {
        details_json: details,
        handler: intent.mailbox().address,
        ..next_event(intent, EventType::DeliveryFailed, Status::Failed, submit::RUNTIME, now_ms)
    }
}
