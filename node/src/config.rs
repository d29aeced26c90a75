//! What an operator sets: one struct per section, one TOML file, overridden by the environment.
//!
//! The defaults run one node safely. Unknown keys are refused, and `validate` names the key that
//! is wrong and what to set instead. `node/config/example.toml` documents every key with its
//! default and is tested against this file.

mod cluster;
mod environment;
mod limits;
mod mail;
mod push;
mod raft;
mod storage;
mod telemetry;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use cluster::{ClusterConfig, PeerConfig, RENUMBER_STEP};
pub use limits::LimitsConfig;
pub use mail::MailConfig;
pub use push::PushConfig;
pub use raft::RaftConfig;
pub use storage::{Engine, StorageConfig};
pub use telemetry::{LogFormat, TelemetryConfig};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration file {path} cannot be read")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration does not parse: {0}")]
    Parse(String),
    #[error("the environment variable {name} does not name a key: {problem}")]
    Environment { name: String, problem: String },
    #[error("{key} {problem}: {fix}")]
    Invalid { key: &'static str, problem: String, fix: String },
}

impl Error {
    fn invalid(key: &'static str, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Invalid { key, problem: problem.into(), fix: fix.into() }
    }
}

/// The whole configuration of a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    pub node: NodeConfig,
    pub cluster: ClusterConfig,
    pub raft: RaftConfig,
    pub storage: StorageConfig,
    pub limits: LimitsConfig,
    pub push: PushConfig,
    pub mail: MailConfig,
    pub telemetry: TelemetryConfig,
}

/// Who this node is and where it listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Number of this node, unique in the cluster and bound to its disk for ever. 0: one more than
    /// the number at the end of the host name, for a Kubernetes StatefulSet.
    pub id: u64,
    /// Where state is kept. One node per folder.
    pub data_dir: PathBuf,
    /// Where gateways and other nodes reach the node API (gRPC).
    pub api_listen: String,
    /// Where other nodes reach Raft (gRPC).
    pub raft_listen: String,
    /// Probes, metrics and drain (HTTP). Keep it inside the pod or the machine.
    pub admin_listen: String,
    /// How others reach `api-listen`, host:port. Empty: the entry of this node in `cluster.peers`,
    /// or the listen address.
    pub advertise_api: String,
    /// How others reach `raft-listen`. Empty: as above.
    pub advertise_raft: String,
    /// How long an orderly shutdown may take to hand leadership over.
    pub drain_timeout_ms: u64,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            id: 1,
            data_dir: PathBuf::from("axp-data"),
            api_listen: "127.0.0.1:8110".to_owned(),
            raft_listen: "127.0.0.1:8111".to_owned(),
            admin_listen: "127.0.0.1:8112".to_owned(),
            advertise_api: String::new(),
            advertise_raft: String::new(),
            drain_timeout_ms: 10_000,
        }
    }
}

impl NodeConfig {
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    fn validate(&self) -> Result<(), Error> {
        if self.id == 0 {
            return Err(Error::invalid(
                "node.id",
                "is 0 and the host name does not end in a number",
                "set a number of 1 or more that no other node has",
            ));
        }
        for (key, address) in [
            ("node.api-listen", &self.api_listen),
            ("node.raft-listen", &self.raft_listen),
            ("node.admin-listen", &self.admin_listen),
        ] {
            require_host_port(key, address)?;
        }
        for (key, address) in [
            ("node.advertise-api", &self.advertise_api),
            ("node.advertise-raft", &self.advertise_raft),
        ] {
            if !address.is_empty() {
                require_host_port(key, address)?;
            }
        }
        at_least("node.drain-timeout-ms", self.drain_timeout_ms, 100)
    }
}

impl Config {
    /// Reads the file (the defaults when there is none), then `AXP_NODE__*` of `environment`.
    ///
    /// # Errors
    /// When the file cannot be read, a key is unknown, or a value does not fit.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| Error::Read { path: path.to_owned(), source })?,
            None => String::new(),
        };
        let config = environment::merge(&text, environment)?;
        config.validate()?;
        Ok(config)
    }

    /// Checks what types cannot: ranges, addresses, and how values fit together.
    ///
    /// # Errors
    /// The first key that is wrong, and what to set instead.
    pub fn validate(&self) -> Result<(), Error> {
        self.node.validate()?;
        self.cluster.validate(self.node.id)?;
        self.validate_reachable()?;
        self.raft.validate()?;
        self.storage.validate()?;
        self.limits.validate()?;
        self.push.validate()?;
        self.mail.validate()?;
        self.telemetry.validate()
    }
}

impl Config {
    /// A node that is not listed must say itself how others reach it.
    fn validate_reachable(&self) -> Result<(), Error> {
        if self.cluster.peers.is_empty() || self.cluster.peer(self.node.id).is_some() {
            return Ok(());
        }
        for (key, advertised, listen) in [
            ("node.advertise-api", &self.node.advertise_api, &self.node.api_listen),
            ("node.advertise-raft", &self.node.advertise_raft, &self.node.raft_listen),
        ] {
            let everywhere = listen.starts_with("0.0.0.0:") || listen.starts_with("[::]:");
            if advertised.is_empty() && everywhere {
                return Err(Error::invalid(
                    key,
                    format!("is empty, and cluster.peers does not name node {}", self.node.id),
                    "set the host:port under which the other nodes reach this one",
                ));
            }
        }
        Ok(())
    }
}

fn require_host_port(key: &'static str, address: &str) -> Result<(), Error> {
    let valid = address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
    });
    if valid {
        return Ok(());
    }
    Err(Error::invalid(key, format!("is {address:?}"), "set host:port, without a scheme"))
}

fn at_least(key: &'static str, value: u64, least: u64) -> Result<(), Error> {
    if value >= least {
        return Ok(());
    }
    Err(Error::invalid(key, format!("is {value}"), format!("set {least} or more")))
}

#[cfg(test)]
mod tests;
