//! Leaving service in order: no longer ready, then no longer leader of anything.
//!
//! Used by SIGTERM, by the pre-stop hook and by an operator. Not remembered over a restart: a node
//! that starts wants to serve.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use super::leadership;
use crate::raft::Groups;

/// Whether this node is leaving, and how it does.
#[derive(Debug, Clone)]
pub struct Drain {
    draining: watch::Sender<bool>,
    /// Set once they are started; before, there is nothing to hand over.
    groups: Arc<OnceLock<Groups>>,
    deadline: Duration,
}

impl Drain {
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        Self { draining: watch::Sender::new(false), groups: Arc::default(), deadline }
    }

    pub(crate) fn set_groups(&self, groups: Groups) {
        self.groups.get_or_init(|| groups);
    }

    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Drains, within the configured time; again if it was done before, for what came back since.
    /// Answers how many groups are still led here.
    pub async fn run(&self) -> usize {
        if !self.draining.send_replace(true) {
            tracing::info!("draining");
        }
        let Some(groups) = self.groups.get() else { return 0 };
        groups.peers().set_draining();
        let left = leadership::transfer_all(groups, self.deadline).await;
        tracing::info!(left, "drained");
        left
    }
}
