//! One run: start, load, break, heal, demand progress, check.

pub mod finals;
mod gates;
mod sampler;
mod storm;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::availability;
use crate::cluster::{Binaries, Cluster, ClusterShape, Timing};
use crate::history::{History, save_lines};
use crate::invariants;
use crate::nemesis::{Kind, Needs};
use crate::oracle::Oracle;
use crate::powerloss::{EntryRule, Fault};
use crate::replicas::Replicas;
use crate::report::{self, Counts, Gate, Report};
use crate::workload::{Mix, Receiver, Surroundings, Workload};

pub use gates::Limits;
pub use sampler::Sample;

use sampler::Sampler;

/// Written into the folder of every run.
pub const REPORT: &str = "report.json";
pub const TIMELINE: &str = "timeline.svg";

/// How long all replicas may take to come to rest at one index, each (P14).
const COMPARED_WITHIN: Duration = Duration::from_secs(60);

/// Debug builds beside compilers, whose elections take seconds.
const PATIENT_TIMER_LATE_MS_MAX: u64 = 10_000;

/// A fault that no cluster survives: a run with it must fail, or the checks are blind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// From the end of the warm-up on, no sync of any node does anything. To the clients that is a
    /// server that acknowledges before it syncs (M2). Needs power-loss disks.
    LyingDisks,
}

impl FromStr for Mutant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "lying-disks" {
            return Ok(Self::LyingDisks);
        }
        Err(format!("{text} is not lying-disks"))
    }
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Chosen from at random for each strike.
    pub nemeses: Vec<Kind>,
    /// Two strikes at a time, one at nodes and one at what is around them; and one in three that take
    /// a leader is followed at once by the end of its successor.
    pub overlap: bool,
    /// How long things are broken.
    pub duration: Duration,
    /// Load before the first fault, to know the undisturbed rate.
    pub warm_up: Duration,
    /// Load after the last one: progress is demanded.
    pub settle: Duration,
    /// Calm between two strikes, at most.
    pub calm_max: Duration,
    pub drain_within: Duration,
    pub mix: Mix,
    pub shape: ClusterShape,
    pub seed: u64,
    pub limits: Limits,
    /// A fault that the checks must find.
    pub mutant: Option<Mutant>,
    /// Where configurations, logs, report and picture go; and the record, when something is wrong.
    pub folder: PathBuf,
    /// The record is written, too, when everything held.
    pub keep_record: bool,
}

impl Plan {
    /// The plan of a run below `folder`, with defaults for everything else.
    #[must_use]
    pub fn new(nemeses: Vec<Kind>, duration: Duration, seed: u64, folder: &Path) -> Self {
        let needs = Needs::of(&nemeses);
        let shape = ClusterShape {
            own_network: needs.network,
            proxies: needs.proxies,
            own_clocks: needs.clocks,
            spare_nodes: usize::from(needs.spare_node),
            power_loss_disks: needs.disks.then_some(EntryRule::Strict),
            ..ClusterShape::default()
        };
        let shape = if needs.short_logs { shape.with_short_logs() } else { shape };
        Self {
            nemeses,
            overlap: false,
            duration,
            warm_up: Duration::from_secs(5),
            settle: Duration::from_secs(5),
            calm_max: Duration::from_millis(2500),
            drain_within: Duration::from_secs(120),
            mix: Mix::default(),
            shape,
            seed,
            limits: Limits::default(),
            mutant: None,
            folder: folder.to_owned(),
            keep_record: false,
        }
    }
}

