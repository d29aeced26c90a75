//! Follows the control data: one stream from any node, from another one when it breaks or falls
//! behind. What was known stays in use meanwhile.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::node::{ControlUpdate, WatchRequest};
use futures_util::FutureExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tonic::Streaming;

use super::cache::Cache;
use super::link::Link;
use super::router::Router;
use super::tables::Tables;
use crate::clock::Deadline;
use crate::metrics::CONTROL_ROWS_UNREADABLE_TOTAL;

const PAUSE: Duration = Duration::from_millis(100);
/// How long the first whole state may take, and how long a node may stay behind the cluster.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(10);
const LAG_PATIENCE: Duration = Duration::from_secs(2);
/// Updates that are waiting already are published together, up to this many.
const COALESCED_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Follower {
    cache: Arc<Cache>,
    router: Arc<Router>,
}

/// Why another node is followed.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("the node cannot be asked: {0}")]
    Status(Box<tonic::Status>),
    #[error("the node ended the stream")]
    Ended,
    #[error("the node did not send its state in time")]
    Slow,
    #[error("the node does not hear what the cluster commits")]
    Behind,
}

impl From<tonic::Status> for Left {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl Follower {
    pub(super) fn new(cache: Arc<Cache>, router: Arc<Router>) -> Self {
        Self { cache, router }
    }

    pub(super) async fn run(self) {
        loop {
            let mut nodes = self.router.everybody();
            if !nodes.is_empty() {
                let first = rand::random_range(0..nodes.len());
                nodes.rotate_left(first);
            }
            for node in nodes {
                let Err(left) = self.follow(&node).await;
                tracing::debug!(node = %node.address(), reason = %left, "follows another node");
                tokio::time::sleep(PAUSE.mul_f64(0.5 + rand::random::<f64>())).await;
            }
        }
    }

    async fn follow(&self, node: &Link) -> Result<std::convert::Infallible, Left> {
        let mut client = node.control_stream();
        let open = client.watch(WatchRequest {});
        let mut updates =
            timeout(SNAPSHOT_PATIENCE, open).await.map_err(|_| Left::Slow)??.into_inner();
        let whole = self.snapshot(&mut updates);
        let mut tables = timeout(SNAPSHOT_PATIENCE, whole).await.map_err(|_| Left::Slow)??;
        self.cache.publish(tables.clone());
        tracing::info!(node = %node.address(), revision = tables.revision, "follows control data");

        let period = self.router.config().freshness_interval();
        let mut checks = interval_at(Instant::now() + period, period);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                update = updates.message() => {
                    let update = update?.ok_or(Left::Ended)?;
                    take(&mut tables, &update);
                    self.take_waiting(&mut tables, &mut updates)?;
                    self.cache.publish(tables.clone());
                }
                _ = checks.tick() => {
                    let behind = self.committed_beyond(&tables).await;
                    if let Some(revision) = behind {
                        let catching_up = catch_up(&mut tables, &mut updates, revision);
                        timeout(LAG_PATIENCE, catching_up).await.map_err(|_| Left::Behind)??;
                        self.cache.publish(tables.clone());
                    }
                }
            }
        }
    }

    async fn snapshot(&self, updates: &mut Streaming<ControlUpdate>) -> Result<Tables, Left> {
        let mut tables = Tables::default();
        loop {
            let update = updates.message().await?.ok_or(Left::Ended)?;
            take(&mut tables, &update);
            if update.snapshot_end {
                break;
            }
        }
        // A node that is behind what readers have seen must catch up before it is believed.
        let seen = self.cache.revision().unwrap_or(0);
        catch_up(&mut tables, updates, seen).await?;
        Ok(tables)
    }

    fn take_waiting(
        &self,
        tables: &mut Tables,
        updates: &mut Streaming<ControlUpdate>,
    ) -> Result<(), Left> {
        for _ in 0..COALESCED_MAX {
            let Some(update) = updates.message().now_or_never() else { break };
            take(tables, &update?.ok_or(Left::Ended)?);
        }
        Ok(())
    }

    /// What the cluster has committed, if that is more than `tables` has.
    async fn committed_beyond(&self, tables: &Tables) -> Option<u64> {
        // Without a leader nothing can have been committed that we would miss.
        let committed = self.router.revision(Deadline::after(LAG_PATIENCE)).await.ok()?;
        (committed > tables.revision).then_some(committed)
    }
}

async fn catch_up(
    tables: &mut Tables,
    updates: &mut Streaming<ControlUpdate>,
    revision: u64,
) -> Result<(), Left> {
    while tables.revision < revision {
        let update = updates.message().await?.ok_or(Left::Ended)?;
        take(tables, &update);
    }
    Ok(())
}

fn take(tables: &mut Tables, update: &ControlUpdate) {
    for row in &update.rows {
        if let Err(error) = tables.apply(row) {
            // The table's name only: a key may hold what is nobody else's business.
            let table = row.key.split('/').next().unwrap_or_default();
            tracing::error!(table, %error, "a control row cannot be read and is passed over");
            metrics::counter!(CONTROL_ROWS_UNREADABLE_TOTAL).increment(1);
        }
    }
    tables.revision = tables.revision.max(update.revision);
}
