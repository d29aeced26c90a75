//! Gates against empty success: a run in which nothing happened proves nothing.

use std::path::Path;

use serde::Serialize;

use crate::availability::Availability;
use crate::history::History;
use crate::report::{Counts, Gate};

/// A power loss that took less hit nothing worth losing.
const FORGOTTEN_BYTES_MIN: u64 = 1000;

/// What a run must have reached to count.
#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    pub faults_min: usize,
    pub acknowledged_min: usize,
    /// Share of seconds with at least 30 % of the undisturbed rate.
    pub lively_share_min: f64,
    /// After healing, each shard acknowledges a write within this time.
    pub progress_within_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            faults_min: 1,
            acknowledged_min: 100,
            lively_share_min: 0.3,
            progress_within_ms: 10_000,
        }
    }
}

pub(super) fn check(
    limits: &Limits,
    history: &History,
    counts: &Counts,
    availability: &Availability,
    healed_at: u64,
) -> Vec<Gate> {
    let hurting = history.faults.iter().filter(|fault| !fault.groups.is_empty()).count();
    let lively = availability.lively_share;
    let power_losses = history.faults.iter().filter(|fault| fault.nemesis == "power-loss").count();
    let forgotten: u64 = history.faults.iter().map(|fault| fault.forgotten_bytes).sum();
    vec![
        Gate::new(
            "power losses took something",
            power_losses == 0 || forgotten >= FORGOTTEN_BYTES_MIN,
            format!("{power_losses} power losses took {forgotten} bytes"),
        ),
        Gate::at_least("faults", counts.faults, limits.faults_min),
        // Each fault that took a leader was followed by at least one new one.
        Gate::at_least("leader changes", counts.leader_changes, hurting),
        Gate::at_least("acknowledged intents", counts.intents, limits.acknowledged_min),
        Gate::at_least("intents with two finishers", counts.races, 1),
        Gate::at_least("repeated keys", counts.repeated_keys, 1),
        Gate::at_least("keys refused for another body", counts.mutated_refused, 1),
        Gate::new(
            "liveness",
            lively >= limits.lively_share_min,
            format!("{:.0} % of the seconds had 30 % of the undisturbed rate", lively * 100.0),
        ),
        progress(limits, history, availability, healed_at),
        Gate::new(
            "nothing is left open",
            counts.open_at_end == 0,
            format!("{} acknowledged intents did not end", counts.open_at_end),
        ),
    ]
}

/// Every shard acknowledges a write that was begun after everything was healed.
fn progress(
    limits: &Limits,
    history: &History,
    availability: &Availability,
    healed_at: u64,
) -> Gate {
    let back = crate::availability::first_writes_after(history, healed_at);
    let slowest = (1..=history.shard_groups).map(|shard| back.get(&shard).copied()).max_by_key(
        // A shard without a write is the slowest of all.
        |after| after.unwrap_or(u64::MAX),
    );
    let within = limits.progress_within_ms;
    let ok = matches!(slowest, Some(Some(micros)) if micros / 1000 <= within);
    let never_back = availability.never_back.len();
    let slowest = match slowest.flatten() {
        Some(micros) => format!("the slowest after {} ms", micros / 1000),
        None => "one made none".to_owned(),
    };
    let text = format!("{slowest}, {never_back} never came back after a fault");
    Gate::new("every shard makes progress", ok && never_back == 0, text)
}

/// A task that panicked is a bug even when the process goes on.
pub(super) fn nobody_panicked(folder: &Path) -> anyhow::Result<Gate> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let log = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            let panics = log.lines().filter(|line| line.contains("panicked at")).take(3);
            found.extend(panics.map(|line| format!("{}: {line}", path.display())));
        }
    }
    let text = if found.is_empty() { "no panic in any log".to_owned() } else { found.join("; ") };
    Ok(Gate::new("nobody panicked", found.is_empty(), text))
}
