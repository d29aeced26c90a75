//! Looks at the cluster all the time: who leads, how much memory and disk everybody takes.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::cluster::Cluster;
use crate::oracle::Oracle;

const INTERVAL: Duration = Duration::from_millis(250);
/// A folder is walked in every so manieth look.
const WALK_EVERY: usize = 8;
const PAGE_BYTES: u64 = 4096;
/// `stat` counts these.
const BLOCK_BYTES: u64 = 512;

/// One look.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sample {
    pub at: u64,
    /// By group.
    pub leaders: BTreeMap<u16, u64>,
    /// By the name of the process.
    pub memory_bytes: BTreeMap<String, u64>,
    pub disk_bytes: BTreeMap<String, u64>,
}

/// What was seen during a run.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    pub(super) samples: Vec<Sample>,
}

impl Sampler {
    /// Looks for as long as it is polled.
    pub(super) async fn run(&mut self, cluster: &Cluster, oracle: &Oracle) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let leaders = cluster.leaders().await;
            let leaders = leaders.into_iter().map(|(group, leader)| (group, leader.node)).collect();
            let walks = self.samples.len().is_multiple_of(WALK_EVERY);
            let disk_bytes = if walks { disks(cluster)? } else { BTreeMap::new() };
            let memory_bytes = memory(cluster);
            self.samples.push(Sample { at: oracle.now(), leaders, memory_bytes, disk_bytes });
        }
    }

    /// The most that anybody ever took, and who it was.
    pub(super) fn most(&self, of: fn(&Sample) -> &BTreeMap<String, u64>) -> Option<(&str, u64)> {
        let all = self.samples.iter().flat_map(|sample| of(sample).iter());
        all.map(|(name, bytes)| (name.as_str(), *bytes)).max_by_key(|(_, bytes)| *bytes)
    }
}

/// Of everybody who runs.
fn memory(cluster: &Cluster) -> BTreeMap<String, u64> {
    let resident = cluster.processes().filter_map(|process| {
        // Its second number; a process that is just killed has none.
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", process.pid()?)).ok()?;
        let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
        Some((process.name().to_owned(), pages * PAGE_BYTES))
    });
    resident.collect()
}

fn disks(cluster: &Cluster) -> io::Result<BTreeMap<String, u64>> {
    let mut bytes = BTreeMap::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let taken = match cluster.disk(index) {
            Ok(disk) => disk.lock().bytes(),
            Err(_) => folder_bytes(&cluster.data_folder(index))?,
        };
        bytes.insert(node.process.name().to_owned(), taken);
    }
    Ok(bytes)
}

/// What a folder takes on its disk; files may go while it is walked.
fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += folder_bytes(&entry.path())?,
            Ok(metadata) => bytes += metadata.blocks() * BLOCK_BYTES,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_count_what_is_written_below_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        std::fs::write(folder.path().join("below/file"), vec![7; 100_000]).unwrap();
        let bytes = folder_bytes(folder.path()).unwrap();
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
        assert_eq!(folder_bytes(&folder.path().join("nothing")).unwrap(), 0);
    }

    #[test]
    fn the_most_is_somebodys() {
        let sample = |name: &str, bytes| Sample {
            memory_bytes: BTreeMap::from([(name.to_owned(), bytes)]),
            ..Sample::default()
        };
        let sampler = Sampler { samples: vec![sample("a", 5), sample("b", 9), sample("a", 7)] };
        assert_eq!(sampler.most(|sample| &sample.memory_bytes), Some(("b", 9)));
    }
}
