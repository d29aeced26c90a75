//! Breaks things: one strike after the other, or two at a time, one of each class.
//!
//! Every class has its own source of choices, so what the other one does, and when, does not shift
//! them. Two strikes that each take a node away are never at work at once: with a majority gone there
//! would be nothing to see but silence. Each choice is two, so that there is another one that need not
//! wait.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt, SeedableRng};
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use super::Plan;
use crate::cluster::Cluster;
use crate::nemesis::{Class, Kind, Scene};
use crate::oracle::Oracle;

/// How much longer than planned a run may break things to reach its least number of faults.
const OVERTIME_MAX: Duration = Duration::from_secs(60);
/// Makes another seed of the run's for the second class.
const OTHER: u64 = 0x5bd1_e995;

struct Storm<'a> {
    plan: &'a Plan,
    cluster: &'a Cluster,
    oracle: &'a Oracle,
    /// Held by the strike that takes a node away.
    away: Mutex<()>,
    gateway_away: Mutex<()>,
    strikes: AtomicU64,
    until: Instant,
}

/// Strikes until the time is over and enough faults hit; the first strike that cannot do its work
/// ends it. On a slow machine one strike may take all of the time.
pub(super) async fn break_things(
    plan: &Plan,
    cluster: &Cluster,
    oracle: &Oracle,
    rng: &mut StdRng,
) -> anyhow::Result<()> {
    let until = Instant::now() + plan.duration;
    let (away, gateway_away, strikes) = (Mutex::new(()), Mutex::new(()), AtomicU64::new(0));
    let storm = Storm { plan, cluster, oracle, away, gateway_away, strikes, until };
    if !plan.overlap {
        return storm.strike_all(&plan.nemeses, rng).await;
    }
    let of = |class| -> Vec<Kind> {
        let kinds = plan.nemeses.iter().copied();
        kinds.filter(|kind| kind.nemesis().class == class).collect()
    };
    let (nodes, surroundings) = (of(Class::Nodes), of(Class::Surroundings));
    ensure!(
        !nodes.is_empty() && !surroundings.is_empty(),
        "faults overlap when some hit nodes and some what is around them"
    );
    let mut other = StdRng::seed_from_u64(plan.seed ^ OTHER);
    let both = futures_util::future::try_join(
        storm.strike_all(&nodes, rng),
        storm.strike_all(&surroundings, &mut other),
    );
    both.await.map(drop)
}

impl Storm<'_> {
    async fn strike_all(&self, kinds: &[Kind], rng: &mut StdRng) -> anyhow::Result<()> {
        while self.goes_on() {
            let Some(kind) = self.choose(kinds, rng) else { return Ok(()) };
            // A strike has its own source, so that its choices do not shift the next ones.
            self.strike(kind, StdRng::seed_from_u64(rng.next_u64())).await?;
            let calm = rng.random_range(Duration::ZERO..=self.plan.calm_max);
            tokio::time::sleep(calm).await;
        }
        Ok(())
    }

    /// What need not wait is preferred. However that is, the same amount of chance is used up.
    fn choose(&self, kinds: &[Kind], rng: &mut StdRng) -> Option<Kind> {
        let gentle: Vec<Kind> =
            kinds.iter().copied().filter(|kind| !kind.nemesis().takes_node).collect();
        let (kind, instead) = (kinds.choose(rng).copied()?, gentle.choose(rng).copied());
        let waits = kind.nemesis().takes_node && self.away.try_lock().is_err();
        if waits { instead.or(Some(kind)) } else { Some(kind) }
    }

    fn goes_on(&self) -> bool {
        let now = Instant::now();
        let faults = usize::try_from(self.strikes.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let wants_more = faults < self.plan.limits.faults_min && now < self.until + OVERTIME_MAX;
        now < self.until || wants_more
    }

    async fn strike(&self, kind: Kind, mut rng: StdRng) -> anyhow::Result<()> {
        let nemesis = kind.nemesis();
        let _node = if nemesis.takes_node { Some(self.away.lock().await) } else { None };
        let _gateway =
            if nemesis.takes_gateway { Some(self.gateway_away.lock().await) } else { None };
        let strike = self.strikes.fetch_add(1, Ordering::Relaxed) + 1;
        let mut scene = Scene::new(
            self.cluster,
            self.oracle,
            &mut rng,
            nemesis.name,
            strike,
            self.plan.overlap,
        );
        let struck = (nemesis.strike)(&mut scene).await;
        struck.with_context(|| format!("strike {strike}, {kind}"))?;
        scene.healed();
        Ok(())
    }
}
