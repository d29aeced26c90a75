//! What a strike works with: the cluster, a source of choices, and the record.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::cluster::{Cluster, Leader, Node};
use crate::history::{FaultRecord, Heal, LeaderChange};
use crate::network::{Cut, Hurt, Place, Proxies};
use crate::oracle::Oracle;

/// How long a cluster may take to elect another leader before the run fails.
pub(super) const ELECTION_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// The exit code of a node whose storage failed.
const GIVES_UP: i32 = 70;
/// The share of the leader faults that another one follows within the election timeout.
const FOLLOWED: f64 = 0.33;
/// By this name the faults that follow are told from those that they follow.
const FOLLOWER: &str = "kill-successor";

/// What a nemesis works with during one strike.
#[derive(Debug)]
pub struct Scene<'a> {
    pub cluster: &'a Cluster,
    pub oracle: &'a Oracle,
    pub rng: &'a mut StdRng,
    nemesis: &'static str,
    /// Counts the strikes of a run.
    strike: u64,
    /// One in three successors of a leader that a fault took is killed at once.
    follows: bool,
    healed: bool,
}

/// A node that leads.
pub(super) struct Target {
    pub(super) node: u64,
    /// Its place in the cluster.
    pub(super) index: usize,
    /// All shards that it leads.
    pub(super) groups: Vec<u16>,
}

impl<'a> Scene<'a> {
    pub fn new(
        cluster: &'a Cluster,
        oracle: &'a Oracle,
        rng: &'a mut StdRng,
        nemesis: &'static str,
        strike: u64,
        follows: bool,
    ) -> Self {
        Self { cluster, oracle, rng, nemesis, strike, follows, healed: false }
    }

    /// The leader of a random shard.
    pub(super) async fn some_leader(&mut self) -> anyhow::Result<Target> {
        let shards = self.shards();
        let leaders = self.cluster.wait_led(&shards, None, ELECTION_WITHIN).await?;
        let group = shards.choose(self.rng).context("a cluster has shards")?;
        let node = leaders[group].node;
        let led = leaders.iter().filter(|(_, other)| other.node == node);
        let groups = led.map(|(group, _)| *group).collect();
        Ok(Target { node, index: self.cluster.index_of(node)?, groups })
    }

    pub(super) fn shards(&self) -> Vec<u16> {
        (1..=self.cluster.shape.shard_groups).collect()
    }

    /// The shards that a node leads.
    pub(super) async fn led_by(&self, node: &Node) -> Vec<u16> {
        let leaders = self.cluster.leaders().await;
        let led = leaders.iter().filter(|(group, leader)| **group > 0 && leader.node == node.id());
        led.map(|(group, _)| *group).collect()
    }

    /// From now on something is broken, and `groups` lost their leader by it.
    pub(super) fn broke(&self, what: String, groups: &[u16]) {
        self.record(self.fault(what, groups));
    }

    /// What is broken now, to be recorded when the rest of it is known.
    pub(super) fn fault(&self, what: String, groups: &[u16]) -> FaultRecord {
        FaultRecord {
            at: self.oracle.now(),
            nemesis: self.nemesis.to_owned(),
            what,
            groups: groups.to_vec(),
            forgotten_bytes: 0,
            strike: self.strike,
            damage_found: false,
        }
    }

    pub(super) fn record(&self, fault: FaultRecord) {
        let FaultRecord { nemesis, what, strike, forgotten_bytes, .. } = &fault;
        tracing::info!(nemesis, strike, what, forgotten_bytes, "strike");
        self.oracle.fault(fault);
    }

    /// Nothing that this strike broke is broken any more. Said once, by whoever knows it first.
    pub fn healed(&mut self) {
        if !std::mem::replace(&mut self.healed, true) {
            let (at, nemesis) = (self.oracle.now(), self.nemesis.to_owned());
            self.oracle.heal(Heal { at, nemesis, strike: self.strike });
        }
    }

    /// Waits until a node that cannot go on says so and ends, as operators are told that it does.
    pub(super) async fn see_end(&self, index: usize, within: Duration) -> anyhow::Result<()> {
        let status = self.cluster.nodes[index].process.wait_ended(within).await?;
        ensure!(status.code() == Some(GIVES_UP), "node {} ended with {status}", index + 1);
        Ok(())
    }

    pub(super) async fn start_again(&self, index: usize) -> anyhow::Result<()> {
        self.cluster.nodes[index].process.start()?;
        self.cluster.wait_node_ready(index).await
    }

    pub(super) fn other_nodes(&self, index: usize) -> Vec<Place> {
        let places = self.cluster.members().map(|node| node.index);
        places.filter(|other| *other != index).map(Place::Node).collect()
    }

    pub(super) fn gateways(&self) -> Vec<Place> {
        (0..self.cluster.gateways.len()).map(Place::Gateway).collect()
    }

