//! Section `cluster`: the nodes behind this gateway, and how long it tries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, require_host_port, require_range};

/// The nodes behind this gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// Node API addresses to start from; the others are learned from the cluster.
    pub nodes: Vec<String>,
    /// How long one request is tried, on all nodes together, before it is answered 503.
    pub request_timeout_ms: u64,
    /// How long one attempt at one node may take before another one is tried.
    pub attempt_timeout_ms: u64,
    /// How long connecting to a node may take.
    pub connect_timeout_ms: u64,
    /// Connections for commands and reads per node; one more carries all streams.
    pub channels_per_node: usize,
    /// How often the control data that this gateway caches is compared with what the cluster has
    /// committed. Bounds how long a revoked key lives on a gateway that hears nothing any more.
    pub freshness_interval_ms: u64,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            nodes: vec!["127.0.0.1:8110".to_owned()],
            request_timeout_ms: 8_000,
            attempt_timeout_ms: 2_500,
            connect_timeout_ms: 1_000,
            channels_per_node: 2,
            freshness_interval_ms: 5_000,
        }
    }
}

impl ClusterConfig {
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        Duration::from_millis(self.attempt_timeout_ms)
    }

    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    #[must_use]
    pub fn freshness_interval(&self) -> Duration {
        Duration::from_millis(self.freshness_interval_ms)
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.nodes.is_empty() {
            return Err(Error::Invalid {
                key: "cluster.nodes",
                problem: "is empty".to_owned(),
                fix: "list the node API of at least one node, host:port",
            });
        }
        for node in &self.nodes {
            require_host_port("cluster.nodes", node)?;
        }
        let fix = "set 1 to 300000";
        require_range("cluster.request-timeout-ms", self.request_timeout_ms, 300_000, fix)?;
        require_range("cluster.attempt-timeout-ms", self.attempt_timeout_ms, 300_000, fix)?;
        require_range("cluster.connect-timeout-ms", self.connect_timeout_ms, 300_000, fix)?;
        require_range("cluster.freshness-interval-ms", self.freshness_interval_ms, 300_000, fix)?;
        let channels = self.channels_per_node as u64;
        require_range("cluster.channels-per-node", channels, 64, "set 1 to 64")
    }
}
