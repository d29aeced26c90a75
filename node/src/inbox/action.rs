//! What the owner of a thread may do to it; one file for each action's rules.

use axp_proto::log::{Decided, MailboxKey};
use bytes::Bytes;

pub(super) mod conclude;
pub(super) mod delegate;
pub(super) mod delete;
pub(super) mod read;
pub(super) mod reply;

/// One action, already authenticated as the owner's and checked for size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Reply {
        message: String,
    },
    /// Without a delegate it is noted that somebody else takes over, and nobody is told.
    Delegate {
        to: Option<MailboxKey>,
        note: String,
    },
    Conclude {
        decision: Decided,
        comment: String,
    },
    /// The messages with these ids, or the last so many.
    Delete {
        both: bool,
        message_ids: Vec<Bytes>,
        last: usize,
    },
    Read,
}
