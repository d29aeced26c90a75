//! A reminder is due: the person who is waited for is told again, or somebody else is asked.

use axp_proto::json::ObjectWriter;
use axp_proto::log::state_change::Kind;
use axp_proto::log::{
    Event, EventType, Holder, HolderKind, MailboxKey, Names, Status, TimerKind, WaitingReason,
};

use super::{submit, transfer};
use crate::intent::decide::{Decision, next_event};
use crate::intent::state::Intent;
use crate::intent::{mails, reminders};

pub(in crate::intent) fn remind(intent: &Intent, now_ms: i64) -> Decision {
    let mut decision = Decision::default();
    if !intent.waits_for_human() {
        decision.clear(intent, &reminders::TIMERS);
        return decision;
    }
    let count = intent.state.remind_count + 1;
    let details = ObjectWriter::default().raw("reminder_count", count.to_string().as_bytes());
    decision.events.push(Event {
        details_json: details.finish(),
        pending_with: intent.state.pending_with.clone(),
        ..waiting(intent, EventType::Reminder, now_ms)
    });
    decision.change(Kind::RemindCount(count));
    reminders::follow(&mut decision, intent, count, now_ms);
    decision.effects.extend(mails::reminded(intent, now_ms));
    decision
}

/// Nobody answered the reminders: the intent goes to who was named for that, who may answer besides
/// the ones before.
pub(in crate::intent) fn escalate(intent: &Intent, now_ms: i64) -> Decision {
    let mut decision = Decision::default();
    decision.timer(TimerKind::Escalation, None);
    if !intent.waits_for_human() {
        decision.clear(intent, &[TimerKind::Reminder]);
        return decision;
    }
    let to = escalation(intent);
    let address = to.mailbox.clone().unwrap_or_default().address;
    let escalated = address.clone();
    let details = ObjectWriter::default().string("escalated_to", &address).finish();
    decision.events.push(Event {
        details_json: details,
        handler: address.clone(),
        pending_with: Some(submit::pending_with(HolderKind::Human, &address)),
        ..waiting(intent, EventType::Escalated, now_ms)
    });
    let mut names = intent.state.assignees.clone();
    // Nobody named means everybody: naming one would shut the others out.
    if !names.is_empty() && !names.contains(&address) {
        names.push(address);
        decision.change(Kind::Assignees(Names { names }));
    }
    if !intent.is_deposited() || intent.mailbox() != to.mailbox.clone().unwrap_or_default() {
        let why = ObjectWriter::default().string("reason", "escalation");
        transfer::hand_over(&mut decision, intent, &to, (submit::RUNTIME, why), now_ms);
    }
    decision.effects.extend(mails::escalated(intent, &escalated, now_ms));
    decision
}

/// Submissions from before escalations were resolved name an address only.
fn escalation(intent: &Intent) -> Holder {
    if let Some((_, step)) = intent.human_step() {
        return step.escalation.clone().unwrap_or_default();
    }
    let submission = &intent.submission;
    submission.escalation.clone().unwrap_or_else(|| Holder {
        mailbox: Some(MailboxKey {
            workspace_id: submission.workspace_id.clone(),
            address: submission.escalate_to.clone(),
        }),
        org_id: submission.org_id.clone(),
        ..Holder::default()
    })
}

fn waiting(intent: &Intent, kind: EventType, now_ms: i64) -> Event {
    Event {
        waiting_reason: WaitingReason::Human.into(),
        ..next_event(intent, kind, Status::Waiting, submit::RUNTIME, now_ms)
    }
}
