//! Who leads: hands all leadership over before a stop, and moves it back to an even spread.

use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_raft_store::TypeConfig;
use openraft::{LogIdOptionExt as _, RaftMetrics, ServerState};
use tokio::time::Instant;

use super::Members;
use crate::metrics as names;
use crate::raft::{GroupHandle, Groups, Peers};

/// How long one target may take to win its election before another one is tried.
const TRANSFER_DEADLINE: Duration = Duration::from_secs(1);
/// A peer must have answered pings for this long before it is given leadership back.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// How far behind a new leader may be: it catches up within one append.
const LAG_MAX: u64 = 64;
const PAUSE: Duration = Duration::from_millis(20);

/// A leadership that could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this node does not lead group {0}")]
    NotLeader(GroupId),
    #[error("node {to} cannot lead group {group}: it is no voter, or unreachable")]
    BadTarget { group: GroupId, to: u64 },
    #[error("node {to} did not take the leadership of group {group} in time")]
    NotTaken { group: GroupId, to: u64 },
    #[error("raft of group {0} has stopped")]
    Stopped(GroupId),
}

/// Hands over one group and waits until the new leader is known here.
///
/// # Errors
/// When this node does not lead the group, or the target does not take it.
pub async fn transfer(handle: &GroupHandle, to: u64, reason: &'static str) -> Result<(), Error> {
    let group = handle.group;
    let metrics = handle.metrics();
    if metrics.state != ServerState::Leader {
        return Err(Error::NotLeader(group));
    }
    let is_voter = metrics.membership_config.membership().voter_ids().any(|id| id == to);
    if !is_voter || to == metrics.id {
        return Err(Error::BadTarget { group, to });
    }
    handle.raft.trigger().transfer_leader(to).await.map_err(|_| Error::Stopped(group))?;
    let moved = |metrics: &RaftMetrics<TypeConfig>| {
        metrics.current_leader.is_some_and(|leader| leader != metrics.id)
    };
    let taken = handle.raft.wait(Some(TRANSFER_DEADLINE)).metrics(moved, "leadership moved").await;
    taken.map_err(|_| Error::NotTaken { group, to })?;
    metrics::counter!(names::RAFT_TRANSFERS, "reason" => reason).increment(1);
    Ok(())
}

/// Hands over every group that this node leads, all at once, until none is left or the deadline
/// passes. Answers how many are left.
pub async fn transfer_all(groups: &Groups, deadline: Duration) -> usize {
    let until = Instant::now() + deadline;
    let leaving = groups.iter().map(|handle| leave(handle, groups.peers(), until));
    futures_util::future::join_all(leaving).await.into_iter().filter(|left| !left).count()
}

/// Tries one target after the other; answers whether somebody else leads now.
async fn leave(handle: &GroupHandle, peers: &Peers, until: Instant) -> bool {
    // No election from here any more: the group would come back to a node that is leaving.
    handle.raft.runtime_config().elect(false);
    let mut tried = Vec::new();
    while Instant::now() < until {
        let metrics = handle.metrics();
        if metrics.state != ServerState::Leader {
            return true;
        }
        let candidates = candidates(&metrics, |id| {
            peers
                .get(id)
                .is_some_and(|peer| !peer.breaker().is_open() && !peer.breaker().is_draining())
        });
        if candidates.is_empty() && metrics.membership_config.membership().voter_ids().count() == 1
        {
            return false;
        }
        // All were tried: begin again with the best one.
        if candidates.iter().all(|id| tried.contains(id)) {
            tried.clear();
        }
        let Some(to) = candidates.into_iter().find(|id| !tried.contains(id)) else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        tried.push(to);
        match tokio::time::timeout_at(until, transfer(handle, to, "drain")).await {
            Ok(Ok(()) | Err(Error::NotLeader(_) | Error::Stopped(_))) => return true,
            Ok(Err(error)) => tracing::warn!(group = %handle.group, %error, "trying another node"),
            Err(_) => break,
        }
    }
    handle.metrics().state != ServerState::Leader
}

/// The other voters that could lead now, the best first: what it lacks it must receive before it
/// can win.
fn candidates(metrics: &RaftMetrics<TypeConfig>, is_well: impl Fn(u64) -> bool) -> Vec<u64> {
    let matched = |id: u64| {
        metrics.replication.as_ref().and_then(|all| all.get(&id)).map_or(0, |log| log.next_index())
    };
    let voters = metrics.membership_config.membership().voter_ids();
    let mut well: Vec<u64> = voters.filter(|id| *id != metrics.id && is_well(*id)).collect();
    well.sort_by_key(|id| (std::cmp::Reverse(matched(*id)), *id));
    well
}

/// Moves leadership to the preferred leaders, at most one group per round, while all is calm.
pub async fn rebalance(groups: Groups, members: Members, interval: Duration) {
    // The nodes take turns within the interval.
    tokio::time::sleep(interval / 8 * u32::try_from(members.own_id() % 8).unwrap_or(0)).await;
    loop {
        tokio::time::sleep(interval).await;
        if groups.peers().is_draining() {
            return;
        }
        let Some((handle, to)) = misplaced(&groups, &members, interval) else { continue };
        match transfer(handle, to, "rebalance").await {
            Ok(()) => tracing::info!(group = %handle.group, to, "leadership moved to its place"),
            Err(error) => tracing::warn!(group = %handle.group, %error, "leadership not moved"),
        }
    }
}

/// A group led here that another node should lead and could lead at once.
fn misplaced<'a>(
    groups: &'a Groups,
    members: &Members,
    interval: Duration,
) -> Option<(&'a GroupHandle, u64)> {
    let settled_after = SETTLED_AFTER.min(interval * 2);
    groups.iter().find_map(|handle| {
        let to = members.preferred_leader(handle.group);
        let peer = groups.peers().get(to)?;
        let breaker = peer.breaker();
        if breaker.is_draining() || breaker.reachable_for() < settled_after {
            return None;
        }
        let metrics = handle.metrics();
        let is_voter = metrics.membership_config.membership().voter_ids().any(|id| id == to);
        let matched = metrics.replication.as_ref()?.get(&to)?.next_index();
        let last = metrics.last_log_index.map_or(0, |last| last + 1);
        let ready = metrics.state == ServerState::Leader
            && is_voter
            && last.saturating_sub(matched) <= LAG_MAX;
        ready.then_some((handle, to))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use axp_proto::raft;
    use axp_raft_store::wire::log_id_from_proto;
    use axp_raft_store::{LogId, Membership, StoredMembership};

    use super::*;

    fn at(index: u64) -> Option<LogId> {
        Some(log_id_from_proto(&raft::LogId { term: 1, node_id: 1, index }).unwrap())
    }

    #[test]
    fn the_most_advanced_well_voter_is_the_first_candidate() {
        let mut metrics = RaftMetrics::new_initial(1);
        let voters = BTreeSet::from([1, 2, 3, 4]);
        let membership = Membership::new_with_defaults(vec![voters], [9]);
        metrics.membership_config = Arc::new(StoredMembership::new(None, membership));
        metrics.replication =
            Some(BTreeMap::from([(2, at(5)), (3, at(9)), (4, at(9)), (9, at(50))]));
        assert_eq!(candidates(&metrics, |_| true), [3, 4, 2]);
        assert_eq!(candidates(&metrics, |id| id != 3), [4, 2]);
        assert!(candidates(&metrics, |_| false).is_empty());
    }
}
