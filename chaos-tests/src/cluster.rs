//! A real cluster: three nodes and two gateways, each a process of its own on this machine; and a place
//! for one node more, where members change.
//!
//! Starts them from the built binaries, finds leaders through the admin API, breaks and restarts
//! them by their own handles, and collects a log per process. Processes die with this value.

mod admin;
pub mod binaries;
pub mod clock;
mod config;
mod members;
mod node;
mod ports;
mod prepare;
mod process;
mod seeding;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

pub use admin::{Leader, NodeStatus, ReplicaProbe};
pub use binaries::Binaries;
pub use clock::ahead as clock_ahead;
pub use config::{ClusterShape, Timing};
pub use members::{newest_row, unlike};
pub use node::Node;
pub use process::{Build, Process};
pub use seeding::first_tenant;

use crate::network::{Network, Proxies};
use crate::powerloss::{Mounted, PowerLossDisk};
use crate::workload::Silence;

/// How long a healthy process may take to become ready, on a loaded machine with two cores.
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// One gateway's process and addresses.
#[derive(Debug)]
pub struct Gateway {
    pub process: Process,
    pub url: String,
    admin: String,
}

impl Gateway {
    /// Host and port of its admin server.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }
}

/// Running processes.
#[derive(Debug)]
pub struct Cluster {
    /// Every place for a node, taken or not. See [`Cluster::members`].
    pub nodes: Vec<Node>,
    /// Ids are never used again.
    last_id: AtomicU64,
    pub gateways: Vec<Gateway>,
    /// One that limits rates, if there is one; nobody breaks it.
    limited: Option<Gateway>,
    gateway_program: PathBuf,
    /// Of the callbacks outside.
    pub silence: Silence,
    /// Whether there is another build of the programs.
    pub has_other_build: bool,
    /// These three after the processes, so that those are gone when they are taken down.
    mounts: Vec<Mounted>,
    proxies: Option<Proxies>,
    network: Option<Arc<Network>>,
    pub shape: ClusterShape,
    folder: PathBuf,
}

impl Cluster {
    /// Starts everything below `folder` and waits until it is ready.
    ///
    /// # Errors
    /// When a process cannot be started or is not ready in time; its log is in `folder`.
    pub async fn start(
        binaries: &Binaries,
        folder: &Path,
        shape: ClusterShape,
    ) -> anyhow::Result<Self> {
        let cluster = Self::prepare(binaries, folder, shape)?;
        for node in cluster.members() {
            node.process.start()?;
        }
        cluster.wait_nodes_ready().await?;
        for gateway in &cluster.gateways {
            gateway.process.start()?;
        }
        for index in 0..cluster.gateways.len() {
            cluster.wait_gateway_ready(index).await?;
        }
        Ok(cluster)
    }

    /// Where configurations, logs and data are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a node keeps its data.
    #[must_use]
    pub fn data_folder(&self, index: usize) -> PathBuf {
        data_folder(&self.folder, index)
    }

    /// The disk of a node.
    ///
    /// # Errors
    /// When nodes of this cluster have ordinary disks.
    pub fn disk(&self, index: usize) -> anyhow::Result<&PowerLossDisk> {
        let mount = self.mounts.get(index).context("the nodes have ordinary disks")?;
        Ok(&mount.disk)
    }

    /// The network of the cluster.
    ///
    /// # Errors
    /// When it shares this machine's.
    pub fn network(&self) -> anyhow::Result<&Network> {
        self.network.as_deref().context("the cluster has no network of its own")
    }

    /// The proxies between the processes.
    ///
    /// # Errors
    /// When the cluster was started without.
    pub fn proxies(&self) -> anyhow::Result<&Proxies> {
        self.proxies.as_ref().context("the cluster has no proxies")
    }

