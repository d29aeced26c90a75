//! What inboxes are told of an intent: that a person is asked, and how it ended (ADR 0009).
//!
//! An intent that lies in a mailbox needs no word of its own: its thread is seen in the delivery.

use axp_proto::inbox::{PROTOCOL_AGENT, completion_id, notification_id};
use axp_proto::json::ObjectWriter;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{
    DeliveryMode, Effect, Event, InboxMessage, InboxPost, MailboxKey, Status, Submission,
    ThreadEvent, ThreadEventType, ThreadOrigin, ThreadStatus, Withdraw,
};

use super::command::submit;
use super::state::Intent;

/// Whether the holder's thread outlives the intent. Agents that are registered for another road
/// have threads only while somebody uses them, so that those cost nothing.
pub(super) fn keeps_thread(intent: &Intent) -> bool {
    matches!(intent.holder().mode(), DeliveryMode::Unspecified | DeliveryMode::Inbox)
}

/// Takes the intent out of the mailbox in which it lies, and tells the threads of its holder and of
/// its target, if that is another one by now, how it ended.
pub(super) fn ended(intent: &Intent, status: Status) -> Vec<Effect> {
    let target = MailboxKey {
        workspace_id: intent.submission.target_workspace_id.clone(),
        address: intent.submission.to_agent.clone(),
    };
    let holder = intent.mailbox();
    let moved = holder != target;
    let mut effects = Vec::new();
    if intent.is_deposited() || submit::is_asked(&intent.submission) {
        effects.push(withdraw(intent, holder, status, keeps_thread(intent)));
    }
    if moved {
        // What was used there is stored; the delivery itself went when the intent changed hands.
        effects.push(withdraw(intent, target, status, false));
    }
    effects
}

fn withdraw(intent: &Intent, mailbox: MailboxKey, status: Status, keeps_thread: bool) -> Effect {
    let (mailbox, intent_id) = (Some(mailbox), intent.id.to_bytes());
    let withdraw = Withdraw { mailbox, intent_id, ended: status.into(), keeps_thread };
    Effect { kind: Some(EffectKind::Withdraw(withdraw)) }
}

/// Takes an intent whose workflow goes on out of the mailbox of who held it for one step, and tells
/// the thread there how that step ended.
pub(super) fn handed_back(intent: &Intent, status: Status) -> Effect {
    withdraw(intent, intent.mailbox(), status, keeps_thread(intent))
}

/// A message about the intent for somebody else than its parties; `entered` tells it from others.
pub(super) fn told(
    intent: &Intent,
    (author, text): (&str, &str),
    entered: u32,
    mailbox: MailboxKey,
    now_ms: i64,
) -> InboxPost {
    let origin = ThreadOrigin { to_agent: mailbox.address.clone(), ..origin(intent) };
    let id = notification_id(intent.id, entered);
    let message = InboxMessage {
        message_id: id.clone(),
        own: false,
        author: author.to_owned(),
        content: text.to_owned(),
        at_ms: now_ms,
    };
    let event = ThreadEvent {
        r#type: ThreadEventType::ReplyReceived.into(),
        event_id: id,
        actor: author.to_owned(),
        at_ms: now_ms,
        details_json: ObjectWriter::default().string("intent_id", &intent.id.to_string()).finish(),
        message: Some(message),
        ..ThreadEvent::default()
    };
    InboxPost {
        mailbox: Some(mailbox),
        thread_id: intent.id.to_bytes(),
        origin: Some(origin),
        event: Some(event),
    }
}

/// Shows the intent to a person whose task it is, since it goes into no mailbox.
pub(super) fn asked(intent: &Intent) -> Effect {
    post(intent, intent.mailbox(), origin(intent), None)
}

fn origin(intent: &Intent) -> ThreadOrigin {
    ThreadOrigin {
        intent_type: intent.submission.intent_type.clone(),
        from_agent: intent.submission.from_agent.clone(),
        to_agent: intent.submission.to_agent.clone(),
        created_at_ms: intent.submission.created_at_ms,
        peer: Some(sender(&intent.submission)),
        delegated_by: String::new(),
    }
}

/// Hands the outcome to `reply_to`, if there is one.
pub(super) fn completed(intent: &Intent, event: &Event) -> Option<Effect> {
    let submission = &intent.submission;
    let reply_to = reply_to(submission)?;
    let origin = ThreadOrigin {
        intent_type: submission.intent_type.clone(),
        from_agent: PROTOCOL_AGENT.to_owned(),
        to_agent: reply_to.address.clone(),
        created_at_ms: event.at_ms,
        peer: Some(intent.mailbox()),
        delegated_by: String::new(),
    };
    let (kind, status) = (event.r#type().wire_name(), event.status().wire_name());
    let details = ObjectWriter::default()
        .string("type", kind)
        .string("intent_id", &intent.id.to_string())
        .string("status", status)
        .members(&event.details_json);
    let id = completion_id(intent.id);
    let message = InboxMessage {
        message_id: id.clone(),
        own: false,
        author: PROTOCOL_AGENT.to_owned(),
        content: format!("{kind}: {status}"),
        at_ms: event.at_ms,
    };
    let delivered = ThreadEvent {
        r#type: ThreadEventType::CompletionDelivered.into(),
        event_id: id,
        actor: PROTOCOL_AGENT.to_owned(),
        at_ms: event.at_ms,
        details_json: details.finish(),
        status: ThreadStatus::Done.into(),
        message: Some(message),
        ..ThreadEvent::default()
    };
    Some(post(intent, reply_to, origin, Some(delivered)))
}

fn post(
    intent: &Intent,
    mailbox: MailboxKey,
    origin: ThreadOrigin,
    event: Option<ThreadEvent>,
) -> Effect {
    let thread_id = intent.id.to_bytes();
    let post = InboxPost { mailbox: Some(mailbox), thread_id, origin: Some(origin), event };
    Effect { kind: Some(EffectKind::Inbox(post)) }
}

fn sender(submission: &Submission) -> MailboxKey {
    MailboxKey {
        workspace_id: submission.workspace_id.clone(),
        address: submission.from_agent.clone(),
    }
}

fn reply_to(submission: &Submission) -> Option<MailboxKey> {
    (!submission.reply_to_address.is_empty()).then(|| MailboxKey {
        workspace_id: submission.reply_to_workspace_id.clone(),
        address: submission.reply_to_address.clone(),
    })
}
