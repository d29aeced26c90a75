//! What a node decides about its store. The node's own configuration is translated into this.

use std::path::PathBuf;
use std::time::Duration;

use crate::engine::EngineKind;

/// Settings of one node's store. `Default` is safe for a small node; only `dir` has to be set.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The node's directory; the store owns everything in it.
    pub dir: PathBuf,
    /// Fixed at the first start.
    pub engine: EngineKind,
    /// How long the writer waits for company before it writes a batch, at most 2 ms. Zero lets
    /// batches form by themselves while the previous one is being synced.
    pub linger: Duration,
    /// Blocks cached in memory, log and state together.
    pub cache_bytes: u64,
    /// Recent writes each instance keeps in memory before it writes a table.
    pub write_buffer_bytes: u64,
    /// Recent log entries each group keeps in memory for replication and apply.
    pub log_cache_bytes: usize,
    /// Log bytes that may wait for the writer; who comes later waits.
    pub queue_bytes_max: usize,
}

impl StoreConfig {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), ..Self::default() }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("axp-data"),
            engine: EngineKind::default(),
            linger: Duration::ZERO,
            cache_bytes: 32 * 1024 * 1024,
            write_buffer_bytes: 16 * 1024 * 1024,
            log_cache_bytes: 2 * 1024 * 1024,
            queue_bytes_max: 64 * 1024 * 1024,
        }
    }
}
