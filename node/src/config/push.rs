//! Section `push`: deliveries to callbacks of agents and of webhook subscriptions.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, at_least};
use crate::push::guard::Network;

/// How pushes are tried, how many at a time, and where they may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PushConfig {
    /// How long one attempt may take, from looking the host up to the answer's head.
    pub attempt_timeout_ms: u64,
    /// Pauses before the second, third ... attempt; the last one repeats. A delivery to a
    /// subscription is given up after one more attempt than there are pauses, one to an agent after
    /// the intent's `max_delivery_attempts`.
    pub retry_ms: Vec<u64>,
    /// Share of a pause that is added to it by chance, 0 to 1.
    pub retry_jitter: f64,
    /// Attempts under way on this node: in all, to one host, and of one workspace.
    pub connections: u32,
    pub connections_per_host: u32,
    pub connections_per_workspace: u32,
    /// How long events can be replayed, and dead letters are listed.
    pub keep_hours: u32,
    /// Lets pushes go to loopback, private and other addresses that are not public.
    pub allow_private_targets: bool,
    /// Networks (CIDR) that pushes may go to although they are not public.
    pub allowed_networks: Vec<String>,
    /// PEM file with certificates to trust beside those of the system. Empty: none.
    pub ca_file: PathBuf,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            attempt_timeout_ms: 10_000,
            retry_ms: vec![30_000, 120_000, 600_000],
            retry_jitter: 0.1,
            connections: 256,
            connections_per_host: 8,
            connections_per_workspace: 64,
            keep_hours: 168,
            allow_private_targets: false,
            allowed_networks: Vec::new(),
            ca_file: PathBuf::new(),
        }
    }
}

impl PushConfig {
    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        Duration::from_millis(self.attempt_timeout_ms)
    }

    #[must_use]
    pub fn keep_ms(&self) -> i64 {
        i64::from(self.keep_hours) * 60 * 60 * 1000
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        at_least("push.attempt-timeout-ms", self.attempt_timeout_ms, 1)?;
        at_least("push.connections", self.connections.into(), 1)?;
        at_least("push.connections-per-host", self.connections_per_host.into(), 1)?;
        at_least("push.connections-per-workspace", self.connections_per_workspace.into(), 1)?;
        at_least("push.keep-hours", self.keep_hours.into(), 1)?;
        if self.retry_ms.is_empty() || self.retry_ms.contains(&0) {
            let problem = format!("is {:?}", self.retry_ms);
            return Err(Error::invalid("push.retry-ms", problem, "set one pause or more, above 0"));
        }
        if !(0.0..=1.0).contains(&self.retry_jitter) {
            let problem = format!("is {}", self.retry_jitter);
            return Err(Error::invalid("push.retry-jitter", problem, "set 0 to 1"));
        }
        for network in &self.allowed_networks {
            if Network::parse(network).is_none() {
                let fix = "set networks such as 10.1.0.0/16 or fd00::/8";
                return Err(Error::invalid(
                    "push.allowed-networks",
                    format!("has {network:?}"),
                    fix,
                ));
            }
        }
        Ok(())
    }
}
