//! What breaks things. One fault per file; each breaks, sees that it hurt, and heals.

mod bridge;
mod flapping;
mod isolate;
mod kill_all;
mod kill_gateway;
mod kill_leader;
mod lossy;
mod one_way;
mod pause;
mod power_loss;
mod restart;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::cluster::{Cluster, Leader};
use crate::history::{FaultRecord, Heal, LeaderChange};
use crate::network::Place;
use crate::oracle::Oracle;

/// How long a cluster may take to elect another leader before the run fails.
const ELECTION_WITHIN: Duration = Duration::from_secs(30);

/// What a nemesis works with.
#[derive(Debug)]
pub struct Scene<'a> {
    pub cluster: &'a mut Cluster,
    pub oracle: &'a Oracle,
    pub rng: &'a mut StdRng,
}

/// One strike.
pub type Strike<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// A kind of fault.
pub trait Nemesis: fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;
    /// Breaks something, waits until it shows, and heals it again.
    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a>;
}

/// A nemesis by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    KillLeader,
    KillAll,
    KillGateway,
    Pause,
    Restart,
    PowerLoss,
    Isolate,
    OneWay,
    Bridge,
    Flapping,
    Lossy,
}

impl Kind {
    const ALL: [(&'static str, Self); 11] = [
        ("kill-leader", Self::KillLeader),
        ("kill-all", Self::KillAll),
        ("kill-gateway", Self::KillGateway),
        ("pause", Self::Pause),
        ("restart", Self::Restart),
        ("power-loss", Self::PowerLoss),
        ("isolate", Self::Isolate),
        ("one-way", Self::OneWay),
        ("bridge", Self::Bridge),
        ("flapping", Self::Flapping),
        ("lossy", Self::Lossy),
    ];

    #[must_use]
    pub fn nemesis(self) -> &'static dyn Nemesis {
        match self {
            Self::KillLeader => &kill_leader::KillLeader,
            Self::KillAll => &kill_all::KillAll,
            Self::KillGateway => &kill_gateway::KillGateway,
            Self::Pause => &pause::Pause,
            Self::Restart => &restart::Restart,
            Self::PowerLoss => &power_loss::PowerLoss,
            Self::Isolate => &isolate::Isolate,
            Self::OneWay => &one_way::OneWay,
            Self::Bridge => &bridge::Bridge,
            Self::Flapping => &flapping::Flapping,
            Self::Lossy => &lossy::Lossy,
        }
    }

    /// Whether it breaks the network, for which a cluster needs one of its own.
    #[must_use]
    pub fn breaks_network(self) -> bool {
        match self {
            Self::Isolate | Self::OneWay | Self::Bridge | Self::Flapping | Self::Lossy => true,
            Self::KillLeader
            | Self::KillAll
            | Self::KillGateway
            | Self::Pause
            | Self::Restart
            | Self::PowerLoss => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.nemesis().name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(|(name, _)| name);
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| kind).ok_or_else(|| format!("{text} is none of {}", names.join(", ")))
    }
}

impl Scene<'_> {
    /// The leader of a random shard, and all shards that it leads.
    async fn some_leader(&mut self) -> anyhow::Result<(Leader, Vec<u16>)> {
        let shards: Vec<u16> = (1..=self.cluster.shape.shard_groups).collect();
        let leaders = self.cluster.wait_led(&shards, None, ELECTION_WITHIN).await?;
        let group = shards.choose(self.rng).context("a cluster has shards")?;
        let leader = leaders[group];
        let led = leaders.iter().filter(|(_, other)| other.node == leader.node);
        Ok((leader, led.map(|(group, _)| *group).collect()))
    }

    fn record_fault(&self, nemesis: &dyn Nemesis, what: String, groups: &[u16]) {
        self.record(nemesis, self.oracle.now(), what, groups, 0);
    }

    fn record(
        &self,
        nemesis: &dyn Nemesis,
        at: u64,
        what: String,
        groups: &[u16],
        forgotten_bytes: u64,
    ) {
        tracing::info!(nemesis = nemesis.name(), what, forgotten_bytes, "strike");
        let (nemesis, groups) = (nemesis.name().to_owned(), groups.to_vec());
        self.oracle.fault(FaultRecord { at, nemesis, what, groups, forgotten_bytes });
    }

    fn other_nodes(&self, index: usize) -> Vec<Place> {
        (0..self.cluster.nodes.len()).filter(|other| *other != index).map(Place::Node).collect()
    }

    /// Nothing goes from any of `from` to any of `to`.
    fn cut(&self, from: &[Place], to: &[Place]) -> anyhow::Result<()> {
        let network = self.cluster.network()?;
        for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))) {
            network.cut(from, to)?;
        }
        Ok(())
    }

    fn cut_both(&self, one: &[Place], other: &[Place]) -> anyhow::Result<()> {
        self.cut(one, other)?;
        self.cut(other, one)
    }

    /// Everything arrives again. A fault of the network that dropped nothing was none.
    async fn heal_network(&mut self, nemesis: &dyn Nemesis) -> anyhow::Result<()> {
        let dropped = self.cluster.network()?.heal()?;
        let (at, nemesis) = (self.oracle.now(), nemesis.name().to_owned());
        tracing::info!(nemesis, dropped, "healed");
        ensure!(dropped > 0, "{nemesis} dropped nothing");
        self.oracle.heal(Heal { at, nemesis });
        let shards: Vec<u16> = (1..=self.cluster.shape.shard_groups).collect();
        self.cluster.wait_led(&shards, None, ELECTION_WITHIN).await?;
        self.cluster.wait_nodes_ready().await
    }

    /// Waits until more is committed in each of `groups` than now, whoever leads.
    async fn see_progress(&self, groups: &[u16]) -> anyhow::Result<()> {
        let begun = self.cluster.committed().await;
        let deadline = tokio::time::Instant::now() + ELECTION_WITHIN;
        loop {
            let now = self.cluster.committed().await;
            let stuck = |group: &&u16| now.get(group) <= begun.get(group);
            let Some(group) = groups.iter().find(stuck) else { return Ok(()) };
            ensure!(tokio::time::Instant::now() < deadline, "group {group} commits nothing");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until others lead what `except` led, and records them.
    async fn see_leaders(&self, groups: &[u16], except: Option<u64>) -> anyhow::Result<()> {
        let leaders = self.cluster.wait_led(groups, except, ELECTION_WITHIN).await?;
        let at = self.oracle.now();
        for (group, leader) in leaders {
            let Leader { node, term } = leader;
            self.oracle.leader_change(LeaderChange { at, group, term, leader: node });
        }
        Ok(())
    }
}

/// A fault lasts a while, in milliseconds.
async fn hold(rng: &mut StdRng, least: u64, most: u64) {
    let millis = rng.random_range(least..most);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for (name, kind) in Kind::ALL {
            assert_eq!(kind.to_string(), name);
            assert_eq!(name.parse(), Ok(kind));
        }
        assert!("earthquake".parse::<Kind>().is_err());
    }
}
