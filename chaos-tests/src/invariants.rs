//! What must always hold, checked against what clients were told. One property per file.
//!
//! Each check is a pure function of a [`History`]. It also says how many things it looked at: an
//! invariant that looked at nothing proves nothing, and the runner treats it as a failure.

mod acknowledged_kept;
mod chains;
mod cursors;
mod delivered_and_finished;
mod dense_seq;
mod linearizable;
mod listings;
mod no_leak;
mod one_intent_per_key;
mod one_terminal;
mod pushes;
mod readers_agree;
mod reads_see_writes;
mod refusals;
mod replicas_equal;
mod terminal_as_told;
mod timers;

use serde::Serialize;

use crate::history::History;

/// A property of histories.
pub trait Invariant: std::fmt::Debug + Sync {
    fn name(&self) -> &'static str;
    /// The promise behind it, in a sentence; numbers are those of `reliability` goals P1 to P16.
    fn promise(&self) -> &'static str;
    fn check(&self, history: &History, findings: &mut Findings);
}

/// All of them, in the order they are reported.
pub const ALL: &[&dyn Invariant] = &[
    &acknowledged_kept::AcknowledgedKept,
    &dense_seq::DenseSeq,
    &readers_agree::ReadersAgree,
    &one_terminal::OneTerminal,
    &terminal_as_told::TerminalAsTold,
    &one_intent_per_key::OneIntentPerKey,
    &delivered_and_finished::DeliveredAndFinished,
    &cursors::Cursors,
    &reads_see_writes::ReadsSeeWrites,
    &replicas_equal::ReplicasEqual,
    &linearizable::Linearizable,
    &no_leak::NoLeak,
    &timers::Timers,
    &listings::Listings,
    &chains::Chains,
    &refusals::Refusals,
    &pushes::Pushes,
];

/// Texts kept of each invariant; the count goes on.
const TEXTS_MAX: usize = 20;

/// What one invariant found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Findings {
    pub checked: u64,
    pub violations: u64,
    /// The first few violations in words.
    pub texts: Vec<String>,
}

impl Findings {
    /// Looks at one thing; `problem` says what is wrong with it.
    pub fn expect(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        self.looked_at(1);
        if !holds {
            self.violation(problem);
        }
    }

    /// Looks at many things at once; what is wrong with them is told apart.
    pub fn looked_at(&mut self, things: usize) {
        self.checked += things as u64;
    }

    pub fn violation(&mut self, problem: impl FnOnce() -> String) {
        self.violations += 1;
        if self.texts.len() < TEXTS_MAX {
            self.texts.push(problem());
        }
    }
}

/// One invariant's verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    pub invariant: &'static str,
    pub promise: &'static str,
    #[serde(flatten)]
    pub findings: Findings,
}

/// Checks everything.
#[must_use]
pub fn check_all(history: &History) -> Vec<Verdict> {
    let verdict = |invariant: &&dyn Invariant| {
        let mut findings = Findings::default();
        invariant.check(history, &mut findings);
        Verdict { invariant: invariant.name(), promise: invariant.promise(), findings }
    };
    ALL.iter().map(verdict).collect()
}

#[cfg(test)]
pub(crate) fn violations(invariant: &dyn Invariant, history: &History) -> u64 {
    let mut findings = Findings::default();
    invariant.check(history, &mut findings);
    findings.violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture;

    #[test]
    fn a_good_history_passes_and_every_invariant_has_something_to_look_at() {
        for verdict in check_all(&fixture::good()) {
            assert_eq!(verdict.findings.texts, Vec::<String>::new(), "{}", verdict.invariant);
            assert!(verdict.findings.checked > 0, "{} checked nothing", verdict.invariant);
        }
    }

    #[test]
    fn texts_are_bounded_and_counts_are_not() {
        let mut findings = Findings::default();
        for index in 0..100 {
            findings.expect(false, || format!("problem {index}"));
        }
        assert_eq!((findings.violations, findings.texts.len()), (100, TEXTS_MAX));
    }
}
