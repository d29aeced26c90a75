//! Submit: the first append of an intent.
//!
//! `created`, `submitted` and what follows at once are one append, since clients list events as
//! soon as create returns (contract, README trap 5). Delivery to a stream, poll or inbox agent is
//! durable with that append, through the outbox, hence `delivered` belongs to it.

use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::json::ObjectWriter;
use axp_proto::log::state_change::Kind;
use axp_proto::log::{
    Delivery, DeliveryMode, Deposit, Event, EventType, HolderKind, MailboxKey, Names, PendingWith,
    Status, Submission, TimerKind, WaitingReason,
};

use crate::intent::decide::{Decision, Verdict};
use crate::intent::rejection::Rejection;
use crate::intent::reminders;
use crate::intent::state::Intent;
use crate::intent::workflow::Walk;
use crate::intent::{mails, notice};

pub(in crate::intent) fn decide(
    id: IntentId,
    intent: Option<&Intent>,
    submission: &Arc<Submission>,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    if let Some(intent) = intent {
        return repeat(intent, submission);
    }
    if submission.deadline_at_ms.is_some_and(|deadline| deadline <= now_ms) {
        return Err(Rejection::new(ErrorCode::ValidationError, "deadline_at is in the past"));
    }
    Ok(Verdict::Append(create(id, submission, now_ms)))
}

/// The first append of an intent that is not there.
pub(in crate::intent) fn create(id: IntentId, submission: &Submission, now_ms: i64) -> Decision {
    let submission = Arc::new(Submission { created_at_ms: now_ms, ..submission.clone() });
    first_append(Intent::new(id, submission), now_ms)
}

/// A gateway that lost our answer asks again under the same id.
fn repeat(intent: &Intent, submission: &Submission) -> Result<Verdict, Rejection> {
    let same = Submission { created_at_ms: 0, traceparent: String::new(), ..submission.clone() }
        == Submission {
            created_at_ms: 0,
            traceparent: String::new(),
            ..(*intent.submission).clone()
        };
    if same {
        Ok(Verdict::Unchanged)
    } else {
        Err(Rejection::new(ErrorCode::Conflict, "intent id is already in use"))
    }
}

fn first_append(mut intent: Intent, now_ms: i64) -> Decision {
    let submission = Arc::clone(&intent.submission);
    let mut decision =
        Decision { submission: Some(Arc::clone(&submission)), ..Decision::default() };
    for event in first_events(&submission) {
        let event = Event { seq: intent.state.last_seq + 1, at_ms: now_ms, ..event };
        intent.evolve(&event);
        decision.events.push(event);
    }
    if is_deposited(&submission) {
        decision.deposit(deposit(&intent));
    } else if is_asked(&submission) {
        decision.effects.push(notice::asked(&intent));
    }
    if let Some(deadline) = submission.deadline_at_ms {
        decision.timer(TimerKind::Deadline, Some(deadline));
    }
    if let Some(task) = submission.task.as_ref().filter(|task| !task.assignees.is_empty()) {
        decision.change(Kind::Assignees(Names { names: task.assignees.clone() }));
    }
    if intent.waits_for_human() {
        reminders::begin(&mut decision, &intent, now_ms);
        let rules = submission.task.as_ref();
        intent.state.assignees = rules.map(|it| it.assignees.clone()).unwrap_or_default();
        decision.effects.extend(mails::assigned(&intent, now_ms));
    }
    if intent.has_workflow() {
        decision.timers.iter().for_each(|timer| intent.change_timer(timer));
        return Walk::begin(&intent, decision, now_ms);
    }
    decision
}

