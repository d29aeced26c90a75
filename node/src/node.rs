//! Starts the parts of a node in order, and stops them in the reverse order.

mod handle;
mod listeners;
mod services;
mod surroundings;

use std::sync::Arc;
use std::time::Duration;

use axp_proto::mutant;
use axp_raft_store::{EngineKind, Store, StoreConfig, blocking};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::admin::{self, Probes, Watchdog};
use crate::cluster::begin::{self, Readiness};
use crate::cluster::drain::Drain;
use crate::cluster::identity::{self, Identity};
use crate::cluster::{MalformedFounding, Members, follow, founding, leadership};
use crate::config::{self, Config, Engine, PeerConfig};
use crate::net::Listener;
use crate::raft::groups::{self, Groups};
use crate::raft::link::Links;
use crate::raft::peer::{AddressError, Peers};
use crate::raft::server::{Service, Started};
use crate::shutdown::{Fatal, Tasks};
use crate::telemetry;

pub use handle::NodeHandle;
pub use listeners::{Addresses, Listeners};
pub use services::{Context, Services};
pub use surroundings::{Disk, Surroundings};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("{key} = {address:?} cannot be listened on")]
    Listen { key: &'static str, address: String, source: std::io::Error },
    #[error("the store cannot be opened")]
    Store(#[from] axp_raft_store::Error),
    #[error("opening the store was interrupted")]
    Interrupted,
    #[error(transparent)]
    Identity(#[from] identity::Error),
    #[error(transparent)]
    Founding(#[from] founding::Error),
    #[error(transparent)]
    MalformedFounding(#[from] MalformedFounding),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Groups(#[from] groups::Error),
    #[error("the node failed while it started: {0}")]
    Failed(String),
}

/// One node.
#[derive(Debug)]
pub struct Node;

impl Node {
    /// Starts a node and returns once it serves. It may wait for as long as it takes its peers to
    /// found the cluster with it; it is ready for traffic later, when its groups have caught up.
    ///
    /// # Errors
    /// When the configuration, the disk or the cluster does not let it in.
    pub async fn start(config: Config) -> Result<NodeHandle, Error> {
        let listeners = Listeners::bind(&config.node).await?;
        Self::start_on(config, listeners).await
    }

    /// The same over sockets that the caller bound: their ports are known before the node starts.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_on(config: Config, listeners: Listeners) -> Result<NodeHandle, Error> {
        let services = Arc::new(services::NodeServices::default());
        Self::start_with(config, listeners, services, Links::default()).await
    }

    /// The same with services and links of the caller's choice.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_with(
        config: Config,
        listeners: Listeners,
        services: Arc<dyn Services>,
        links: Links,
    ) -> Result<NodeHandle, Error> {
        telemetry::metrics_handle();
        let surroundings = Surroundings { links, ..Surroundings::default() };
        Self::start_within(config, listeners, services, surroundings).await
    }

    /// The node's own services, within a network, a disk and a clock of the caller's choice, and
    /// without metrics.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_simulated(
        config: Config,
        listeners: Listeners,
        surroundings: Surroundings,
    ) -> Result<NodeHandle, Error> {
        let services = Arc::new(services::NodeServices::default());
        Self::start_within(config, listeners, services, surroundings).await
    }

    async fn start_within(
        config: Config,
        listeners: Listeners,
        services: Arc<dyn Services>,
        surroundings: Surroundings,
    ) -> Result<NodeHandle, Error> {
        config.validate()?;
        if let Some(warning) = mutant::warning() {
            tracing::error!("{warning}");
        }
        let tasks = Tasks::new(Fatal::default());
        // Whoever gives up waiting drops this future: what was started must then let go of the
        // sockets and the store, too.
        let guard = tasks.stopping().drop_guard();
        let started = boxed_start(config, listeners, services, surroundings, &tasks);
        let result = tokio::select! {
            result = started => result,
            reason = tasks.fatal().wait() => Err(Error::Failed(reason)),
        };
        if result.is_err() {
            tasks.stop(STOP_DEADLINE).await;
        }
        guard.disarm();
        result
    }
}

const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// As a trait object made in a plain function, all that a node runs is compiled once, in this crate.
/// The body of an async function is compiled where it is polled: every program and every test that
/// starts a node would compile it again, for minutes.
#[inline(never)]
fn boxed_start(
    config: Config,
    listeners: Listeners,
    services: Arc<dyn Services>,
    surroundings: Surroundings,
    tasks: &Tasks,
) -> BoxFuture<'_, Result<NodeHandle, Error>> {
    Box::pin(start(config, listeners, services, surroundings, tasks))
}

