//! Whether a majority still answers this leader.
//!
//! A leader that is cut off goes on leading for itself until it hears of another term, and what it
//! is asked meanwhile would wait for nothing. By the time it is silent for an election timeout the
//! others elect: then it says so, and callers look for the next leader at once.

use std::sync::Arc;
use std::time::Duration;

use axp_raft_store::Raft;
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;

use crate::shard::handle::Shard;

/// Tells the shard for as long as it is polled, and has nothing to tell of a replica that is a
/// majority by itself.
pub(super) async fn follow(shard: Arc<Shard>) {
    if voters(&shard.raft) <= 1 {
        return std::future::pending().await;
    }
    let config = shard.raft.config();
    let patience_ms = config.election_timeout_max + config.heartbeat_interval;
    let patience = Duration::from_millis(patience_ms);
    let mut metrics = shard.raft.data_metrics();
    loop {
        // Not told yet: but the barrier that began this term was answered.
        let acked = metrics.borrow_watched().last_quorum_acked;
        let silent = acked.map(|acked| acked.elapsed()).unwrap_or_default();
        match patience.checked_sub(silent) {
            Some(left) if !left.is_zero() => {
                shard.set_heard(true);
                tokio::time::sleep(left).await;
            }
            Some(_) | None => {
                shard.set_heard(false);
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

fn voters(raft: &Raft) -> usize {
    raft.server_metrics().borrow_watched().membership_config.membership().voter_ids().count()
}
