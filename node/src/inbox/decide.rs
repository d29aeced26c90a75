//! Decides one action on one thread, where its mailbox is led.

use axp_proto::error_code::ErrorCode;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{
    Effect, InboxPost, MailboxKey, Thread, ThreadEvent, ThreadEventType, ThreadOrigin, ThreadStatus,
};
use bytes::Bytes;

use super::action::{Action, conclude, delegate, delete, read, reply};
use super::evolve::knows;
use crate::intent::Rejection;

/// An action with who does it to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose inbox.
    pub owner: MailboxKey,
    /// 16 bytes: the intent's id.
    pub thread_id: Bytes,
    /// 16 bytes, the same each time the action is tried.
    pub action_id: Bytes,
    /// Who acts, as the timeline tells it.
    pub actor: String,
    pub action: Action,
}

/// What an action leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Append(Decision),
    /// It was done before, or there is nothing to do.
    Unchanged,
}

/// What is to be appended, all or nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    pub events: Vec<ThreadEvent>,
    pub effects: Vec<Effect>,
}

/// Decides; `thread` is absent when the owner has none about this intent.
///
/// # Errors
/// A [`Rejection`] when the action may not happen to the thread as it stands.
pub fn decide(
    thread: Option<&Thread>,
    request: &Request,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    let unknown = || Rejection::new(ErrorCode::NotFound, "thread not found");
    let thread = thread.ok_or_else(unknown)?;
    if knows(thread, &request.action_id) {
        return Ok(Verdict::Unchanged);
    }
    // Per thread time never goes back, whatever the clocks of two leaders say.
    let now_ms = now_ms.max(thread.updated_at_ms);
    let decision = match &request.action {
        Action::Reply { message } => Some(reply::decide(thread, request, message, now_ms)),
        Action::Delegate { to, note } => {
            Some(delegate::decide(thread, request, to.as_ref(), note, now_ms)?)
        }
        Action::Conclude { decision, comment } => {
            Some(conclude::decide(thread, request, *decision, comment, now_ms)?)
        }
        Action::Delete { both, message_ids, last } => {
            delete::decide(thread, request, *both, message_ids, *last, now_ms)
        }
        Action::Read => read::decide(thread, request, now_ms),
    };
    Ok(decision.map_or(Verdict::Unchanged, Verdict::Append))
}

impl Request {
    /// An event that this action makes.
    pub(super) fn event(&self, kind: ThreadEventType, at_ms: i64) -> ThreadEvent {
        ThreadEvent {
            r#type: kind.into(),
            event_id: self.action_id.clone(),
            actor: self.actor.clone(),
            at_ms,
            ..ThreadEvent::default()
        }
    }
}

impl Decision {
    /// Has something put into the thread that another owner has about the same intent.
    pub(super) fn post(
        &mut self,
        request: &Request,
        mailbox: MailboxKey,
        origin: Option<ThreadOrigin>,
        event: ThreadEvent,
    ) {
        let thread_id = request.thread_id.clone();
        let post = InboxPost { mailbox: Some(mailbox), thread_id, origin, event: Some(event) };
        self.effects.push(Effect { kind: Some(EffectKind::Inbox(post)) });
    }
}

/// The status of a thread that its owner works on: active, unless it is done.
pub(super) fn going_on(thread: &Thread) -> ThreadStatus {
    match thread.status() {
        ThreadStatus::Done => ThreadStatus::Unspecified,
        ThreadStatus::Unspecified | ThreadStatus::Pending | ThreadStatus::Active => {
            ThreadStatus::Active
        }
    }
}
