//! Section `streams`: the rhythm of event streams (contract, intents.md 6).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, require_range};

/// The rhythm of event streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StreamsConfig {
    /// How long an intent's stream with `wait_seconds` waits for more after it sent something. Some
    /// official clients see nothing before the stream ends, so longer is slower for them.
    pub linger_ms: u64,
    /// The same for an agent's stream: how long a delivery may wait for its neighbours.
    pub agent_linger_ms: u64,
    /// How often a stream without `wait_seconds` is kept awake by a comment.
    pub heartbeat_seconds: u64,
    /// Items that a node may send ahead of what the client has read.
    pub window: u32,
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self { linger_ms: 100, agent_linger_ms: 20, heartbeat_seconds: 15, window: 64 }
    }
}

impl StreamsConfig {
    #[must_use]
    pub fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }

    #[must_use]
    pub fn agent_linger(&self) -> Duration {
        Duration::from_millis(self.agent_linger_ms)
    }

    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds)
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        require_range("streams.linger-ms", self.linger_ms, 1_000, "set 1 to 1000")?;
        require_range("streams.agent-linger-ms", self.agent_linger_ms, 1_000, "set 1 to 1000")?;
        require_range("streams.heartbeat-seconds", self.heartbeat_seconds, 300, "set 1 to 300")?;
        require_range("streams.window", u64::from(self.window), 1_024, "set 1 to 1024")
    }
}