/// Runs it. An error means that there is no verdict; violations are in the report.
///
/// # Errors
/// When the cluster does not start or the record cannot be written.
pub async fn run(binaries: &Binaries, plan: &Plan) -> anyhow::Result<Report> {
    let mut cluster = Cluster::start(binaries, &plan.folder, plan.shape.clone()).await?;
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let oracle = Arc::new(Oracle::new(plan.shape.shard_groups));
    if plan.shape.timing == Timing::Patient {
        oracle.allow_timers_late(PATIENT_TIMER_LATE_MS_MAX);
    }
    let tenants = cluster.make_tenants(plan.mix.organizations, &mut rng).await?;
    let (urls, mix) = (cluster.urls(), plan.mix.clone());
    let flooded = Some(cluster.open_to_floods(&mut rng).await?);
    let receiver = Some(Receiver::open(cluster.outside(), cluster.silence.clone()).await?);
    let around = Surroundings { flooded, receiver };
    let oracle_of_clients = oracle.clone();
    let workload =
        Workload::start(urls, tenants, around, oracle_of_clients, mix, rng.random()).await?;
    let clients = workload.clients();
    tokio::time::sleep(plan.warm_up).await;
    if plan.mutant == Some(Mutant::LyingDisks) {
        for node in cluster.members() {
            cluster.disk(node.index)?.lock().faults.add(Fault::SyncLies, "*");
        }
        // Something has to be acknowledged before it can be lost.
        tokio::time::sleep(plan.warm_up).await;
    }

    let mut sampler = Sampler::default();
    let torment = async {
        let broke = storm::break_things(plan, &cluster, &oracle, &mut rng).await;
        let healed = cluster.heal().await;
        let healed_at = oracle.now();
        tokio::time::sleep(plan.settle).await;
        (broke, healed, healed_at)
    };
    let replicas = Replicas::new(&cluster, oracle.clone());
    let (broke, healed, healed_at) = tokio::select! {
        told = torment => told,
        sampled = sampler.run(&cluster, &oracle) => {
            sampled?;
            bail!("the sampler ended");
        }
        never = replicas.watch() => match never {},
    };
    let load_ended = oracle.now();
    let shed = workload.shed();
    let open = workload.drain(plan.drain_within).await?;
    finals::read_all(&clients, &oracle).await;
    let compared = replicas.compare_all(COMPARED_WITHIN).await;
    let died = cluster.check_nobody_died();

    let gates = vec![
        Gate::of_result("every strike did its work", &broke),
        Gate::of_result("everything came back", &healed),
        Gate::of_result("nobody died by himself", &died),
        Gate::of_result("all replicas were compared", &compared),
        gates::nobody_panicked(cluster.folder())?,
    ];
    let history = oracle.take_history();
    let lived = Lived { shed, open, healed_at, load_ended, gates };
    let report = judge(plan, &history, &sampler, lived);
    let picture = report::timeline::draw(&history, &sampler.samples, load_ended);
    std::fs::write(plan.folder.join(REPORT), serde_json::to_vec_pretty(&report)?)?;
    std::fs::write(plan.folder.join(TIMELINE), picture)?;
    if !report.ok || plan.keep_record {
        history.save(&plan.folder.join("record"))?;
        save_lines(&plan.folder.join("record"), "samples", &sampler.samples)?;
    }
    Ok(report)
}

/// What is known of a run beside its record.
struct Lived {
    /// Operations that were not begun, and intents that were left open.
    shed: u64,
    open: usize,
    /// Microseconds of the run.
    healed_at: u64,
    load_ended: u64,
    gates: Vec<Gate>,
}

fn judge(plan: &Plan, history: &History, sampler: &Sampler, lived: Lived) -> Report {
    let Lived { shed, open, healed_at, load_ended, mut gates } = lived;
    let verdicts = invariants::check_all(history);
    let availability = availability::measure(history, load_ended);
    let counts = Counts::of(history, shed, open);
    gates.extend(gates::bounded(&plan.limits, sampler));
    if plan.overlap {
        gates.push(gates::overlap(&plan.limits, history, healed_at));
    }
    gates.extend(gates::check(&plan.limits, history, &counts, &availability, healed_at));
    Report::new(plan, counts, availability, verdicts, gates)
}
