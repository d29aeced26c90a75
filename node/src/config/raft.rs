//! Section `raft`: timing of elections, of the transport, and when the log is compacted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, at_least};

/// Timing and log retention of every Raft group of this node. The same on every node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RaftConfig {
    /// How often a leader shows that it is alive.
    pub heartbeat_interval_ms: u64,
    /// How long a follower waits, at least, before it asks for an election. After a silence, which
    /// is what the loss of a machine looks like, a group is without a leader for about
    /// `election-timeout-max-ms` plus a wait between both values.
    /// Raise both (800 and 1200) where machines pause for hundreds of milliseconds.
    pub election_timeout_min_ms: u64,
    /// The longest such wait; also the leader's lease.
    pub election_timeout_max_ms: u64,
    /// How long one append to a peer may take. Longer than a stalled sync of its disk.
    pub append_timeout_ms: u64,
    /// How often peers are pinged.
    pub ping_interval_ms: u64,
    /// A peer that answered no ping for this long gets no appends until it answers again. About
    /// one lease: this is what ends the reign of a leader that is heard but hears nothing.
    pub breaker_after_ms: u64,
    /// How long a snapshot transfer may make no progress.
    pub snapshot_stall_timeout_ms: u64,
    /// A snapshot is taken, and the log before it dropped, after this many entries ...
    pub snapshot_after_entries: u64,
    /// ... of which this many are kept, so that a follower which was away for a while catches up
    /// from the log.
    pub keep_entries: u64,
    /// How often the log is looked at for this.
    pub janitor_interval_ms: u64,
    /// How often leadership is moved back to where it is spread evenly, one group at a time.
    /// 0: never.
    pub rebalance_interval_ms: u64,
}

impl Default for RaftConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 100,
            election_timeout_min_ms: 300,
            election_timeout_max_ms: 450,
            append_timeout_ms: 1500,
            ping_interval_ms: 200,
            breaker_after_ms: 1200,
            snapshot_stall_timeout_ms: 30_000,
            snapshot_after_entries: 50_000,
            keep_entries: 20_000,
            janitor_interval_ms: 10_000,
            rebalance_interval_ms: 5000,
        }
    }
}

impl RaftConfig {
    #[must_use]
    pub fn append_timeout(&self) -> Duration {
        Duration::from_millis(self.append_timeout_ms)
    }

    #[must_use]
    pub fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval_ms)
    }

    #[must_use]
    pub fn breaker_after(&self) -> Duration {
        Duration::from_millis(self.breaker_after_ms)
    }

    #[must_use]
    pub fn election_timeout_max(&self) -> Duration {
        Duration::from_millis(self.election_timeout_max_ms)
    }

    #[must_use]
    pub fn snapshot_stall_timeout(&self) -> Duration {
        Duration::from_millis(self.snapshot_stall_timeout_ms)
    }

    #[must_use]
    pub fn janitor_interval(&self) -> Duration {
        Duration::from_millis(self.janitor_interval_ms)
    }

    /// `None`: leadership stays where elections left it.
    #[must_use]
    pub fn rebalance_interval(&self) -> Option<Duration> {
        (self.rebalance_interval_ms > 0).then(|| Duration::from_millis(self.rebalance_interval_ms))
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        at_least("raft.heartbeat-interval-ms", self.heartbeat_interval_ms, 10)?;
        // Two heartbeats in a row may be lost without an election, and one may be suppressed.
        let least = self.heartbeat_interval_ms * 3;
        if self.election_timeout_min_ms < least {
            return Err(Error::invalid(
                "raft.election-timeout-min-ms",
                format!("is {}", self.election_timeout_min_ms),
                format!("set {least} or more, three heartbeats"),
            ));
        }
        if self.election_timeout_max_ms < self.election_timeout_min_ms + self.heartbeat_interval_ms
        {
            return Err(Error::invalid(
                "raft.election-timeout-max-ms",
                format!("is {}", self.election_timeout_max_ms),
                "set it at least one heartbeat above raft.election-timeout-min-ms",
            ));
        }
        at_least("raft.ping-interval-ms", self.ping_interval_ms, 10)?;
        if self.breaker_after_ms < self.ping_interval_ms * 2
            || self.breaker_after_ms < self.election_timeout_max_ms
        {
            return Err(Error::invalid(
                "raft.breaker-after-ms",
                format!("is {}", self.breaker_after_ms),
                "set it to two pings and one raft.election-timeout-max-ms, or more",
            ));
        }
        at_least("raft.append-timeout-ms", self.append_timeout_ms, self.election_timeout_max_ms)?;
        at_least("raft.snapshot-stall-timeout-ms", self.snapshot_stall_timeout_ms, 1000)?;
        at_least("raft.snapshot-after-entries", self.snapshot_after_entries, 10)?;
        at_least("raft.janitor-interval-ms", self.janitor_interval_ms, 10)
    }
}
