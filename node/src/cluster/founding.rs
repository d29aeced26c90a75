//! How nodes with empty disks become one cluster, once.
//!
//! ```text
//! empty disk ──ask all peers──> some peer knows a cluster ──this disk is named──> store it, join
//!     ^                │                     └──this disk is not named──> refuse to start
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

use std::collections::BTreeMap;
use std::time::Duration;

use axp_proto::raft::raft_client::RaftClient;
use axp_proto::raft::{Founding, HelloRequest, HelloResponse, Member};
use tokio::time::Instant;
use tonic::transport::Channel;
use uuid::Uuid;

use super::identity::{self, Identity};
use crate::clock::Clock;
use crate::config::{ClusterConfig, PeerConfig};
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
        "node {node_id} is not a member of cluster {cluster_id}, which its peers belong to: check \
         node.id and cluster.peers, or add the node to the cluster first"
    )]
    NotAMember { node_id: u64, cluster_id: String },
    #[error("peers {0} and {1} belong to different clusters: check cluster.peers")]
    TwoClusters(u64, u64),
}

/// What asking all peers once came to.
#[derive(Debug, PartialEq)]
enum Step {
    /// Some peer knows the cluster.
    Join(Founding),
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
) -> Result<Founding, Error> {
    if let Some(founding) = identity.founding() {
        check_named(founding, identity)?;
        return Ok(founding.clone());
    }
    let mut peers = BTreeMap::new();
    for peer in cluster.peers.iter().filter(|peer| peer.id != own.id) {
        peers.insert(peer.id, connect(&peer.raft_address)?);
    }
    let mut reported: Option<Instant> = None;
    loop {
        let answers = ask_all(identity, &peers).await;
        match next_step(identity, peers.keys().copied(), &answers)? {
            Step::Join(founding) => {
                check_named(&founding, identity)?;
                tracing::info!(cluster_id = founding.cluster_id, "joining the cluster");
                identity.keep_founding(founding.clone()).await?;
                return Ok(founding);
            }
            Step::Found => {
                let founding = found(identity, cluster, own, &answers);
                tracing::info!(cluster_id = founding.cluster_id, "founding the cluster");
                identity.keep_founding(founding.clone()).await?;
                return Ok(founding);
            }
            Step::Wait(missing) => {
                if reported.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
                    tracing::info!(?missing, "waiting for the founding of the cluster");
                    reported = Some(Instant::now());
                }
                tokio::time::sleep(ASK_INTERVAL).await;
            }
        }
    }
}

type Answers = BTreeMap<u64, HelloResponse>;

async fn ask_all(identity: &Identity, peers: &BTreeMap<u64, RaftClient<Channel>>) -> Answers {
    let asks = peers.iter().map(|(id, client)| async move {
        let mut client = client.clone();
        let request = HelloRequest {
            from_node_id: identity.node_id(),
            incarnation: identity.incarnation().to_owned(),
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
        return Ok(Step::Join(founding.clone()));
    }
    let own = identity.node_id();
    // An answer from a node with another number is an answer from nobody.
    let (present, missing): (Vec<u64>, Vec<u64>) =
        peers.partition(|id| answers.get(id).is_some_and(|answer| answer.node_id == *id));
    if missing.is_empty() && present.iter().all(|id| own < *id) {
        return Ok(Step::Found);
    }
    Ok(Step::Wait(missing))
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

fn check_named(founding: &Founding, identity: &Identity) -> Result<(), Error> {
    let node_id = identity.node_id();
    let cluster_id = founding.cluster_id.clone();
    match founding.members.iter().find(|member| member.node_id == node_id) {
        None => Err(Error::NotAMember { node_id, cluster_id }),
        Some(member) if member.incarnation != identity.incarnation() => {
            Err(Error::DiskReplaced { node_id, cluster_id })
        }
        Some(_) => Ok(()),
    }
}
