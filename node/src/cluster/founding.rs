//! How nodes with empty disks become one cluster, once.
//!
//! ```text
//! empty disk ──ask all peers──> some peer knows a cluster ──this disk is named──> store it, join
//!     ^                │                     │ └──this number, another disk, or removed──> refuse
//!     ^                │                     └──this number is not named──> ask to be let in
//!     │                ├─ all peers are empty, and this id is the lowest ──> found it, store it
//!     └──── wait ──────┘  (otherwise: some peer does not answer, or a lower id will found it)
//! ```
//!
//! There are never two clusters. A founding is made only by the lowest id and only after every
//! founding member has said, with the incarnation of its disk, that it knows none; each node
//! stores at most one and keeps it for ever; and groups make progress only among nodes that store
//! the same one. If the founder's disk is lost before anybody learned of its founding, nobody ever
//! acted on that founding. If somebody did learn of it, the founder meets it when it asks, and its
//! new disk is not named there. A crash between any two steps is met by asking again.
//!
//! A node that `cluster.peers` does not name founds nothing: it waits until it is added.

use std::collections::BTreeMap;
use std::time::Duration;

use axp_proto::node::ClusterMembers;
use axp_proto::raft::raft_client::RaftClient;
use axp_proto::raft::{Founding, HelloRequest, HelloResponse, Member};
use tokio::time::Instant;
use tonic::transport::Channel;
use uuid::Uuid;

use super::identity::{self, Identity};
use super::members::founded;
use crate::clock::Clock;
use crate::config::{ClusterConfig, PeerConfig, RENUMBER_STEP};
use crate::net::Dial;
use crate::raft::peer::{AddressError, connect};

const ASK_INTERVAL: Duration = Duration::from_millis(250);
const ASK_DEADLINE: Duration = Duration::from_secs(1);
/// How often a node that waits says for whom.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Why this node has no cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Identity(#[from] identity::Error),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(
        "node {node_id} is a member of cluster {cluster_id}, but this disk is not the one it joined \
         with: its data was lost or replaced. Put the old disk back. If it is gone for good, this \
         node must not return under its old id, since the votes it gave are forgotten: replace it \
         by a node with a new id"
    )]
    DiskReplaced { node_id: u64, cluster_id: String },
    #[error(
        "node {node_id} was removed from cluster {cluster_id}, and its id never comes back: stop it, \
         delete its data, and add a node with a new id instead"
    )]
    Removed { node_id: u64, cluster_id: String },
    #[error(
        "this disk knows cluster {cluster_id}, which does not name node {node_id}: the disk is not \
         as this version writes it"
    )]
    NotAMember { node_id: u64, cluster_id: String },
    #[error(
        "this disk is empty and the number {from} belongs to another one: it is node {to} from now \
         on. Start again"
    )]
    Renumbered { from: u64, to: u64 },
    #[error("peers {0} and {1} belong to different clusters: check cluster.peers")]
    TwoClusters(u64, u64),
}

/// What asking all peers once came to.
#[derive(Debug, PartialEq)]
enum Step {
    /// Some peer knows the cluster, and this disk is a member; with the row that says so, if the
    /// founding does not.
    Join(Founding, Option<ClusterMembers>),
    /// Some peer knows the cluster, and nobody has added this node yet.
    Ask { cluster_id: String, members: Vec<(u64, String)> },
    /// Everybody is empty and it is on this node to found the cluster.
    Found,
    /// For these peers, or for the one that will found the cluster.
    Wait(Vec<u64>),
}

