//! A report as people read it.

use std::fmt::{Display, Formatter, Result};

use super::{Counts, Report};
use crate::availability::{Availability, Distribution};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "seed {}, {} for {} s", self.seed, self.nemeses.join(","), self.seconds)?;
        write!(f, "{}{}", self.counts, self.availability)?;
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

impl Display for Counts {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.fmt_every_run(f)?;
        self.fmt_wider(f)?;
        let late = [("calm", self.timers_late_calm), ("disturbed", self.timers_late_disturbed)];
        for (when, late) in late {
            writeln!(f, "timers fired late when {when}: {late}")?;
        }
        let (probes, answers) = (self.probes, self.answers_inspected);
        writeln!(f, "hostile  {probes} probes, {answers} answers inspected")
    }
}

impl Counts {
    fn fmt_every_run(&self, f: &mut Formatter<'_>) -> Result {
        let (submits, intents, shed) = (self.submits, self.intents, self.shed);
        let (done, refused) = (self.submits_acknowledged, self.submits_refused);
        let unknown = self.submits_unknown;
        writeln!(
            f,
            "submits  {submits} ({done} acknowledged, {refused} refused, {unknown} unknown), \
             {intents} intents, {shed} shed"
        )?;
        let (finishes, races) = (self.finishes, self.races);
        let (done, unknown) = (self.finishes_acknowledged, self.finishes_unknown);
        writeln!(
            f,
            "finishes {finishes} ({done} acknowledged, {unknown} unknown), {races} intents raced for"
        )?;
        let (repeated, refused) = (self.repeated_keys, self.mutated_refused);
        let given_up = self.given_up;
        writeln!(
            f,
            "keys     {repeated} repeated, {refused} refused for another body, {given_up} never \
             answered"
        )?;
        let (reads, events, watches) = (self.reads, self.events_watched, self.connections_watching);
        let (deliveries, listens) = (self.deliveries, self.connections_listening);
        writeln!(
            f,
            "readers  {reads} reads, {events} events on {watches} watches, {deliveries} deliveries \
             on {listens} listens"
        )?;
        let (faults, changes) = (self.faults, self.leader_changes);
        let compared = self.events_compared_at_end;
        writeln!(
            f,
            "faults   {faults}, {changes} leader changes; {compared} events compared at the end"
        )
    }

    fn fmt_wider(&self, f: &mut Formatter<'_>) -> Result {
        let (timers, scenarios, steps) = (self.timers, self.scenarios, self.steps);
        let raced = self.decisions_raced;
        writeln!(
            f,
            "wider    {timers} timers, {scenarios} scenarios with {steps} steps of agents, {raced} \
             tasks decided by two"
        )?;
        let (links, bursts) = (self.chain_links, self.bursts);
        let (rows, lists) = (self.rows_listed, self.listings);
        writeln!(
            f,
            "         {links} links of chains, {bursts} intents in bursts, {rows} rows in {lists} lists"
        )?;
        let (hung_up, slow, things) = (self.hung_up, self.slow_readings, self.slowly_read);
        writeln!(
            f,
            "         {hung_up} keys asked for again after hanging up, {slow} slow readings of \
             {things} things"
        )?;
        let (pushes, pushed) = (self.pushes, self.pushed);
        let (taken, given_up) = (self.pushes_taken, self.given_up_pushing);
        writeln!(
            f,
            "         {pushes} pushes of {pushed} intents, {taken} taken, {given_up} given up"
        )?;
        let (refused, Distribution { count, p99_ms, max_ms, .. }) =
            (self.flood_refused, self.visits);
        writeln!(
            f,
            "         {refused} refused in floods, {count} looks of others there at p99 {p99_ms} ms, \
             max {max_ms} ms"
        )
    }
}

impl Display for Availability {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (nemesis, times) in &self.after_fault {
            writeln!(f, "shard unavailable after {nemesis}: {times}")?;
        }
        for (nemesis, times) in &self.after_heal {
            writeln!(f, "shard writes after {nemesis} ended: {times}")?;
        }
        if let Some(gap) = self.gaps.iter().max_by_key(|gap| gap.longest_ms) {
            writeln!(
                f,
                "longest gap between acknowledged writes: {} ms, shard {} at {} ms",
                gap.longest_ms, gap.shard, gap.begin_ms
            )?;
        }
        writeln!(f, "undisturbed {:.0} writes/s", self.undisturbed_rate)
    }
}

impl Display for Distribution {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { count, p50_ms, p99_ms, max_ms } = self;
        write!(f, "p50 {p50_ms} ms, p99 {p99_ms} ms, max {max_ms} ms (n={count})")
    }
}
