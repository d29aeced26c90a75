//! A short run against real processes: a leader is killed under load a few times, then all nodes at
//! once. `axp-chaos` runs longer ones.
//!
//! The programs are built first if they are not up to date: see `cluster::binaries` for why a test
//! has to do that itself.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

use std::time::Duration;

use axp_chaos_tests::cluster::{Binaries, Timing};
use axp_chaos_tests::nemesis::Kind;
use axp_chaos_tests::runner::{self, Plan};

/// Runs one plan; what it leaves behind is kept when something is wrong.
async fn hold(name: &str, nemesis: Kind, duration: Duration, faults_min: usize) {
    let binaries = Binaries::locate_or_build().unwrap();
    let folder = tempfile::Builder::new().prefix(&format!("axp-{name}-")).tempdir().unwrap();
    let mut plan = Plan::new(vec![nemesis], duration, 7, folder.path());
    // A debug build on a machine that compiles meanwhile: little load, patient elections.
    plan.mix.rate = 25;
    plan.mix.agents = 4;
    plan.shape.timing = Timing::Patient;
    plan.warm_up = Duration::from_secs(3);
    plan.calm_max = Duration::from_millis(500);
    plan.limits.faults_min = faults_min;
    // Most of this short time the one leader is away: liveness is a gate of the long runs.
    plan.limits.lively_share_min = 0.0;
    plan.limits.progress_within_ms = 30_000;
    let report = runner::run(&binaries, &plan).await;
    let failed = !matches!(&report, Ok(report) if report.ok);
    if failed {
        let kept = folder.keep();
        match report {
            Ok(report) => panic!("{report}"),
            Err(error) => panic!("no verdict: {error:#}; logs in {}", kept.display()),
        }
    }
}

/// One after the other: two clusters at once would only slow each other down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    hold("kill-leader", Kind::KillLeader, Duration::from_secs(10), 2).await;
    hold("kill-all", Kind::KillAll, Duration::from_secs(1), 1).await;
}
