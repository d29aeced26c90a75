//! Inboxes: the words of the contract (inbox.md), and ids that both sides can derive.

use bytes::Bytes;
use uuid::Uuid;

use crate::hash::stable_hash;
use crate::ids::IntentId;
use crate::log::{Decided, MailboxKey, ThreadEventType, ThreadStatus};

/// Who hands outcomes to `reply_to`.
pub const PROTOCOL_AGENT: &str = "agent://axme.intent-protocol";
/// The actor of what the server notes by itself.
pub const SYSTEM: &str = "system";

impl ThreadStatus {
    /// The word on the wire; a stored thread has one.
    #[must_use]
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Unspecified | Self::Pending => "pending",
            Self::Active => "active",
            Self::Done => "done",
        }
    }

    #[must_use]
    pub fn from_wire_name(name: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::Done]
            .into_iter()
            .find(|status| status.wire_name() == name)
    }
}

impl ThreadEventType {
    #[must_use]
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Unspecified | Self::Received => "intent_received",
            Self::CompletionDelivered => "intent_completion_delivered",
            Self::Ended => "intent_ended",
            Self::ReplySent => "reply_sent",
            Self::ReplyReceived => "reply_received",
            Self::Delegated => "delegated",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Read => "read",
            Self::MessagesDeleted => "messages_deleted",
        }
    }
}

impl Decided {
    #[must_use]
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Unspecified => "",
            Self::Approved => "approve",
            Self::Rejected => "reject",
        }
    }
}

/// The id of the event, and of the message, with which an outcome arrives at `reply_to`. Derived, so
/// that whoever knows the intent can say it before the outcome is there.
#[must_use]
pub fn completion_id(intent: IntentId) -> Bytes {
    derived(&[b"inbox completion", intent.as_bytes()])
}

/// The id of the first entry of a thread.
#[must_use]
pub fn received_id(thread_id: &[u8], owner: &MailboxKey) -> Bytes {
    let (workspace, address) = (owner.workspace_id.as_bytes(), owner.address.as_bytes());
    derived(&[b"inbox received", thread_id, workspace, address])
}

/// The id of the event, and of the message, with which a step of a workflow tells somebody something.
#[must_use]
pub fn notification_id(intent: IntentId, entered: u32) -> Bytes {
    derived(&[b"inbox notification", intent.as_bytes(), &entered.to_be_bytes()])
}

/// The id of the entry that tells that the intent ended while it lay here.
#[must_use]
pub fn ended_id(thread_id: &[u8], owner: &MailboxKey) -> Bytes {
    let (workspace, address) = (owner.workspace_id.as_bytes(), owner.address.as_bytes());
    derived(&[b"inbox ended", thread_id, workspace, address])
}

/// The id of an action that must be the same each time it is tried.
#[must_use]
pub fn action_id(key_hash: &[u8]) -> Bytes {
    derived(&[b"inbox action", key_hash])
}

/// Where an approval lies: a mailbox key that no agent has.
#[must_use]
pub fn approval_place(workspace_id: &str, approval_id: Uuid) -> MailboxKey {
    let address = format!("approval:{}", approval_id.hyphenated());
    MailboxKey { workspace_id: workspace_id.to_owned(), address }
}

/// Ids of 16 bytes as text; of anything else the nil UUID.
#[must_use]
pub fn uuid_text(id: &[u8]) -> String {
    Uuid::from_slice(id).unwrap_or_default().hyphenated().to_string()
}

/// A UUID of version 8 (RFC 9562: made as its maker likes).
fn derived(parts: &[&[u8]]) -> Bytes {
    let half = |salt: &[u8]| {
        let salted: Vec<&[u8]> = std::iter::once(salt).chain(parts.iter().copied()).collect();
        stable_hash(&salted).to_be_bytes()
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&half(b"high"));
    bytes[8..].copy_from_slice(&half(b"low"));
    Bytes::copy_from_slice(uuid::Builder::from_custom_bytes(bytes).as_uuid().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Slot;

    #[test]
    fn derived_ids_are_uuids_and_stay() {
        let intent = IntentId::new(1_700_000_000_000, Slot::new(7).unwrap(), 5);
        assert_eq!(
            uuid_text(&completion_id(intent)),
            uuid_text(&completion_id(intent)),
            "the same each time"
        );
        let id = Uuid::from_slice(&completion_id(intent)).unwrap();
        assert_eq!(id.get_version_num(), 8);
        let owner =
            |address: &str| MailboxKey { workspace_id: "w".into(), address: address.into() };
        let ids = [
            completion_id(intent),
            received_id(intent.as_bytes(), &owner("a")),
            received_id(intent.as_bytes(), &owner("b")),
            action_id(intent.as_bytes()),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[index + 1..].contains(id));
        }
    }

    #[test]
    fn statuses_round_trip() {
        for status in [ThreadStatus::Pending, ThreadStatus::Active, ThreadStatus::Done] {
            assert_eq!(ThreadStatus::from_wire_name(status.wire_name()), Some(status));
        }
        assert_eq!(ThreadStatus::from_wire_name("open"), None);
    }
}
