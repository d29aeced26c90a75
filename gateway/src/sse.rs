//! Event streams: framing, rhythm and resumption (contract, intents.md 6 and agents.md 4).
//!
//! A stream reads from the shard's log through its subscription and holds nothing but what that
//! may have unread. It is pulled by the connection: a client that does not read holds up only
//! itself, gets no more credit from the node, and is disconnected when it stalls for too long. It
//! resumes with the last id that it read.

mod feed;
mod frame;
mod since;
mod stream;

pub(crate) use self::feed::Feed;
pub(crate) use self::since::{Position, Reading};
pub(crate) use self::stream::{Rhythm, Stream};
