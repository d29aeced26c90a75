//! The Raft groups of this node: opened, run, watched, stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::mutant::{self, Mutant};
use axp_raft_store::{
    Applier, GroupStore, NodeAddress, Raft, StateReader, Store, TypeConfig, blocking,
};
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{Fatal as RaftFatal, InitializeError, RaftError};
use openraft::{Config as OpenraftConfig, RaftMetrics, SnapshotPolicy, StepDownPolicy};

use super::network::NetworkFactory;
use super::peer::Peers;
use super::{janitor, sampler, succession};
use crate::config::RaftConfig;
use crate::shutdown::Tasks;

/// How often each group is asked whether its Raft still runs, and how long it may take to answer
/// before it is asked again.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long one group's Raft may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Why a group cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the replica of group {group} cannot be opened")]
    Open { group: GroupId, source: axp_raft_store::Error },
    #[error("opening the replica of group {0} was interrupted")]
    Interrupted(GroupId),
    #[error("raft of group {group} cannot be started")]
    Start { group: GroupId, source: RaftFatal<TypeConfig> },
    #[error("raft refuses its timing")]
    Timing(#[from] openraft::ConfigError),
    #[error("group {group} cannot be initialised with its founding members")]
    Initialise { group: GroupId, source: RaftError<TypeConfig, InitializeError<TypeConfig>> },
}

/// Makes what drives each group's state.
pub trait Appliers: fmt::Debug + Send + Sync {
    fn applier(&self, group: GroupId) -> Arc<dyn Applier>;
}

/// One group's replica on this node.
#[derive(Clone)]
pub struct GroupHandle {
    pub group: GroupId,
    pub raft: Raft,
    pub reader: StateReader,
}

impl fmt::Debug for GroupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupHandle").field("group", &self.group).finish_non_exhaustive()
    }
}

impl GroupHandle {
    /// What Raft says about itself now. A copy: holding the original would stop the group.
    #[must_use]
    pub fn metrics(&self) -> RaftMetrics<TypeConfig> {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Whether this node leads the group, and no transfer has ended that.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.raft.is_leader()
    }
}

/// All groups of this node.
#[derive(Debug, Clone)]
pub struct Groups {
    handles: Arc<BTreeMap<GroupId, GroupHandle>>,
    peers: Peers,
}

impl Groups {
    /// Opens every group and starts its Raft. The groups listen to nobody yet.
    ///
    /// # Errors
    /// When a replica's state cannot be read, or Raft does not start.
    pub async fn start(
        config: &RaftConfig,
        store: &Arc<Store>,
        peers: &Peers,
        groups: impl Iterator<Item = GroupId>,
        appliers: &dyn Appliers,
    ) -> Result<Self, Error> {
        let openraft = Arc::new(openraft_config(config)?);
        let mut handles = BTreeMap::new();
        for group in groups {
            let replica = open(store, group, appliers.applier(group)).await?;
            let network = NetworkFactory::new(group, peers.clone(), config);
            let started = Raft::new(
                peers.node_id(),
                Arc::clone(&openraft),
                network,
                replica.log,
                replica.machine,
            );
            let raft = Box::pin(started).await.map_err(|source| Error::Start { group, source })?;
            handles.insert(group, GroupHandle { group, raft, reader: replica.reader });
        }
        Ok(Self { handles: Arc::new(handles), peers: peers.clone() })
    }

    /// Starts what looks after the groups: probes, metrics, the log janitor, the retry of
    /// replication when a peer comes back, and the succession when it is gone.
    pub fn look_after(&self, config: &RaftConfig, tasks: &Tasks) {
        for handle in self.iter() {
            tasks.spawn("raft probe", probe(handle.clone(), tasks.clone()));
        }
        tasks.spawn("peers", attend(self.clone(), tasks.clone()));
        tasks.spawn("raft metrics", sampler::run(self.clone(), self.peers.clone()));
        tasks.spawn("log janitor", janitor::run(self.clone(), self.peers.clone(), config.clone()));
    }

    #[must_use]
    pub fn get(&self, group: GroupId) -> Option<&GroupHandle> {
        self.handles.get(&group)
    }

    pub fn iter(&self) -> impl Iterator<Item = &GroupHandle> {
        self.handles.values()
    }

    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The handles that the Raft service dispatches to.
    #[must_use]
    pub fn rafts(&self) -> BTreeMap<GroupId, Raft> {
        self.iter().map(|handle| (handle.group, handle.raft.clone())).collect()
    }

    /// Writes the founding members into an empty group.
    ///
    /// Harmless on a group that has begun, and on several nodes at once, since all write the same
    /// members: then an election decides between their identical first entries.
    ///
    /// # Errors
    /// When Raft has failed, or this node is not among the members.
    pub async fn initialise(handle: &GroupHandle, voters: &BTreeSet<u64>) -> Result<(), Error> {
        let founders: BTreeMap<_, _> =
            voters.iter().map(|id| (*id, NodeAddress::default())).collect();
        match handle.raft.initialize(founders).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(source) => Err(Error::Initialise { group: handle.group, source }),
        }
    }

    /// Stops every group's Raft, all at once. Answers whether all stopped within the deadline.
    pub async fn shutdown(&self) -> bool {
        let stops = self.iter().map(|handle| async move {
            match tokio::time::timeout(STOP_DEADLINE, handle.raft.shutdown()).await {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    tracing::warn!(group = %handle.group, %error, "raft did not stop in order");
                    true
                }
                Err(_) => {
                    tracing::warn!(group = %handle.group, "raft did not stop in time");
                    false
                }
            }
        });
        futures_util::future::join_all(stops).await.into_iter().all(|stopped| stopped)
    }
}

