//! The control data of this gateway: a snapshot for readers, and a revision to wait for.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::error::Error;
use super::tables::Tables;
use crate::clock::Deadline;
use crate::metrics::CONTROL_REVISION;

/// Never goes back: a node that is behind is not listened to until it has caught up.
#[derive(Debug)]
pub(crate) struct Cache {
    tables: ArcSwap<Tables>,
    /// Absent until the first whole state arrived.
    revision: watch::Sender<Option<u64>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { tables: ArcSwap::default(), revision: watch::Sender::new(None) }
    }
}

impl Cache {
    /// The state as known now; without a lock, and not to be held across an await.
    pub(crate) fn load(&self) -> Guard<Arc<Tables>> {
        self.tables.load()
    }

    pub(crate) fn load_full(&self) -> Arc<Tables> {
        self.tables.load_full()
    }

    pub(crate) fn revision(&self) -> Option<u64> {
        *self.revision.borrow()
    }

    /// Whether requests can be served: there is a state, and the shards in it are known.
    pub(crate) fn is_ready(&self) -> bool {
        self.revision().is_some() && self.load().topology.is_some()
    }

    /// Publishes a state unless it is older than what readers have seen.
    pub(super) fn publish(&self, tables: Tables) {
        let revision = tables.revision;
        self.revision.send_if_modified(|known| {
            if known.is_some_and(|known| known > revision) {
                return false;
            }
            self.tables.store(Arc::new(tables));
            let changed = *known != Some(revision);
            *known = Some(revision);
            changed
        });
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!(CONTROL_REVISION).set(revision as f64);
    }

    /// Waits until the cache is at least at `revision`.
    pub(crate) async fn reach(
        &self,
        revision: u64,
        deadline: Deadline,
    ) -> Result<Arc<Tables>, Error> {
        let mut changes = self.revision.subscribe();
        let reached = changes.wait_for(|known| known.is_some_and(|known| known >= revision));
        match timeout_at(deadline.instant(), reached).await {
            Ok(Ok(_)) => Ok(self.load_full()),
            Ok(Err(_)) | Err(_) => Err(Error::Behind { revision }),
        }
    }

    /// Waits for the first state that names the shards.
    pub(crate) async fn ready(&self, deadline: Deadline) -> Result<Arc<Tables>, Error> {
        if self.is_ready() {
            return Ok(self.load_full());
        }
        let mut changes = self.revision.subscribe();
        let wait = async {
            while !self.is_ready() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        match timeout_at(deadline.instant(), wait).await {
            Ok(()) => Ok(self.load_full()),
            Err(_) => Err(Error::NotReady),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(revision: u64) -> Tables {
        let mut tables = Tables::default();
        tables.revision = revision;
        tables
    }

    #[tokio::test]
    async fn the_cache_never_goes_back() {
        let cache = Cache::default();
        assert_eq!(cache.revision(), None);
        cache.publish(at(7));
        cache.publish(at(5));
        assert_eq!(cache.revision(), Some(7));
        assert_eq!(cache.load().revision, 7);
        assert!(!cache.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_revision_or_the_deadline() {
        let cache = Arc::new(Cache::default());
        let waiter = {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move {
                cache.reach(3, Deadline::after(Duration::from_secs(60))).await.unwrap().revision
            })
        };
        tokio::task::yield_now().await;
        cache.publish(at(2));
        cache.publish(at(4));
        assert_eq!(waiter.await.unwrap(), 4);
        let late = cache.reach(9, Deadline::after(Duration::from_secs(1))).await;
        assert!(matches!(late, Err(Error::Behind { revision: 9 })));
    }
}
