//! Asks replicas what their state comes to, while a run goes on and when it is over.
//!
//! During a run each group is asked in turn for the state at an index a little ahead, so that all of
//! its replicas answer for the same one while they apply; a replica that is down, or that jumps over
//! the index with a snapshot, does not answer. At the end nothing changes any more, and all have to.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::history::ReplicaHash;
use crate::oracle::Oracle;

/// How far ahead the index lies for which all replicas are asked: far enough that the question is
/// there before the entry is.
const AHEAD: u64 = 25;
/// A group with little to do does not come so far in this time, and is asked again later.
const WAIT: Duration = Duration::from_secs(3);
/// Calm between two comparisons, and how much of the time they may take at most, as a divisor.
const PAUSE: Duration = Duration::from_millis(500);
const SHARE: u32 = 10;
const AGAIN: Duration = Duration::from_millis(200);

/// All replicas of a cluster.
#[derive(Debug, Clone)]
pub struct Replicas<'a> {
    /// Its members may change meanwhile.
    cluster: &'a Cluster,
    groups: Vec<u16>,
    oracle: Arc<Oracle>,
}

impl<'a> Replicas<'a> {
    /// Of the control group and of every shard.
    #[must_use]
    pub fn new(cluster: &'a Cluster, oracle: Arc<Oracle>) -> Self {
        Self { cluster, groups: (0..=cluster.shape.shard_groups).collect(), oracle }
    }

    /// Compares while everything goes on, until the future is dropped.
    pub async fn watch(&self) -> Infallible {
        loop {
            for &group in &self.groups {
                // The control group has little to do.
                let at = match group {
                    0 => None,
                    _ => self.newest(group).await.map(|index| index + AHEAD),
                };
                let hashes = self.ask(group, at).await;
                let micros = hashes.iter().map(|hash| hash.micros).max().unwrap_or_default();
                tokio::time::sleep(PAUSE.max(Duration::from_micros(micros) * SHARE)).await;
            }
        }
    }

    /// The newest index that a replica of the group knows.
    async fn newest(&self, group: u16) -> Option<u64> {
        let probes = self.cluster.replica_probes();
        let asked = probes.iter().map(|probe| probe.last_log_index(group));
        join_all(asked).await.into_iter().flatten().max()
    }

    /// What the replicas that answer say, recorded.
    async fn ask(&self, group: u16, at: Option<u64>) -> Vec<ReplicaHash> {
        let probes = self.cluster.replica_probes();
        let asked = probes.iter().map(|probe| probe.state_hash(group, at, WAIT));
        let answers: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        let at = self.oracle.now();
        let hashes: Vec<_> = answers.into_iter().map(|hash| ReplicaHash { at, ..hash }).collect();
        for hash in &hashes {
            self.oracle.replica_hash(hash.clone());
        }
        hashes
    }

    /// Asks until all replicas of every group answer for the same index: nothing changes any more.
    ///
    /// # Errors
    /// When a group does not come to rest `within` this time.
    pub async fn compare_all(&self, within: Duration) -> anyhow::Result<()> {
        let all = self.cluster.members().count();
        let deadline = Instant::now() + within;
        for &group in &self.groups {
            loop {
                let hashes = self.ask(group, None).await;
                let indexes: BTreeSet<_> = hashes.iter().map(|hash| hash.applied_index).collect();
                if hashes.len() == all && indexes.len() == 1 {
                    break;
                }
                if Instant::now() > deadline {
                    let have = hashes.len();
                    bail!("group {group}: {have} of {all} replicas answer, at indexes {indexes:?}");
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
        Ok(())
    }
}
