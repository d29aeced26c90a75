//! The openraft types of this project: one configuration for every group.

use std::fmt;

use bytes::Bytes;

openraft::declare_raft_types!(
    /// One configuration for every group.
    pub TypeConfig:
        D = Payload,
        R = Applied,
        NodeId = u64,
        Node = NodeAddress,
);

/// Where a replica is reached, as its group's membership says it. Empty for founders: their
/// addresses are in the founding, and configuration may change them. A node that was added is in no
/// founding, so whoever reads the membership can reach it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeAddress {
    pub raft_address: String,
}

/// One group's Raft.
pub type Raft = openraft::Raft<TypeConfig, crate::state_machine::StateMachine>;
pub type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub type Membership = openraft::Membership<u64, NodeAddress>;
pub type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

pub type Snapshot =
    openraft::type_config::alias::SnapshotOf<TypeConfig, crate::snapshot::SnapshotData>;

/// What a group's log carries: an encoded `axp.log.v1.Entry`, opaque to this crate.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload(pub Bytes);

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What apply answered, one outcome for each append of the entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    pub outcomes: Vec<Outcome>,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} outcomes", self.outcomes.len())
    }
}

/// What became of one append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in; `position` is where its subject stands now (last seq, revision, step).
    Accepted { position: u64 },
    /// Somebody appended before it; `position` is where its subject stands.
    Stale { position: u64 },
    /// Something that must be unique was taken; the stored record of who took it.
    Taken { record: Bytes },
}
