//! What clients do while the cluster is broken: submit, work, race, watch.
//!
//! Open loop: operations begin when the clock says so, not when the last one is done, as real
//! clients do not wait for each other. What is under way is bounded; what would be beyond the bound
//! is counted as shed and not begun.

mod agent;
mod finish;
mod submit;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde::Serialize;
use tokio::sync::{Semaphore, watch as channel};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use crate::client::Client;
use crate::oracle::Oracle;

/// Submits under way at most.
const UNDER_WAY_MAX: usize = 2048;
/// Every call has a deadline and every retry a bound; together they are below this.
const STOP_WITHIN: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);

/// How much of what.
#[derive(Debug, Clone, Serialize)]
pub struct Mix {
    /// Submits begun per second.
    pub rate: u32,
    pub agents: usize,
    /// Share of submits with an idempotency key.
    pub keyed: f64,
    /// Share of keyed submits that are sent again; half of those at the same time through another
    /// gateway.
    pub repeated: f64,
    /// Share of keyed submits whose key is used again with another body.
    pub mutated: f64,
    /// Share of intents that the owner tries to end as well.
    pub raced: f64,
    /// Share of intents that somebody watches.
    pub watched: f64,
    /// Share of intents that are read at once through another gateway.
    pub read: f64,
    /// How often an agent crashes after a batch and comes back with an old cursor.
    pub agent_crash: f64,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            rate: 200,
            agents: 16,
            keyed: 0.5,
            repeated: 0.4,
            mutated: 0.1,
            raced: 0.1,
            watched: 0.1,
            read: 0.1,
            agent_crash: 0.02,
        }
    }
}

/// What everybody in the workload shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) mix: Mix,
    pub(crate) agents: Vec<String>,
    /// Makes names of this run unique.
    pub(crate) run: String,
    pub(crate) shed: AtomicU64,
    /// Submits whose answer is awaited.
    pub(crate) submitting: AtomicU64,
    /// Turns true when watchers and agents shall end.
    pub(crate) stopping: channel::Receiver<bool>,
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    pub(crate) fn any_gateway(&self, rng: &mut impl Rng) -> usize {
        rng.random_range(0..self.client.gateways())
    }

    /// Another gateway than this, if there is one.
    pub(crate) fn other_gateway(&self, gateway: usize) -> usize {
        (gateway + 1) % self.client.gateways()
    }
}

/// A running workload.
#[derive(Debug)]
pub struct Workload {
    shared: Arc<Shared>,
    submitter: JoinHandle<()>,
    stop_submitting: channel::Sender<bool>,
    stop: channel::Sender<bool>,
    agents: JoinSet<()>,
}

impl Workload {
    /// Registers the agents and begins.
    ///
    /// # Errors
    /// When an agent cannot be registered.
    pub async fn start(
        client: Client,
        oracle: Arc<Oracle>,
        mix: Mix,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut agents = Vec::new();
        for index in 0..mix.agents {
            let address = client.register_agent(&format!("chaos-worker-{index}")).await;
            agents.push(address.map_err(anyhow::Error::msg)?);
        }
        let (stop, stopping) = channel::channel(false);
        let (stop_submitting, submitting_ends) = channel::channel(false);
        let mut rng = StdRng::seed_from_u64(seed);
        let run = format!("{:016x}", rng.random::<u64>());
        let shared = Arc::new(Shared {
            client,
            oracle,
            mix,
            agents,
            run,
            shed: AtomicU64::new(0),
            submitting: AtomicU64::new(0),
            stopping,
        });
        let mut tasks = JoinSet::new();
        for index in 0..shared.agents.len() {
            tasks.spawn(agent::run(shared.clone(), index, rng.random()));
        }
        let submitter = tokio::spawn(submit_all(shared.clone(), rng.random(), submitting_ends));
        Ok(Self { shared, submitter, stop_submitting, stop, agents: tasks })
    }

    /// Operations that were not begun because too many were under way.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.shared.shed.load(Ordering::Relaxed)
    }

    /// Begins nothing new, and waits until every acknowledged intent is known to have ended or
    /// `within` is over. Returns how many are still open.
    ///
    /// # Errors
    /// When a task of the workload panicked or hangs: then the record is not complete.
    pub async fn drain(mut self, within: Duration) -> anyhow::Result<usize> {
        self.stop_submitting.send_replace(true);
        let deadline = Instant::now() + within;
        while !self.is_drained() && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
        self.stop.send_replace(true);
        let all = async {
            self.submitter.await?;
            while let Some(ended) = self.agents.join_next().await {
                ended?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(STOP_WITHIN, all).await.context("a client hangs")??;
        Ok(self.shared.oracle.open_intents())
    }

    fn is_drained(&self) -> bool {
        self.shared.submitting.load(Ordering::Relaxed) == 0
            && self.shared.oracle.open_intents() == 0
    }
}

/// Begins operations at the configured rate, and in the end waits for those under way.
async fn submit_all(shared: Arc<Shared>, seed: u64, mut ends: channel::Receiver<bool>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / shared.mix.rate.max(1));
    // After a stall of this machine the missed operations are begun at once, as clients would.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let permits = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let mut under_way = JoinSet::new();
    let mut number = 0_u64;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = ends.changed() => {
                if changed.is_err() || *ends.borrow() {
                    break;
                }
            }
        }
        while under_way.try_join_next().is_some() {}
        number += 1;
        match permits.clone().try_acquire_owned() {
            Ok(permit) => {
                shared.submitting.fetch_add(1, Ordering::Relaxed);
                let one = submit::one(shared.clone(), number, rng.random());
                under_way.spawn(async move {
                    one.await;
                    drop(permit);
                });
            }
            Err(_) => {
                shared.shed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    while under_way.join_next().await.is_some() {}
}
