//! What a seed stands for: the cluster, the load, and what breaks when.

use std::str::FromStr;
use std::time::Duration;

use axp_chaos_tests::workload::Mix;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt, SeedableRng};

/// A bug that is put in to show that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Syncs answer before anything is durable (M2).
    LyingSync,
    /// Votes do not survive a power loss (M8).
    ForgottenVotes,
    /// A power loss keeps half of a batch.
    TornBatches,
}

impl Bug {
    pub(crate) const ALL: [(Self, &'static str); 3] = [
        (Self::LyingSync, "lying-sync"),
        (Self::ForgottenVotes, "forgotten-votes"),
        (Self::TornBatches, "torn-batches"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(bug, _)| *bug == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Bug {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(bug, _)| *bug).ok_or_else(|| {
            let names = Self::ALL.map(|(_, name)| name).join(", ");
            format!("{text} is none of {names}")
        })
    }
}

/// What a crash leaves of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// All that was written: the process died, the machine did not.
    Written,
    /// What was synced, and some of the batches that were not, in order.
    Synced,
}

/// Something that breaks for a while.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nodes die at once and come back.
    Crash { nodes: Vec<usize>, leaves: Leaves },
    /// A node is asked to stop, and starts again.
    Restart { node: usize },
    /// A gateway dies and comes back.
    GatewayCrash { gateway: usize },
    /// Nothing passes between two nodes, and what was under way is lost.
    Cut { pairs: Vec<(usize, usize)> },
    /// The same, but what is sent meanwhile arrives in the end, as TCP would have it.
    Stall { pairs: Vec<(usize, usize)> },
    /// Nothing goes one way.
    OneWay { from: usize, to: usize },
    /// A node's calls arrive at its peers, and the answers get lost.
    AnswersLost { node: usize },
    /// A share of all calls between nodes gets lost, either half.
    Lossy { share: f64 },
    /// Every sync of a node takes long.
    SlowDisk { node: usize, sync: Duration },
    /// All messages between two hosts take long.
    SlowLink { pair: (usize, usize), latency: Duration },
    /// A node's wall clock jumps, and jumps back.
    ClockJump { node: usize, by_ms: i64 },
}

impl Fault {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Crash { nodes, .. } if nodes.len() > 2 => "crash-of-all-nodes",
            Self::Crash { nodes, .. } if nodes.len() > 1 => "crash-of-two-nodes",
            Self::Crash { .. } => "crash-of-a-node",
            Self::Restart { .. } => "restart",
            Self::GatewayCrash { .. } => "crash-of-a-gateway",
            Self::Cut { pairs } if pairs.len() > 1 => "partition-of-a-node",
            Self::Cut { .. } => "partition-of-a-pair",
            Self::Stall { .. } => "stalled-connections",
            Self::OneWay { .. } => "one-way-partition",
            Self::AnswersLost { .. } => "lost-answers",
            Self::Lossy { .. } => "lossy-calls",
            Self::SlowDisk { .. } => "slow-disk",
            Self::SlowLink { .. } => "slow-link",
            Self::ClockJump { .. } => "clock-jump",
        }
    }
}

/// A fault with its begin and end.
#[derive(Debug, Clone)]
pub(crate) struct Strike {
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
    pub(crate) fault: Fault,
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
    pub(crate) bug: Option<Bug>,
}

impl Plan {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let nodes = if rng.random_bool(0.9) { 3 } else { 5 };
        let millis = |ms| Duration::from_millis(ms);
        let mut plan = Self {
            seed,
            nodes,
            gateways: 2,
            shard_groups: rng.random_range(1..=2),
            snapshot_after_entries: rng.random_range(20..200),
            keep_entries: rng.random_range(10..60),
            latency_max: millis(*[2, 5, 20].choose(&mut rng).unwrap_or(&5)),
            sync_max: millis(*[2, 5, 20].choose(&mut rng).unwrap_or(&5)),
            warm_up: millis(1000),
            breaking: millis(rng.random_range(3_000..8_000)),
            settle: millis(2000),
            mix: mix(&mut rng),
            strikes: Vec::new(),
            bug,
        };
        // Two lanes, so that faults overlap; a third of the strikes follow within an election.
        for _ in 0..2 {
            let mut at = plan.warm_up + millis(rng.random_range(0..1500));
            while at < plan.warm_up + plan.breaking {
                let fault = fault(&mut rng, nodes, plan.gateways);
                let end = at + lasts(&mut rng, &fault);
                plan.strikes.push(Strike { begin: at, end, fault });
                let calm = if rng.random_bool(0.33) { 0..400 } else { 400..2500 };
                at = end + millis(rng.random_range(calm));
            }
        }
        plan.strikes.sort_by_key(|strike| strike.begin);
        plan
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

fn fault(rng: &mut StdRng, nodes: usize, gateways: usize) -> Fault {
    let node = rng.random_range(0..nodes);
    let other = (node + rng.random_range(1..nodes)) % nodes;
    let leaves = if rng.random_bool(0.7) { Leaves::Synced } else { Leaves::Written };
    let away = || (0..nodes).filter(|peer| *peer != node).map(|peer| (node, peer)).collect();
    match rng.random_range(0..17) {
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
        12 => Fault::AnswersLost { node },
        13 => Fault::Lossy { share: rng.random_range(0.02..0.3) },
        14 => Fault::SlowDisk { node, sync: Duration::from_millis(rng.random_range(50..600)) },
        15 => Fault::SlowLink {
            pair: (node, other),
            latency: Duration::from_millis(rng.random_range(20..200)),
        },
        _ => Fault::ClockJump { node, by_ms: rng.random_range(-3_600_000..3_600_000) },
    }
}

fn lasts(rng: &mut StdRng, fault: &Fault) -> Duration {
    let ms = match fault {
        Fault::Crash { .. } | Fault::GatewayCrash { .. } => rng.random_range(10..2500),
        Fault::Restart { .. } => 0,
        _ => rng.random_range(300..4000),
    };
    Duration::from_millis(ms)
}
