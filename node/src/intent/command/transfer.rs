//! Transfer: somebody else is to work on it. The handler changes, the status does not.
//!
//! The intent moves from one mailbox to the other, the person or agent who gets it is reminded and
//! reached anew, and for a human task becomes the one who may answer it.

use axp_proto::error_code::ErrorCode;
use axp_proto::json::ObjectWriter;
use axp_proto::log::state_change::Kind;
use axp_proto::log::{DeliveryMode, Event, EventType, Holder, HolderKind, Names, Status};

use super::delivery_result::delivered;
use super::submit;
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;
use crate::intent::{mails, reminders};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transfer {
    pub to: Holder,
    pub actor: String,
    pub reason: String,
}

pub(in crate::intent) fn decide(
    intent: &Intent,
    transfer: &Transfer,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    pass_on(intent, transfer, ObjectWriter::default(), now_ms)
}

/// As [`decide`], with something more to say in the event.
pub(in crate::intent) fn pass_on(
    intent: &Intent,
    transfer: &Transfer,
    details: ObjectWriter,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    if intent.is_terminal() {
        return Err(Rejection::terminal(intent.state.status()));
    }
    let Some(mailbox) = transfer.to.mailbox.as_ref().filter(|it| !it.address.is_empty()) else {
        return Err(Rejection::new(ErrorCode::ValidationError, "a transfer needs somebody"));
    };
    if intent.is_deposited() && intent.mailbox() == *mailbox {
        return Ok(Verdict::Unchanged);
    }
    if intent.has_workflow()
        && (intent.human_step().is_none() || transfer.to.mode() == DeliveryMode::Internal)
    {
        let message = "only the human step of a scenario can be handed to somebody else";
        return Err(Rejection::new(ErrorCode::InvalidState, message));
    }
    let details = details.string_if("reason", &transfer.reason);
    let mut decision = Decision::default();
    hand_over(&mut decision, intent, &transfer.to, (&transfer.actor, details), now_ms);
    if intent.waits_for_human() {
        decision.change(Kind::Assignees(Names { names: vec![mailbox.address.clone()] }));
        decision.change(Kind::RemindCount(0));
        decision.clear(intent, &reminders::TIMERS);
        reminders::begin(&mut decision, intent, now_ms);
        decision.set_links(intent.state.links.clone(), Some(&transfer.to));
        let mut after = intent.clone();
        after.observe(&decision);
        decision.effects.extend(mails::assigned(&after, now_ms));
    }
    Ok(Verdict::Append(decision))
}

/// Appends the change of hands after the events that are decided already.
pub(in crate::intent) fn hand_over(
    decision: &mut Decision,
    intent: &Intent,
    to: &Holder,
    (actor, details): (&str, ObjectWriter),
    now_ms: i64,
) {
    let mut after = intent.clone();
    decision.events.iter().for_each(|event| after.evolve(event));
    let (from, address) = (after.mailbox().address, to.mailbox.clone().unwrap_or_default().address);
    let human = intent.waits_for_human();
    let kind = if human { HolderKind::Human } else { HolderKind::Agent };
    let details = details.string("from_handler", &from).string("to_handler", &address).finish();
    let event = Event {
        details_json: details,
        waiting_reason: after.state.waiting_reason,
        pending_with: Some(submit::pending_with(kind, &address)),
        handler: address,
        ..next_event(&after, EventType::Transfer, after.state.status(), actor, now_ms)
    };
    after.evolve(&event);
    decision.events.push(event);
    decision.withdraw(intent);
    after.state.holder = Some(to.clone());
    if after.state.status() == Status::Submitted && to.mode() != DeliveryMode::Http {
        let event = delivered(&after, now_ms);
        after.evolve(&event);
        decision.events.push(event);
    }
    decision.change(Kind::Holder(to.clone()));
    decision.change(Kind::DeliveryAttempt(0));
    decision.deposit(submit::deposit(&after));
    decision.requeue(intent, &after);
}
