//! The verdict of a run, for people and for machines.

mod counts;
pub mod repeat;
pub mod timeline;

use std::fmt;

use serde::Serialize;

use crate::availability::{Availability, Distribution};
use crate::invariants::Verdict;
use crate::runner::Plan;

pub use counts::Counts;

/// Something a run must have reached to count.
#[derive(Debug, Clone, Serialize)]
pub struct Gate {
    pub name: &'static str,
    pub ok: bool,
    pub text: String,
}

impl Gate {
    #[must_use]
    pub fn new(name: &'static str, ok: bool, text: String) -> Self {
        Self { name, ok, text }
    }

    #[must_use]
    pub fn at_least(name: &'static str, value: usize, least: usize) -> Self {
        Self::new(name, value >= least, format!("{value}, at least {least}"))
    }

    #[must_use]
    pub fn of_result(name: &'static str, result: &anyhow::Result<()>) -> Self {
        match result {
            Ok(()) => Self::new(name, true, "yes".to_owned()),
            Err(error) => Self::new(name, false, format!("{error:#}")),
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub ok: bool,
    pub seed: u64,
    pub nemeses: Vec<String>,
    pub seconds: u64,
    pub rate: u32,
    pub engine: String,
    pub counts: Counts,
    pub availability: Availability,
    pub verdicts: Vec<Verdict>,
    pub gates: Vec<Gate>,
    /// Repeats the run as far as a run of real processes can be repeated: the same faults and
    /// operations in the same order, the same choices, other timings.
    pub repeat: String,
    /// Of the sources when the run was made.
    pub commit: String,
    pub folder: String,
}

impl Report {
    #[must_use]
    pub fn new(
        plan: &Plan,
        counts: Counts,
        availability: Availability,
        verdicts: Vec<Verdict>,
        gates: Vec<Gate>,
    ) -> Self {
        // An invariant that looked at nothing proves nothing.
        let held = verdicts.iter().all(|v| v.findings.violations == 0 && v.findings.checked > 0);
        let nemeses: Vec<String> = plan.nemeses.iter().map(ToString::to_string).collect();
        Self {
            ok: held && gates.iter().all(|gate| gate.ok),
            seed: plan.seed,
            nemeses,
            seconds: plan.duration.as_secs(),
            rate: plan.mix.rate,
            engine: plan.shape.engine.clone(),
            counts,
            availability,
            verdicts,
            gates,
            repeat: repeat::command(plan),
            commit: repeat::commit(),
            folder: plan.folder.display().to_string(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.counts;
        writeln!(f, "seed {}, {} for {} s", self.seed, self.nemeses.join(","), self.seconds)?;
        writeln!(
            f,
            "submits  {} ({} acknowledged, {} refused, {} unknown), {} intents, {} shed",
            c.submits,
            c.submits_acknowledged,
            c.submits_refused,
            c.submits_unknown,
            c.intents,
            c.shed
        )?;
        writeln!(
            f,
            "finishes {} ({} acknowledged, {} unknown), {} intents raced for",
            c.finishes, c.finishes_acknowledged, c.finishes_unknown, c.races
        )?;
        writeln!(
            f,
            "keys     {} repeated, {} refused for another body, {} never answered",
            c.repeated_keys, c.mutated_refused, c.given_up
        )?;
        writeln!(
            f,
            "readers  {} reads, {} events on {} watches, {} deliveries on {} listens",
            c.reads,
            c.events_watched,
            c.connections_watching,
            c.deliveries,
            c.connections_listening
        )?;
        writeln!(
            f,
            "faults   {}, {} leader changes; {} events compared at the end",
            c.faults, c.leader_changes, c.events_compared_at_end
        )?;
        writeln!(
            f,
            "wider    {} timers, {} scenarios with {} steps of agents, {} tasks decided by two",
            c.timers, c.scenarios, c.steps, c.decisions_raced
        )?;
        writeln!(
            f,
            "         {} links of chains, {} intents in bursts, {} rows in {} lists",
            c.chain_links, c.bursts, c.rows_listed, c.listings
        )?;
        writeln!(
            f,
            "         {} keys asked for again after hanging up, {} slow readings of {} things",
            c.hung_up, c.slow_readings, c.slowly_read
        )?;
        writeln!(
            f,
            "         {} pushes of {} intents, {} taken, {} given up",
            c.pushes, c.pushed, c.pushes_taken, c.given_up_pushing
        )?;
        writeln!(
            f,
            "         {} refused in floods, {} looks of others there at p99 {} ms, max {} ms",
            c.flood_refused, c.visits.count, c.visits.p99_ms, c.visits.max_ms
        )?;
        for (when, late) in [("calm", c.timers_late_calm), ("disturbed", c.timers_late_disturbed)] {
            let Distribution { count, p50_ms, p99_ms, max_ms } = late;
            writeln!(
                f,
                "timers fired late when {when}: p50 {p50_ms} ms, p99 {p99_ms} ms, max {max_ms} ms (n={count})"
            )?;
        }
        writeln!(f, "hostile  {} probes, {} answers inspected", c.probes, c.answers_inspected)?;
        let a = &self.availability;
        for (nemesis, d) in &a.after_fault {
            writeln!(
                f,
                "shard unavailable after {nemesis}: p50 {} ms, p99 {} ms, max {} ms (n={})",
                d.p50_ms, d.p99_ms, d.max_ms, d.count
            )?;
        }
        for (nemesis, d) in &a.after_heal {
            writeln!(
                f,
                "shard writes after {nemesis} ended: p50 {} ms, p99 {} ms, max {} ms (n={})",
                d.p50_ms, d.p99_ms, d.max_ms, d.count
            )?;
        }
        if let Some(gap) = a.gaps.iter().max_by_key(|gap| gap.longest_ms) {
            writeln!(
                f,
                "longest gap between acknowledged writes: {} ms, shard {} at {} ms",
                gap.longest_ms, gap.shard, gap.begin_ms
            )?;
        }
        writeln!(f, "undisturbed {:.0} writes/s", a.undisturbed_rate)?;
        for gate in &self.gates {
            writeln!(f, "gate {:<34} {:<4} {}", gate.name, mark(gate.ok), gate.text)?;
        }
        for v in &self.verdicts {
            let ok = v.findings.violations == 0 && v.findings.checked > 0;
            let (checked, violations) = (v.findings.checked, v.findings.violations);
            writeln!(
                f,
                "{:<39} {:<4} {checked} checked, {violations} violations",
                v.invariant,
                mark(ok)
            )?;
            for text in &v.findings.texts {
                writeln!(f, "    {text}")?;
            }
        }
        writeln!(f, "report.json and timeline.svg in {}", self.folder)?;
        if self.ok {
            write!(f, "verdict: ok")
        } else {
            writeln!(f, "verdict: FAILED; record and logs are there, too")?;
            write!(f, "repeat at {}: {}", self.commit, self.repeat)
        }
    }
}

fn mark(ok: bool) -> &'static str {
    if ok { "ok" } else { "FAIL" }
}
