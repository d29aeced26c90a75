//! The cluster as this gateway sees it: connections to nodes, the leader of each group, the cached
//! control data and the subscriptions. Everything here is learned again after a restart.

mod answer;
mod cache;
mod commands;
mod commit;
mod doubt;
mod error;
mod freshness;
mod hub;
mod link;
mod records;
mod requests;
mod router;
mod search;
mod snapshot_map;
mod subscription;
mod tables;
mod watch;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::cache::Cache;
pub(crate) use self::commit::{Plan, transact};
pub(crate) use self::error::Error;
use self::freshness::Freshness;
use self::link::Nodes;
pub(crate) use self::records::{Records, Stored, change, removal};
pub(crate) use self::router::Router;
pub(crate) use self::subscription::{Item, Subscription};
pub(crate) use self::tables::{Tables, Versioned};
use crate::clock::Deadline;
use crate::config::ClusterConfig;
use crate::net::Dial;

/// One per gateway, shared by everything that asks the nodes.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) cache: Arc<Cache>,
    pub(crate) router: Arc<Router>,
    freshness: Arc<Freshness>,
}

impl Cluster {
    /// Starts to follow the control data; the tasks end with `stop`.
    pub(crate) fn start(
        config: &ClusterConfig,
        dial: Dial,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let cache = Arc::new(Cache::default());
        let nodes = Arc::new(Nodes::new(config.clone(), dial, stop.clone()));
        let router = Arc::new(Router::new(config.clone(), nodes, Arc::clone(&cache)));
        let freshness = Arc::new(Freshness::default());
        let follower = watch::Follower::new(Arc::clone(&cache), Arc::clone(&router));
        tasks.spawn(stop.clone().run_until_cancelled_owned(follower.run()));
        let probe = Arc::clone(&freshness).run(Arc::clone(&router));
        tasks.spawn(stop.clone().run_until_cancelled_owned(probe));
        Arc::new(Self { cache, router, freshness })
    }

    /// Brings the cache up to everything that was committed before this call.
    pub(crate) async fn refresh(&self, deadline: Deadline) -> Result<Arc<Tables>, Error> {
        let revision = self.freshness.revision(deadline).await?;
        self.cache.reach(revision, deadline).await
    }

    /// As [`Self::refresh`], but content with an answer that is at most a second old.
    pub(crate) async fn refresh_if_old(&self, deadline: Deadline) -> Result<Arc<Tables>, Error> {
        match self.freshness.recent_revision() {
            Some(revision) => self.cache.reach(revision, deadline).await,
            None => self.refresh(deadline).await,
        }
    }
}
