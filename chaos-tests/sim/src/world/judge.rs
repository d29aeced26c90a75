//! Judges what clients were told, with what was broken meanwhile.

use std::time::Duration;

use axp_chaos_tests::history::{FaultRecord, Heal, History};
use axp_chaos_tests::invariants;

use super::World;
use crate::hosts::with;
use crate::plan::Fault;
use crate::verdict::{Violation, checks};

/// A fault began or ended.
#[derive(Debug)]
pub(super) struct Switch {
    pub(super) at: Duration,
    /// Its number among the strikes of the plan.
    pub(super) strike: usize,
    pub(super) fault: Fault,
    pub(super) begins: bool,
}

impl World<'_> {
    /// The clients do not know what was broken, and some checks have to.
    pub(super) fn tell_faults(&self, history: &mut History) {
        let epoch = with(&self.progress, |progress| progress.epoch);
        for Switch { at, strike, fault, begins } in &self.switched {
            let at = u64::try_from(at.saturating_sub(epoch).as_micros()).unwrap_or(u64::MAX);
            let (strike, nemesis) = (*strike as u64, fault.name().to_owned());
            if *begins {
                let what = format!("{fault:?}");
                history.faults.push(FaultRecord {
                    at,
                    nemesis,
                    what,
                    strike,
                    ..FaultRecord::default()
                });
            } else {
                history.heals.push(Heal { at, nemesis, strike });
            }
        }
    }

    pub(super) fn judge(&mut self, history: &History, open: usize) {
        let counts = [
            ("submits", history.submits.len()),
            ("finishes", history.finishes.len()),
            ("reads", history.reads.len()),
            ("watches", history.watches.len()),
            ("listens", history.listens.len()),
            ("finals", history.finals.len()),
        ];
        for (name, count) in counts {
            self.verdict.operations.insert(name.to_owned(), count as u64);
        }
        let acknowledged = history.submits.iter().filter(|submit| submit.told.done().is_some());
        self.verdict.acknowledged = acknowledged.count() as u64;
        if self.verdict.acknowledged == 0 {
            let violation = Violation::new(checks::OVER, "nothing was acknowledged");
            self.verdict.violations.push(violation);
        }
        if open > 0 {
            let text = format!("{open} acknowledged intents are not known to have ended");
            self.verdict.violations.push(Violation::new(checks::OPEN, text));
        }
        for verdict in invariants::check_all(history) {
            self.verdict.checked += verdict.findings.checked;
            let texts = verdict.findings.texts.into_iter();
            let texts = texts.map(|text| Violation::new(verdict.invariant, text));
            self.verdict.violations.extend(texts);
        }
        // The record itself is part of what has to repeat.
        self.journal.note(self.sim.elapsed(), &serde_json::to_string(history).unwrap_or_default());
    }
}
