//! Configuration files of the processes: defaults, but for addresses and what a run wants different.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use super::ports;
use crate::network::{Network, Place};
use crate::powerloss::{EntryRule, Survival};

/// What gateways make that stay.
pub(super) const FIRST: Seed<'_> =
    Seed { organization: "acme", api_key: "axme_sa_chaos_0123456789abcdef" };

/// What a gateway makes when it starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed<'a> {
    pub(super) organization: &'a str,
    pub(super) api_key: &'a str,
}

/// How patient elections are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// As shipped.
    Default,
    /// For debug builds on a machine that compiles meanwhile: a process that gets no CPU for half a
    /// second is not dead.
    Patient,
}

impl Timing {
    fn toml(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Patient => {
                "heartbeat-interval-ms = 250\nelection-timeout-min-ms = 1500\n\
                 election-timeout-max-ms = 2500\nbreaker-after-ms = 2500\nappend-timeout-ms = 3000\n"
            }
        }
    }
}

/// What a run wants of its cluster.
#[derive(Debug, Clone)]
pub struct ClusterShape {
    pub nodes: usize,
    /// Places for nodes that are added later.
    pub spare_nodes: usize,
    pub gateways: usize,
    pub shard_groups: u16,
    pub engine: String,
    /// Small, so that logs are purged and snapshots taken within a run.
    pub snapshot_after_entries: u64,
    pub keep_entries: u64,
    pub timing: Timing,
    /// Every process in a network namespace of its own, on a bridge that can drop. Needs root.
    pub own_network: bool,
    /// With a network of their own: proxies between the processes.
    pub proxies: bool,
    /// Every process has a wall clock that can be set. Needs libfaketime.
    pub own_clocks: bool,
    /// Nodes keep their data on disks that can lose power, with this rule for directory entries.
    /// Needs root.
    pub power_loss_disks: Option<EntryRule>,
    /// What a power loss leaves; each disk's is chosen from these.
    pub survivals: Vec<Survival>,
}

impl Default for ClusterShape {
    fn default() -> Self {
        Self {
            nodes: 3,
            spare_nodes: 0,
            gateways: 2,
            shard_groups: 4,
            engine: "fjall".to_owned(),
            snapshot_after_entries: 500,
            keep_entries: 200,
            timing: Timing::Default,
            own_network: false,
            proxies: false,
            own_clocks: false,
            power_loss_disks: None,
            survivals: vec![Survival::Lose, Survival::Reorder, Survival::Torn],
        }
    }
}

impl ClusterShape {
    /// All places for nodes.
    pub(super) fn places(&self) -> usize {
        self.nodes + self.spare_nodes
    }

    /// So that a node that was away for a few seconds needs a snapshot.
    #[must_use]
    pub fn with_short_logs(self) -> Self {
        Self { snapshot_after_entries: 100, keep_entries: 50, ..self }
    }
}

#[derive(Debug, Clone)]
pub(super) struct NodeAddress {
    pub(super) id: u64,
    pub(super) api: String,
    pub(super) raft: String,
    pub(super) admin: String,
}

#[derive(Debug)]
pub(super) struct GatewayAddress {
    pub(super) http: String,
    pub(super) grpc: String,
    pub(super) admin: String,
}

#[derive(Debug)]
pub(super) struct Addresses {
    /// Of all places, the founders' first.
    pub(super) nodes: Vec<NodeAddress>,
    pub(super) gateways: Vec<GatewayAddress>,
}

impl Addresses {
    /// APIs of the nodes.
    pub(super) fn node_apis(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.api.clone()).collect()
    }

    /// On this machine's loopback, or each at its own place of `network`.
    pub(super) fn choose(shape: &ClusterShape, network: Option<&Network>) -> anyhow::Result<Self> {
        let ports = ports::pick(3 * (shape.places() + shape.gateways))?;
        let at = |place, ports: &[u16]| -> anyhow::Result<[String; 3]> {
            let host = match network {
                Some(network) => network.address(place)?,
                None => Ipv4Addr::LOCALHOST,
            };
            Ok([0, 1, 2].map(|index| format!("{host}:{}", ports[index])))
        };
        let (of_nodes, of_gateways) = ports.split_at(3 * shape.places());
        let node = |(index, ports): (usize, &[u16])| {
            let [api, raft, admin] = at(Place::Node(index), ports)?;
            Ok(NodeAddress { id: index as u64 + 1, api, raft, admin })
        };
        let gateway = |(index, ports): (usize, &[u16])| {
            let [http, grpc, admin] = at(Place::Gateway(index), ports)?;
            Ok(GatewayAddress { http, grpc, admin })
        };
        Ok(Self {
            nodes: of_nodes.chunks(3).enumerate().map(node).collect::<anyhow::Result<_>>()?,
            gateways: of_gateways
                .chunks(3)
                .enumerate()
                .map(gateway)
                .collect::<anyhow::Result<_>>()?,
        })
    }
}

/// `known`: the founders, or for a node that is added later the members it asks to be let in.
pub(super) fn node_toml(
    shape: &ClusterShape,
    known: &[NodeAddress],
    own: &NodeAddress,
    data: &Path,
) -> String {
    let mut peers = String::new();
    for peer in known {
        let (id, raft, api) = (peer.id, &peer.raft, &peer.api);
        writeln!(peers, "  {{ id = {id}, raft-address = \"{raft}\", api-address = \"{api}\" }},")
            .expect("a string takes everything");
    }
    let NodeAddress { id, api, raft, admin } = own;
    let ClusterShape { nodes, shard_groups, engine, snapshot_after_entries, keep_entries, .. } =
        shape;
    let (data, timing) = (data.display(), shape.timing.toml());
    format!(
        r#"[node]
id = {id}
data-dir = "{data}"
api-listen = "{api}"
raft-listen = "{raft}"
admin-listen = "{admin}"

[cluster]
bootstrap-expect = {nodes}
shard-groups = {shard_groups}
peers = [
{peers}]

[raft]
{timing}snapshot-after-entries = {snapshot_after_entries}
keep-entries = {keep_entries}
janitor-interval-ms = 1000

[storage]
engine = "{engine}"

[push]
attempt-timeout-ms = 2000
retry-ms = [100, 300, 1000]
allow-private-targets = true
"#
    )
}

/// `nodes`: addresses of their APIs. Without a rate requests are not counted.
pub(super) fn gateway_toml(
    nodes: &[String],
    own: &GatewayAddress,
    seed: &Seed<'_>,
    requests_per_minute: Option<u32>,
) -> String {
    let limit = match requests_per_minute {
        Some(rate) => format!("enabled = true\nrequests-per-minute = {rate}"),
        None => "enabled = false".to_owned(),
    };
    let nodes: Vec<String> = nodes.iter().map(|node| format!("\"{node}\"")).collect();
    let nodes = nodes.join(", ");
    let Seed { organization, api_key } = seed;
    let GatewayAddress { http, grpc, admin } = own;
    format!(
        r#"[http]
listen = "{http}"

[grpc]
listen = "{grpc}"

[admin]
listen = "{admin}"

[cluster]
nodes = [{nodes}]

[rate-limit]
{limit}

[seed]
organization = "{organization}"
workspace = "prod"
api-key = "{api_key}"
"#
    )
}
