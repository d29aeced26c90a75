//! What a seed stands for: the cluster, the load, and what breaks when.

mod fault;

use std::time::Duration;

use axp_chaos_tests::workload::Mix;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt, SeedableRng};

use crate::bug::Bug;

pub(crate) use fault::{Fault, Leaves};

/// How long the last strike lasts, if it is one alone, and after how much of it every group has to be
/// writable (a wall has a lease, an election, and a gateway's patience behind it).
const ALONE: Duration = Duration::from_secs(10);
pub(crate) const WRITABLE_AFTER: Duration = Duration::from_secs(6);
/// How long a leader is cut off that changes its group alone: time for a lease and an election on
/// both sides.
const CUT_OFF: Duration = Duration::from_secs(4);

/// A fault with its begin and end.
#[derive(Debug, Clone)]
pub(crate) struct Strike {
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
    pub(crate) fault: Fault,
    pub(crate) aim: Aim,
}

/// Whom a strike hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The nodes that it names.
    AsNamed,
    /// Who leads a group when it begins, in place of the first node that it names.
    Leader(u16),
    /// As the strike before it.
    Again,
}

/// What a seed stands for.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) gateways: usize,
    pub(crate) shard_groups: u16,
    pub(crate) snapshot_after_entries: u64,
    pub(crate) keep_entries: u64,
    /// Between two hosts, one way, at most; most messages take less.
    pub(crate) latency_max: Duration,
    pub(crate) sync_max: Duration,
    /// Load without faults in the beginning, with faults, and without again.
    pub(crate) warm_up: Duration,
    pub(crate) breaking: Duration,
    pub(crate) settle: Duration,
    pub(crate) mix: Mix,
    pub(crate) strikes: Vec<Strike>,
    /// A last fault that has the cluster for itself, from here to there: a majority has to find a way
    /// around it.
    pub(crate) alone: Option<(Duration, Duration)>,
    pub(crate) bug: Option<Bug>,
}

