//! Directory entries as they survive: which name leads to which inode after a power loss.
//!
//! A rename is one change, so it survives whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};

use rand::RngExt;
use rand::rngs::StdRng;

use super::{EntryRule, Survival};

/// A place in the tree: a directory and a name in it.
pub type Place = (u64, OsString);

#[derive(Debug, Clone)]
enum Change {
    Link { at: Place, ino: u64 },
    Unlink { at: Place },
    Rename { from: Place, to: Place, ino: u64 },
}

impl Change {
    fn touches(&self, dir: u64) -> bool {
        match self {
            Self::Link { at, .. } | Self::Unlink { at } => at.0 == dir,
            Self::Rename { from, to, .. } => from.0 == dir || to.0 == dir,
        }
    }
}

/// The durable entries of all directories, and the changes that are not durable yet.
#[derive(Debug, Clone)]
pub struct Names {
    rule: EntryRule,
    durable: HashMap<u64, BTreeMap<OsString, u64>>,
    unsynced: Vec<Change>,
}

impl Names {
    #[must_use]
    pub fn new(rule: EntryRule) -> Self {
        Self { rule, durable: HashMap::new(), unsynced: Vec::new() }
    }

    pub fn link(&mut self, dir: u64, name: &OsStr, ino: u64) {
        self.unsynced.push(Change::Link { at: (dir, name.to_owned()), ino });
    }

    pub fn unlink(&mut self, dir: u64, name: &OsStr) {
        self.unsynced.push(Change::Unlink { at: (dir, name.to_owned()) });
    }

    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr), ino: u64) {
        let (from, to) = ((from.0, from.1.to_owned()), (to.0, to.1.to_owned()));
        self.unsynced.push(Change::Rename { from, to, ino });
    }

    #[must_use]
    pub fn unsynced_changes(&self) -> usize {
        self.unsynced.len()
    }

    /// A directory was synced.
    pub fn dir_synced(&mut self, dir: u64) {
        let (synced, rest) = std::mem::take(&mut self.unsynced)
            .into_iter()
            .partition(|change| self.rule == EntryRule::Journaled || change.touches(dir));
        self.unsynced = rest;
        for change in synced {
            self.apply(change);
        }
    }

    /// A file was synced: with one journal for all metadata, so were all entries.
    pub fn file_synced(&mut self) {
        if self.rule == EntryRule::Journaled {
            for change in std::mem::take(&mut self.unsynced) {
                self.apply(change);
            }
        }
    }

    /// Decides what survives; returns how many changes were lost and how many survived.
    pub fn lose_power(&mut self, survival: Survival, rng: &mut StdRng) -> (u64, u64) {
        let changes = std::mem::take(&mut self.unsynced);
        let total = changes.len();
        let survivors: Vec<Change> = match (survival, self.rule) {
            (Survival::Lose, _) => Vec::new(),
            // A journal is replayed in order up to where it was cut.
            (_, EntryRule::Journaled) => {
                let kept = rng.random_range(0..=total);
                changes.into_iter().take(kept).collect()
            }
            (_, EntryRule::Strict) => {
                changes.into_iter().filter(|_| rng.random_bool(0.5)).collect()
            }
        };
        let survived = survivors.len();
        for change in survivors {
            self.apply(change);
        }
        ((total - survived) as u64, survived as u64)
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Link { at, ino } => {
                self.durable.entry(at.0).or_default().insert(at.1, ino);
            }
            Change::Unlink { at } => {
                self.durable.entry(at.0).or_default().remove(&at.1);
            }
            Change::Rename { from, to, ino } => {
                self.durable.entry(from.0).or_default().remove(&from.1);
                self.durable.entry(to.0).or_default().insert(to.1, ino);
            }
        }
    }

    /// The durable entries of one directory.
    pub fn entries(&self, dir: u64) -> impl Iterator<Item = (&OsStr, u64)> {
        self.durable.get(&dir).into_iter().flatten().map(|(name, ino)| (name.as_os_str(), *ino))
    }

    /// Every inode that an entry leads to or may lead to after a power loss.
    pub fn referenced(&self) -> impl Iterator<Item = u64> {
        let durable = self.durable.values().flat_map(|entries| entries.values().copied());
        let unsynced = self.unsynced.iter().filter_map(|change| match change {
            Change::Link { ino, .. } | Change::Rename { ino, .. } => Some(*ino),
            Change::Unlink { .. } => None,
        });
        durable.chain(unsynced)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn names_in(names: &Names, dir: u64) -> Vec<String> {
        names.entries(dir).map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn strict_entries_need_their_own_directory_synced() {
        let mut names = Names::new(EntryRule::Strict);
        names.link(1, OsStr::new("a"), 10);
        names.link(2, OsStr::new("b"), 11);
        names.file_synced();
        names.dir_synced(1);
        names.lose_power(Survival::Lose, &mut StdRng::seed_from_u64(0));
        assert_eq!(names_in(&names, 1), ["a"]);
        assert!(names_in(&names, 2).is_empty());
    }

    #[test]
    fn a_journal_commits_with_any_sync_and_is_cut_in_order() {
        let mut names = Names::new(EntryRule::Journaled);
        names.link(1, OsStr::new("a"), 10);
        names.file_synced();
        for index in 0..10 {
            names.link(1, OsStr::new(&format!("n{index}")), 20 + index);
        }
        names.lose_power(Survival::Reorder, &mut StdRng::seed_from_u64(4));
        let left = names_in(&names, 1);
        let in_order: Vec<String> = (0..left.len() - 1).map(|index| format!("n{index}")).collect();
        assert_eq!(left[0], "a");
        assert_eq!(left[1..], in_order);
    }

    #[test]
    fn a_rename_is_never_half_done() {
        for seed in 0..32 {
            let mut names = Names::new(EntryRule::Strict);
            names.link(1, OsStr::new("tmp"), 10);
            names.dir_synced(1);
            names.rename((1, OsStr::new("tmp")), (1, OsStr::new("final")), 10);
            names.lose_power(Survival::Reorder, &mut StdRng::seed_from_u64(seed));
            assert_eq!(names_in(&names, 1).len(), 1, "seed {seed}");
        }
    }
}