/// Returns the cluster of this node: the stored one, or after as long as it takes the one that all
/// founding nodes agree on.
///
/// # Errors
/// When this node may not be part of the cluster that its peers know, or its disk fails.
pub async fn settle(
    identity: &Identity,
    cluster: &ClusterConfig,
    own: &PeerConfig,
    dial: &Dial,
) -> Result<Founding, Error> {
    if let Some(founding) = identity.founding() {
        return match place(founding, identity.admitted(), identity)? {
            Place::Member => Ok(founding.clone()),
            Place::Stranger => Err(Error::NotAMember {
                node_id: identity.node_id(),
                cluster_id: founding.cluster_id.clone(),
            }),
        };
    }
    let is_founder = cluster.peers.is_empty() || cluster.peer(own.id).is_some();
    let mut peers = BTreeMap::new();
    for peer in cluster.peers.iter().filter(|peer| peer.id != own.id) {
        peers.insert(peer.id, connect(&peer.raft_address, dial)?);
    }
    let mut reported: Option<Instant> = None;
    loop {
        let answers = ask_all(identity, own, &peers).await;
        let report = reported.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL);
        let step = next_step(identity, is_founder, peers.keys().copied(), &answers);
        if let Err(Error::DiskReplaced { .. } | Error::Removed { .. }) = &step
            && cluster.renumber_empty_disks
        {
            let (from, to) = (own.id, next_number(own.id, newest_row(&answers)));
            identity.renumber(to).await?;
            return Err(Error::Renumbered { from, to });
        }
        match step? {
            Step::Join(founding, admitted) => {
                tracing::info!(cluster_id = founding.cluster_id, "joining the cluster");
                if let Some(row) = admitted {
                    identity.keep_admitted(row).await?;
                }
                identity.keep_founding(founding.clone()).await?;
                return Ok(founding);
            }
            Step::Found => {
                let founding = found(identity, cluster, own, &answers);
                tracing::info!(cluster_id = founding.cluster_id, "founding the cluster");
                identity.keep_founding(founding.clone()).await?;
                return Ok(founding);
            }
            Step::Ask { cluster_id, members } => {
                if report {
                    let node = own.id;
                    tracing::info!(
                        cluster_id,
                        "waiting to be added: axp cluster add {node}, or replace OLD --with {node}"
                    );
                }
                // Whoever leads the control group must hear it, founder or not.
                for (id, address) in members {
                    if id != own.id && !peers.contains_key(&id) {
                        peers.insert(id, connect(&address, dial)?);
                    }
                }
            }
            Step::Wait(missing) => {
                if report {
                    tracing::info!(?missing, "waiting for the founding of the cluster");
                }
            }
        }
        if report {
            reported = Some(Instant::now());
        }
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

type Answers = BTreeMap<u64, HelloResponse>;

async fn ask_all(
    identity: &Identity,
    own: &PeerConfig,
    peers: &BTreeMap<u64, RaftClient<Channel>>,
) -> Answers {
    let asks = peers.iter().map(|(id, client)| async move {
        let mut client = client.clone();
        let request = HelloRequest {
            from_node_id: identity.node_id(),
            incarnation: identity.incarnation().to_owned(),
            raft_address: own.raft_address.clone(),
            api_address: own.api_address.clone(),
        };
        match tokio::time::timeout(ASK_DEADLINE, client.hello(request)).await {
            Ok(Ok(answer)) => Some((*id, answer.into_inner())),
            Ok(Err(status)) => {
                tracing::debug!(peer = id, %status, "no answer to hello");
                None
            }
            Err(_) => None,
        }
    });
    futures_util::future::join_all(asks).await.into_iter().flatten().collect()
}

fn next_step(
    identity: &Identity,
    is_founder: bool,
    peers: impl Iterator<Item = u64>,
    answers: &Answers,
) -> Result<Step, Error> {
    let mut known: Option<(u64, &Founding)> = None;
    for (peer, answer) in answers {
        let Some(founding) = &answer.founding else { continue };
        match known {
            Some((other, first)) if first.cluster_id != founding.cluster_id => {
                return Err(Error::TwoClusters(other, *peer));
            }
            _ => known = Some((*peer, founding)),
        }
    }
    if let Some((_, founding)) = known {
        let newest = newest_row(answers);
        return Ok(match place(founding, newest, identity)? {
            Place::Member => Step::Join(founding.clone(), newest.cloned()),
            Place::Stranger => Step::Ask {
                cluster_id: founding.cluster_id.clone(),
                members: newest
                    .into_iter()
                    .flat_map(|row| &row.members)
                    .map(|member| (member.node_id, member.raft_address.clone()))
                    .collect(),
            },
        });
    }
    let own = identity.node_id();
    // An answer from a node with another number is an answer from nobody.
    let (present, missing): (Vec<u64>, Vec<u64>) =
        peers.partition(|id| answers.get(id).is_some_and(|answer| answer.node_id == *id));
    if is_founder && missing.is_empty() && present.iter().all(|id| own < *id) {
        return Ok(Step::Found);
    }
    Ok(Step::Wait(missing))
}

/// What the answers say of the members, unless the founding says it.
fn newest_row(answers: &Answers) -> Option<&ClusterMembers> {
    let rows = answers.values().filter_map(|answer| answer.members.as_ref());
    rows.max_by_key(|row| (row.epoch, row.settled)).filter(|row| row.epoch > 0)
}

/// The first number after `id` that nobody has or had.
fn next_number(id: u64, row: Option<&ClusterMembers>) -> u64 {
    let is_taken = |id: u64| {
        row.is_some_and(|row| {
            row.members.iter().any(|member| member.node_id == id)
                || row.removed.iter().any(|member| member.node_id == id)
        })
    };
    (1..).map(|times| id + times * RENUMBER_STEP).find(|id| !is_taken(*id)).unwrap_or(id)
}

fn found(
    identity: &Identity,
    cluster: &ClusterConfig,
    own: &PeerConfig,
    answers: &Answers,
) -> Founding {
    let member = |peer: &PeerConfig, incarnation: &str| Member {
        node_id: peer.id,
        incarnation: incarnation.to_owned(),
        raft_address: peer.raft_address.clone(),
        api_address: peer.api_address.clone(),
    };
    let mut members = vec![member(own, identity.incarnation())];
    for (id, answer) in answers {
        members.extend(cluster.peer(*id).map(|peer| member(peer, &answer.incarnation)));
    }
    members.sort_by_key(|member| member.node_id);
    Founding {
        cluster_id: Uuid::new_v4().to_string(),
        members,
        shard_groups: cluster.shard_groups.into(),
        // For people; nothing is decided by it.
        founded_at_ms: Clock::system().now_ms(),
    }
}

/// What this disk is to the cluster.
enum Place {
    Member,
    /// Nobody has heard of this number.
    Stranger,
}

fn place(
    founding: &Founding,
    row: Option<&ClusterMembers>,
    identity: &Identity,
) -> Result<Place, Error> {
    let node_id = identity.node_id();
    let cluster_id = founding.cluster_id.clone();
    let row = row.cloned().unwrap_or_else(|| founded(founding));
    if row.removed.iter().any(|member| member.node_id == node_id) {
        return Err(Error::Removed { node_id, cluster_id });
    }
    match row.members.iter().find(|member| member.node_id == node_id) {
        None => Ok(Place::Stranger),
        Some(member) if member.incarnation != identity.incarnation() => {
            Err(Error::DiskReplaced { node_id, cluster_id })
        }
        Some(_) => Ok(Place::Member),
    }
}

#[cfg(test)]
mod tests {
    use axp_proto::node::{ClusterMember, RemovedMember};

    use super::*;

    #[test]
    fn an_empty_disk_takes_a_number_that_nobody_has_or_had() {
        assert_eq!(next_number(3, None), 1003);
        let member = ClusterMember { node_id: 1003, ..ClusterMember::default() };
        let removed = RemovedMember { node_id: 2003, ..RemovedMember::default() };
        let (members, removed) = (vec![member], vec![removed]);
        let row = ClusterMembers { members, removed, ..ClusterMembers::default() };
        assert_eq!(next_number(3, Some(&row)), 3003);
        assert_eq!(next_number(1003, Some(&row)), 3003);
    }
}
