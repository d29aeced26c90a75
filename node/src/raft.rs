//! Raft between nodes: the transport, and the groups of this node.
//!
//! Safety-critical: what a group believes about its peers comes from here. The rules, and what
//! happens without each, are in docs/clustering.md:
//!
//! - Connections belong to a peer, not to a group, and are three: one for heartbeats, votes and
//!   pings, one for appends, one for snapshots, so that a big transfer never delays a vote.
//! - Every call has a deadline of ours.
//! - A peer that answers no pings gets no appends, no heartbeats and no snapshots (`breaker`):
//!   a leader that is heard but hears nothing must not hold its followers for ever.
//! - A leader whose process is gone is replaced at once (`succession`).
//! - A group whose Raft failed ends the process.
//!
//! Who is in the cluster is left to `cluster`; what entries mean, to the applier of each group.

mod append_call;
mod append_stream;
pub mod breaker;
pub mod groups;
mod janitor;
pub mod link;
mod network;
pub mod peer;
pub(crate) mod replicas;
mod sampler;
pub mod server;
mod snapshot;
pub mod state_hash;
mod succession;
mod wire;

pub use groups::{GroupHandle, Groups};
pub use peer::{Peer, Peers};

/// Messages above this are refused by both sides. Batches are cut far below it.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// An append carries entries up to this many bytes, and always at least one.
const BATCH_BYTES_MAX: usize = 2 << 20;
/// HTTP/2 windows: fixed, since an adaptive window starts from 64 KiB again.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
