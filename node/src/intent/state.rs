//! What is known of one intent where its shard is led.

use std::sync::Arc;

use axp_proto::ids::IntentId;
use axp_proto::log::{Event, IntentState, MailboxKey, Status, Submission, TimerKind};

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

    /// Its own workspace sees an intent, and so does the workspace it is addressed to.
    #[must_use]
    pub fn is_visible_to(&self, org_id: &str, workspace_id: &str) -> bool {
        let submission = &self.submission;
        (submission.org_id == org_id && submission.workspace_id == workspace_id)
            || (submission.target_org_id == org_id
                && submission.target_workspace_id == workspace_id)
    }

    /// Where the intent was deposited for its agent.
    #[must_use]
    pub fn mailbox(&self) -> MailboxKey {
        MailboxKey {
            workspace_id: self.submission.target_workspace_id.clone(),
            address: self.submission.to_agent.clone(),
        }
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
