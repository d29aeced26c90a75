//! Members change while clients write: nothing acknowledged is lost, whoever crashes on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axp_node::Node;
use axp_node::config::{Config, PeerConfig};
use axp_node::node::{Error, Listeners, NodeHandle};
use axp_proto::ids::GroupId;
use axp_proto::log::{RecordAppend, RecordChange, RecordHome, RowChange};
use axp_proto::node::admin_client::AdminClient;
use axp_proto::node::change_members_response::Outcome;
use axp_proto::node::control_client::ControlClient;
use axp_proto::node::shard_client::ShardClient;
use axp_proto::node::{
    ChangeMembersRequest, ClusterMembers, CommitRecordsRequest, CommitRequest, Scope, ShardMap,
    commit_records_response, commit_response,
};
use prost::Message as _;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::support::{Cluster, PATIENCE, eventually, free_address};

const SHARDS: u16 = 2;
/// One node's answer: it may be about to end.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// A change takes a few seconds, and many elections on a machine that is busy with other things.
const CHANGE_PATIENCE: Duration = Duration::from_secs(120);

/// Nodes with everything that a node has: three founders, and whoever is added.
struct Nodes {
    cluster: Cluster,
    handles: BTreeMap<u64, NodeHandle>,
    addresses: BTreeMap<u64, PeerConfig>,
}

impl Nodes {
    async fn started() -> Self {
        let cluster = Cluster::new(3, |_| {}).await;
        let addresses = cluster.peers.iter().map(|peer| (peer.id, peer.clone())).collect();
        let mut nodes = Self { cluster, handles: BTreeMap::new(), addresses };
        let starts: Vec<_> = (1..=3).map(|id| nodes.spawn(id)).collect();
        for (id, start) in (1..).zip(starts) {
            nodes.handles.insert(id, timeout(PATIENCE, start).await.unwrap().unwrap().unwrap());
        }
        nodes
    }

    fn config(&self, id: u64) -> Config {
        let mut config = self.cluster.config(id);
        let own = &self.addresses[&id];
        config.node.api_listen.clone_from(&own.api_address);
        config.node.raft_listen.clone_from(&own.raft_address);
        // A small log, so that whoever comes later gets a snapshot.
        config.raft.snapshot_after_entries = 50;
        config.raft.keep_entries = 20;
        config.raft.janitor_interval_ms = 50;
        config.raft.rebalance_interval_ms = 500;
        config.cluster.shard_groups = SHARDS;
        config
    }

    fn spawn(&self, id: u64) -> JoinHandle<Result<NodeHandle, Error>> {
        tokio::spawn(start(self.config(id)))
    }

    /// Starts a node that founded nothing; it waits until it is added.
    async fn spawn_stranger(&mut self, id: u64) -> JoinHandle<Result<NodeHandle, Error>> {
        let address = PeerConfig {
            id,
            raft_address: free_address().await,
            api_address: free_address().await,
        };
        self.addresses.insert(id, address);
        self.spawn(id)
    }

    async fn start(&mut self, id: u64) {
        let handle = timeout(PATIENCE, self.spawn(id)).await.unwrap().unwrap().unwrap();
        self.handles.insert(id, handle);
    }

    async fn kill(&mut self, id: u64) {
        self.handles.remove(&id).unwrap().abandon().await;
    }

    fn api(&self) -> Vec<String> {
        self.handles.values().map(|node| node.addresses().api.to_string()).collect()
    }

