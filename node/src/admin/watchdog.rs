//! Notices when the runtime or the disk of this node stands still.
//!
//! The runtime proves itself by a timer that beats, the disk by a small durable write. Neither
//! needs a quorum, a peer or a leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axp_raft_store::Store;
use tokio::time::Instant;

use crate::metrics as names;
use crate::shutdown::Tasks;
use crate::telemetry;

const RUNTIME_BEAT: Duration = Duration::from_secs(1);
const RUNTIME_STALLED: Duration = Duration::from_secs(15);
/// Each beat costs a sync, so an idle node should not beat much.
const DISK_BEAT: Duration = Duration::from_secs(10);
const DISK_STALLED: Duration = Duration::from_secs(60);
const RECORD: &str = "watchdog";

/// When the runtime and the disk last moved.
#[derive(Debug)]
pub struct Watchdog {
    started: Instant,
    runtime_ms: AtomicU64,
    disk_ms: AtomicU64,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { started: Instant::now(), runtime_ms: AtomicU64::new(0), disk_ms: AtomicU64::new(0) }
    }
}

impl Watchdog {
    /// Starts to beat, until the node stops.
    pub fn start(self: &Arc<Self>, store: &Arc<Store>, tasks: &Tasks) {
        tasks.spawn("runtime watchdog", Arc::clone(self).beat_runtime());
        tasks.spawn("disk watchdog", Arc::clone(self).beat_disk(Arc::clone(store)));
    }

    /// What stands still, if anything.
    #[must_use]
    pub fn stalled(&self) -> Option<&'static str> {
        if self.age(&self.runtime_ms) > RUNTIME_STALLED {
            return Some("the runtime stands still\n");
        }
        (self.age(&self.disk_ms) > DISK_STALLED).then_some("the disk stands still\n")
    }

    fn age(&self, beat: &AtomicU64) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(beat.load(Ordering::Relaxed)))
    }

    fn beat(&self, beat: &AtomicU64) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        beat.store(now, Ordering::Relaxed);
    }

    async fn beat_runtime(self: Arc<Self>) {
        loop {
            self.beat(&self.runtime_ms);
            if let Some(handle) = telemetry::made_metrics() {
                handle.run_upkeep();
            }
            tokio::time::sleep(RUNTIME_BEAT).await;
        }
    }

    async fn beat_disk(self: Arc<Self>, store: Arc<Store>) {
        loop {
            let begun = Instant::now();
            match store.write_meta(RECORD, bytes::Bytes::from_static(b"beat")).await {
                Ok(()) => {
                    self.beat(&self.disk_ms);
                    metrics::histogram!(names::DISK_WATCHDOG).record(begun.elapsed().as_secs_f64());
                }
                // A failed store ends the process by itself (`Store::failed`).
                Err(error) => tracing::warn!(%error, "the disk watchdog cannot write"),
            }
            tokio::time::sleep(DISK_BEAT).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_beat_stands_still() {
        let watchdog = Watchdog::default();
        assert_eq!(watchdog.stalled(), None);
        tokio::time::advance(RUNTIME_STALLED + Duration::from_secs(1)).await;
        assert!(watchdog.stalled().is_some_and(|text| text.contains("runtime")));
        tokio::time::advance(DISK_STALLED).await;
        watchdog.beat(&watchdog.runtime_ms);
        assert!(watchdog.stalled().is_some_and(|text| text.contains("disk")));
        watchdog.beat(&watchdog.disk_ms);
        assert_eq!(watchdog.stalled(), None);
    }
}