fn first_events(submission: &Submission) -> Vec<Event> {
    let sender = submission.from_agent.as_str();
    let mut events = vec![
        event(EventType::Created, Status::Created, sender),
        event(EventType::Submitted, Status::Submitted, sender),
    ];
    if waits_for_human(submission) {
        let waiting = |kind| Event {
            waiting_reason: WaitingReason::Human.into(),
            pending_with: Some(pending_with(HolderKind::Human, &submission.to_agent)),
            ..event(kind, Status::Waiting, RUNTIME)
        };
        let task = &submission.human_task_json;
        events.push(waiting(EventType::Waiting));
        events.push(Event {
            details_json: ObjectWriter::default().raw("human_task", task).finish(),
            ..waiting(EventType::HumanTaskAssigned)
        });
    } else if is_delivered_at_once(submission) {
        events.push(Event {
            handler: submission.to_agent.clone(),
            pending_with: Some(pending_with(HolderKind::Agent, &submission.to_agent)),
            ..event(EventType::Delivered, Status::Delivered, RUNTIME)
        });
    }
    events
}

/// What is put into the target's mailbox for the intent as it stands after these events.
pub(in crate::intent) fn deposit(intent: &Intent) -> Deposit {
    let (submission, mailbox) = (&intent.submission, intent.mailbox());
    let delivery = Delivery {
        intent_id: intent.id.to_bytes(),
        intent_type: submission.intent_type.clone(),
        from_agent: submission.from_agent.clone(),
        to_agent: submission.to_agent.clone(),
        correlation_id: submission.correlation_id.clone(),
        at_ms: intent.state.updated_at_ms,
        traceparent: submission.traceparent.clone(),
        status: intent.state.status,
        intent_seq: intent.state.last_seq,
        created_at_ms: intent.state.created_at_ms,
        mode: intent.holder().mode,
        keeps_thread: notice::keeps_thread(intent),
        from_workspace_id: elsewhere(submission, &mailbox),
    };
    Deposit { mailbox: Some(mailbox), delivery: Some(delivery) }
}

/// The sender's workspace, if it is another one than the holder's.
fn elsewhere(submission: &Submission, mailbox: &MailboxKey) -> String {
    let same = submission.workspace_id == mailbox.workspace_id;
    if same { String::new() } else { submission.workspace_id.clone() }
}

/// The runtime itself, as the actor of what it does.
pub(in crate::intent) const RUNTIME: &str = "agent://agent_core";

/// Whether a human task holds the intent from the start: nobody registered works on it first.
fn waits_for_human(submission: &Submission) -> bool {
    let mode = submission.delivery_mode();
    !submission.human_task_json.is_empty()
        && submission.workflow.is_none()
        && matches!(mode, DeliveryMode::Unspecified | DeliveryMode::Internal)
}

/// Whether the target is a person who sees the task in an inbox, and no runtime.
pub(in crate::intent) fn is_asked(submission: &Submission) -> bool {
    let runtime = submission.to_agent == RUNTIME || submission.to_agent.ends_with("/agent_core");
    waits_for_human(submission)
        && submission.delivery_mode() == DeliveryMode::Unspecified
        && !runtime
}

/// Whether the intent goes into the mailbox of its target.
pub(in crate::intent) fn is_deposited(submission: &Submission) -> bool {
    submission.delivery_mode() != DeliveryMode::Internal
        && submission.workflow.is_none()
        && !waits_for_human(submission)
}

/// A push to a callback is delivered when the callback says so; the other roads end in a mailbox.
fn is_delivered_at_once(submission: &Submission) -> bool {
    is_deposited(submission) && submission.delivery_mode() != DeliveryMode::Http
}

fn event(kind: EventType, status: Status, actor: &str) -> Event {
    Event {
        r#type: kind.into(),
        status: status.into(),
        actor: actor.to_owned(),
        ..Event::default()
    }
}

/// The holder named by an address; its last segment is what people are shown.
pub(in crate::intent) fn pending_with(kind: HolderKind, address: &str) -> PendingWith {
    let name = address.rsplit('/').next().unwrap_or(address);
    PendingWith { kind: kind.into(), r#ref: address.to_owned(), name: name.to_owned() }
}
