//! Keeps the logs short: takes snapshots and drops the entries before them, one group at a time.
//!
//! openraft's own policy is off. It would take snapshots of all groups at once, and dropping
//! entries that a reachable follower still needs ends in snapshot transfers and has met a bug
//! (openraft#2116). So a leader drops only what every reachable replica has, and everybody keeps
//! a tail from which a replica that was away for a while catches up.

use std::time::Duration;

use axp_raft_store::TypeConfig;
use openraft::{LogIdOptionExt as _, RaftMetrics};

use super::groups::{GroupHandle, Groups};
use super::peer::Peers;
use crate::config::RaftConfig;

/// How long a snapshot may take to be built, and a purge to happen, before the next group's turn.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(300);
const PURGE_DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn run(groups: Groups, peers: Peers, config: RaftConfig) {
    let interval = config.janitor_interval();
    // The nodes take turns, so that not all replicas of a group build a snapshot together.
    tokio::time::sleep(interval / 8 * u32::try_from(peers.node_id() % 8).unwrap_or(0)).await;
    loop {
        tokio::time::sleep(interval).await;
        for handle in groups.iter() {
            if let Err(reason) = tidy(handle, &peers, &config).await {
                tracing::warn!(group = %handle.group, reason, "the log was not compacted");
            }
        }
    }
}

async fn tidy(handle: &GroupHandle, peers: &Peers, config: &RaftConfig) -> Result<(), String> {
    let metrics = handle.metrics();
    let Some(applied) = metrics.last_applied.index() else {
        return Ok(());
    };
    let kept_from = metrics.purged.next_index();
    if applied.saturating_sub(kept_from) < config.keep_entries + config.snapshot_after_entries {
        return Ok(());
    }
    let raft = &handle.raft;
    raft.trigger().snapshot().await.map_err(|error| error.to_string())?;
    let metrics = raft
        .wait(Some(SNAPSHOT_DEADLINE))
        .metrics(|metrics| metrics.snapshot.index() >= Some(applied), "snapshot taken")
        .await
        .map_err(|error| error.to_string())?;
    let upto = purge_upto(&metrics, config.keep_entries, |id| peers.is_reachable(id));
    let Some(upto) = upto.filter(|upto| *upto >= kept_from) else {
        return Ok(());
    };
    raft.trigger().purge_log(upto).await.map_err(|error| error.to_string())?;
    // openraft waits with the purge while replication reads what is to go.
    let purged = raft
        .wait(Some(PURGE_DEADLINE))
        .metrics(|metrics| metrics.purged.index() >= Some(upto), "log purged")
        .await;
    tracing::info!(group = %handle.group, upto, done = purged.is_ok(), "log compacted");
    Ok(())
}

/// Up to where the log may go: inside the snapshot, before the tail, and on a leader nothing that
/// a reachable replica lacks.
fn purge_upto(
    metrics: &RaftMetrics<TypeConfig>,
    keep: u64,
    is_reachable: impl Fn(u64) -> bool,
) -> Option<u64> {
    let snapshot = metrics.snapshot.index()?;
    let before_tail = metrics.last_applied.index()?.checked_sub(keep)?;
    let mut upto = snapshot.min(before_tail);
    for (id, matched) in metrics.replication.iter().flatten() {
        if *id != metrics.id && is_reachable(*id) {
            upto = upto.min(matched.index()?);
        }
    }
    Some(upto)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axp_proto::raft;
    use axp_raft_store::LogId;
    use axp_raft_store::wire::log_id_from_proto;

    use super::*;

    fn at(index: u64) -> Option<LogId> {
        Some(log_id_from_proto(&raft::LogId { term: 1, node_id: 1, index }).unwrap())
    }

    fn metrics(applied: u64, snapshot: u64) -> RaftMetrics<TypeConfig> {
        let mut metrics = RaftMetrics::new_initial(1);
        metrics.last_applied = at(applied);
        metrics.snapshot = at(snapshot);
        metrics
    }

    #[test]
    fn the_tail_and_what_the_snapshot_lacks_stay() {
        assert_eq!(purge_upto(&metrics(1000, 1000), 100, |_| true), Some(900));
        assert_eq!(purge_upto(&metrics(1000, 500), 100, |_| true), Some(500));
        assert_eq!(purge_upto(&metrics(50, 50), 100, |_| true), None);
        assert_eq!(purge_upto(&RaftMetrics::new_initial(1), 0, |_| true), None);
    }

    #[test]
    fn a_leader_keeps_what_a_reachable_replica_lacks() {
        let mut metrics = metrics(1000, 1000);
        metrics.replication = Some(BTreeMap::from([(1, at(1000)), (2, at(300)), (3, at(950))]));
        assert_eq!(purge_upto(&metrics, 100, |_| true), Some(300));
        assert_eq!(purge_upto(&metrics, 100, |id| id != 2), Some(900));
        metrics.replication = Some(BTreeMap::from([(1, at(1000)), (2, None)]));
        assert_eq!(purge_upto(&metrics, 100, |_| true), None, "it has nothing yet");
        assert_eq!(purge_upto(&metrics, 100, |_| false), Some(900));
    }
}
