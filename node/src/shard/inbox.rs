//! What is asked of the inboxes of a shard, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::log::{Approval, MailboxKey};
use axp_proto::node::{IdempotencyKey, ThreadView};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::admission::Permit;
use super::bells::Topic;
use super::handle::{ExecuteError, Shard, storage};
use super::metrics as names;
use crate::inbox;

/// An action, from somebody who is authenticated as the owner of the mailbox.
#[derive(Debug, Clone)]
pub struct InboxRequest {
    pub org_id: String,
    pub subject: Subject,
    pub idempotency: Option<IdempotencyKey>,
}

/// What the action is about.
#[derive(Debug, Clone)]
pub enum Subject {
    Thread(inbox::Request),
    /// A decision that is no thread's; lies where `place` says.
    Approval {
        place: MailboxKey,
        wanted: Approval,
    },
}

impl Subject {
    /// The mailbox, and what in it: one step holds one action on it.
    #[must_use]
    pub fn key(&self) -> (&MailboxKey, &Bytes) {
        match self {
            Self::Thread(request) => (&request.owner, &request.thread_id),
            Self::Approval { place, wanted } => (place, &wanted.approval_id),
        }
    }
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxReply {
    pub now: InboxView,
    /// Answered from the record of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// The subject as it stands now.
#[derive(Debug, Clone, PartialEq)]
pub enum InboxView {
    Thread(Box<ThreadView>),
    Approval(Approval),
}

/// An action on its way to the mailboxes.
#[derive(Debug)]
pub struct InboxCommand {
    pub request: InboxRequest,
    /// Mailboxes are unbounded; this permit is what bounds the work in them.
    pub permit: Permit,
    pub reply: oneshot::Sender<Result<InboxReply, ExecuteError>>,
    /// Steps that it was planned for and that did not happen.
    pub attempts: u32,
}

impl Shard {
    /// Runs one action of an inbox's owner.
    ///
    /// # Errors
    /// See [`ExecuteError`]; only `Unknown` leaves it open whether it happened, and the same action
    /// id tells.
    pub async fn act(&self, request: InboxRequest) -> Result<InboxReply, ExecuteError> {
        let outcome = self.act_admitted(request).await;
        let label = match &outcome {
            Ok(reply) if reply.replayed => "replayed",
            Ok(_) => "accepted",
            Err(ExecuteError::Rejected(_)) => "rejected",
            Err(_) => "failed",
        };
        metrics::counter!(names::INBOX_ACTIONS_TOTAL, "outcome" => label).increment(1);
        outcome
    }

    async fn act_admitted(&self, request: InboxRequest) -> Result<InboxReply, ExecuteError> {
        let permit = self.admit(&request.org_id).ok_or(ExecuteError::Overloaded)?;
        let led = self.led().ok_or(ExecuteError::NotLeader)?;
        let (reply, outcome) = oneshot::channel();
        led.inbox(InboxCommand { request, permit, reply, attempts: 0 })?;
        outcome.await.unwrap_or(Err(ExecuteError::Unknown))
    }

    /// A thread, waiting for `event_id` to happen to it if there is one; as it stands when the time
    /// is over. The caller has passed a read barrier.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn await_thread(
        self: &Arc<Self>,
        mailbox: &MailboxKey,
        thread_id: &[u8],
        event_id: &[u8],
        patience: Duration,
    ) -> Result<Option<ThreadView>, ExecuteError> {
        let bell = self.bells().listen(Topic::Inbox(mailbox.clone()));
        let deadline = Instant::now() + patience;
        loop {
            let view = self.reader().thread_view(mailbox, thread_id).map_err(storage)?;
            if event_id.is_empty() || view.as_ref().is_some_and(|view| has(view, event_id)) {
                return Ok(view);
            }
            if timeout_at(deadline, bell.rung()).await.is_err() {
                return Ok(view);
            }
        }
    }
}

fn has(view: &ThreadView, event_id: &[u8]) -> bool {
    let entries = view.thread.iter().flat_map(|thread| &thread.timeline);
    entries.into_iter().any(|entry| entry.event_id == event_id)
}
