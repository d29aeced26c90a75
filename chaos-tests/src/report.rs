//! The verdict of a run, for people and for machines.

mod counts;
pub mod repeat;
mod text;
pub mod timeline;

use serde::Serialize;

use crate::availability::Availability;
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
