//! What came of one seed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Checks of the simulation itself, beside the invariants of `axp_chaos_tests`.
pub(crate) mod checks {
    pub(crate) const ONE_ENTRY: &str = "one entry at an index";
    pub(crate) const DURABLE: &str = "committed is durable on a majority";
    pub(crate) const EQUAL: &str = "replicas-equal";
    pub(crate) const QUIET: &str = "silent peers are left alone";
    pub(crate) const WRITABLE: &str = "writable around a fault";
    pub(crate) const FAILED_SYNC: &str = "a failed sync ends its node";
    pub(crate) const STARTS: &str = "every node starts again";
    pub(crate) const ENDS: &str = "no node ends by itself";
    pub(crate) const PANICS: &str = "nobody panics";
    pub(crate) const OPEN: &str = "nothing is left open";
    pub(crate) const OVER: &str = "the run comes to its end";
    pub(crate) const REPEATS: &str = "a seed repeats itself";

    #[cfg(test)]
    pub(crate) const ALL: [&str; 12] = [
        ONE_ENTRY,
        DURABLE,
        EQUAL,
        QUIET,
        WRITABLE,
        FAILED_SYNC,
        STARTS,
        ENDS,
        PANICS,
        OPEN,
        OVER,
        REPEATS,
    ];
}

/// Something that is wrong, and which check says so.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Violation {
    pub(crate) check: String,
    pub(crate) text: String,
}

impl Violation {
    pub(crate) fn new(check: &str, text: impl Into<String>) -> Self {
        Self { check: check.to_owned(), text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.text)
    }
}

/// One seed's verdict, as JSON between the processes of a batch.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) seed: u64,
    pub(crate) bug: Option<String>,
    pub(crate) nodes: usize,
    pub(crate) shard_groups: u16,
    pub(crate) simulated_ms: u64,
    /// Operations of clients, by kind.
    pub(crate) operations: BTreeMap<String, u64>,
    pub(crate) acknowledged: u64,
    /// What was broken, by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Batches that power losses took.
    pub(crate) forgotten_batches: u64,
    /// Leaders of all groups and terms.
    pub(crate) leaders: u64,
    pub(crate) packets: u64,
    /// Things that the checks looked at.
    pub(crate) checked: u64,
    pub(crate) violations: Vec<Violation>,
    /// Of the whole journal: equal for equal runs.
    pub(crate) digest: String,
}

impl Verdict {
    pub(crate) fn ok(&self) -> bool {
        self.violations.is_empty()
    }

    pub(crate) fn operations(&self) -> u64 {
        self.operations.values().sum()
    }

    /// How many violations of each check, of those that `counts` takes.
    pub(crate) fn by_check(&self, counts: impl Fn(&str) -> bool) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        for violation in self.violations.iter().filter(|it| counts(&it.check)) {
            *found.entry(violation.check.clone()).or_default() += 1;
        }
        found
    }

    /// How to see it again.
    pub(crate) fn repeat(&self) -> String {
        let bug = self.bug.as_ref().map(|bug| format!(" --bug {bug}")).unwrap_or_default();
        format!("axp-sim seed {}{bug} --journal journal.txt", self.seed)
    }

    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!("{}", serde_json::to_string_pretty(self)?);
        match self.violations.len() {
            0 => println!("seed {}: all promises held", self.seed),
            count => println!("seed {}: {count} violations; again: {}", self.seed, self.repeat()),
        }
        Ok(())
    }
}
