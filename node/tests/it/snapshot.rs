//! The log is compacted, and who missed too much of it gets a snapshot.

use std::time::Duration;

use axp_node::raft::state_hash::StateHasher;
use axp_proto::ids::GroupId;
use openraft::LogIdOptionExt as _;
use tokio::time::Instant;

use crate::support::{Cluster, PATIENCE, Running, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_behind_the_purged_log_catches_up_by_snapshot() {
    let mut cluster = Cluster::started(3, |config| {
        config.raft.snapshot_after_entries = 50;
        config.raft.keep_entries = 20;
        config.raft.janitor_interval_ms = 50;
    })
    .await;
    let group = GroupId(1);
    let away = 1 + cluster.leader(group).await % 3;
    let had = cluster.nodes[&away].group(group).metrics().last_log_index;
    cluster.kill(away).await;
    // Big enough for several chunks.
    let value = "x".repeat(20_000);
    for index in 0..200 {
        cluster.write(group, &format!("key-{index}"), &value).await;
    }
    let leader = &cluster.nodes[&cluster.leader(group).await];
    let purged = eventually("the log purged beyond what the follower had", || {
        let purged = leader.group(group).metrics().purged.index();
        (purged > had).then_some(purged)
    })
    .await;

    cluster.start(away).await;
    cluster.wait_ready().await;
    cluster.has(away, group, "key-199", &value).await;
    let back = &cluster.nodes[&away];
    for index in 0..200 {
        assert!(back.read(group, &format!("key-{index}")).is_some(), "key-{index}");
    }
    // From a log that began behind what it had, only a snapshot could bring it here.
    assert!(back.group(group).metrics().purged.index() >= purged);
    cluster.write(group, "after", "y").await;
    cluster.has(away, group, "after", "y").await;
    assert_states_are_equal(&cluster, group).await;
    assert_eq!(back.handle.context().tasks.fatal().reason(), None);
    cluster.shutdown().await;
}

/// What came by snapshot is what came by the log, on all nodes at once.
async fn assert_states_are_equal(cluster: &Cluster, group: GroupId) {
    let hash = async |node: &Running| {
        StateHasher::default().hash(node.group(group), None, Duration::ZERO).await.unwrap()
    };
    let until = Instant::now() + PATIENCE;
    loop {
        let hashes = futures_util::future::join_all(cluster.nodes.values().map(hash)).await;
        let first = hashes[0];
        if hashes.iter().all(|hash| hash.applied_index == first.applied_index) {
            assert!(first.digest.rows > 200, "{first:?}");
            assert!(hashes.iter().all(|hash| hash.digest == first.digest), "{hashes:?}");
            return;
        }
        assert!(Instant::now() < until, "{hashes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_short_on_every_replica() {
    let mut cluster = Cluster::started(3, |config| {
        config.raft.snapshot_after_entries = 50;
        config.raft.keep_entries = 20;
        config.raft.janitor_interval_ms = 50;
    })
    .await;
    let group = GroupId(2);
    for index in 0..150 {
        cluster.write(group, &format!("key-{index}"), "x").await;
    }
    for node in cluster.nodes.values() {
        eventually("a purged log with its tail", || {
            let metrics = node.group(group).metrics();
            let kept = metrics.last_log_index? - metrics.purged.index()?;
            (20..=70).contains(&kept).then_some(())
        })
        .await;
    }
    cluster.shutdown().await;
}