    /// Base URLs of the gateways.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| gateway.url.clone()).collect()
    }

    /// Waits until every node says that it is ready.
    ///
    /// # Errors
    /// When one is not in time, or has ended.
    pub async fn wait_nodes_ready(&self) -> anyhow::Result<()> {
        for node in self.members() {
            self.wait_node_ready(node.index).await?;
        }
        Ok(())
    }

    /// Waits until one node says that it is ready.
    ///
    /// # Errors
    /// When it is not in time, or has ended.
    pub async fn wait_node_ready(&self, index: usize) -> anyhow::Result<()> {
        let node = &self.nodes[index];
        let deadline = Instant::now() + READY_WITHIN;
        while !node.probe.is_ready().await {
            node.process.check_running()?;
            if Instant::now() > deadline {
                bail!("node {} is not ready after {READY_WITHIN:?}", node.id());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Whether a node says that it is ready.
    pub async fn is_ready(&self, index: usize) -> bool {
        self.nodes[index].probe.is_ready().await
    }

    /// Waits until one gateway says that it is ready.
    ///
    /// # Errors
    /// When it is not in time, or has ended.
    pub async fn wait_gateway_ready(&self, index: usize) -> anyhow::Result<()> {
        let gateway = &self.gateways[index];
        let probe = format!("http://{}/readyz", gateway.admin);
        let deadline = Instant::now() + READY_WITHIN;
        while !admin::answers_ok(&probe).await {
            gateway.process.check_running()?;
            if Instant::now() > deadline {
                bail!("gateway {index} is not ready after {READY_WITHIN:?}");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// What each node says of itself; nodes that do not answer are left out.
    pub async fn statuses(&self) -> Vec<NodeStatus> {
        let asked = self.nodes.iter().map(|node| node.probe.status());
        futures_util::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// What asks each member for the hashes of its replicas.
    #[must_use]
    pub fn replica_probes(&self) -> Vec<ReplicaProbe> {
        self.members().map(|node| node.probe.replicas()).collect()
    }

    /// Who leads which group, as the leaders themselves say; of two the one with the higher term.
    pub async fn leaders(&self) -> BTreeMap<u16, Leader> {
        admin::leaders_of(&self.statuses().await)
    }

    /// Asks a node to hand a group over; whether it did shows in who leads then.
    pub async fn hand_over(&self, index: usize, group: u16, to: u64) {
        self.nodes[index].probe.hand_over(group, to).await;
    }

    /// The sum of a metric of a node over its labels; nothing when it does not answer.
    pub async fn metric(&self, index: usize, name: &str) -> f64 {
        self.nodes[index].probe.metric(name).await.unwrap_or_default()
    }

    /// How far each group has committed, as the node says that knows most.
    pub async fn committed(&self) -> BTreeMap<u16, u64> {
        let mut committed = BTreeMap::new();
        for group in self.statuses().await.iter().flat_map(|status| &status.groups) {
            let Ok(id) = u16::try_from(group.group) else { continue };
            let known: &mut u64 = committed.entry(id).or_default();
            *known = group.committed_index.max(*known);
        }
        committed
    }

    /// Waits until each of `groups` is led by some other node than `except`.
    ///
    /// # Errors
    /// When it takes longer than `within`.
    pub async fn wait_led(
        &self,
        groups: &[u16],
        except: Option<u64>,
        within: Duration,
    ) -> anyhow::Result<BTreeMap<u16, Leader>> {
        let deadline = Instant::now() + within;
        loop {
            let mut leaders = self.leaders().await;
            leaders.retain(|group, leader| groups.contains(group) && Some(leader.node) != except);
            if leaders.len() == groups.len() {
                return Ok(leaders);
            }
            if Instant::now() > deadline {
                let missing: Vec<_> =
                    groups.iter().filter(|group| !leaders.contains_key(group)).collect();
                bail!("groups {missing:?} have no leader but {except:?} after {within:?}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The place of the member with this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn index_of(&self, id: u64) -> anyhow::Result<usize> {
        let mut members = self.members();
        let found = members.find(|node| node.id() == id).map(|node| node.index);
        found.with_context(|| format!("no node {id}"))
    }

    /// Brings back whatever is not running or stopped, and waits until all nodes are ready.
    ///
    /// # Errors
    /// When something does not come back.
    pub async fn heal(&self) -> anyhow::Result<()> {
        if let Some(network) = &self.network {
            network.heal()?;
        }
        if let Some(proxies) = &self.proxies {
            proxies.heal();
        }
        self.silence.end();
        for mount in &self.mounts {
            mount.disk.lock().faults.clear();
        }
        for node in self.members() {
            node.process.heal()?;
        }
        for gateway in &self.gateways {
            gateway.process.heal()?;
        }
        self.wait_nodes_ready().await?;
        for index in 0..self.gateways.len() {
            self.wait_gateway_ready(index).await?;
        }
        Ok(())
    }

    /// Where nodes find this machine.
    #[must_use]
    pub fn outside(&self) -> Ipv4Addr {
        self.network.as_ref().map_or(Ipv4Addr::LOCALHOST, |network| network.outside())
    }

    /// Of everybody.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        let nodes = self.members().map(|node| &node.process);
        let gateways = self.gateways.iter().chain(&self.limited);
        nodes.chain(gateways.map(|gateway| &gateway.process))
    }

    /// Fails when a process that nobody stopped has ended: a crash is a finding even when the
    /// cluster survives it.
    ///
    /// # Errors
    /// Names the process and its log.
    pub fn check_nobody_died(&self) -> anyhow::Result<()> {
        self.processes().try_for_each(Process::check_running)
    }
}

fn data_folder(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("node-{}-data", index + 1))
}
