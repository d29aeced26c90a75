//! Submits through the node API of real nodes in this process: what a cluster does before any
//! gateway. `cargo bench -p axp-node --bench propose -- [nodes] [clients] [seconds]`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axp_node::config::{Config, PeerConfig};
use axp_node::node::Listeners;
use axp_node::{Node, NodeHandle};
use axp_proto::ids::{GroupId, IntentId, Slot};
use axp_proto::log::{DeliveryMode, Submission};
use axp_proto::node::execute_request::Command;
use axp_proto::node::execute_response::Outcome;
use axp_proto::node::shard_client::ShardClient;
use axp_proto::node::{ExecuteRequest, Scope};
use axp_proto::shard_map::group_of;
use bytes::Bytes;
use tonic::transport::Channel;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHARD_GROUPS: u16 = 8;

fn main() {
    let arguments: Vec<u64> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let argument = |index: usize, default: u64| arguments.get(index).copied().unwrap_or(default);
    let (nodes, clients, seconds) = (argument(0, 3), argument(1, 64), argument(2, 5));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(nodes, clients, Duration::from_secs(seconds)));
}

async fn run(count: u64, clients: u64, duration: Duration) {
    let dir = tempfile::tempdir().expect("a folder");
    let (nodes, channels) = start(count, dir.path()).await;
    let leaders = leaders(&channels).await;
    let end = Instant::now() + duration;
    let work = (0..clients).map(|client| tokio::spawn(submit(client, Arc::clone(&leaders), end)));
    let mut latencies = Vec::new();
    for client in work.collect::<Vec<_>>() {
        latencies.extend(client.await.expect("a client that does not panic"));
    }
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    println!(
        "{count} nodes, {clients} clients: {:.0} submits/s, p50 {:?}, p99 {:?}, max {:?}",
        latencies.len() as f64 / duration.as_secs_f64(),
        at(50),
        at(99),
        latencies.last().expect("at least one submit"),
    );
    for node in nodes {
        node.abandon().await;
    }
}

async fn start(count: u64, dir: &std::path::Path) -> (Vec<NodeHandle>, Vec<Channel>) {
    let (mut configs, mut peers, mut bound) = (Vec::new(), Vec::new(), Vec::new());
    for id in 1..=count {
        let mut config = Config::default();
        config.node.id = id;
        config.node.data_dir = dir.join(id.to_string());
        config.node.api_listen = "127.0.0.1:0".to_owned();
        config.node.raft_listen = "127.0.0.1:0".to_owned();
        config.node.admin_listen = "127.0.0.1:0".to_owned();
        config.cluster.bootstrap_expect = u32::try_from(count).expect("few nodes");
        config.cluster.shard_groups = SHARD_GROUPS;
        let listeners = Listeners::bind(&config.node).await.expect("free ports");
        let address = |listener: &axp_node::net::Listener| {
            listener.local_addr().expect("a bound socket").to_string()
        };
        config.node.api_listen = address(&listeners.api);
        config.node.raft_listen = address(&listeners.raft);
        peers.push(PeerConfig {
            id,
            raft_address: config.node.raft_listen.clone(),
            api_address: config.node.api_listen.clone(),
        });
        bound.push(listeners);
        configs.push(config);
    }
    drop(bound);
    let starts = configs.iter_mut().map(|config| {
        config.cluster.peers.clone_from(&peers);
        Node::start(config.clone())
    });
    let mut nodes = Vec::new();
    for node in futures_util::future::join_all(starts).await {
        let node = node.expect("a node that starts");
        node.wait_ready().await;
        nodes.push(node);
    }
    let channel = |config: &Config| {
        let address = format!("http://{}", config.node.api_listen);
        Channel::from_shared(address).expect("an address").tcp_nodelay(true).connect_lazy()
    };
    let channels = configs.iter().map(channel).collect();
    (nodes, channels)
}

type Leaders = Arc<Vec<ShardClient<Channel>>>;

/// Finds each group's leader by submitting until somebody accepts.
async fn leaders(channels: &[Channel]) -> Leaders {
    let mut leaders = Vec::new();
    for group in 1..=SHARD_GROUPS {
        let slot = (0..4096)
            .filter_map(Slot::new)
            .find(|slot| group_of(*slot, SHARD_GROUPS) == GroupId(group));
        let id = new_id(slot.expect("every group has slots"));
        'found: loop {
            for channel in channels {
                let mut client = ShardClient::new(channel.clone());
                let answer = client.execute(request(id)).await.map(tonic::Response::into_inner);
                if answer.is_ok_and(|answer| matches!(answer.outcome, Some(Outcome::Accepted(_)))) {
                    leaders.push(client);
                    break 'found;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Arc::new(leaders)
}

async fn submit(client: u64, leaders: Leaders, end: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut slot = client * 61;
    while Instant::now() < end {
        slot = (slot + 1031) % 4096;
        let id = new_id(Slot::new(u16::try_from(slot).expect("a slot")).expect("a slot"));
        let group = group_of(id.slot(), SHARD_GROUPS);
        let mut shard = leaders[usize::from(group.0) - 1].clone();
        let start = Instant::now();
        let answer = shard.execute(request(id)).await.expect("an answer").into_inner();
        assert!(matches!(answer.outcome, Some(Outcome::Accepted(_))), "{answer:?}");
        latencies.push(start.elapsed());
    }
    latencies
}

fn new_id(slot: Slot) -> IntentId {
    let now = axp_node::clock::Clock::system().now_ms().unsigned_abs();
    IntentId::new(now, slot, rand::random())
}

fn request(id: IntentId) -> ExecuteRequest {
    let submission = Submission {
        org_id: "o".into(),
        workspace_id: "w".into(),
        intent_type: "intent.check.v1".into(),
        from_agent: "agent://acme/prod/sender".into(),
        to_agent: "agent://acme/prod/checker".into(),
        payload_json: Bytes::from_static(&[b'x'; 256]),
        delivery_mode: DeliveryMode::Stream.into(),
        target_org_id: "o".into(),
        target_workspace_id: "w".into(),
        ..Submission::default()
    };
    ExecuteRequest {
        group: group_of(id.slot(), SHARD_GROUPS).into(),
        intent_id: id.to_bytes(),
        scope: Some(Scope { org_id: "o".into(), workspace_id: "w".into(), ..Scope::default() }),
        command: Some(Command::Submit(submission)),
        ..ExecuteRequest::default()
    }
}
