//! Nodes of one cluster in this process, spoken to over their real gRPC ports.

use std::time::{Duration, Instant};

use axp_node::config::{Config, PeerConfig};
use axp_node::node::Listeners;
use axp_node::{Node, NodeHandle};
use axp_proto::ids::IntentId;
use axp_proto::log::{PublishEvent, RowChange};
use axp_proto::node::admin_client::AdminClient;
use axp_proto::node::control_client::ControlClient;
use axp_proto::node::execute_response::Outcome;
use axp_proto::node::shard_client::ShardClient;
use axp_proto::node::{
    CommitRequest, ExecuteRequest, ExecuteResponse, InboxRequest, PublishRequest, Published,
    QueryRequest, RedeliverRequest, StatusRequest, commit_response, inbox_response,
    publish_response, redeliver_request, redeliver_response,
};
use axp_proto::node::{query_request::Query, query_response};
use axp_proto::shard_map::group_of;
use tonic::transport::Channel;

pub(crate) const SHARD_GROUPS: u16 = 3;
/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Cluster {
    dirs: Vec<tempfile::TempDir>,
    configs: Vec<Config>,
    nodes: Vec<Option<NodeHandle>>,
}

impl Cluster {
    /// Founds a cluster of `count` nodes and waits until all are ready.
    pub(crate) async fn start(count: usize) -> Self {
        Self::with(count, |_| {}).await
    }

    /// As `start`, with other settings than the default ones.
    pub(crate) async fn with(count: usize, configure: impl Fn(&mut Config)) -> Self {
        let mut cluster = Self { dirs: Vec::new(), configs: Vec::new(), nodes: Vec::new() };
        let mut listeners = Vec::new();
        let mut peers = Vec::new();
        for id in 1..=count as u64 {
            let dir = tempfile::tempdir().unwrap();
            let mut config = Config::default();
            config.node.id = id;
            config.node.data_dir = dir.path().join("data");
            config.node.api_listen = "127.0.0.1:0".to_owned();
            config.node.raft_listen = "127.0.0.1:0".to_owned();
            config.node.admin_listen = "127.0.0.1:0".to_owned();
            config.cluster.bootstrap_expect = count as u32;
            config.cluster.shard_groups = SHARD_GROUPS;
            config.raft.rebalance_interval_ms = 0;
            configure(&mut config);
            let bound = Listeners::bind(&config.node).await.unwrap();
            config.node.api_listen = bound.api.local_addr().unwrap().to_string();
            config.node.raft_listen = bound.raft.local_addr().unwrap().to_string();
            peers.push(PeerConfig {
                id,
                raft_address: config.node.raft_listen.clone(),
                api_address: config.node.api_listen.clone(),
            });
            listeners.push(bound);
            cluster.dirs.push(dir);
            cluster.configs.push(config);
        }
        for config in &mut cluster.configs {
            config.cluster.peers.clone_from(&peers);
        }
        // The sockets are let go and bound again by the nodes; nobody else asks for these ports.
        drop(listeners);
        let starts = cluster.configs.iter().map(|config| Node::start(config.clone()));
        for node in futures_util::future::join_all(starts).await {
            let node = node.unwrap();
            node.wait_ready().await;
            cluster.nodes.push(Some(node));
        }
        cluster
    }

    /// Ends a node as a crash would.
    pub(crate) async fn crash(&mut self, index: usize) {
        self.nodes[index].take().unwrap().abandon().await;
    }

    pub(crate) async fn restart(&mut self, index: usize) {
        let node = Node::start(self.configs[index].clone()).await.unwrap();
        self.nodes[index] = Some(node);
    }

    pub(crate) async fn stop(mut self) {
        for node in self.nodes.iter_mut().filter_map(Option::take) {
            node.abandon().await;
        }
    }

    /// Where the nodes keep what they keep.
    pub(crate) fn data_dirs(&self) -> Vec<std::path::PathBuf> {
        self.configs.iter().map(|config| config.node.data_dir.clone()).collect()
    }

    pub(crate) fn channel(&self, index: usize) -> Channel {
        let address = format!("http://{}", self.configs[index].node.api_listen);
        Channel::from_shared(address).unwrap().connect_lazy()
    }

    pub(crate) fn channels(&self) -> Vec<Channel> {
        self.alive().into_iter().map(|index| self.channel(index)).collect()
    }

    fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.nodes[*index].is_some()).collect()
    }

    /// The node that leads a group and says so itself.
    pub(crate) async fn leader(&self, group: u16) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for index in self.alive() {
                let mut admin = AdminClient::new(self.channel(index));
                let Ok(status) = admin.status(StatusRequest {}).await else { continue };
                let status = status.into_inner();
                let group = status.groups.iter().find(|status| status.group == u32::from(group));
                if group.is_some_and(|group| group.role == "leader") {
                    return index;
                }
            }
            assert!(Instant::now() < deadline, "no leader of group {group}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a command as a gateway would: on any node, again until somebody leads.
    pub(crate) async fn execute(&self, mut request: ExecuteRequest) -> Outcome {
        let id = IntentId::from_slice(&request.intent_id).unwrap();
        request.group = group_of(id.slot(), SHARD_GROUPS).into();
        let deadline = Instant::now() + PATIENCE;
        loop {
            for index in self.alive() {
                let mut shard = ShardClient::new(self.channel(index));
                if let Ok(answer) = shard.execute(request.clone()).await
                    && let ExecuteResponse { outcome: Some(outcome) } = answer.into_inner()
                    && !matches!(outcome, Outcome::NotLeader(_))
                {
                    return outcome;
                }
            }
            assert!(Instant::now() < deadline, "no leader for {id}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Acts in an inbox as a gateway would: the same action until somebody answers.
    pub(crate) async fn inbox(&self, request: InboxRequest) -> inbox_response::Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for index in self.alive() {
                let mut shard = ShardClient::new(self.channel(index));
                if let Ok(answer) = shard.inbox(request.clone()).await
                    && let Some(outcome) = answer.into_inner().outcome
                    && !matches!(outcome, inbox_response::Outcome::NotLeader(_))
                {
                    return outcome;
                }
            }
            assert!(Instant::now() < deadline, "nobody leads group {}", request.group);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Writes control rows as a gateway would, whatever is there.
    pub(crate) async fn put_rows(&self, rows: Vec<(String, Vec<u8>)>) {
        let deadline = Instant::now() + PATIENCE;
        let change = |(key, value): (String, Vec<u8>)| RowChange {
            key,
            expected_revision: 0,
            value: value.into(),
            deleted: false,
        };
        let request = CommitRequest { changes: rows.into_iter().map(change).collect() };
        loop {
            for index in self.alive() {
                let mut control = ControlClient::new(self.channel(index));
                if let Ok(answer) = control.commit(request.clone()).await
                    // In conflict with an attempt of our own whose answer was lost.
                    && let Some(
                        commit_response::Outcome::Committed(_)
                        | commit_response::Outcome::Conflict(_),
                    ) = answer.into_inner().outcome
                {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "the rows are not committed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for a push again as a gateway would.
    pub(crate) async fn redeliver(
        &self,
        group: u32,
        subject: redeliver_request::Subject,
    ) -> redeliver_response::Outcome {
        let scope = Some(crate::scope());
        let request = RedeliverRequest { group, scope, subject: Some(subject) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            for index in self.alive() {
                let mut shard = ShardClient::new(self.channel(index));
                if let Ok(answer) = shard.redeliver(request.clone()).await
                    && let Some(outcome) = answer.into_inner().outcome
                    && !matches!(outcome, redeliver_response::Outcome::NotLeader(_))
                {
                    return outcome;
                }
            }
            assert!(Instant::now() < deadline, "no leader of group {group}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Publishes an event as a gateway would.
    pub(crate) async fn publish(&self, group: u32, event: PublishEvent) -> Published {
        let request = PublishRequest { group, event: Some(event) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            for index in self.alive() {
                let mut shard = ShardClient::new(self.channel(index));
                if let Ok(answer) = shard.publish(request.clone()).await
                    && let Some(publish_response::Outcome::Published(published)) =
                        answer.into_inner().outcome
                {
                    return published;
                }
            }
            assert!(Instant::now() < deadline, "no leader of group {group}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Reads as a gateway would.
    pub(crate) async fn query(&self, group: u32, query: Query) -> query_response::Outcome {
        let scope = Some(crate::scope());
        let request = QueryRequest { group, scope, query: Some(query) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            for index in self.alive() {
                let mut shard = ShardClient::new(self.channel(index));
                if let Ok(answer) = shard.query(request.clone()).await
                    && let Some(outcome) = answer.into_inner().outcome
                    && !matches!(outcome, query_response::Outcome::NotLeader(_))
                {
                    return outcome;
                }
            }
            assert!(Instant::now() < deadline, "no leader of group {group}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
