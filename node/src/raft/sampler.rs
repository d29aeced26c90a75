//! Publishes what Raft says about every group, every few seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_raft_store::TypeConfig;
use openraft::{LogIdOptionExt as _, RaftMetrics, ServerState};

use super::groups::Groups;
use super::peer::Peers;
use crate::metrics as names;

const INTERVAL: Duration = Duration::from_secs(5);
/// A replica further behind than this counts as missing.
const LAG_MAX: u64 = 10_000;

pub(super) async fn run(groups: Groups, peers: Peers) {
    let mut leaders = BTreeMap::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        sample(&groups, &peers, &mut leaders);
    }
}

fn sample(groups: &Groups, peers: &Peers, leaders: &mut BTreeMap<GroupId, (u64, Option<u64>)>) {
    let (mut led, mut under_replicated) = (0_u32, 0_u32);
    for handle in groups.iter() {
        let metrics = handle.metrics();
        let is_leader = metrics.state == ServerState::Leader;
        if is_leader {
            led += 1;
            under_replicated += u32::from(lacks_replicas(&metrics, peers));
        }
        publish(handle.group, &metrics);
        count_change(handle.group, &metrics, leaders);
    }
    metrics::gauge!(names::RAFT_LEADERS).set(f64::from(led));
    metrics::gauge!(names::RAFT_UNDER_REPLICATED).set(f64::from(under_replicated));
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floating point; 2^53 entries are far off"
)]
fn publish(group: GroupId, metrics: &RaftMetrics<TypeConfig>) {
    let set = |name: &'static str, value: u64| {
        metrics::gauge!(name, "group" => group.to_string()).set(value as f64);
    };
    let applied = metrics.last_applied.next_index();
    let committed =
        metrics.cluster_committed.next_index().max(metrics.local_committed.next_index());
    set(names::RAFT_HAS_LEADER, u64::from(metrics.current_leader.is_some()));
    set(names::RAFT_IS_LEADER, u64::from(metrics.state == ServerState::Leader));
    set(names::RAFT_TERM, metrics.current_term);
    set(names::RAFT_COMMIT_INDEX, committed.saturating_sub(1));
    set(names::RAFT_APPLIED_INDEX, applied.saturating_sub(1));
    set(names::RAFT_APPLY_LAG, committed.saturating_sub(applied));
    let last = metrics.last_log_index.map_or(0, |last| last + 1);
    set(names::RAFT_LOG_ENTRIES, last.saturating_sub(metrics.purged.next_index()));
}

/// The first leader is no change; the same leader in a new term is one, since its group stood
/// still in between.
fn count_change(
    group: GroupId,
    metrics: &RaftMetrics<TypeConfig>,
    leaders: &mut BTreeMap<GroupId, (u64, Option<u64>)>,
) {
    if metrics.current_leader.is_none() {
        return;
    }
    let now = (metrics.current_term, metrics.current_leader);
    if leaders.insert(group, now).is_some_and(|before| before != now) {
        metrics::counter!(names::RAFT_LEADER_CHANGES, "group" => group.to_string()).increment(1);
    }
}

fn lacks_replicas(metrics: &RaftMetrics<TypeConfig>, peers: &Peers) -> bool {
    let last = metrics.last_log_index.unwrap_or(0);
    metrics.replication.iter().flatten().any(|(id, matched)| {
        !peers.is_reachable(*id) || last.saturating_sub(matched.index().unwrap_or(0)) > LAG_MAX
    })
}
