//! Bugs that are put in to show that they are found: disks that lie, and the seeded bugs of the product.

use std::fmt;
use std::process::{Command, ExitStatus};
use std::str::FromStr;

use axp_chaos_tests::mutants;
use axp_proto::mutant::{self, Mutant, VARIABLE};

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Syncs answer before anything is durable (M2).
    LyingSync,
    /// Votes do not survive a power loss (M8).
    ForgottenVotes,
    /// A power loss keeps half of a batch.
    TornBatches,
    /// One of the product, in a build with the feature `mutants`.
    Seeded(Mutant),
}

impl Bug {
    const DISKS: [(Self, &'static str); 3] = [
        (Self::LyingSync, "lying-sync"),
        (Self::ForgottenVotes, "forgotten-votes"),
        (Self::TornBatches, "torn-batches"),
    ];

    /// The seeded bug that this process was started with.
    pub(crate) fn of_this_process() -> Option<Self> {
        Mutant::ALL.into_iter().find(|mutant| mutant::active(*mutant)).map(Self::Seeded)
    }

    /// The checks that are meant to find it; `None` where any may.
    pub(crate) fn meant(self) -> Option<&'static [&'static str]> {
        let Self::Seeded(mutant) = self else { return None };
        mutants::suspects().into_iter().find(|it| it.mutant == mutant).map(|it| it.by)
    }

    /// Has a process of this program start with it: a seeded bug is chosen when a process starts.
    pub(crate) fn choose(self, command: &mut Command) {
        command.args(["--bug", &self.to_string()]);
        if let Self::Seeded(mutant) = self {
            command.env(VARIABLE, mutant.to_string());
        }
    }

    /// Runs this program again with its arguments and the bug in it, if it is not in it yet.
    pub(crate) fn again(self) -> anyhow::Result<Option<ExitStatus>> {
        let Self::Seeded(mutant) = self else { return Ok(None) };
        if mutant::active(mutant) {
            return Ok(None);
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(std::env::args_os().skip(1)).env(VARIABLE, mutant.to_string());
        Ok(Some(command.status()?))
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seeded(mutant) => write!(f, "{mutant}"),
            disk => {
                let name = Self::DISKS.iter().find(|(bug, _)| bug == disk).map(|(_, name)| *name);
                f.write_str(name.unwrap_or_default())
            }
        }
    }
}

impl FromStr for Bug {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((bug, _)) = Self::DISKS.iter().find(|(_, name)| *name == text) {
            return Ok(*bug);
        }
        let Ok(mutant) = text.parse() else {
            let names = Self::DISKS.map(|(_, name)| name).join(", ");
            return Err(format!("{text} is none of {names}, M1 to M23"));
        };
        // Whoever asks for a bug that is not there would believe that it was not found.
        match mutant::warning() {
            Some(_) => Ok(Self::Seeded(mutant)),
            None => Err("this program has no seeded bugs: build it with --features mutants".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axp_chaos_tests::invariants;
    use axp_chaos_tests::mutants::Exposure;

    use super::*;
    use crate::verdict::checks;

    #[test]
    fn what_is_meant_to_find_a_bug_in_the_simulation_is_a_check_of_it() {
        let of_histories = invariants::ALL.iter().map(|invariant| invariant.name());
        let known: Vec<_> = of_histories.chain(checks::ALL).collect();
        for suspect in mutants::suspects() {
            if let Exposure::Simulation { .. } = suspect.exposure {
                for check in suspect.by {
                    assert!(known.contains(check), "{}: no check {check}", suspect.mutant);
                }
            }
        }
    }

    #[test]
    fn a_bug_has_one_name() {
        for (bug, name) in Bug::DISKS {
            assert_eq!((bug.to_string(), name.parse::<Bug>()), (name.to_owned(), Ok(bug)));
        }
        assert!("M24".parse::<Bug>().is_err());
        assert_eq!("M3".parse::<Bug>().is_ok(), mutant::warning().is_some());
    }
}