/// Reads and checks the whole log of the group, which blocks.
async fn open(
    store: &Arc<Store>,
    group: GroupId,
    applier: Arc<dyn Applier>,
) -> Result<GroupStore, Error> {
    let store = Arc::clone(store);
    let open = blocking::run(move || {
        let replica = store.open_group(group, applier)?;
        replica.log.check_vote()?;
        Ok(replica)
    });
    open.await
        .map_err(|_| Error::Interrupted(group))?
        .map_err(|source| Error::Open { group, source })
}

/// Ends the process when a group's Raft has panicked or failed, even if nobody calls it.
async fn probe(handle: GroupHandle, tasks: Tasks) {
    loop {
        tokio::time::sleep(PROBE_INTERVAL).await;
        let answer = handle.raft.with_raft_state(|_| ());
        // Slow is not dead: a core that waits for its disk answers later.
        if let Ok(Err(error)) = tokio::time::timeout(PROBE_INTERVAL, answer).await
            && !tasks.stopping().is_cancelled()
        {
            tasks.fatal().report(format!("raft of group {} failed: {error}", handle.group));
            return;
        }
    }
}

/// Looks after every peer, those that come later included.
async fn attend(groups: Groups, tasks: Tasks) {
    let mut changes = groups.peers().changes();
    let mut attended = BTreeSet::new();
    loop {
        for peer in groups.peers().iter().filter(|peer| attended.insert(peer.id())) {
            let changes = peer.breaker().changes();
            tasks.spawn("peer return", resume_replication(groups.clone(), peer.id(), changes));
            tasks.spawn("succession", succession::follow(groups.clone(), peer.id(), peer.gone()));
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// A peer that answers again gets what it missed at once, not when the back-off is over.
async fn resume_replication(
    groups: Groups,
    peer: u64,
    mut changes: tokio::sync::watch::Receiver<bool>,
) {
    while changes.changed().await.is_ok() {
        if !*changes.borrow_and_update() {
            continue;
        }
        for handle in groups.iter().filter(|handle| handle.is_leader()) {
            // An error means that this Raft has stopped, which its probe reports.
            handle.raft.trigger().reset_backoff([peer]).await.ok();
        }
    }
}

fn openraft_config(config: &RaftConfig) -> Result<OpenraftConfig, openraft::ConfigError> {
    OpenraftConfig {
        cluster_name: "axp".to_owned(),
        heartbeat_interval: config.heartbeat_interval_ms,
        // A follower that just acknowledged an append needs no heartbeat on top. With the interval
        // itself, the gap stays below the three heartbeats that an election waits at least.
        heartbeat_min_interval: Some(config.heartbeat_interval_ms),
        election_timeout_min: config.election_timeout_min_ms,
        election_timeout_max: config.election_timeout_max_ms,
        enable_pre_vote: Some(true),
        // Repairs partitions in which some follower still hears a leader without a quorum
        // (openraft#2080). At least twice the election maximum; the half on top is for slow disks.
        quorum_loss_probe_interval: (!mutant::active(Mutant::ProbeOff))
            .then_some(config.election_timeout_max_ms * 5 / 2),
        removed_leader_step_down: StepDownPolicy::After(config.election_timeout_max_ms),
        // A restored leader could answer from state that it has not caught up with (openraft#1511).
        enable_leader_restore: Some(false),
        allow_log_reversion: Some(false),
        max_payload_entries: 512,
        api_channel_size: Some(1024),
        notification_channel_size: Some(4096),
        state_machine_channel_size: Some(256),
        // Snapshots and purges are the janitor's (openraft#2116).
        snapshot_policy: SnapshotPolicy::Never,
        // How near a learner must come before `add_learner` calls it caught up.
        replication_lag_threshold: 1000,
        max_in_snapshot_log_to_keep: u64::MAX,
        install_snapshot_timeout: config.snapshot_stall_timeout_ms,
        ..OpenraftConfig::default()
    }
    .validate()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_timing_suits_openraft() {
        let config = openraft_config(&RaftConfig::default()).unwrap();
        assert_eq!(config.enable_pre_vote, Some(true));
        assert_eq!(config.quorum_loss_probe_interval, Some(1125));
        let slow = RaftConfig {
            heartbeat_interval_ms: 200,
            election_timeout_min_ms: 800,
            election_timeout_max_ms: 1200,
            ..RaftConfig::default()
        };
        assert_eq!(openraft_config(&slow).unwrap().quorum_loss_probe_interval, Some(3000));
    }
}
