//! Shows that the checks find seeded bugs: each mutant is run under what should reveal it, and the run
//! has to fail.
//!
//! Needs programs that were built with the feature `mutants`; one build serves all, since the bug is
//! chosen when a process starts. A run is a process of its own, so that the bug, its cluster and its
//! record end with it. What a mutant breaks inside one crate is shown by that crate's own tests.

mod catalogue;
mod trial;

use std::fmt;
use std::time::Duration;

use axp_proto::mutant::Mutant;
use serde::Serialize;

pub use catalogue::{Exposure, Suspect, suspects};

/// What to try, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct MutantsArgs {
    /// Only these, such as M3,M8; all when absent.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Mutant>,
    /// The seed of every run, and the first one of the simulation.
    #[arg(long, default_value_t = 5)]
    seed: u64,
    /// Seeds that are simulated at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Submits begun per second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Election timeouts for a machine that is busy with other things.
    #[arg(long)]
    patient: bool,
    /// Runs without any bug as well, one for each kind of run: they have to hold. Of the simulation, the
    /// first forty seeds.
    #[arg(long)]
    control: bool,
    /// Where logs and reports of the runs go.
    #[arg(long, default_value = "target/mutants")]
    keep: std::path::PathBuf,
}

/// What became of one mutant, or of a run without one.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// Absent in a control run.
    pub mutant: Option<String>,
    pub exposure: String,
    /// The checks that failed and were meant to; in a control run, all that failed.
    pub caught_by: Vec<String>,
    /// Others that failed, which may have had another reason.
    pub beside: usize,
    pub seconds: u64,
    /// Why there is no verdict.
    pub problem: Option<String>,
}

impl Verdict {
    /// A mutant has to be caught; without one, nothing may be.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.problem.is_none() && self.caught_by.is_empty() == self.mutant.is_none()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mutant = self.mutant.as_deref().unwrap_or("none");
        let caught = match (&self.problem, self.caught_by.as_slice()) {
            (Some(problem), _) => format!("NO VERDICT: {problem}"),
            (None, []) if self.mutant.is_none() => "held".to_owned(),
            (None, []) => format!("NOT CAUGHT, but {} other checks failed", self.beside),
            (None, checks) if self.beside > 0 => {
                format!("{}, and {} more", checks.join(", "), self.beside)
            }
            (None, checks) => checks.join(", "),
        };
        write!(f, "| {mutant} | `{}` | {caught} | {} s |", self.exposure, self.seconds)
    }
}

/// Tries them one after the other and prints a row for each. Whether all ended as expected.
///
/// # Errors
/// When a trial cannot be carried out at all.
pub async fn run(args: &MutantsArgs) -> anyhow::Result<bool> {
    println!("| mutant | run | caught by | took |\n|---|---|---|---|");
    let mut as_expected = true;
    let mut controls: Vec<Exposure> = Vec::new();
    for suspect in suspects() {
        if !args.only.is_empty() && !args.only.contains(&suspect.mutant) {
            continue;
        }
        let verdict = trial::of(args, &suspect).await;
        println!("{verdict}");
        as_expected &= verdict.is_as_expected();
        if args.control && !controls.contains(&suspect.exposure) {
            controls.push(suspect.exposure);
        }
    }
    for exposure in controls {
        let verdict = trial::control(args, &exposure).await;
        println!("{verdict}");
        as_expected &= verdict.is_as_expected();
    }
    Ok(as_expected)
}

/// How long one run or test may take, builds included, before it is ended without a verdict.
const TRIAL_WITHIN: Duration = Duration::from_secs(900);

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(mutant: Option<&str>, caught_by: &[&str]) -> Verdict {
        Verdict {
            mutant: mutant.map(str::to_owned),
            exposure: "run".to_owned(),
            caught_by: caught_by.iter().map(|check| (*check).to_owned()).collect(),
            beside: 0,
            seconds: 1,
            problem: None,
        }
    }

    #[test]
    fn a_mutant_must_be_caught_and_a_control_must_hold() {
        assert!(verdict(Some("M1"), &["dense-seq"]).is_as_expected());
        assert!(!verdict(Some("M1"), &[]).is_as_expected());
        assert!(verdict(None, &[]).is_as_expected());
        assert!(!verdict(None, &["dense-seq"]).is_as_expected());
        let unclear = Verdict { problem: Some("x".to_owned()), ..verdict(Some("M1"), &["a"]) };
        assert!(!unclear.is_as_expected());
    }

    #[test]
    fn every_mutant_is_in_the_catalogue_once() {
        let mut listed: Vec<_> = suspects().into_iter().map(|it| it.mutant).collect();
        listed.sort();
        assert_eq!(listed, Mutant::ALL);
    }
}
