//! What runs on the hosts of the simulation: nodes, gateways, and the clients of the workload.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axp_chaos_tests::client::Client;
use axp_chaos_tests::history::History;
use axp_chaos_tests::http::HttpClient;
use axp_chaos_tests::oracle::Oracle;
use axp_chaos_tests::runner::finals;
use axp_chaos_tests::tenants::Tenant;
use axp_chaos_tests::workload::{self, Workload};
use axp_gateway::Gateway;
use axp_node::clock::Clock;
use axp_node::config::{Config, PeerConfig};
use axp_node::net::{Dial, Listener};
use axp_node::node::{Context, Listeners, Node, Surroundings};
use axp_node::raft::link::Links;
use axp_proto::ids::GroupId;
use futures_util::StreamExt as _;
use tokio::sync::Notify;

use crate::disk::Disk;
use crate::journal::Journal;
use crate::loss::Losses;
use crate::net::{self, Dialer};
use crate::plan::Plan;
use crate::verdict::{Violation, checks};

const API_PORT: u16 = 7001;
const RAFT_PORT: u16 = 7002;
const HTTP_PORT: u16 = 8100;
const READY_POLL: Duration = Duration::from_millis(100);
/// Two faults, of up to four seconds each, overlap with an election.
const TIMERS_LATE_MS_MAX: u64 = 10_000;
/// What a lossy link takes of a snapshot is gone, as on no TCP connection: it is sent again well before
/// a run ends.
const SNAPSHOT_STALL_MS: u64 = 1000;
/// Simulated; nothing is broken while the client waits for it.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);

pub(crate) fn node_name(node: usize) -> String {
    format!("node-{}", node + 1)
}

pub(crate) fn node_id(node: usize) -> u64 {
    node as u64 + 1
}

pub(crate) fn gateway_name(gateway: usize) -> String {
    format!("gateway-{}", gateway + 1)
}

/// One node's host, which outlives the node.
#[derive(Debug)]
pub(crate) struct NodeHost {
    config: Config,
    pub(crate) disk: Arc<Disk>,
    pub(crate) losses: Arc<Losses>,
    /// What the wall clock is off.
    pub(crate) clock_off_ms: Arc<AtomicI64>,
    /// Asks the node to stop in order and start again.
    pub(crate) restart: Notify,
    /// Asks the node to be the only voter of a group.
    shrink: Notify,
    inner: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    context: Option<Context>,
    failure: Option<Violation>,
    /// Why it ended after a sync had failed, as it has to.
    ended: Option<String>,
    to_shrink: Option<GroupId>,
}

