//! What came of one seed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    pub(crate) violations: Vec<String>,
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