    /// Nothing goes from any of `from` to any of `to`.
    pub(super) fn cut(&self, from: &[Place], to: &[Place]) -> anyhow::Result<Vec<Cut>> {
        let network = self.cluster.network()?;
        let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
        pairs.map(|(from, to)| network.cut(from, to)).collect()
    }

    pub(super) fn cut_both(&self, one: &[Place], other: &[Place]) -> anyhow::Result<Vec<Cut>> {
        let mut cuts = self.cut(one, other)?;
        cuts.extend(self.cut(other, one)?);
        Ok(cuts)
    }

    /// `one` and each of the others refuse each other's connections.
    pub(super) fn refuse_both(&self, one: Place, others: &[Place]) -> anyhow::Result<Vec<Cut>> {
        let network = self.cluster.network()?;
        let pairs = others.iter().flat_map(|other| [(one, *other), (*other, one)]);
        pairs.map(|(from, to)| network.refuse(from, to)).collect()
    }

    /// Everything arrives again. A fault of the network that dropped nothing was none.
    pub(super) async fn mend(&mut self, cuts: Vec<Cut>) -> anyhow::Result<()> {
        let dropped = self.cluster.network()?.mend(cuts)?;
        self.healed();
        tracing::info!(nemesis = self.nemesis, dropped, "healed");
        ensure!(dropped > 0, "{} dropped nothing", self.nemesis);
        self.see_all_led().await
    }

    /// Lets the proxies do what `set` tells them for some milliseconds, and heals them. A fault of the
    /// proxies that did nothing to anybody was none.
    pub(super) async fn disturb(
        &mut self,
        millis: std::ops::Range<u64>,
        set: impl FnOnce(&Proxies),
    ) -> anyhow::Result<Hurt> {
        let proxies = self.cluster.proxies()?;
        let before = proxies.hurt();
        set(proxies);
        hold(self.rng, millis.start, millis.end).await;
        let hurt = proxies.hurt() - before;
        proxies.heal();
        self.healed();
        tracing::info!(nemesis = self.nemesis, ?hurt, "healed");
        self.see_all_led().await?;
        Ok(hurt)
    }

    /// Waits until every shard has a leader.
    pub(super) async fn see_all_led(&self) -> anyhow::Result<()> {
        self.cluster.wait_led(&self.shards(), None, ELECTION_WITHIN).await.map(drop)
    }

    /// Waits until more is committed in each of `groups` than now, whoever leads.
    pub(super) async fn see_progress(&self, groups: &[u16]) -> anyhow::Result<()> {
        let begun = self.cluster.committed().await;
        let deadline = tokio::time::Instant::now() + ELECTION_WITHIN;
        loop {
            let now = self.cluster.committed().await;
            let stuck = |group: &&u16| now.get(group) <= begun.get(group);
            let Some(group) = groups.iter().find(stuck) else { return Ok(()) };
            ensure!(tokio::time::Instant::now() < deadline, "group {group} commits nothing");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The same as `leaders_seen`; and where faults follow each other, one in three of these leaders
    /// is hit as soon as it leads.
    pub(super) async fn see_leaders(
        &mut self,
        groups: &[u16],
        except: Option<u64>,
    ) -> anyhow::Result<()> {
        let leaders = self.leaders_seen(groups, except).await?;
        let Some(successor) = groups.first().and_then(|group| leaders.get(group)) else {
            return Ok(());
        };
        if except.is_none() || !self.follows || !self.rng.random_bool(FOLLOWED) {
            return Ok(());
        }
        let led = leaders.iter().filter(|(_, leader)| leader.node == successor.node);
        let led: Vec<u16> = led.map(|(group, _)| *group).collect();
        let index = self.cluster.index_of(successor.node)?;
        let what = format!("kill -9 node {}, which took over", successor.node);
        self.record(FaultRecord { nemesis: FOLLOWER.to_owned(), ..self.fault(what, &led) });
        self.cluster.nodes[index].process.kill()?;
        // Two of them are away: without it nobody may be able to lead.
        hold(self.rng, 0, 1000).await;
        self.cluster.nodes[index].process.start()?;
        self.cluster.wait_node_ready(index).await?;
        self.leaders_seen(groups, except).await.map(drop)
    }

    /// Waits until others lead what `except` led, and records them.
    pub(super) async fn leaders_seen(
        &self,
        groups: &[u16],
        except: Option<u64>,
    ) -> anyhow::Result<BTreeMap<u16, Leader>> {
        let leaders = self.cluster.wait_led(groups, except, ELECTION_WITHIN).await?;
        let at = self.oracle.now();
        for (group, leader) in &leaders {
            let Leader { node, term } = *leader;
            self.oracle.leader_change(LeaderChange { at, group: *group, term, leader: node });
        }
        Ok(leaders)
    }
}

/// A fault lasts a while, in milliseconds.
pub(super) async fn hold(rng: &mut StdRng, least: u64, most: u64) {
    let millis = rng.random_range(least..most);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
