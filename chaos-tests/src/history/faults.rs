//! What was done to the cluster, and who led afterwards.

use serde::{Deserialize, Serialize};

/// Something that was done to the cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FaultRecord {
    pub at: u64,
    pub nemesis: String,
    pub what: String,
    /// The shard groups that lost their leader by it.
    pub groups: Vec<u16>,
    /// What disks forgot.
    pub forgotten_bytes: u64,
    /// Which strike of the run it belongs to.
    #[serde(default)]
    pub strike: u64,
    /// Whether a node found the damage that was done to its disk.
    #[serde(default)]
    pub damage_found: bool,
}

/// The end of a fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heal {
    pub at: u64,
    pub nemesis: String,
    /// Which strike of the run it ends.
    #[serde(default)]
    pub strike: u64,
}

/// A leader that was seen in place of another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaderChange {
    pub at: u64,
    pub group: u16,
    pub term: u64,
    pub leader: u64,
}
