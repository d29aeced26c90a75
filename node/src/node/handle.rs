//! A running node: its addresses, its end, its failure.

use std::sync::Arc;
use std::time::Duration;

use axp_raft_store::Store;

use super::listeners::Addresses;
use super::services::{Context, Services};

/// How long background tasks may take to end, and the store to close.
const TASKS_DEADLINE: Duration = Duration::from_secs(5);
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// A running node. Dropping it stops nothing: call `shutdown`, or end the process.
#[derive(Debug)]
pub struct NodeHandle {
    context: Context,
    services: Arc<dyn Services>,
    store: Arc<Store>,
    addresses: Addresses,
}

impl NodeHandle {
    pub(super) fn new(
        context: Context,
        services: Arc<dyn Services>,
        store: Arc<Store>,
        addresses: Addresses,
    ) -> Self {
        Self { context, services, store, addresses }
    }

    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Waits until something happened after which the node must not go on; the caller ends the
    /// process, or at least `abandon`s the node.
    pub async fn wait_failed(&self) -> String {
        self.context.tasks.fatal().wait().await
    }

    /// Waits until this node may get traffic.
    pub async fn wait_ready(&self) {
        // The sender lives in our own context, so the channel cannot close.
        self.context.readiness.subscribe().wait_for(|ready| *ready).await.ok();
    }

    /// Stops in order: not ready, not leading, not serving, not running. Bounded at every step.
    pub async fn shutdown(self) {
        self.context.drain.run().await;
        self.end().await;
    }

    /// Stops as a crash would, as far as peers can see: no draining, no transfer.
    pub async fn abandon(self) {
        self.end().await;
    }

    async fn end(self) {
        let Self { context, services, store, .. } = self;
        let closed = store.closed();
        if !context.tasks.stop(TASKS_DEADLINE).await {
            tracing::warn!("some background tasks did not end in time");
        }
        context.groups.shutdown().await;
        drop((context, services, store));
        if tokio::time::timeout(CLOSE_DEADLINE, closed).await.is_err() {
            tracing::warn!("the store is still in use");
        }
    }
}
