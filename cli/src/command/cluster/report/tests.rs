use axp_proto::node::{ReplicaLag, StatusResponse};

use super::*;

const LAG_MAX: u64 = 100;

/// One group with three voters; `leader` leads it in `term`.
fn node(node_id: u64, leader: u64, term: u64) -> Answer {
    let replication = [1, 2, 3]
        .into_iter()
        .filter(|id| node_id == leader && *id != leader)
        .map(|node_id| ReplicaLag { node_id, matched_index: 50, lag_entries: 0 });
    let group = GroupStatus {
        group: 1,
        role: if node_id == leader { "leader" } else { "follower" }.into(),
        term,
        leader_id: leader,
        committed_index: 50,
        applied_index: 50,
        voters: vec![1, 2, 3],
        replication: replication.collect(),
        ..GroupStatus::default()
    };
    let status = StatusResponse {
        cluster_id: "c".into(),
        node_id,
        ready: true,
        groups: vec![group],
        ..StatusResponse::default()
    };
    Answer { address: format!("node-{node_id}:1"), status: Ok(status) }
}

fn dead(node_id: u64) -> Answer {
    Answer { address: format!("node-{node_id}:1"), status: Err("connection refused".into()) }
}

fn judge(answers: &[Answer]) -> (Health, Vec<String>) {
    let report = Report::new(answers, LAG_MAX);
    (report.health, report.problems)
}

#[test]
fn three_nodes_that_agree_are_healthy() {
    assert_eq!(judge(&[node(1, 2, 7), node(2, 2, 7), node(3, 2, 7)]), (Health::Healthy, vec![]));
}

#[test]
fn a_dead_follower_degrades() {
    let (health, problems) = judge(&[node(1, 2, 7), node(2, 2, 7), dead(3)]);
    assert_eq!(health, Health::Degraded);
    assert_eq!(
        problems,
        ["node-3:1 does not answer: connection refused", "group 1 misses its voter 3"]
    );
}

#[test]
fn a_deposed_leader_is_not_believed() {
    let (health, problems) = judge(&[node(1, 1, 6), node(2, 3, 7), dead(3)]);
    assert_eq!(health, Health::Unavailable, "{problems:?}");
}

#[test]
fn a_voter_far_behind_degrades() {
    let mut leader = node(1, 1, 7);
    leader.status.as_mut().unwrap().groups[0].replication[1].lag_entries = LAG_MAX + 1;
    let (health, problems) = judge(&[leader, node(2, 1, 7), node(3, 1, 7)]);
    assert_eq!(health, Health::Degraded);
    assert_eq!(problems, ["group 1 is 101 entries behind on node 3"]);
}

#[test]
fn nodes_of_two_clusters_are_no_cluster() {
    let mut stranger = node(3, 1, 7);
    stranger.status.as_mut().unwrap().cluster_id = "d".into();
    assert_eq!(judge(&[node(1, 1, 7), node(2, 1, 7), stranger]).0, Health::Unavailable);
}

#[test]
fn nobody_home_is_unavailable() {
    assert_eq!(judge(&[dead(1), dead(2)]).0, Health::Unavailable);
}