async fn start(
    mut config: Config,
    listeners: Listeners,
    services: Arc<dyn Services>,
    surroundings: Surroundings,
    tasks: &Tasks,
) -> Result<NodeHandle, Error> {
    let addresses = listeners.addresses()?;
    let (started, startup) = watch::channel(false);
    let readiness = Readiness::default();
    let drain = Drain::new(config.node.drain_timeout());
    let watchdog = Arc::new(Watchdog::default());
    let probes = Probes {
        started: startup,
        readiness: readiness.clone(),
        drain: drain.clone(),
        watchdog: Arc::clone(&watchdog),
    };
    tasks.spawn("admin port", serve_admin(listeners.admin, probes, tasks.clone()));

    let store = open_store(&config, &surroundings).await?;
    tasks.spawn("store failure", watch_store(store.failed(), tasks.fatal().clone()));
    watchdog.start(&store, tasks);

    let identity = Arc::new(Identity::load(&store, config.node.id, &config.cluster).await?);
    // The disk may have taken another number.
    config.node.id = identity.node_id();
    let own = own_address(&config, &addresses);
    let service =
        Service::new(Arc::clone(&identity) as _, own.id, tasks.stopping(), tasks.fatal().clone());
    tasks.spawn("raft port", serve_raft(service.clone(), listeners.raft, tasks.clone()));

    // A node that waits for its peers has started: probes must not kill it for their absence.
    started.send_replace(identity.founding().is_none());
    let founding = founding::settle(&identity, &config.cluster, &own, &surroundings.dial).await?;
    let members = Members::new(&founding, identity.admitted(), &config.cluster, &own)?;
    identity.set_members(members.clone());
    let peers = connect(&members, &config, &surroundings, tasks)?;

    let appliers = services.appliers(&members);
    let groups = Groups::start(&config.raft, &store, &peers, members.groups(), &*appliers).await?;
    service.set_started(Started {
        peers: peers.clone(),
        groups: groups.rafts(),
        store: Arc::clone(&store),
        snapshot_stall_timeout: config.raft.snapshot_stall_timeout(),
    });
    started.send_replace(true);
    drain.set_groups(groups.clone());
    groups.look_after(&config.raft, tasks);
    begin::begin(&groups, &members, &config.raft).await?;
    let removed = follow::leave_when_removed(peers.clone(), tasks.fatal().clone());
    tasks.spawn("removed", removed);
    tasks.spawn("readiness", readiness.clone().latch(groups.clone()));
    if let Some(interval) = config.raft.rebalance_interval() {
        let rebalancer = leadership::rebalance(groups.clone(), members.clone(), interval);
        tasks.spawn("rebalancer", rebalancer);
    }

    let context = Context {
        config: Arc::new(config),
        members,
        waiting: identity.waiting().clone(),
        groups,
        readiness,
        drain,
        tasks: tasks.clone(),
        surroundings,
    };
    services.start(&context, listeners.api);
    Ok(NodeHandle::new(context, services, store, addresses))
}

fn connect(
    members: &Members,
    config: &Config,
    surroundings: &Surroundings,
    tasks: &Tasks,
) -> Result<Peers, AddressError> {
    let all: Vec<_> = members.iter().collect();
    let addresses = all.iter().map(|member| (member.id, member.raft_address.as_str()));
    let (links, dial) = (&surroundings.links, &surroundings.dial);
    let own_id = members.own_id();
    let peers = Peers::new(members.cluster_id(), own_id, addresses, &config.raft, links, dial)?;
    peers.start_pinging(config.raft.ping_interval(), tasks);
    Ok(peers)
}

/// How others reach this node: as configured for it, or as listed for all, or where it listens.
fn own_address(config: &Config, bound: &Addresses) -> PeerConfig {
    let listed = config.cluster.peer(config.node.id);
    let choose = |configured: &String, listed: Option<&String>, bound: String| {
        if configured.is_empty() { listed.cloned().unwrap_or(bound) } else { configured.clone() }
    };
    PeerConfig {
        id: config.node.id,
        raft_address: choose(
            &config.node.advertise_raft,
            listed.map(|peer| &peer.raft_address),
            bound.raft.to_string(),
        ),
        api_address: choose(
            &config.node.advertise_api,
            listed.map(|peer| &peer.api_address),
            bound.api.to_string(),
        ),
    }
}

async fn open_store(config: &Config, surroundings: &Surroundings) -> Result<Arc<Store>, Error> {
    let store = StoreConfig {
        engine: match config.storage.engine {
            Engine::Fjall => EngineKind::Fjall,
            Engine::Sled => EngineKind::Sled,
        },
        linger: Duration::from_millis(config.storage.sync_linger_ms),
        cache_bytes: config.storage.cache_bytes,
        ..StoreConfig::new(&config.node.data_dir)
    };
    let surroundings = surroundings.clone();
    let open = blocking::run(move || surroundings.open_store(&store));
    Ok(open.await.map_err(|_| Error::Interrupted)??)
}

/// Ends the node when a write or a sync has failed.
async fn watch_store(mut failed: watch::Receiver<Option<String>>, fatal: Fatal) {
    if let Ok(reason) = failed.wait_for(Option::is_some).await {
        fatal.report(format!("storage failed: {}", reason.as_deref().unwrap_or_default()));
        return;
    }
    // The store is gone, so there is nothing left to fail.
    std::future::pending::<()>().await;
}

async fn serve_admin(listener: Listener, probes: Probes, tasks: Tasks) {
    if let Err(error) = admin::serve(listener, probes, tasks.stopping()).await {
        tasks.fatal().report(format!("the admin port failed: {error}"));
    }
}

async fn serve_raft(service: Service, listener: Listener, tasks: Tasks) {
    if let Err(error) = service.serve(listener).await {
        tasks.fatal().report(format!("the raft port failed: {error}"));
    }
}
