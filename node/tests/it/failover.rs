//! A leader dies; nothing that was acknowledged is lost.

use axp_proto::ids::GroupId;
use tokio::time::Instant;

use crate::support::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_leader_acknowledged_is_there() {
    let mut cluster = Cluster::started(3, |_| {}).await;
    let group = GroupId(1);
    for index in 0..50 {
        cluster.write(group, &format!("before-{index}"), "x").await;
    }
    let old = cluster.leader(group).await;
    cluster.kill(old).await;
    let killed = Instant::now();
    let new = cluster.write(group, "after", "y").await;
    println!("writable {:?} after the kill", killed.elapsed());
    assert_ne!(new, old);
    for (id, node) in &cluster.nodes {
        cluster.has(*id, group, "after", "y").await;
        for index in 0..50 {
            let key = format!("before-{index}");
            assert_eq!(node.read(group, &key).as_deref(), Some("x"), "{key} on node {id}");
        }
    }
    cluster.start(old).await;
    cluster.wait_ready().await;
    cluster.has(old, group, "after", "y").await;
    cluster.shutdown().await;
}

/// With the elections that timeouts bring switched off, only the evidence of a death can elect.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_process_is_gone_is_replaced_at_once() {
    let mut cluster = Cluster::started(3, |_| {}).await;
    for group in [0, 1, 2].map(GroupId) {
        cluster.write(group, "before", "x").await;
    }
    let old = cluster.leader(GroupId(1)).await;
    for node in cluster.nodes.values() {
        for group in node.groups() {
            node.group(group).raft.runtime_config().elect(false);
        }
    }
    cluster.kill(old).await;
    for group in [0, 1, 2].map(GroupId) {
        let new = cluster.write(group, "after", "y").await;
        assert_ne!(new, old);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_cluster_comes_back_with_everything() {
    let mut cluster = Cluster::started(3, |_| {}).await;
    for group in [0, 1, 2].map(GroupId) {
        cluster.write(group, "key", &format!("of {group}")).await;
    }
    cluster.shutdown().await;
    let starts: Vec<_> = (1..=3).map(|id| cluster.spawn(id)).collect();
    for (id, start) in (1..).zip(starts) {
        cluster.nodes.insert(id, start.await.unwrap().unwrap());
    }
    cluster.wait_ready().await;
    for group in [0, 1, 2].map(GroupId) {
        for id in 1..=3 {
            cluster.has(id, group, "key", &format!("of {group}")).await;
        }
    }
    cluster.shutdown().await;
}