impl NodeHost {
    pub(crate) fn new(plan: &Plan, node: usize, folder: &Path) -> Arc<Self> {
        let dir = folder.join(node_name(node));
        let seed = plan.seed.wrapping_mul(1009).wrapping_add(node as u64);
        Arc::new(Self {
            config: config(plan, node, &dir),
            disk: Disk::new(dir, seed, plan.sync_max, plan.bug),
            losses: Losses::new(seed, Config::default().raft.breaker_after()),
            clock_off_ms: Arc::default(),
            restart: Notify::new(),
            shrink: Notify::new(),
            inner: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node while it runs.
    pub(crate) fn context(&self) -> Option<Context> {
        self.lock().context.clone()
    }

    /// The node is about to be no more.
    pub(crate) fn forget(&self) {
        self.lock().context = None;
    }

    /// Why the node ended by itself.
    pub(crate) fn failure(&self) -> Option<Violation> {
        self.lock().failure.clone()
    }

    /// Why it ended when a sync had failed; told once.
    pub(crate) fn take_ended(&self) -> Option<String> {
        self.lock().ended.take()
    }

    /// Asks the node to be the only voter of a group that it leads.
    pub(crate) fn shrink(&self, group: GroupId) {
        self.lock().to_shrink = Some(group);
        self.shrink.notify_one();
    }

    /// What a node that was asked to be the only voter does; nobody waits for the answer.
    fn begin_to_shrink(&self, context: &Context) {
        let Some(group) = self.lock().to_shrink.take() else { return };
        let Some(handle) = context.groups.get(group) else { return };
        let (raft, voters) = (handle.raft.clone(), BTreeSet::from([self.config.node.id]));
        tokio::spawn(async move { raft.change_membership(voters, false).await.map(drop) });
    }

    fn clock(&self) -> Clock {
        let (system, off) = (Clock::system(), Arc::clone(&self.clock_off_ms));
        Clock::from_fn(move || system.now_ms() + off.load(Ordering::Relaxed))
    }
}

fn config(plan: &Plan, node: usize, dir: &Path) -> Config {
    let mut config = Config::default();
    config.node.id = node_id(node);
    config.node.data_dir = dir.to_owned();
    config.cluster.bootstrap_expect = u32::try_from(plan.nodes).unwrap_or(0);
    config.cluster.shard_groups = plan.shard_groups;
    let peer = |node| PeerConfig {
        id: node_id(node),
        raft_address: format!("{}:{RAFT_PORT}", node_name(node)),
        api_address: format!("{}:{API_PORT}", node_name(node)),
    };
    config.cluster.peers = (0..plan.nodes).map(peer).collect();
    config.raft.snapshot_after_entries = plan.snapshot_after_entries;
    config.raft.keep_entries = plan.keep_entries;
    config.raft.janitor_interval_ms = 500;
    config.raft.snapshot_stall_timeout_ms = SNAPSHOT_STALL_MS;
    config
}

/// Runs the node of a host, again and again.
pub(crate) async fn node(host: Arc<NodeHost>, dialer: Dialer) -> turmoil::Result {
    loop {
        let listener = async |port| {
            let (address, incoming) = net::listen(port, &dialer.journal).await?;
            let incoming = incoming
                .map(|accepted| {
                    accepted.map(|(stream, _)| Box::new(stream) as Box<dyn axp_node::net::Stream>)
                })
                .boxed();
            std::io::Result::Ok(Listener::Simulated { address, incoming })
        };
        let listeners = Listeners {
            api: listener(API_PORT).await?,
            raft: listener(RAFT_PORT).await?,
            admin: listener(0).await?,
        };
        let surroundings = Surroundings {
            links: Links::losing(Arc::clone(&host.losses) as _),
            dial: Dial::through(Arc::new(dialer.clone())),
            clock: host.clock(),
            disk: Some(Arc::clone(&host.disk) as _),
        };
        host.losses.node_starts();
        let started = Node::start_simulated(host.config.clone(), listeners, surroundings).await;
        let handle = match started {
            Ok(handle) => handle,
            Err(error) => {
                return give_up(&host, &dialer.journal, checks::STARTS, format!("{error:?}")).await;
            }
        };
        host.lock().context = Some(handle.context().clone());
        loop {
            tokio::select! {
                reason = handle.wait_failed() => {
                    return give_up(&host, &dialer.journal, checks::ENDS, reason).await;
                }
                () = host.restart.notified() => break,
                () = host.shrink.notified() => host.begin_to_shrink(handle.context()),
            }
        }
        host.forget();
        handle.shutdown().await;
        if host.disk.has_failed() {
            return give_up(&host, &dialer.journal, checks::ENDS, "a sync failed".to_owned()).await;
        }
    }
}

/// A node that failed stays down until it is crashed: its process would have ended.
async fn give_up(
    host: &NodeHost,
    journal: &Journal,
    check: &str,
    reason: String,
) -> turmoil::Result {
    let id = host.config.node.id;
    journal.note(crate::journal::now(), &format!("node {id} failed: {reason}"));
    {
        let mut running = host.lock();
        running.context = None;
        if host.disk.has_failed() {
            running.ended = Some(reason);
        } else {
            let failure = || Violation::new(check, format!("node {id}: {reason}"));
            running.failure.get_or_insert_with(failure);
        }
    }
    std::future::pending().await
}

/// Gateways make the organization that their configuration names, so there is one of each.
fn tenant(plan: &Plan, gateway: usize) -> Tenant {
    Tenant::new(plan.seed.wrapping_mul(1013).wrapping_add(gateway as u64))
}

/// Runs a gateway.
pub(crate) async fn gateway(
    plan: Arc<Plan>,
    index: usize,
    folder: Arc<Path>,
    dialer: Dialer,
) -> turmoil::Result {
    let (nodes, tenant) = (plan.nodes, tenant(&plan, index));
    let mut config = axp_gateway::config::Config::default();
    config.cluster.nodes =
        (0..nodes).map(|node| format!("{}:{API_PORT}", node_name(node))).collect();
    config.rate_limit.enabled = false;
    config.seed.organization.clone_from(&tenant.canary.name);
    config.seed.workspace = "prod".to_owned();
    config.seed.api_key = tenant.api_key;
    config.media.directory = folder.join("media");
    let (address, incoming) = net::listen(HTTP_PORT, &dialer.journal).await?;
    let incoming = incoming
        .map(|accepted| {
            accepted.map(|(io, peer)| (Box::new(io) as Box<dyn axp_gateway::net::Stream>, peer))
        })
        .boxed();
    let listener = axp_gateway::net::Listener::Simulated { address, incoming };
    let dial = axp_gateway::net::Dial::through(Arc::new(dialer));
    let _gateway = Gateway::start_simulated(config, listener, dial)?;
    std::future::pending().await
}

/// What the clients and the world tell each other.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The beginning of the record's clock.
    pub(crate) epoch: Duration,
    /// When the load began.
    pub(crate) began: Option<Duration>,
    /// All that clients were told, in the end, and how many intents were left open.
    pub(crate) record: Option<(History, usize)>,
}

/// Runs the clients from the first request to the last look.
pub(crate) async fn clients(
    plan: Arc<Plan>,
    progress: Arc<Mutex<Progress>>,
    dialer: Dialer,
) -> turmoil::Result {
    let connector = tower::service_fn(move |uri: hyper::Uri| dialer.socket(&uri));
    let urls: Vec<_> = (0..plan.gateways)
        .map(|gateway| format!("http://{}:{HTTP_PORT}", gateway_name(gateway)))
        .collect();
    let mut tenants = Vec::new();
    for gateway in 0..plan.gateways {
        let tenant = tenant(&plan, gateway);
        let http = HttpClient::over(&tenant.api_key, connector.clone());
        let tenant = Tenant { http, ..tenant };
        let client = Client::new(urls.clone(), &tenant);
        while client.register_agent("chaos-worker-0", &tenant.canary.secret).await.is_err() {
            tokio::time::sleep(READY_POLL).await;
        }
        tenants.push(tenant);
    }
    let oracle = Arc::new(Oracle::new(plan.shard_groups));
    oracle.allow_timers_late(TIMERS_LATE_MS_MAX);
    with(&progress, |progress| progress.epoch = crate::journal::now());
    let (mix, seed) = (plan.mix.clone(), plan.seed);
    let around = workload::Surroundings::default();
    let workload = Workload::start(urls, tenants, around, Arc::clone(&oracle), mix, seed).await?;
    with(&progress, |progress| progress.began = Some(crate::journal::now()));
    tokio::time::sleep(plan.healed_at() + plan.settle).await;
    let clients = workload.clients();
    let open = workload.drain(DRAIN_WITHIN).await?;
    finals::read_all(&clients, &oracle).await;
    with(&progress, |progress| progress.record = Some((oracle.take_history(), open)));
    Ok(())
}

pub(crate) fn with<T>(progress: &Mutex<Progress>, work: impl FnOnce(&mut Progress) -> T) -> T {
    work(&mut progress.lock().unwrap_or_else(PoisonError::into_inner))
}
