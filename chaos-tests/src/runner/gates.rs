//! Gates against empty success: a run in which nothing happened proves nothing.

use std::path::Path;

use serde::Serialize;

use super::sampler::Sampler;
use crate::availability::Availability;
use crate::history::History;
use crate::report::{Counts, Gate};

/// Power losses that took less hit nothing worth losing. One or two may by chance: what survives is
/// chosen, too.
const FORGOTTEN_BYTES_MIN: u64 = 1000;
const LUCKY_MAX: usize = 2;

/// What a run must have reached to count.
#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    pub faults_min: usize,
    pub acknowledged_min: usize,
    /// Share of seconds with at least 30 % of the undisturbed rate.
    pub lively_share_min: f64,
    /// After healing, each shard acknowledges a write within this time.
    pub progress_within_ms: u64,
    /// No process ever takes more memory than this, and no node more space.
    pub memory_mib_max: u64,
    pub disk_mib_max: u64,
    /// Where faults overlap, the share of the time in which two are at work.
    pub overlap_share_min: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            faults_min: 1,
            acknowledged_min: 100,
            lively_share_min: 0.3,
            progress_within_ms: 10_000,
            memory_mib_max: 512,
            disk_mib_max: 1024,
            overlap_share_min: 0.2,
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
            power_losses <= LUCKY_MAX || forgotten >= FORGOTTEN_BYTES_MIN,
            format!("{power_losses} power losses took {forgotten} bytes"),
        ),
        damage(history),
        orderly(history, counts),
        Gate::at_least("faults", counts.faults, limits.faults_min),
        // Each fault that took a leader was followed by at least one new one.
        Gate::at_least("leader changes", counts.leader_changes, hurting),
        Gate::at_least("acknowledged intents", counts.intents, limits.acknowledged_min),
        Gate::at_least("intents with two finishers", counts.races, 1),
        Gate::at_least("repeated keys", counts.repeated_keys, 1),
        Gate::at_least("tasks that two decided", counts.decisions_raced, 1),
        Gate::at_least("steps of scenarios", counts.steps, 1),
        Gate::at_least("links of chains", counts.chain_links, 1),
        Gate::at_least("intents in bursts", counts.bursts, 1),
        Gate::at_least("hostile probes", counts.probes, 1),
        Gate::at_least("keys asked for again after hanging up", counts.hung_up, 1),
        Gate::at_least("slow readings", counts.slow_readings, 1),
        Gate::at_least("pushes that were taken", counts.pushes_taken, 1),
        Gate::at_least("pushes that were not", counts.pushes - counts.pushes_taken, 1),
        Gate::at_least("refused in floods", counts.flood_refused, 1),
        Gate::at_least("looks of others meanwhile", counts.visits.count, 1),
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

/// Flipped bits that nobody ever read prove nothing.
fn damage(history: &History) -> Gate {
    let done = history.faults.iter().filter(|fault| fault.nemesis == "bit-flip");
    let found = done.clone().filter(|fault| fault.damage_found).count();
    let done = done.count();
    let text = format!("{found} of {done} damaged disks were found out");
    Gate::new("damage is found", done == 0 || found > 0, text)
}

/// Faults of these names are no accidents: who asks again must not notice.
const ORDERLY: [&str; 4] = ["restart", "rolling-restart", "upgrade", "transfer-storm"];

fn orderly(history: &History, counts: &Counts) -> Gate {
    let orderly = history.faults.iter().all(|fault| ORDERLY.contains(&fault.nemesis.as_str()));
    let text = match orderly {
        true => format!("{} keys were never answered", counts.given_up),
        false => "there were accidents".to_owned(),
    };
    Gate::new("orderly restarts fail nobody", !orderly || counts.given_up == 0, text)
}

/// Memory and disks are bounded, whatever is broken.
pub(super) fn bounded(limits: &Limits, sampler: &Sampler) -> [Gate; 2] {
    const MIB: u64 = 1 << 20;
    let gate = |name, most: Option<(&str, u64)>, mib_max: u64| {
        let (who, bytes) = most.unwrap_or(("nobody", 0));
        // Nothing seen is no proof.
        let ok = bytes > 0 && bytes <= mib_max * MIB;
        let text = format!("{who} took {} MiB at most, {mib_max} allowed", bytes / MIB);
        Gate::new(name, ok, text)
    };
    [
        gate("memory is bounded", sampler.most(|s| &s.memory_bytes), limits.memory_mib_max),
        gate("disks are bounded", sampler.most(|s| &s.disk_bytes), limits.disk_mib_max),
    ]
}

/// Faults that were to overlap did.
pub(super) fn overlap(limits: &Limits, history: &History, healed_at: u64) -> Gate {
    let mut changes: Vec<(u64, i32)> = Vec::new();
    for (_, from, to, _) in history.strikes(healed_at) {
        changes.extend([(from, 1), (to.max(from), -1)]);
    }
    changes.sort_unstable();
    let (mut at_work, mut since, mut both) = (0, 0, 0);
    for (at, change) in &changes {
        both += if at_work >= 2 { at - since } else { 0 };
        since = *at;
        at_work += change;
    }
    let begin = changes.first().map_or(healed_at, |(at, _)| *at);
    let share = both as f64 / healed_at.saturating_sub(begin).max(1) as f64;
    let text = format!("two at work for {:.0} % of the time", share * 100.0);
    Gate::new("faults overlapped", share >= limits.overlap_share_min, text)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{FaultRecord, Heal};

    #[test]
    fn overlap_is_measured() {
        let fault = |strike, at| FaultRecord {
            at,
            nemesis: "pause".to_owned(),
            what: String::new(),
            groups: Vec::new(),
            forgotten_bytes: 0,
            strike,
            damage_found: false,
        };
        let heal = |strike, at| Heal { at, nemesis: "pause".to_owned(), strike };
        let mut history = History {
            faults: vec![fault(1, 0), fault(2, 50), fault(3, 70)],
            heals: vec![heal(1, 60), heal(2, 80), heal(3, 100)],
            ..History::default()
        };
        let limits = Limits { overlap_share_min: 0.2, ..Limits::default() };
        // From 50 to 60 and from 70 to 80.
        assert!(overlap(&limits, &history, 100).ok);
        history.heals[1].at = 70;
        assert!(!overlap(&limits, &history, 100).ok);
    }

    #[test]
    fn nothing_seen_is_not_bounded() {
        assert!(bounded(&Limits::default(), &Sampler::default()).iter().all(|gate| !gate.ok));
    }
}
