//! A gateway in front of a fake cluster, seeded with one organization.

use std::time::Duration;

use axp_gateway::config::Config;
use axp_gateway::seed::{self, SeedRequest, Seeded};
use axp_gateway::{Gateway, GatewayHandle};
use axp_proto::ids::IntentId;
use axp_proto::shard_map::group_of;
use serde_json::{Value, json};

use crate::client::Request;
use crate::fake::{FakeCluster, SHARD_GROUPS};

pub(crate) const KEY: &str = "key-of-acme-prod";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) cluster: FakeCluster,
    pub(crate) gateway: GatewayHandle,
    pub(crate) seeded: Seeded,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(1, |_| {}).await
    }

    pub(crate) async fn with(nodes: usize, configure: impl FnOnce(&mut Config)) -> Self {
        let cluster = FakeCluster::start(nodes);
        let seeded = seed_key(&cluster, "acme", "prod", KEY).await;
        let gateway = gateway(&cluster, configure).await;
        Self { cluster, gateway, seeded }
    }

    /// A request with the key of acme/prod.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        self.bare(method, path).header("x-api-key", KEY)
    }

    /// A request without credentials.
    pub(crate) fn bare(&self, method: &str, path: &str) -> Request {
        Request::new(self.gateway.http_address(), method, path)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.request("GET", path).send().await.ok()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", path).json(body).send().await.ok()
    }

    /// Submits an intent to an agent and returns its id.
    pub(crate) async fn submit(&self, to_agent: &str) -> String {
        let body =
            json!({ "intent_type": "intent.ask.v1", "to_agent": to_agent, "payload": { "n": 1 } });
        let submitted = self.post("/v1/intents", &body).await;
        submitted["intent_id"].as_str().unwrap().to_owned()
    }
}

pub(crate) async fn gateway(
    cluster: &FakeCluster,
    configure: impl FnOnce(&mut Config),
) -> GatewayHandle {
    let mut config = Config::default();
    "127.0.0.1:0".clone_into(&mut config.http.listen);
    "127.0.0.1:0".clone_into(&mut config.grpc.listen);
    "127.0.0.1:0".clone_into(&mut config.admin.listen);
    config.cluster.nodes = cluster.addresses();
    config.rate_limit.enabled = false;
    configure(&mut config);
    let gateway = Gateway::start(config).await.unwrap();
    assert!(gateway.ready(PATIENCE).await, "the gateway reaches the fake cluster");
    gateway
}

/// Makes an organization with a workspace and a key.
pub(crate) async fn seed_key(
    cluster: &FakeCluster,
    org: &str,
    workspace: &str,
    key: &str,
) -> Seeded {
    let request = SeedRequest {
        org: org.to_owned(),
        workspace: workspace.to_owned(),
        api_key: Some(key.to_owned()),
    };
    seed::ensure(&cluster.addresses(), &request, PATIENCE).await.unwrap()
}

/// The group that serves an intent.
pub(crate) fn group(intent_id: &str) -> u32 {
    group_of(intent_id.parse::<IntentId>().unwrap().slot(), SHARD_GROUPS).into()
}

/// Waits for a condition on a value, with a deadline.
pub(crate) async fn eventually(what: &'static str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what} does not come true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
