//! The verdict of a run, for people and for machines.

pub mod repeat;
pub mod timeline;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::availability::{Availability, Distribution};
use crate::history::{History, Kind, Route, Submit, Told};
use crate::invariants::Verdict;
use crate::runner::Plan;
use crate::timers;

/// How much was done and what came back.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    pub submits: usize,
    pub submits_acknowledged: usize,
    pub submits_refused: usize,
    pub submits_unknown: usize,
    pub intents: usize,
    pub finishes: usize,
    pub finishes_acknowledged: usize,
    pub finishes_unknown: usize,
    /// Intents that two tried to end.
    pub races: usize,
    /// Keys that were sent more than once with the same body.
    pub repeated_keys: usize,
    pub mutated_refused: usize,
    /// Keys whose answer nobody got to know, however often it was asked for.
    pub given_up: usize,
    /// Tasks that two people decided.
    pub decisions_raced: usize,
    pub scenarios: usize,
    pub steps: usize,
    pub timers: usize,
    pub timers_late_calm: Distribution,
    pub timers_late_disturbed: Distribution,
    pub chain_links: usize,
    pub bursts: usize,
    pub listings: usize,
    pub rows_listed: usize,
    pub probes: usize,
    pub answers_inspected: u64,
    pub reads: usize,
    pub connections_watching: usize,
    pub events_watched: usize,
    pub connections_listening: usize,
    pub deliveries: usize,
    pub events_compared_at_end: usize,
    pub faults: usize,
    pub leader_changes: usize,
    pub shed: u64,
    pub open_at_end: usize,
}

impl Counts {
    #[must_use]
    pub fn of(history: &History, shed: u64, open_at_end: usize) -> Self {
        let mut finishers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for finish in &history.finishes {
            let markers = finishers.entry(&finish.intent).or_default();
            if !markers.contains(&finish.marker.as_str()) {
                markers.push(&finish.marker);
            }
        }
        let mut uses: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for submit in history.submits.iter().filter(|submit| !submit.mutated) {
            if let Some(key) = &submit.key {
                *uses.entry((submit.org, key)).or_default() += 1;
            }
        }
        let of_kind = |kind| {
            let first = |submits: &Vec<&Submit>| submits[0].kind == kind;
            history.acknowledged().into_values().filter(first).count()
        };
        let scenarios = history.acknowledged().into_values().filter_map(|submits| {
            let first = submits.first()?;
            (first.kind == Kind::Scenario).then_some(first.steps)
        });
        let scenarios: Vec<usize> = scenarios.collect();
        let lateness = timers::lateness(history);
        let decided = history.finishes.iter().filter(|f| f.route == Route::Decide);
        let decided: BTreeSet<&str> = decided.map(|f| f.intent.as_str()).collect();
        let raced = |intent: &&&str| finishers.get(**intent).is_some_and(|all| all.len() > 1);
        let mutated = history.submits.iter().filter(|submit| submit.mutated);
        let mut known: BTreeMap<(usize, &str), bool> = BTreeMap::new();
        for submit in history.submits.iter().filter(|submit| !submit.mutated) {
            if let Some(key) = &submit.key {
                *known.entry((submit.org, key)).or_default() |= !submit.told.is_unknown();
            }
        }
        let events = |told: &Told<crate::history::FinalState>| {
            told.done().map_or(0, |state| state.events.len())
        };
        let told = |wanted: fn(&Told<String>) -> bool| {
            history.submits.iter().filter(|submit| wanted(&submit.told)).count()
        };
        Self {
            submits: history.submits.len(),
            submits_acknowledged: told(|told| told.done().is_some()),
            submits_refused: told(|told| told.refusal().is_some()),
            submits_unknown: told(Told::is_unknown),
            intents: history.acknowledged().len(),
            finishes: history.finishes.len(),
            finishes_acknowledged: history
                .finishes
                .iter()
                .filter(|f| f.told.done().is_some())
                .count(),
            finishes_unknown: history.finishes.iter().filter(|f| f.told.is_unknown()).count(),
            races: finishers.values().filter(|markers| markers.len() > 1).count(),
            repeated_keys: uses.values().filter(|uses| **uses > 1).count(),
            mutated_refused: mutated.filter(|submit| submit.told.refusal().is_some()).count(),
            given_up: known.values().filter(|known| !**known).count(),
            decisions_raced: decided.iter().filter(raced).count(),
            scenarios: scenarios.len(),
            steps: scenarios.iter().sum(),
            timers: history.timers.len(),
            timers_late_calm: lateness.0,
            timers_late_disturbed: lateness.1,
            chain_links: of_kind(Kind::Chain),
            bursts: of_kind(Kind::FanIn),
            listings: history.listings.len(),
            rows_listed: history
                .listings
                .iter()
                .map(|listing| listing.told.done().map_or(0, Vec::len))
                .sum(),
            probes: history.probes.len(),
            answers_inspected: history.inspections.iter().map(|seen| seen.answers).sum(),
            reads: history.reads.len(),
            connections_watching: history.watches.len(),
            events_watched: history.watches.iter().map(|watch| watch.events.len()).sum(),
            connections_listening: history.listens.len(),
            deliveries: history.listens.iter().map(|listen| listen.deliveries.len()).sum(),
            events_compared_at_end: history.finals.iter().map(|read| events(&read.told)).sum(),
            faults: history.faults.len(),
            leader_changes: history.leader_changes.len(),
            shed,
            open_at_end,
        }
    }
}

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