    /// Asks whoever leads the control group, until somebody does.
    async fn ask(&self, request: ChangeMembersRequest) -> Result<ClusterMembers, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            for api in self.api() {
                let asked = async {
                    let mut admin = AdminClient::connect(format!("http://{api}")).await.ok()?;
                    admin.change_members(request.clone()).await.ok()?.into_inner().outcome
                };
                match timeout(ANSWER_PATIENCE, asked).await {
                    Ok(Some(Outcome::Accepted(row))) => return Ok(row),
                    Ok(Some(Outcome::Rejection(rejection))) => return Err(rejection.message),
                    Ok(Some(Outcome::NotLeader(_)) | None) | Err(_) => {}
                }
            }
            assert!(Instant::now() < until, "nobody leads the control group");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a node that runs says that the change is done.
    async fn settled(&self, wanted: &[u64]) {
        let until = Instant::now() + CHANGE_PATIENCE;
        let is_done = |node: &NodeHandle| {
            let row = node.context().members.row();
            row.settled && row.wanted == wanted
        };
        while !self.handles.values().any(is_done) {
            assert!(Instant::now() < until, "not within {CHANGE_PATIENCE:?}: members {wanted:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn control_leader(&self) -> Option<u64> {
        let leads = |node: &NodeHandle| {
            node.context().groups.get(GroupId::CONTROL)?.is_leader().then_some(())
        };
        self.handles.iter().find_map(|(id, node)| leads(node).map(|()| *id))
    }

    /// Every group has these voters and no learners, on every node, and all have the same state
    /// with everything that was acknowledged.
    async fn check(&self, voters: &[u64], acknowledged: &[(GroupId, String)]) {
        let voters: BTreeSet<u64> = voters.iter().copied().collect();
        for group in (0..=SHARDS).map(GroupId) {
            eventually(&format!("group {group} is the same on {voters:?}"), || {
                let mut states = Vec::new();
                for id in &voters {
                    let replica = self.handles[id].context().groups.get(group)?;
                    let metrics = replica.metrics();
                    let membership = metrics.membership_config.membership();
                    let is_so = membership.get_joint_config() == &vec![voters.clone()]
                        && membership.learner_ids().next().is_none();
                    let mut state = Vec::new();
                    let mut all = |key: &[u8], value: &[u8]| {
                        state.push((key.to_vec(), value.to_vec()));
                        ControlFlow::Continue(())
                    };
                    replica.reader.scan(b"", b"", &mut all).unwrap();
                    if !is_so {
                        return None;
                    }
                    states.push(state);
                }
                let same = states.windows(2).all(|pair| pair[0] == pair[1]);
                let keys: Vec<&Vec<u8>> = states[0].iter().map(|(key, _)| key).collect();
                let has = |key: &str| {
                    keys.iter()
                        .any(|known| known.windows(key.len()).any(|part| part == key.as_bytes()))
                };
                let mut mine = acknowledged.iter().filter(|(of, _)| *of == group);
                (same && mine.all(|(_, key)| has(key))).then_some(())
            })
            .await;
        }
    }

    async fn shutdown(self) {
        let stops = self.handles.into_values().map(NodeHandle::abandon);
        futures_util::future::join_all(stops).await;
    }
}

async fn start(config: Config) -> Result<NodeHandle, Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        let started = async {
            let listeners = Listeners::bind(&config.node).await?;
            Node::start_on(config.clone(), listeners).await
        };
        match started.await {
            Err(Error::Listen { .. } | Error::Store(axp_raft_store::Error::Locked { .. }))
                if Instant::now() < until =>
            {
                sleep(Duration::from_millis(10)).await;
            }
            started => return started,
        }
    }
}

/// Clients that write to all groups, and what they were told.
struct Writer {
    api: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    task: JoinHandle<Vec<(GroupId, String)>>,
}

impl Writer {
    fn start(nodes: &Nodes) -> Self {
        let api = Arc::new(Mutex::new(
            nodes.addresses.values().map(|it| it.api_address.clone()).collect(),
        ));
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::default();
        let task = tokio::spawn(write(Arc::clone(&api), Arc::clone(&stop), Arc::clone(&count)));
        Self { api, stop, count, task }
    }

    /// Tells the clients of nodes that came.
    fn tell(&self, nodes: &Nodes) {
        *self.api.lock().unwrap() =
            nodes.addresses.values().map(|it| it.api_address.clone()).collect();
    }

    async fn finish(self) -> Vec<(GroupId, String)> {
        println!("{} acknowledged meanwhile", self.count.load(Ordering::Relaxed));
        eventually("fifty writes are acknowledged", || {
            (self.count.load(Ordering::Relaxed) >= 50).then_some(())
        })
        .await;
        self.stop.store(true, Ordering::Relaxed);
        timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }
}

