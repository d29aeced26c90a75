//! The first entry of every group, and when this node is ready.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::GroupId;
use tokio::sync::watch;

use super::{Members, placement};
use crate::config::RaftConfig;
use crate::raft::groups::{Error, GroupHandle, Groups};

/// How often a group that has not caught up is asked again.
const RECOVERY_WAIT: Duration = Duration::from_secs(5);

/// Writes the founding members into the groups that have not begun, if any. A node that was added
/// writes nothing: its groups have begun elsewhere, and their leaders bring them here.
///
/// The preferred leader of a group goes first, which spreads the first leaders over the nodes. The
/// others follow after a while, in case it is gone; that is harmless (`Groups::initialise`).
///
/// # Errors
/// When the Raft of a group has failed.
pub async fn begin(groups: &Groups, members: &Members, config: &RaftConfig) -> Result<(), Error> {
    if !members.is_founder() {
        return Ok(());
    }
    let voters = members.founders();
    let first = |group| placement::preferred_leader(group, &voters);
    let (own, others): (Vec<_>, Vec<_>) =
        groups.iter().partition(|handle| first(handle.group) == Some(members.own_id()));
    for handle in own {
        Groups::initialise(handle, &voters).await?;
    }
    let patience = config.election_timeout_max() * 4;
    let unbegun = others.into_iter().map(|handle| {
        let voters = &voters;
        async move {
            if wait_begun(handle, patience).await {
                return Ok(());
            }
            tracing::info!(group = %handle.group, "its first leader is away, beginning it here");
            Groups::initialise(handle, voters).await
        }
    });
    futures_util::future::try_join_all(unbegun).await.map(drop)
}

/// Whether the group has an entry, or has heard of an election, before the deadline.
async fn wait_begun(handle: &GroupHandle, deadline: Duration) -> bool {
    let begun = handle.raft.wait(Some(deadline));
    begun
        .metrics(|metrics| metrics.last_log_index.is_some() || metrics.current_term > 0, "begun")
        .await
        .is_ok()
}

/// Whether this node may get traffic: every group has once caught up with what was committed.
/// Latched: a group without a leader later is not this node's fault, and taking all nodes out of
/// service for it would make it worse.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<bool>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Readiness {
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.0.borrow()
    }

    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Waits until every group has caught up, then latches.
    pub async fn latch(self, groups: Groups) {
        futures_util::future::join_all(groups.iter().map(caught_up)).await;
        self.0.send_replace(true);
        tracing::info!("ready: every group has caught up");
    }
}

async fn caught_up(handle: &GroupHandle) -> GroupId {
    loop {
        match handle.raft.wait_for_recovery(Some(RECOVERY_WAIT)).await {
            Ok(_) => return handle.group,
            Err(error) => {
                tracing::info!(group = %handle.group, %error, "waiting for the group to catch up");
                // A wait that fails at once means that this Raft has stopped; its probe says so.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
