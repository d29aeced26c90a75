//! Networks that are cut in one direction, or for one node.

use axp_proto::ids::GroupId;
use tokio::time::{Duration, Instant, sleep};

use crate::cut::Rule;
use crate::support::{Cluster, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_heard_but_hears_nothing_is_replaced() {
    let mut cluster = Cluster::started(3, |_| {}).await;
    let group = GroupId(1);
    let old = cluster.write(group, "before", "x").await;
    for other in (1..=3).filter(|id| *id != old) {
        cluster.link(old, other, Rule::LOSES_ANSWERS);
    }
    let cut = Instant::now();
    // Keep the old leader busy: every append it repeats would renew its followers' leases.
    let busy = cluster.nodes[&old].group(group).raft.clone();
    let nagging = tokio::spawn(async move {
        loop {
            let write = busy.client_write(crate::kv::put("lost", "never acknowledged"));
            if tokio::time::timeout(Duration::from_millis(50), write).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let new = eventually("another leader", || {
        cluster.nodes.iter().find(|(id, node)| **id != old && node.leads(group)).map(|(id, _)| *id)
    })
    .await;
    println!("another leader {:?} after the cut", cut.elapsed());
    assert_eq!(cluster.write(group, "during", "y").await, new);
    println!("writable {:?} after the cut", cut.elapsed());
    assert!(cut.elapsed() < Duration::from_secs(10), "took {:?}", cut.elapsed());
    nagging.abort();

    cluster.heal();
    for id in 1..=3 {
        cluster.has(id, group, "during", "y").await;
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_answers_no_pings_is_sent_nothing_that_renews_a_lease() {
    let mut cluster = Cluster::started(3, |_| {}).await;
    let group = GroupId(1);
    let old = cluster.write(group, "before", "x").await;
    let node = &cluster.nodes[&old];
    assert!(node.cuts.sent(&["append", "heartbeat"]) > 0, "the count sees what is sent");
    for other in (1..=3).filter(|id| *id != old) {
        cluster.link(old, other, Rule::LOSES_ANSWERS);
    }
    let peers = node.handle.context().groups.peers();
    eventually("both breakers open", || {
        peers.iter().all(|peer| peer.breaker().is_open()).then_some(())
    })
    .await;
    // A call that was let through just before is counted by now.
    sleep(Duration::from_millis(200)).await;
    let renewing = || node.cuts.sent(&["append", "heartbeat", "snapshot"]);
    let pings = || node.cuts.sent(&["ping"]);
    let (before, from) = (renewing(), pings());
    // Something to replicate, should it still believe that it leads.
    let proposal = node.group(group).raft.client_write(crate::kv::put("lost", "never"));
    assert!(
        !matches!(tokio::time::timeout(Duration::from_secs(1), proposal).await, Ok(Ok(_))),
        "nobody could acknowledge it"
    );
    eventually("pings go on", || (pings() >= from + 10).then_some(())).await;
    assert_eq!(renewing(), before, "appends, heartbeats or snapshots were sent");
    cluster.heal();
    eventually("both breakers closed", || {
        peers.iter().all(|peer| !peer.breaker().is_open()).then_some(())
    })
    .await;
    cluster.write(group, "after", "y").await;
    cluster.has(old, group, "after", "y").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolated_follower_comes_back_without_deposing_the_leader() {
    let mut cluster = Cluster::started(3, |_| {}).await;
    let group = GroupId(1);
    let leader = cluster.write(group, "before", "x").await;
    let term = cluster.nodes[&leader].group(group).metrics().current_term;
    let away = 1 + leader % 3;
    cluster.isolate(away);
    let peers = cluster.nodes[&leader].handle.context().groups.peers().clone();
    eventually("the breaker opens", || {
        peers.get(away).is_some_and(|peer| peer.breaker().is_open()).then_some(())
    })
    .await;
    // Long enough for several elections that it cannot win.
    sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.write(group, "during", "y").await, leader);

    cluster.heal();
    cluster.has(away, group, "during", "y").await;
    let metrics = cluster.nodes[&away].group(group).metrics();
    assert_eq!((metrics.current_leader, metrics.current_term), (Some(leader), term));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolated_leader_is_replaced_and_follows_after_the_heal() {
    let mut cluster = Cluster::started(3, |_| {}).await;
    let group = GroupId(2);
    let old = cluster.write(group, "before", "x").await;
    cluster.isolate(old);
    let new = eventually("another leader", || {
        cluster.nodes.iter().find(|(id, node)| **id != old && node.leads(group)).map(|(id, _)| *id)
    })
    .await;
    assert_eq!(cluster.write(group, "during", "y").await, new);
    assert_eq!(cluster.nodes[&old].read(group, "during"), None, "it is cut off");
    cluster.heal();
    cluster.has(old, group, "during", "y").await;
    cluster.shutdown().await;
}
