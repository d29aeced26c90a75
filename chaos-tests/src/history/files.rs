//! A record as files: a JSON line for each thing that was recorded, a file for each kind.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::History;

/// What is said once of a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Head {
    shard_groups: u16,
    began_at_ms: i64,
    timer_late_ms_max: u64,
}

const HEAD: &str = "run";

impl History {
    /// Writes it all below `folder`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let Self { shard_groups, began_at_ms, timer_late_ms_max, .. } = *self;
        save_lines(folder, HEAD, &[Head { shard_groups, began_at_ms, timer_late_ms_max }])?;
        save_lines(folder, "submits", &self.submits)?;
        save_lines(folder, "finishes", &self.finishes)?;
        save_lines(folder, "reads", &self.reads)?;
        save_lines(folder, "watches", &self.watches)?;
        save_lines(folder, "listens", &self.listens)?;
        save_lines(folder, "finals", &self.finals)?;
        save_lines(folder, "timers", &self.timers)?;
        save_lines(folder, "listings", &self.listings)?;
        save_lines(folder, "probes", &self.probes)?;
        save_lines(folder, "inspections", &self.inspections)?;
        save_lines(folder, "refusals", &self.refusals)?;
        save_lines(folder, "pushes", &self.pushes)?;
        save_lines(folder, "faults", &self.faults)?;
        save_lines(folder, "heals", &self.heals)?;
        save_lines(folder, "leader-changes", &self.leader_changes)?;
        save_lines(folder, "replica-hashes", &self.replica_hashes)
    }

    /// Reads what [`History::save`] has written.
    ///
    /// # Errors
    /// When a file is missing, or has something else in it.
    pub fn load(folder: &Path) -> io::Result<Self> {
        let heads: Vec<Head> = load_lines(folder, HEAD)?;
        let [Head { shard_groups, began_at_ms, timer_late_ms_max }] = heads[..] else {
            return Err(invalid(HEAD, "one line is expected"));
        };
        Ok(Self {
            shard_groups,
            began_at_ms,
            timer_late_ms_max,
            submits: load_lines(folder, "submits")?,
            finishes: load_lines(folder, "finishes")?,
            reads: load_lines(folder, "reads")?,
            watches: load_lines(folder, "watches")?,
            listens: load_lines(folder, "listens")?,
            finals: load_lines(folder, "finals")?,
            timers: load_lines(folder, "timers")?,
            listings: load_lines(folder, "listings")?,
            probes: load_lines(folder, "probes")?,
            inspections: load_lines(folder, "inspections")?,
            refusals: load_lines(folder, "refusals")?,
            pushes: load_lines(folder, "pushes")?,
            faults: load_lines(folder, "faults")?,
            heals: load_lines(folder, "heals")?,
            leader_changes: load_lines(folder, "leader-changes")?,
            replica_hashes: load_lines(folder, "replica-hashes")?,
        })
    }
}

pub(crate) fn save_lines<T: Serialize>(folder: &Path, name: &str, records: &[T]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(folder.join(format!("{name}.jsonl")))?);
    for record in records {
        serde_json::to_writer(&mut file, record)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

fn load_lines<T: DeserializeOwned>(folder: &Path, name: &str) -> io::Result<Vec<T>> {
    let path = folder.join(format!("{name}.jsonl"));
    let file = File::open(&path).map_err(|error| invalid(name, error))?;
    let lines = BufReader::new(file).lines().enumerate();
    let parsed = lines.map(|(index, line)| {
        serde_json::from_str(&line?)
            .map_err(|error| invalid(name, format!("line {}: {error}", index + 1)))
    });
    parsed.collect()
}

fn invalid(name: &str, problem: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{name}.jsonl: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture;

    #[test]
    fn what_is_saved_is_loaded() {
        let (folder, good) = (tempfile::tempdir().unwrap(), fixture::good());
        good.save(folder.path()).unwrap();
        let again = History::load(folder.path()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{good:?}"));
    }

    #[test]
    fn what_is_missing_or_torn_is_said() {
        let folder = tempfile::tempdir().unwrap();
        fixture::good().save(folder.path()).unwrap();
        let reads = folder.path().join("reads.jsonl");
        std::fs::write(&reads, b"{\"span\":").unwrap();
        let problem = History::load(folder.path()).unwrap_err().to_string();
        assert!(problem.starts_with("reads.jsonl: line 1"), "{problem}");
        std::fs::remove_file(&reads).unwrap();
        assert!(History::load(folder.path()).is_err());
    }
}
