//! Short runs against real processes: a leader is killed under load a few times, then all nodes at
//! once; and a run that must fail, to show that the checks see a loss. `axp-chaos` runs longer ones.
//!
//! The programs are built first if they are not up to date: see `cluster::binaries` for why a test
//! has to do that itself.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

use std::path::Path;
use std::time::Duration;

use axp_chaos_tests::cluster::{Binaries, Timing};
use axp_chaos_tests::powerloss::{Mounted, Survival};
use axp_chaos_tests::report::Report;
use axp_chaos_tests::runner::{self, Mutant, Plan};

/// Two clusters at once would only slow each other down.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A debug build on a machine that may compile meanwhile: little load, patient elections.
fn small_plan(nemesis: &str, seconds: u64, folder: &Path) -> Plan {
    let mut plan =
        Plan::new(vec![nemesis.parse().unwrap()], Duration::from_secs(seconds), 7, folder);
    plan.mix.rate = 25;
    plan.mix.agents = 4;
    plan.mix.organizations = 3;
    // In a run this short each has to come up.
    (plan.mix.tasks, plan.mix.scenarios) = (0.1, 0.1);
    plan.shape.timing = Timing::Patient;
    plan.warm_up = Duration::from_secs(3);
    plan.calm_max = Duration::from_millis(500);
    // Most of this short time the one leader is away: liveness is a gate of the long runs.
    plan.limits.lively_share_min = 0.0;
    plan.limits.progress_within_ms = 30_000;
    plan
}

async fn run(plan: &Plan) -> Report {
    let binaries = Binaries::locate_or_build().unwrap();
    runner::run(&binaries, plan).await.unwrap()
}

/// Runs one plan; what it leaves behind is kept when something is wrong.
async fn hold(nemesis: &str, seconds: u64, faults_min: usize) {
    let folder = tempfile::Builder::new().prefix("axp-chaos-").tempdir().unwrap();
    let mut plan = small_plan(nemesis, seconds, folder.path());
    plan.limits.faults_min = faults_min;
    let report = run(&plan).await;
    if !report.ok {
        drop(folder.keep());
        panic!("{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_leaders_are_killed() {
    let _alone = ONE_AT_A_TIME.lock().await;
    hold("kill-leader", 10, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_all_nodes_are_killed() {
    let _alone = ONE_AT_A_TIME.lock().await;
    hold("kill-all", 1, 1).await;
}

/// To its clients, a server whose syncs do nothing is one that acknowledges before it syncs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disks_that_lie_are_found_out() {
    if let Some(reason) = Mounted::unavailable() {
        eprintln!("\n!!! SKIPPED: the checks were not checked: {reason} !!!\n");
        return;
    }
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::Builder::new().prefix("axp-chaos-").tempdir().unwrap();
    let mut plan = small_plan("power-loss", 1, folder.path());
    plan.shape.survivals = vec![Survival::Lose];
    plan.mutant = Some(Mutant::LyingDisks);
    plan.drain_within = Duration::from_secs(5);
    let report = run(&plan).await;
    let kept = report.verdicts.iter().find(|v| v.invariant == "acknowledged-kept").unwrap();
    assert!(kept.findings.violations > 0, "{report}");
}
