//! Sections `server`, `http`, `grpc` and `admin`: where the gateway is reached, and how patient it
//! is with connections.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Error, require_host_port, require_range};

const AN_HOUR_MS: u64 = 3_600_000;

/// What concerns the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServerConfig {
    /// What `/health` says as `deployment_profile`.
    pub deployment_profile: String,
    /// How long open requests may take to end at shutdown; streams are ended at once.
    pub drain_timeout_ms: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { deployment_profile: "self-hosted".to_owned(), drain_timeout_ms: 10_000 }
    }
}

impl ServerConfig {
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let fix = "set 1 to 3600000";
        require_range("server.drain-timeout-ms", self.drain_timeout_ms, AN_HOUR_MS, fix)
    }
}

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Where clients connect.
    pub listen: String,
    /// How clients reach this API from outside, such as `https://axp.example.com`: what links in answers
    /// start with. Empty: `http://` and the address that is listened on.
    pub public_url: String,
    /// Networks such as `10.0.0.0/8` whose word about who is behind them is taken, from
    /// `X-Forwarded-For`: ingress controllers and load balancers. Anybody else's is ignored.
    pub trusted_proxies: Vec<IpNet>,
    /// Open connections; more are closed as soon as they are accepted.
    pub connections_max: usize,
    /// How long a connection may be idle or take to send the head of a request.
    pub idle_timeout_ms: u64,
    /// How long the body of a request may take to arrive.
    pub body_timeout_ms: u64,
    /// How long a client may read nothing of what we have for it before it is disconnected. A
    /// stream is resumed with the last id that was read.
    pub write_stall_timeout_ms: u64,
    /// Largest body of a request; a larger one is answered 413.
    pub body_bytes_max: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8100".to_owned(),
            public_url: String::new(),
            trusted_proxies: Vec::new(),
            connections_max: 10_000,
            idle_timeout_ms: 120_000,
            body_timeout_ms: 10_000,
            write_stall_timeout_ms: 30_000,
            body_bytes_max: 131_072,
        }
    }
}

impl HttpConfig {
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    #[must_use]
    pub fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    #[must_use]
    pub fn write_stall_timeout(&self) -> Duration {
        Duration::from_millis(self.write_stall_timeout_ms)
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        require_host_port("http.listen", &self.listen)?;
        let url = self.public_url.as_str();
        let is_url = url.starts_with("http://") || url.starts_with("https://");
        if !is_url && !url.is_empty() {
            let (key, problem) = ("http.public-url", format!("is {url:?}"));
            return Err(Error::Invalid { key, problem, fix: "set http://... or https://..." });
        }
        let fix = "set 1 to 1000000";
        require_range("http.connections-max", self.connections_max as u64, 1_000_000, fix)?;
        let fix = "set 1 to 3600000";
        require_range("http.idle-timeout-ms", self.idle_timeout_ms, AN_HOUR_MS, fix)?;
        require_range("http.body-timeout-ms", self.body_timeout_ms, AN_HOUR_MS, fix)?;
        require_range("http.write-stall-timeout-ms", self.write_stall_timeout_ms, AN_HOUR_MS, fix)?;
        // Nodes take messages of 8 MiB: a command must fit with room to spare.
        let fix = "set 1 to 4194304";
        require_range("http.body-bytes-max", self.body_bytes_max as u64, 4 << 20, fix)
    }
}

/// The gRPC API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GrpcConfig {
    /// Where clients connect.
    pub listen: String,
    /// Open calls of one connection.
    pub calls_per_connection_max: u32,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8101".to_owned(), calls_per_connection_max: 1024 }
    }
}

impl GrpcConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        require_host_port("grpc.listen", &self.listen)?;
        let calls = u64::from(self.calls_per_connection_max);
        require_range("grpc.calls-per-connection-max", calls, 100_000, "set 1 to 100000")
    }
}

/// Probes and metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Where `/livez`, `/readyz`, `/metrics` and `/version` are served. Keep it inside the pod or
    /// the machine. Empty: nowhere.
    pub listen: String,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8104".to_owned() }
    }
}

impl AdminConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.listen.is_empty() {
            return Ok(());
        }
        require_host_port("admin.listen", &self.listen)
    }
}
