//! What somebody else needs to make the same run.

use std::process::Command;

use crate::cluster::Timing;
use crate::runner::{Mutant, Plan};

/// The command that makes the same run. `axp-chaos repro` reads it back.
#[must_use]
pub fn command(plan: &Plan) -> String {
    let nemeses: Vec<String> = plan.nemeses.iter().map(ToString::to_string).collect();
    let mut repeat = format!(
        "axp-chaos run --nemesis {} --duration {}s --rate {} --agents {} --organizations {} \
         --seed {} --shards {} --engine {} --kills-min {} --acknowledged-min {} \
         --memory-mib-max {} --disk-mib-max {}",
        nemeses.join(","),
        plan.duration.as_secs(),
        plan.mix.rate,
        plan.mix.agents,
        plan.mix.organizations,
        plan.seed,
        plan.shape.shard_groups,
        plan.shape.engine,
        plan.limits.faults_min,
        plan.limits.acknowledged_min,
        plan.limits.memory_mib_max,
        plan.limits.disk_mib_max,
    );
    if plan.overlap {
        repeat.push_str(" --overlap");
    }
    if let Some(rule) = plan.shape.power_loss_disks {
        let modes: Vec<String> = plan.shape.survivals.iter().map(ToString::to_string).collect();
        repeat.push_str(&format!(" --entries {rule} --mode {}", modes.join(",")));
    }
    if plan.mutant == Some(Mutant::LyingDisks) {
        repeat.push_str(" --mutant lying-disks");
    }
    if plan.shape.timing == Timing::Patient {
        repeat.push_str(" --patient");
    }
    repeat
}

/// What the sources are now, when they are here.
pub(super) fn commit() -> String {
    let described = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--abbrev=12"])
        .output();
    match described {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}