impl Plan {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let nodes = if rng.random_bool(0.9) { 3 } else { 5 };
        let short = rng.random_bool(0.5);
        let millis = |ms| Duration::from_millis(ms);
        let mut plan = Self {
            seed,
            nodes,
            gateways: 2,
            shard_groups: rng.random_range(1..=2),
            // Logs that begin to be dropped before anything breaks, or in the middle.
            snapshot_after_entries: rng.random_range(if short { 10..40 } else { 20..200 }),
            keep_entries: rng.random_range(if short { 1..10 } else { 10..60 }),
            latency_max: millis(*[2, 5, 20].choose(&mut rng).unwrap_or(&5)),
            sync_max: millis(*[2, 5, 20].choose(&mut rng).unwrap_or(&5)),
            warm_up: millis(1000),
            breaking: millis(rng.random_range(3_000..8_000)),
            settle: millis(2000),
            mix: mix(&mut rng),
            strikes: Vec::new(),
            alone: None,
            bug,
        };
        let (usurped, alone) = (rng.random_bool(0.25), rng.random_bool(0.4));
        if alone {
            plan.breaking /= 2;
        }
        // Two lanes, so that faults overlap; a third of the strikes follow within an election.
        for _ in 0..2 {
            let mut at = plan.warm_up + millis(rng.random_range(0..1500));
            while at < plan.warm_up + plan.breaking {
                let fault = fault(&mut rng, nodes, plan.gateways);
                let end = at + lasts(&mut rng, &fault);
                let aim = aim(&mut rng, plan.shard_groups, &fault);
                plan.strikes.push(Strike { begin: at, end, fault, aim });
                let calm = if rng.random_bool(0.33) { 0..400 } else { 400..2500 };
                at = end + millis(rng.random_range(calm));
            }
        }
        if usurped {
            plan.change_nobody_heard_of(&mut rng);
        }
        if alone {
            plan.end_with_one_alone(&mut rng);
        }
        plan.strikes.sort_by_key(|strike| strike.begin);
        plan
    }

    /// A long strike at a leader when all others are over.
    fn end_with_one_alone(&mut self, rng: &mut StdRng) {
        let begin = self.healed_at() + Duration::from_secs(3);
        let end = begin + ALONE;
        let group = rng.random_range(1..=self.shard_groups);
        let (node, gateway) = (0, rng.random_range(0..self.gateways));
        let away: Vec<_> = (1..self.nodes).map(|peer| (node, peer)).collect();
        let peers = (1..self.nodes).collect();
        let fault = match rng.random_range(0..8) {
            0 => Fault::Cut { pairs: away },
            1 => Fault::AnswersLost { node, peers, pings: true },
            2 => Fault::AnswersLost { node, peers, pings: false },
            3 => Fault::OneWay { from: node, to: 1 },
            // A star: all see the last one, and nobody else. With three nodes, a bridge.
            4 => Fault::Cut { pairs: pairs_of(self.nodes - 1) },
            5 => Fault::Split { node, gateway },
            6 => Fault::Refused { node, gateway: rng.random_bool(0.5).then_some(gateway) },
            _ => Fault::AnswersLost { node, peers: vec![1], pings: false },
        };
        self.strikes.push(Strike { begin, end, fault, aim: Aim::Leader(group) });
        self.alone = Some((begin, end));
    }

    /// A leader that is cut off is asked to be its group's only voter, and started again: what nobody
    /// else agreed to makes it no majority. Nothing else is broken meanwhile: the others have to have
    /// another leader before they hear of it, or they would agree.
    fn change_nobody_heard_of(&mut self, rng: &mut StdRng) {
        let (node, group) = (0, rng.random_range(0..=self.shard_groups));
        let cut = self.healed_at() + Duration::from_secs(1);
        let pairs = (1..self.nodes).map(|peer| (node, peer)).collect();
        let (fault, aim) = (Fault::Cut { pairs }, Aim::Leader(group));
        self.strikes.push(Strike { begin: cut, end: cut + CUT_OFF, fault, aim });
        let ask = cut + Duration::from_millis(50);
        let crash = ask + Duration::from_millis(450);
        let fault = Fault::Shrink { node, group };
        self.strikes.push(Strike { begin: ask, end: crash, fault, aim: Aim::Again });
        let fault = Fault::Crash { nodes: vec![node], leaves: Leaves::Written };
        let end = crash + Duration::from_millis(200);
        self.strikes.push(Strike { begin: crash, end, fault, aim: Aim::Again });
    }

    /// When nothing is broken any more.
    pub(crate) fn healed_at(&self) -> Duration {
        let last = self.strikes.iter().map(|strike| strike.end).max().unwrap_or_default();
        last.max(self.warm_up + self.breaking)
    }
}

fn mix(rng: &mut StdRng) -> Mix {
    Mix {
        rate: if rng.random_bool(0.7) {
            rng.random_range(15..50)
        } else {
            rng.random_range(50..300)
        },
        agents: rng.random_range(2..5),
        raced: 0.25,
        watched: 0.2,
        read: 0.3,
        agent_crash: 0.05,
        // Pushes would leave the simulation, and it has no gateway to flood.
        pushes: 0.0,
        floods: 0.0,
        visits: 0.0,
        // Not tried there yet.
        hang_ups: 0.0,
        hoarded: 0.0,
        slow_reads: 0.0,
        ..Mix::default()
    }
}

/// Half of the strikes are at leaders; who does not lead loses nothing by being refused.
fn aim(rng: &mut StdRng, shard_groups: u16, fault: &Fault) -> Aim {
    if matches!(fault, Fault::Refused { .. }) {
        return Aim::Leader(rng.random_range(1..=shard_groups));
    }
    let leader = Aim::Leader(rng.random_range(0..=shard_groups));
    if rng.random_bool(0.5) { leader } else { Aim::AsNamed }
}

