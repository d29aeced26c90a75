//! Changes of members: takes what operators want, and, where the control group is led, drives every
//! group there.
//!
//! The wanted members are a control row, written by compare-and-set. What is there is asked of the
//! leader of every group, each time anew. `plan` says which step follows from both; nothing else is
//! remembered, so whoever leads the control group next goes on.

mod reconcile;

use std::sync::Arc;

use axp_proto::control::CLUSTER_MEMBERS;
use axp_proto::ids::GroupId;
use axp_proto::log::RowChange;
use axp_proto::node::{ChangeMembersRequest, ClusterMember, ClusterMembers, Row};
use prost::Message as _;
use tokio::sync::watch;

use super::change::{self, Refusal, Sight};
use super::waiting::Waiting;
use super::{Members, follow};
use crate::clock::Clock;
use crate::control::{Committed, Control};
use crate::raft::Groups;
use crate::shard::proposer::ProposeError;

/// Two operators at once are told of each other after this many tries.
const COMMIT_TRIES: usize = 3;

/// Why the members are not to change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this node does not lead the control group")]
    NotLeader,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("whether the change is wanted now is not known: look at the members")]
    Unknown,
}

impl From<ProposeError> for Error {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader => Self::NotLeader,
            ProposeError::Unknown => Self::Unknown,
        }
    }
}

/// The membership of the cluster, seen from one node.
#[derive(Debug)]
pub struct Membership {
    control: Arc<Control>,
    groups: Groups,
    members: Members,
    waiting: Waiting,
    clock: Clock,
    is_fixed: bool,
    /// What a change does or waits for; empty when none is under way or this node does not lead.
    progress: watch::Sender<String>,
}

impl Membership {
    #[must_use]
    pub fn new(
        control: Arc<Control>,
        groups: Groups,
        members: Members,
        waiting: Waiting,
        clock: Clock,
        is_fixed: bool,
    ) -> Arc<Self> {
        let progress = watch::Sender::default();
        Arc::new(Self { control, groups, members, waiting, clock, is_fixed, progress })
    }

    #[must_use]
    pub fn members(&self) -> ClusterMembers {
        self.members.row()
    }

    /// Who asked this node to be let in, and how many milliseconds ago.
    #[must_use]
    pub fn waiting(&self) -> Vec<(ClusterMember, u64)> {
        let millis = |ago: std::time::Duration| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        self.waiting.nodes().into_iter().map(|(node, ago)| (node, millis(ago))).collect()
    }

    #[must_use]
    pub fn progress(&self) -> String {
        self.progress.borrow().clone()
    }

    /// Writes down what is wanted; the rest follows by itself.
    ///
    /// # Errors
    /// When this node does not lead the control group, or the change is refused.
    pub async fn change(&self, request: &ChangeMembersRequest) -> Result<ClusterMembers, Error> {
        if self.is_fixed {
            return Err(Refusal::Fixed.into());
        }
        for _ in 0..COMMIT_TRIES {
            let (row, revision) = self.confirmed_row().await?;
            let waiting: Vec<_> = self.waiting.nodes().into_iter().map(|(node, _)| node).collect();
            let reachable = self.reachable();
            let now_ms = self.clock.now_ms();
            let sight = Sight { waiting: &waiting, reachable: &reachable, now_ms };
            let Some(wanted) = change::decide(&row, request, &sight)? else { return Ok(row) };
            if self.commit(&wanted, revision).await? {
                tracing::info!(wanted = ?wanted.wanted, epoch = wanted.epoch, "members are to change");
                return Ok(wanted);
            }
        }
        Err(Error::Unknown)
    }

    /// The row that nobody can have been told to be newer, and its revision.
    async fn confirmed_row(&self) -> Result<(ClusterMembers, u64), Error> {
        self.control.linearizable_revision().await?;
        let row = self.control.row(CLUSTER_MEMBERS).map_err(|_| Error::Unknown)?;
        match row {
            Some(Row { value, revision, .. }) => {
                let row = ClusterMembers::decode(value).map_err(|_| Error::Unknown)?;
                Ok((row, revision))
            }
            None => Ok((self.founded(), 0)),
        }
    }

    /// The founding as the first row: with the addresses that are configured now, since nodes that
    /// are added later have no other.
    fn founded(&self) -> ClusterMembers {
        let mut row = self.members.row();
        for member in &mut row.members {
            if let Some(now) = self.members.iter().find(|now| now.id == member.node_id) {
                member.raft_address = now.raft_address;
                member.api_address = now.api_address;
            }
        }
        row
    }

    /// Whether the row is written; not if it changed meanwhile.
    async fn commit(&self, row: &ClusterMembers, expected_revision: u64) -> Result<bool, Error> {
        let change = RowChange {
            key: CLUSTER_MEMBERS.to_owned(),
            expected_revision,
            value: row.encode_to_vec().into(),
            deleted: false,
        };
        match self.control.commit(vec![change]).await? {
            Committed::Revision(_) => {
                follow::take(row.clone(), &self.members, self.groups.peers());
                Ok(true)
            }
            Committed::Conflict(_) => Ok(false),
        }
    }

    fn reachable(&self) -> std::collections::BTreeSet<u64> {
        let peers = self.groups.peers();
        self.members.ids().into_iter().filter(|id| peers.is_reachable(*id)).collect()
    }

    fn leads(&self) -> bool {
        self.groups.get(GroupId::CONTROL).is_some_and(|control| control.is_leader())
    }
}