async fn write(
    api: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
) -> Vec<(GroupId, String)> {
    let mut acknowledged = Vec::new();
    let mut channels: BTreeMap<String, Channel> = BTreeMap::new();
    // Who took the last write of each group is asked first.
    let mut leaders: BTreeMap<GroupId, String> = BTreeMap::new();
    for number in 0_u16.. {
        let group = GroupId(number % (SHARDS + 1));
        let key = format!("key-{number}-");
        // The same write again until somebody has taken it: a conflict is an earlier try.
        loop {
            if stop.load(Ordering::Relaxed) {
                return acknowledged;
            }
            let mut nodes = api.lock().unwrap().clone();
            nodes.sort_by_key(|node| leaders.get(&group) != Some(node));
            let mut taken = false;
            for node in nodes {
                let channel = channels.entry(node.clone()).or_insert_with(|| lazily(&node));
                if try_write(channel.clone(), group, &key).await {
                    leaders.insert(group, node);
                    taken = true;
                    break;
                }
            }
            if taken {
                acknowledged.push((group, key));
                count.fetch_add(1, Ordering::Relaxed);
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
    acknowledged
}

fn lazily(api: &str) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{api}")).unwrap();
    endpoint.connect_timeout(Duration::from_secs(1)).connect_lazy()
}

async fn try_write(channel: Channel, group: GroupId, key: &str) -> bool {
    let write = async {
        if group.is_control() {
            let mut client = ControlClient::new(channel);
            let value = vec![7; 500].into();
            let change = RowChange { key: format!("test/{key}"), value, ..RowChange::default() };
            let answer = client.commit(CommitRequest { changes: vec![change] }).await.ok()?;
            let outcome = answer.into_inner().outcome?;
            let taken = matches!(
                outcome,
                commit_response::Outcome::Committed(_) | commit_response::Outcome::Conflict(_)
            );
            return taken.then_some(());
        }
        let mut client = ShardClient::new(channel);
        let home = RecordHome { workspace_id: String::new(), name: "test".to_owned() };
        let change = RecordChange {
            table: "test".to_owned(),
            id: key.to_owned(),
            value: vec![7; 500].into(),
            ..RecordChange::default()
        };
        let append = RecordAppend { home: Some(home), changes: vec![change] };
        let request = CommitRecordsRequest {
            group: group.into(),
            scope: Some(Scope::default()),
            append: Some(append),
        };
        let outcome = client.commit_records(request).await.ok()?.into_inner().outcome?;
        let taken = matches!(
            outcome,
            commit_records_response::Outcome::Committed(_)
                | commit_records_response::Outcome::Conflict(_)
        );
        taken.then_some(())
    };
    timeout(Duration::from_secs(1), write).await.ok().flatten().is_some()
}

fn add(ids: &[u64], remove: &[u64]) -> ChangeMembersRequest {
    ChangeMembersRequest { add: ids.to_vec(), remove: remove.to_vec(), ..Default::default() }
}

/// Adds nodes as soon as they wait.
async fn added(nodes: &Nodes, request: ChangeMembersRequest) -> ClusterMembers {
    let until = Instant::now() + PATIENCE;
    loop {
        match nodes.ask(request.clone()).await {
            Ok(row) => return row,
            Err(message) if message.contains("does not ask") && Instant::now() < until => {
                sleep(Duration::from_millis(50)).await;
            }
            Err(message) => panic!("{message}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_grows_and_lets_a_founder_go_while_clients_write() {
    let mut nodes = Nodes::started().await;
    let writer = Writer::start(&nodes);
    let fourth = nodes.spawn_stranger(4).await;
    writer.tell(&nodes);
    added(&nodes, add(&[4], &[])).await;
    nodes.handles.insert(4, timeout(PATIENCE, fourth).await.unwrap().unwrap().unwrap());
    nodes.settled(&[1, 2, 3, 4]).await;
    timeout(PATIENCE, nodes.handles[&4].wait_ready()).await.unwrap();

    // A founder goes, which leads something; it hears of it and stops by itself.
    nodes.ask(add(&[], &[1])).await.unwrap();
    nodes.settled(&[2, 3, 4]).await;
    let reason = timeout(PATIENCE, nodes.handles[&1].wait_failed()).await.unwrap();
    assert!(reason.contains("was removed"), "{reason}");
    nodes.kill(1).await;
    let refused = timeout(PATIENCE, nodes.spawn(1)).await.unwrap().unwrap();
    if let Ok(back) = refused {
        // Its own disk does not know it; the others tell it.
        let reason = timeout(PATIENCE, back.wait_failed()).await.unwrap();
        assert!(reason.contains("was removed"), "{reason}");
        back.abandon().await;
    }
    let refused = nodes.ask(add(&[1], &[])).await.unwrap_err();
    assert!(refused.contains("never comes back"), "{refused}");

    let acknowledged = writer.finish().await;
    nodes.check(&[2, 3, 4], &acknowledged).await;
    let map = shard_map(&nodes, 2).await;
    let known: BTreeSet<u64> = map.nodes.iter().map(|node| node.id).collect();
    assert_eq!(known, BTreeSet::from([2, 3, 4]), "gateways hear of it");

    // Everybody at once, as after a loss of power.
    for id in 2..=4 {
        nodes.kill(id).await;
    }
    for id in [4, 3, 2] {
        nodes.start(id).await;
    }
    let writer = Writer::start(&nodes);
    eventually("a leader of the control group", || nodes.control_leader()).await;
    nodes.check(&[2, 3, 4], &acknowledged).await;
    eventually("writes after the restart", || {
        (writer.count.load(Ordering::Relaxed) >= 10).then_some(())
    })
    .await;
    nodes.shutdown().await;
}

async fn shard_map(nodes: &Nodes, members: u64) -> ShardMap {
    eventually("the published map", || {
        let control = nodes.handles[&members].context().groups.get(GroupId::CONTROL)?;
        let row = control.reader.get(b"rshard-map").unwrap()?;
        let row = axp_proto::node::Row::decode(row).unwrap();
        let map = ShardMap::decode(row.value).unwrap();
        (map.nodes.len() == 3 && map.groups[0].node_ids.len() == 3 && map.epoch > 1).then_some(map)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_disk_is_replaced_although_the_driving_leader_crashes() {
    let mut nodes = Nodes::started().await;
    let writer = Writer::start(&nodes);
    sleep(Duration::from_millis(500)).await;
    let lost = (1..=3).find(|id| Some(*id) != nodes.control_leader()).unwrap();
    nodes.kill(lost).await;
    nodes.cluster.dir_aside(lost);
    let refused = timeout(PATIENCE, nodes.spawn(lost)).await.unwrap().unwrap();
    let text = refused.expect_err("an empty disk under an old number").to_string();
    assert!(text.contains("data was lost"), "{text}");

    // With one node lost, and known to be, another one cannot be spared.
    eventually("silence of the lost node", || {
        let leader = nodes.control_leader()?;
        let peers = nodes.handles[&leader].context().groups.peers();
        (!peers.is_reachable(lost)).then_some(())
    })
    .await;
    let other = (1..=3).find(|id| *id != lost).unwrap();
    let refusal = nodes.ask(add(&[], &[other])).await.unwrap_err();
    assert!(refusal.contains("could never finish"), "{refusal}");

    // From logs that have lost their beginning, only snapshots bring the new node up.
    eventually("logs without their beginning", || {
        let mut groups = nodes.handles.values().flat_map(|node| node.context().groups.iter());
        groups.all(|group| group.metrics().purged.is_some()).then_some(())
    })
    .await;
    let fourth = nodes.spawn_stranger(4).await;
    writer.tell(&nodes);
    added(&nodes, add(&[4], &[lost])).await;
    let under_way = nodes.ask(add(&[5], &[])).await.unwrap_err();
    assert!(under_way.contains("under way"), "{under_way}");
    nodes.handles.insert(4, timeout(PATIENCE, fourth).await.unwrap().unwrap().unwrap());
    // Who drives the change crashes in the middle of it: some group has the new node, not all.
    let driver = eventually("a change that has begun", || {
        let driver = nodes.control_leader().filter(|id| *id != 4)?;
        let row = nodes.handles[&driver].context().members.row();
        let control = nodes.handles[&driver].context().groups.get(GroupId::CONTROL)?;
        let metrics = control.metrics();
        let begun = metrics.membership_config.membership().get_node(&4).is_some();
        (begun && !row.settled).then_some(driver)
    })
    .await;
    nodes.kill(driver).await;
    sleep(Duration::from_millis(300)).await;
    nodes.start(driver).await;

    let mut rest: Vec<u64> = (1..=4).filter(|id| *id != lost).collect();
    rest.sort_unstable();
    nodes.settled(&rest).await;
    // The same request again, by an operator whose answer got lost.
    let again = nodes.ask(add(&[4], &[lost])).await.unwrap();
    assert!(again.settled, "{again:?}");
    let acknowledged = writer.finish().await;
    nodes.check(&rest, &acknowledged).await;
    nodes.shutdown().await;
}
