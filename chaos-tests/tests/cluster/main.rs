//! A short run against real processes: leaders are killed under load. `axp-chaos` makes longer ones,
//! with everything else that breaks; `axp-sim` shows that the checks see a loss.
//!
//! The programs are built first if they are not up to date: see `cluster::binaries` for why a test
//! has to do that itself.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

use std::path::Path;
use std::time::Duration;

use axp_chaos_tests::cluster::{Binaries, Timing};
use axp_chaos_tests::runner::{self, Plan};

/// A debug build on a machine that may compile meanwhile: little load, patient elections.
fn small_plan(folder: &Path) -> Plan {
    let nemeses = vec!["kill-leader".parse().unwrap()];
    let mut plan = Plan::new(nemeses, Duration::from_secs(10), 7, folder);
    plan.mix.rate = 25;
    plan.mix.agents = 4;
    plan.mix.organizations = 3;
    // In a run this short each has to come up.
    (plan.mix.tasks, plan.mix.scenarios) = (0.1, 0.1);
    (plan.mix.hang_ups, plan.mix.pushes) = (0.06, 0.08);
    plan.shape.timing = Timing::Patient;
    plan.warm_up = Duration::from_secs(3);
    plan.calm_max = Duration::from_millis(500);
    // Most of this short time the one leader is away: liveness is a gate of the long runs.
    plan.limits.lively_share_min = 0.0;
    plan.limits.progress_within_ms = 30_000;
    plan.limits.faults_min = 2;
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_leaders_are_killed() {
    let folder = tempfile::Builder::new().prefix("axp-chaos-").tempdir().unwrap();
    let binaries = Binaries::locate_or_build().unwrap();
    let report = runner::run(&binaries, &small_plan(folder.path())).await.unwrap();
    // What it leaves behind is kept when something is wrong.
    if !report.ok {
        drop(folder.keep());
        panic!("{report}");
    }
}
