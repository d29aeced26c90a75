//! The words of the published protocol for our enums (contract, intents.md 1).

use crate::log::{DeliveryMode, EventType, HolderKind, Status, WaitingReason};

impl Status {
    pub const ALL: [Self; 10] = [
        Self::Created,
        Self::Submitted,
        Self::Delivered,
        Self::Acknowledged,
        Self::InProgress,
        Self::Waiting,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
        Self::TimedOut,
    ];

    /// The word on the wire; empty for the unspecified status, which no event carries.
    #[must_use]
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Unspecified => "",
            Self::Created => "CREATED",
            Self::Submitted => "SUBMITTED",
            Self::Delivered => "DELIVERED",
            Self::Acknowledged => "ACKNOWLEDGED",
            Self::InProgress => "IN_PROGRESS",
            Self::Waiting => "WAITING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    #[must_use]
    pub fn from_wire_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.wire_name() == name)
    }

    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled | Self::TimedOut)
    }

    /// The status words of older clients.
    #[must_use]
    pub fn legacy_name(self) -> &'static str {
        match self {
            Self::Unspecified | Self::Created | Self::Submitted | Self::Delivered => "accepted",
            Self::Acknowledged | Self::InProgress => "running",
            Self::Waiting => "blocked",
            Self::Completed => "done",
            Self::Failed | Self::Canceled | Self::TimedOut => "failed",
        }
    }
}

impl EventType {
    #[must_use]
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Unspecified => "",
            Self::Created => "intent.created",
            Self::Submitted => "intent.submitted",
            Self::Delivered => "intent.delivered",
            Self::Acknowledged => "intent.acknowledged",
            Self::InProgress => "intent.in_progress",
            Self::Waiting => "intent.waiting",
            Self::Completed => "intent.completed",
            Self::Failed => "intent.failed",
            Self::Canceled => "intent.canceled",
            Self::Transfer => "intent.transfer",
            Self::TimedOut => "intent.timed_out",
            Self::Reminder => "intent.reminder",
            Self::Escalated => "intent.escalated",
            Self::DeliveryFailed => "intent.delivery_failed",
            Self::HumanTaskAssigned => "intent.human_task_assigned",
        }
    }
}

impl WaitingReason {
    #[must_use]
    pub fn wire_name(self) -> Option<&'static str> {
        match self {
            Self::Unspecified => None,
            Self::Human => Some("WAITING_FOR_HUMAN"),
            Self::Tool => Some("WAITING_FOR_TOOL"),
            Self::Agent => Some("WAITING_FOR_AGENT"),
            Self::Time => Some("WAITING_FOR_TIME"),
        }
    }
}

impl HolderKind {
    #[must_use]
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Unspecified | Self::Agent => "agent",
            Self::Human => "human",
            Self::Internal => "internal",
        }
    }
}

impl DeliveryMode {
    #[must_use]
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Unspecified | Self::Stream => "stream",
            Self::Poll => "poll",
            Self::Http => "http",
            Self::Inbox => "inbox",
            Self::Internal => "internal",
        }
    }

    #[must_use]
    pub fn from_wire_name(name: &str) -> Option<Self> {
        [Self::Stream, Self::Poll, Self::Http, Self::Inbox, Self::Internal]
            .into_iter()
            .find(|mode| mode.wire_name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_names_round_trip() {
        for status in Status::ALL {
            assert_eq!(Status::from_wire_name(status.wire_name()), Some(status));
        }
        assert_eq!(Status::from_wire_name("DONE"), None);
    }
}
