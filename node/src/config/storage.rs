//! Section `storage`: the engine and how it syncs.

use serde::{Deserialize, Serialize};

use super::{Error, at_least};

/// The store of this node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StorageConfig {
    /// `fjall`, or `sled`: read docs/adr/0001 before choosing sled. Fixed once data is written.
    pub engine: Engine,
    /// Memory for cached blocks.
    pub cache_bytes: u64,
    /// How long the log writer waits for more groups to join a sync. 0 suits few clients; 1 trades
    /// a millisecond of latency for fewer syncs under load.
    pub sync_linger_ms: u64,
}

/// A storage engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    Fjall,
    Sled,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { engine: Engine::Fjall, cache_bytes: 64 << 20, sync_linger_ms: 0 }
    }
}

impl StorageConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        at_least("storage.cache-bytes", self.cache_bytes, 1 << 20)?;
        if self.sync_linger_ms > 2 {
            return Err(Error::invalid(
                "storage.sync-linger-ms",
                format!("is {}", self.sync_linger_ms),
                "set 0 to 2: every write waits this long",
            ));
        }
        Ok(())
    }
}
