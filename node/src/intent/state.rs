//! What is known of one intent where its shard is led.

use std::sync::Arc;

use axp_proto::ids::IntentId;
use axp_proto::log::{
    DeliveryMode, Event, Holder, IntentState, MailboxKey, Status, Submission, TimerKind,
};
use axp_proto::mutant::{self, Mutant};
use bytes::Bytes;

use super::command::submit::is_deposited;
use super::members::number;
use super::task::waits_for_human;

/// One intent: what was asked, where it stands, and how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    pub id: IntentId,
    pub submission: Arc<Submission>,
    pub state: IntentState,
    /// The event that ended it; absent while it is open.
    pub terminal_event: Option<Arc<Event>>,
}

impl Intent {
    #[must_use]
    pub fn new(id: IntentId, submission: Arc<Submission>) -> Self {
        let state = IntentState {
            created_at_ms: submission.created_at_ms,
            org_id: submission.org_id.clone(),
            workspace_id: submission.workspace_id.clone(),
            ..IntentState::default()
        };
        Self { id, submission, state, terminal_event: None }
    }

    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.state.status().is_terminal()
    }

    /// Whether this request ended it, or decided the last step of its workflow: its answer was lost.
    pub(super) fn is_repeat(&self, request_id: &Bytes) -> bool {
        let step = self.state.workflow.as_ref().map(|state| &state.last_request);
        let known = self.state.ended_by == *request_id || step == Some(request_id);
        let guessed = mutant::active(Mutant::EndGuessed) && self.is_terminal();
        (known || guessed) && !request_id.is_empty()
    }

    /// Its own workspace sees an intent, and so do the workspace it is addressed to and the one whose
    /// agent holds it.
    #[must_use]
    pub fn is_visible_to(&self, org_id: &str, workspace_id: &str) -> bool {
        let submission = &self.submission;
        let holds = |holder: &Holder| {
            let mailbox = holder.mailbox.as_ref();
            holder.org_id == org_id && mailbox.is_some_and(|it| it.workspace_id == workspace_id)
        };
        (submission.org_id == org_id && submission.workspace_id == workspace_id)
            || (submission.target_org_id == org_id
                && submission.target_workspace_id == workspace_id)
            || self.state.holder.as_ref().is_some_and(holds)
    }

    /// Whose mailbox the intent is for, and how deliveries reach it.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.state.holder.clone().unwrap_or_else(|| Holder {
            mailbox: Some(MailboxKey {
                workspace_id: self.submission.target_workspace_id.clone(),
                address: self.submission.to_agent.clone(),
            }),
            org_id: self.submission.target_org_id.clone(),
            mode: self.submission.delivery_mode,
        })
    }

    /// Where the intent lies for its holder, if it is deposited.
    #[must_use]
    pub fn mailbox(&self) -> MailboxKey {
        self.holder().mailbox.unwrap_or_default()
    }

    /// Whether the intent lies in its holder's mailbox while it is open. Whoever takes it over gets
    /// it that way.
    #[must_use]
    pub fn is_deposited(&self) -> bool {
        match &self.state.holder {
            // What was handed over for one step has come back to its workflow.
            Some(holder) if self.has_workflow() => holder.mode() != DeliveryMode::Internal,
            Some(_) => true,
            None => is_deposited(&self.submission),
        }
    }

    /// Whether it waits for a person.
    #[must_use]
    pub fn waits_for_human(&self) -> bool {
        waits_for_human(&self.state)
    }

    /// A control with a number for a value.
    #[must_use]
    pub fn control(&self, name: &str) -> Option<u32> {
        number(&self.state.controls, name)
    }

    /// When this timer is due, if it is set.
    #[must_use]
    pub fn timer(&self, kind: TimerKind) -> Option<i64> {
        self.state.timers.iter().find(|timer| timer.kind() == kind)?.due_at_ms
    }

    /// What always holds between two appends.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let terminal = self.is_terminal();
        let last = self.terminal_event.as_ref().map(|event| event.seq);
        terminal == (self.state.terminal_seq != 0)
            && last == terminal.then_some(self.state.terminal_seq)
            && (!terminal || self.state.terminal_seq == self.state.last_seq)
            && (!terminal || self.state.timers.is_empty())
            && self.state.status() != Status::Unspecified
    }
}
