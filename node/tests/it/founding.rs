//! One cluster, whatever the order of starts, crashes and lost disks.

use std::collections::BTreeSet;
use std::time::Duration;

use axp_node::config::PeerConfig;
use axp_node::net::Dial;
use axp_node::node::Error;
use axp_node::raft::peer::connect;
use axp_proto::ids::GroupId;
use axp_proto::raft::{HelloRequest, HelloResponse};
use tokio::time::timeout;

use crate::support::{Cluster, PATIENCE, eventually};

const CONTROL: GroupId = GroupId::CONTROL;

fn cluster_ids(cluster: &Cluster) -> BTreeSet<String> {
    let id = |node: &crate::support::Running| node.handle.context().members.cluster_id().to_owned();
    cluster.nodes.values().map(id).collect()
}

async fn hello(peer: &PeerConfig, from: u64) -> Result<HelloResponse, tonic::Status> {
    let mut client = connect(&peer.raft_address, &Dial::default()).unwrap();
    let incarnation = "test".to_owned();
    let request = HelloRequest { from_node_id: from, incarnation, ..HelloRequest::default() };
    Ok(client.hello(request).await?.into_inner())
}

/// Waits until the node answers hello, that is until its identity is on disk.
async fn wait_hello(peer: &PeerConfig, from: u64) -> HelloResponse {
    let answers = async {
        loop {
            if let Ok(answer) = hello(peer, from).await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, answers).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_starts_founds_one_cluster() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let mut cluster = Cluster::new(3, |_| {}).await;
        let mut starts = Vec::new();
        for id in order {
            // Nobody founds a cluster before the last one is there.
            assert!(
                starts
                    .iter()
                    .all(|(_, start): &(u64, tokio::task::JoinHandle<_>)| !start.is_finished())
            );
            starts.push((id, cluster.spawn(id)));
            let peer = &cluster.peers[usize::try_from(id - 1).unwrap()];
            wait_hello(peer, if id == 1 { 2 } else { 1 }).await;
        }
        for (id, start) in starts {
            cluster.nodes.insert(id, timeout(PATIENCE, start).await.unwrap().unwrap().unwrap());
        }
        cluster.wait_ready().await;
        assert_eq!(cluster_ids(&cluster).len(), 1, "order {order:?}");
        for group in cluster.nodes[&1].groups() {
            let leader = cluster.write(group, "key", "value").await;
            for id in 1..=3 {
                cluster.has(id, group, "key", "value").await;
            }
            assert!((1..=3).contains(&leader));
        }
        cluster.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_waiting_changes_nothing() {
    let mut cluster = Cluster::new(3, |_| {}).await;
    let (one, two) = (cluster.spawn(1), cluster.spawn(2));
    let before = wait_hello(&cluster.peers[1], 1).await;
    assert!(before.founding.is_none(), "node 3 has not been heard");
    two.abort();
    assert!(two.await.is_err());
    assert!(!one.is_finished());

    let (two, three) = (cluster.spawn(2), cluster.spawn(3));
    for (id, start) in [(1, one), (2, two), (3, three)] {
        cluster.nodes.insert(id, timeout(PATIENCE, start).await.unwrap().unwrap().unwrap());
    }
    let after = hello(&cluster.peers[1], 1).await.unwrap();
    assert_eq!(after.incarnation, before.incarnation, "the disk kept who it is");
    assert_eq!(cluster_ids(&cluster).len(), 1);
    cluster.write(CONTROL, "key", "value").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founder_that_crashes_before_anybody_knows_comes_back_with_its_founding() {
    let mut cluster = Cluster::new(3, |_| {}).await;
    let starts = [cluster.spawn(1), cluster.spawn(2), cluster.spawn(3)];
    // The founder is stopped as soon as it tells of a founding; the others may or may not have it.
    let founded = async {
        loop {
            if let Ok(HelloResponse { founding: Some(founding), .. }) =
                hello(&cluster.peers[0], 2).await
            {
                return founding;
            }
        }
    };
    let founding = timeout(PATIENCE, founded).await.unwrap();
    let [one, two, three] = starts;
    one.abort();
    if let Ok(Ok(node)) = one.await {
        node.handle.abandon().await;
    }
    let one = cluster.spawn(1);
    for (id, start) in [(1, one), (2, two), (3, three)] {
        cluster.nodes.insert(id, timeout(PATIENCE, start).await.unwrap().unwrap().unwrap());
    }
    assert_eq!(cluster_ids(&cluster), BTreeSet::from([founding.cluster_id]));
    cluster.write(CONTROL, "key", "value").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_disk_is_refused_with_what_to_do() {
    let mut cluster = Cluster::started(3, |_| {}).await;
    // The lowest id too: it must not found a second cluster.
    for id in [1, 3] {
        cluster.kill(id).await;
        let kept = cluster.dir_aside(id);
        let refused = timeout(PATIENCE, cluster.spawn(id)).await.unwrap().unwrap();
        let error = refused.err().expect("a wiped node must not start");
        assert!(matches!(error, Error::Founding(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("data was lost") && text.contains("new id"), "{text}");
        // With its old disk it is welcome.
        cluster.dir_back(id, &kept);
        cluster.start(id).await;
    }
    cluster.wait_ready().await;
    cluster.write(CONTROL, "key", "value").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_nobody_lists_founds_nothing() {
    let cluster = Cluster::new(3, |_| {}).await;
    let (two, three) = (cluster.spawn(2), cluster.spawn(3));
    for peer in &cluster.peers[1..] {
        wait_hello(peer, 1).await;
        let status = hello(peer, 9).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
        assert!(status.message().contains("cluster.peers"), "{status}");
    }
    for start in [two, three] {
        start.abort();
        assert!(start.await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_to_a_founded_cluster_waits() {
    let mut cluster = Cluster::started(3, |_| {}).await;
    let mut config = cluster.config(4);
    config.node.data_dir = cluster.data_dir(4);
    config.node.api_listen = "127.0.0.1:0".to_owned();
    config.node.raft_listen = "127.0.0.1:0".to_owned();
    let stranger = tokio::spawn(axp_node::Node::start(config));
    // It asks, and every member hears it.
    for node in cluster.nodes.values() {
        let waiting = &node.handle.context().waiting;
        eventually("the stranger asks", || {
            waiting.nodes().iter().any(|(node, _)| node.node_id == 4).then_some(())
        })
        .await;
    }
    assert!(!stranger.is_finished(), "nobody has let it in");
    stranger.abort();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_belongs_to_one_node() {
    let mut cluster = Cluster::started(1, |_| {}).await;
    cluster.kill(1).await;
    let mut config = cluster.config(1);
    config.node.id = 2;
    config.cluster.peers.clear();
    let refused = timeout(PATIENCE, axp_node::Node::start(config)).await.unwrap();
    let text = refused.expect_err("the disk is node 1's").to_string();
    assert!(text.contains("set node.id = 1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_founds_serves_and_restarts() {
    let mut cluster = Cluster::started(1, |_| {}).await;
    cluster.write(GroupId(2), "key", "value").await;
    cluster.kill(1).await;
    cluster.start(1).await;
    cluster.wait_ready().await;
    assert_eq!(cluster.nodes[&1].read(GroupId(2), "key").as_deref(), Some("value"));
    cluster.shutdown().await;
}
