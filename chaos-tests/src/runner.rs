//! One run: start, load, break, heal, demand progress, check.

mod finals;
mod gates;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt, SeedableRng};
use tokio::time::Instant;

use crate::availability;
use crate::client::Client;
use crate::cluster::{API_KEY, Binaries, Cluster, ClusterShape};
use crate::invariants;
use crate::nemesis::{Kind, Scene};
use crate::oracle::Oracle;
use crate::powerloss::Fault;
use crate::report::{Counts, Gate, Report};
use crate::workload::{Mix, Workload};

pub use gates::Limits;

/// How much longer than planned a run may break things to reach its least number of faults.
const OVERTIME_MAX: Duration = Duration::from_secs(60);

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
    /// Where the record goes; kept when something is wrong.
    pub folder: PathBuf,
}

impl Plan {
    /// The plan of a run below `folder`, with defaults for everything else.
    #[must_use]
    pub fn new(nemeses: Vec<Kind>, duration: Duration, seed: u64, folder: &Path) -> Self {
        Self {
            nemeses,
            duration,
            warm_up: Duration::from_secs(5),
            settle: Duration::from_secs(5),
            calm_max: Duration::from_millis(2500),
            drain_within: Duration::from_secs(120),
            mix: Mix::default(),
            shape: ClusterShape::default(),
            seed,
            limits: Limits::default(),
            mutant: None,
            folder: folder.to_owned(),
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
    let client = Client::new(cluster.urls(), API_KEY);
    let workload =
        Workload::start(client.clone(), oracle.clone(), plan.mix.clone(), rng.random()).await?;
    tokio::time::sleep(plan.warm_up).await;
    if plan.mutant == Some(Mutant::LyingDisks) {
        for index in 0..cluster.nodes.len() {
            cluster.disk(index)?.lock().faults.add(Fault::SyncLies, "*");
        }
        // Something has to be acknowledged before it can be lost.
        tokio::time::sleep(plan.warm_up).await;
    }

    let broke = break_things(plan, &mut cluster, &oracle, &mut rng).await;
    let healed = cluster.heal().await;
    let healed_at = oracle.now();
    tokio::time::sleep(plan.settle).await;
    let load_ended = oracle.now();
    let shed = workload.shed();
    let open = workload.drain(plan.drain_within).await?;
    finals::read_all(&client, &oracle).await;
    let died = cluster.check_nobody_died();

    let history = oracle.take_history();
    let verdicts = invariants::check_all(&history);
    let availability = availability::measure(&history, load_ended);
    let counts = Counts::of(&history, shed, open);
    let mut gates = vec![
        Gate::of_result("every strike did its work", &broke),
        Gate::of_result("everything came back", &healed),
        Gate::of_result("nobody died by himself", &died),
        gates::nobody_panicked(cluster.folder())?,
    ];
    gates.extend(gates::check(&plan.limits, &history, &counts, &availability, healed_at));
    let report = Report::new(plan, counts, availability, verdicts, gates);
    if !report.ok {
        history.save(&plan.folder.join("record"))?;
        std::fs::write(plan.folder.join("report.json"), serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(report)
}

/// Strikes until the time is over and enough faults hit; the first strike that cannot do its work
/// ends it. On a slow machine one strike may take all of the time.
async fn break_things(
    plan: &Plan,
    cluster: &mut Cluster,
    oracle: &Oracle,
    rng: &mut StdRng,
) -> anyhow::Result<()> {
    let until = Instant::now() + plan.duration;
    let at_the_latest = until + OVERTIME_MAX;
    let mut strikes = 0;
    while Instant::now() < until
        || (strikes < plan.limits.faults_min && Instant::now() < at_the_latest)
    {
        strikes += 1;
        let Some(kind) = plan.nemeses.choose(rng).copied() else { return Ok(()) };
        // A strike has its own source, so that its choices do not shift the next ones.
        let mut strike_rng = StdRng::seed_from_u64(rng.next_u64());
        let mut scene = Scene { cluster, oracle, rng: &mut strike_rng };
        kind.nemesis().strike(&mut scene).await?;
        let calm = rng.random_range(Duration::ZERO..=plan.calm_max);
        tokio::time::sleep(calm).await;
    }
    Ok(())
}