fn fault(rng: &mut StdRng, nodes: usize, gateways: usize) -> Fault {
    let node = rng.random_range(0..nodes);
    let other = (node + rng.random_range(1..nodes)) % nodes;
    let leaves = if rng.random_bool(0.7) { Leaves::Synced } else { Leaves::Written };
    let peers = || (0..nodes).filter(|peer| *peer != node).collect::<Vec<_>>();
    let away = || peers().into_iter().map(|peer| (node, peer)).collect();
    match rng.random_range(0..24) {
        0..=2 => Fault::Crash { nodes: vec![node], leaves },
        3 => Fault::Crash { nodes: vec![node, other], leaves },
        4 => Fault::Crash { nodes: (0..nodes).collect(), leaves },
        5 => Fault::Restart { node },
        6 => Fault::GatewayCrash { gateway: rng.random_range(0..gateways) },
        7 => Fault::Cut { pairs: away() },
        // A bridge: with three nodes, both sides see the third one.
        8 => Fault::Cut { pairs: vec![(node, other)] },
        9 => Fault::Stall { pairs: away() },
        10 => Fault::Stall { pairs: vec![(node, other)] },
        11 => Fault::OneWay { from: node, to: other },
        12 => Fault::AnswersLost { node, peers: peers(), pings: rng.random_bool(0.5) },
        13 => Fault::Lossy { share: rng.random_range(0.02..0.3) },
        14 => Fault::SlowDisk { node, sync: Duration::from_millis(rng.random_range(50..600)) },
        15 => Fault::SlowLink {
            pair: (node, other),
            latency: Duration::from_millis(rng.random_range(20..200)),
        },
        16 => Fault::ClockJump { node, by_ms: rng.random_range(-3_600_000..3_600_000) },
        17 | 18 => Fault::Split { node, gateway: rng.random_range(0..gateways) },
        19 | 20 => Fault::AnswersLost { node, peers: vec![other], pings: false },
        21 | 22 => {
            let gateway = rng.random_bool(0.5).then(|| rng.random_range(0..gateways));
            Fault::Refused { node, gateway }
        }
        _ => Fault::SyncFails { node },
    }
}

fn pairs_of(nodes: usize) -> Vec<(usize, usize)> {
    (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect()
}

fn lasts(rng: &mut StdRng, fault: &Fault) -> Duration {
    let ms = match fault {
        Fault::Crash { .. } | Fault::GatewayCrash { .. } => rng.random_range(10..2500),
        Fault::Restart { .. } => 0,
        _ => rng.random_range(300..4000),
    };
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_hundred_seeds_draw_every_fault_often() {
        let mut drawn = BTreeMap::<_, u32>::new();
        for seed in 0..100 {
            for strike in Plan::new(seed, None).strikes {
                *drawn.entry(strike.fault.name()).or_default() += 1;
            }
        }
        for name in ["change-of-voters", "lost-answers-of-a-peer", "refused-connections"] {
            assert!(drawn.contains_key(name), "{name} is not drawn: {drawn:?}");
        }
        assert!(drawn.values().all(|times| *times >= 10), "too rarely: {drawn:?}");
    }

    #[test]
    fn a_change_that_nobody_hears_of_has_the_cluster_for_itself() {
        let changes = |strike: &Strike| matches!(strike.fault, Fault::Shrink { .. });
        for plan in (0..100).map(|seed| Plan::new(seed, None)) {
            let Some(at) = plan.strikes.iter().position(changes) else { continue };
            let (cut, crash) = (&plan.strikes[at - 1], &plan.strikes[at + 1]);
            assert!(plan.strikes[..at - 1].iter().all(|earlier| earlier.end < cut.begin));
            assert!(plan.strikes[at + 2..].iter().all(|later| later.begin > cut.end));
            assert!(cut.begin < crash.begin && crash.end < cut.end);
            assert_eq!((plan.strikes[at].aim, crash.aim), (Aim::Again, Aim::Again));
        }
    }
}
