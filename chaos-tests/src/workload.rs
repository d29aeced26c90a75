//! What clients do while the cluster is broken: submit, work, race, watch.
//!
//! Open loop: operations begin when the clock says so, not when the last one is done, as real
//! clients do not wait for each other. What is under way is bounded; what would be beyond the bound
//! is counted as shed and not begun.

mod agent;
mod chain;
mod deadline;
mod fan_in;
mod finish;
mod flood;
mod hang_up;
mod hoard;
mod hostile;
pub(crate) mod lister;
mod mix;
mod org;
mod push;
mod receiver;
mod scenario;
mod silence;
mod submit;
mod task;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::sync::{Semaphore, watch as channel};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use crate::client::Client;
use crate::oracle::Oracle;
use crate::tenants::Tenant;

pub use flood::Flooded;
pub use mix::Mix;
pub use receiver::Receiver;
pub use silence::{Silence, falls_silent};

use org::Org;

/// Submits under way at most.
const UNDER_WAY_MAX: usize = 2048;
/// Every call has a deadline and every retry a bound; together they are below this.
const STOP_WITHIN: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);

/// What everybody in the workload shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) orgs: Vec<Org>,
    pub(crate) gateways: usize,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) mix: Mix,
    pub(crate) flooded: Option<flood::Gateway>,
    /// Makes names of this run unique.
    pub(crate) run: String,
    pub(crate) shed: AtomicU64,
    /// Submits whose answer is awaited.
    pub(crate) submitting: AtomicU64,
    /// Turns true when nothing new is begun.
    pub(crate) draining: channel::Receiver<bool>,
    /// Turns true when watchers and agents shall end.
    pub(crate) stopping: channel::Receiver<bool>,
}

/// Counts among the operations whose answer is awaited, for as long as it is there.
#[derive(Debug)]
pub(crate) struct Begun(Arc<Shared>);

impl Begun {
    fn new(shared: Arc<Shared>) -> Self {
        shared.submitting.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.submitting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until nothing new is begun.
    pub(crate) async fn until_draining(&self) {
        let mut draining = self.draining.clone();
        // An end of the workload without a word is one as well.
        draining.wait_for(|draining| *draining).await.ok();
    }

    pub(crate) fn any_gateway(&self, rng: &mut impl Rng) -> usize {
        rng.random_range(0..self.gateways)
    }

    /// Another gateway than this, if there is one.
    pub(crate) fn other_gateway(&self, gateway: usize) -> usize {
        (gateway + 1) % self.gateways
    }

    /// An idempotency key that no other operation of this run has.
    pub(crate) fn key(&self, number: u64) -> String {
        format!("chaos-{}-{number}", self.run)
    }

    pub(crate) fn any_org(&self, rng: &mut impl Rng) -> usize {
        rng.random_range(0..self.orgs.len())
    }
}

/// What a world has around its gateways for the workload; what it lacks is not done.
#[derive(Debug, Default)]
pub struct Surroundings {
    pub flooded: Option<Flooded>,
    pub receiver: Option<Receiver>,
}

/// A running workload.
#[derive(Debug)]
pub struct Workload {
    shared: Arc<Shared>,
    submitter: JoinHandle<()>,
    stop_submitting: channel::Sender<bool>,
    stop: channel::Sender<bool>,
    /// Agents, and everybody else who goes on until the end.
    residents: JoinSet<()>,
}

impl Workload {
    /// Registers the agents and begins.
    ///
    /// # Errors
    /// When an agent cannot be registered.
    pub async fn start(
        gateways: Vec<String>,
        tenants: Vec<Tenant>,
        surroundings: Surroundings,
        oracle: Arc<Oracle>,
        mix: Mix,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut orgs = Vec::new();
        let agents = mix.agents.div_ceil(tenants.len().max(1)).max(1);
        let mut tenants = tenants;
        let flooded = surroundings.flooded.map(|Flooded { url, tenant }| {
            tenants.push(tenant);
            flood::Gateway::new(&url, &tenants)
        });
        for (place, tenant) in tenants.into_iter().enumerate() {
            let callback =
                surroundings.receiver.as_ref().map(|it| it.callback(place)).transpose()?;
            orgs.push(Org::start(gateways.clone(), tenant, agents, callback).await?);
        }
        let (stop, stopping) = channel::channel(false);
        let (stop_submitting, submitting_ends) = channel::channel(false);
        let mut rng = StdRng::seed_from_u64(seed);
        let run = format!("{:016x}", rng.random::<u64>());
        let shared = Arc::new(Shared {
            orgs,
            gateways: gateways.len(),
            oracle,
            mix,
            flooded,
            run,
            shed: AtomicU64::new(0),
            submitting: AtomicU64::new(0),
            draining: submitting_ends.clone(),
            stopping,
        });
        let mut tasks = JoinSet::new();
        for org in 0..shared.orgs.len() {
            for index in 0..shared.orgs[org].agents.len() {
                tasks.spawn(agent::run(shared.clone(), org, index, rng.random()));
            }
            tasks.spawn(fan_in::sink(shared.clone(), org, rng.random()));
            tasks.spawn(hoard::slow_agent(shared.clone(), org, rng.random()));
            tasks.spawn(lister::run(shared.clone(), org, rng.random()));
            tasks.spawn(hostile::run(shared.clone(), org, rng.random()));
        }
        if let Some(receiver) = surroundings.receiver {
            tasks.spawn(receiver::serve(shared.clone(), receiver));
        }
        tasks.spawn(flood::pour(shared.clone(), rng.random()));
        tasks.spawn(flood::visit(shared.clone(), rng.random()));
        let submitter = tokio::spawn(submit_all(shared.clone(), rng.random(), submitting_ends));
        Ok(Self { shared, submitter, stop_submitting, stop, residents: tasks })
    }

    /// A client of each organization.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.shared.orgs.iter().map(|org| org.client.clone()).collect()
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
            while let Some(ended) = self.residents.join_next().await {
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

/// One operation, chosen by the shares of the mix.
fn begin(shared: &Arc<Shared>, number: u64, rng: &mut StdRng) -> BoxFuture<'static, ()> {
    let (mix, begun) = (&shared.mix, Begun::new(shared.clone()));
    let mut chance: f64 = rng.random();
    let mut falls_on = |share: f64| {
        chance -= share;
        chance < 0.0
    };
    let (shared, seed) = (shared.clone(), rng.random());
    if falls_on(mix.chains) {
        Box::pin(chain::one(shared, number, seed, begun))
    } else if falls_on(mix.bursts) {
        Box::pin(fan_in::one(shared, number, seed, begun))
    } else if falls_on(mix.deadlines) {
        Box::pin(deadline::one(shared, number, seed, begun))
    } else if falls_on(mix.tasks) {
        Box::pin(task::one(shared, number, seed, begun))
    } else if falls_on(mix.scenarios) {
        Box::pin(scenario::one(shared, number, seed, begun))
    } else if falls_on(mix.hang_ups) {
        Box::pin(hang_up::one(shared, number, seed, begun))
    } else if falls_on(mix.pushes) {
        Box::pin(push::one(shared, number, seed, begun))
    } else if falls_on(mix.hoarded) {
        Box::pin(hoard::one(shared, number, seed, begun))
    } else {
        Box::pin(submit::one(shared, number, seed, begun))
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
                let one = begin(&shared, number, &mut rng);
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
