//! Who this node is: a number from the configuration, bound for ever to one disk.
//!
//! The disk's *incarnation* is a random id, written before it is told to anybody. A disk that was
//! lost comes back with another incarnation, and the members that know the old one refuse it: a
//! voter that forgot its votes could elect a second leader.

use std::sync::Arc;
use std::sync::OnceLock;

use axp_proto::node::ClusterMembers;
use axp_proto::raft::{Founding, HelloRequest, HelloResponse};
use axp_raft_store::{Store, blocking};
use tonic::Status;
use uuid::Uuid;

use super::members::Members;
use super::waiting::Waiting;
use crate::config::{ClusterConfig, RENUMBER_STEP};
use crate::raft::server::Greeter;

const IDENTITY: &str = "identity";
const FOUNDING: &str = "founding";
const ADMITTED: &str = "admitted";

/// Why a node may not be who it is configured to be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the identity of this node cannot be read or written")]
    Store(#[from] axp_raft_store::Error),
    #[error("the stored {0} does not decode")]
    Decode(&'static str, #[source] prost::DecodeError),
    #[error("reading the identity was interrupted")]
    Interrupted,
    #[error(
        "this disk belongs to node {stored} and node.id is {configured}: \
         give this node its own disk, or set node.id = {stored}"
    )]
    OtherNode { stored: u64, configured: u64 },
}

/// What the disk says about itself.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredIdentity {
    #[prost(uint64, tag = "1")]
    node_id: u64,
    #[prost(string, tag = "2")]
    incarnation: String,
}

/// This node's identity and, once it has one, its cluster. Both are on disk before they are here.
#[derive(Debug)]
pub struct Identity {
    node_id: u64,
    incarnation: String,
    founding: OnceLock<Founding>,
    /// The members as they were when this node was let in; nothing on a founder.
    admitted: OnceLock<ClusterMembers>,
    /// The members as they are, once the node has started.
    members: OnceLock<Members>,
    /// Who asked to be let in.
    waiting: Waiting,
    store: Arc<Store>,
    /// Nodes that this one would found a cluster with.
    known: Vec<u64>,
}

impl Identity {
    /// Reads the identity, or makes it on an empty disk.
    ///
    /// # Errors
    /// When the disk belongs to another node, or cannot be read or written.
    pub async fn load(
        store: &Arc<Store>,
        node_id: u64,
        cluster: &ClusterConfig,
    ) -> Result<Self, Error> {
        let stored: Option<StoredIdentity> = read(store, IDENTITY).await?;
        let stored = match stored {
            Some(stored) => stored,
            None => {
                let fresh = StoredIdentity { node_id, incarnation: Uuid::new_v4().to_string() };
                write(store, IDENTITY, &fresh).await?;
                fresh
            }
        };
        if stored.node_id != node_id && !is_renumbered(stored.node_id, node_id, cluster) {
            return Err(Error::OtherNode { stored: stored.node_id, configured: node_id });
        }
        let founding = OnceLock::new();
        if let Some(found) = read::<Founding>(store, FOUNDING).await? {
            founding.get_or_init(|| found);
        }
        let admitted = OnceLock::new();
        if let Some(row) = read::<ClusterMembers>(store, ADMITTED).await? {
            admitted.get_or_init(|| row);
        }
        Ok(Self {
            node_id: stored.node_id,
            incarnation: stored.incarnation,
            founding,
            admitted,
            members: OnceLock::new(),
            waiting: Waiting::default(),
            store: Arc::clone(store),
            known: cluster.peers.iter().map(|peer| peer.id).collect(),
        })
    }

    #[must_use]
    pub fn node_id(&self) -> u64 {
        self.node_id
    }

    #[must_use]
    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }

    #[must_use]
    pub fn founding(&self) -> Option<&Founding> {
        self.founding.get()
    }

    #[must_use]
    pub fn admitted(&self) -> Option<&ClusterMembers> {
        self.admitted.get()
    }

    /// From now on the members are told to whoever asks.
    pub(crate) fn set_members(&self, members: Members) {
        self.members.get_or_init(|| members);
    }

    #[must_use]
    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Gives this disk another number, from the next start on. Only while it belongs to no cluster.
    pub(super) async fn renumber(&self, node_id: u64) -> Result<(), Error> {
        let incarnation = self.incarnation.clone();
        write(&self.store, IDENTITY, &StoredIdentity { node_id, incarnation }).await
    }

    /// Writes with which members this node was let in. Before the founding, which ends the asking.
    pub(super) async fn keep_admitted(&self, row: ClusterMembers) -> Result<(), Error> {
        write(&self.store, ADMITTED, &row).await?;
        self.admitted.get_or_init(|| row);
        Ok(())
    }

    /// Writes the founding, then tells of it. The first one stays.
    pub(super) async fn keep_founding(&self, founding: Founding) -> Result<(), Error> {
        if self.founding.get().is_none() {
            write(&self.store, FOUNDING, &founding).await?;
            self.founding.get_or_init(|| founding);
        }
        Ok(())
    }
}

/// Whether a disk with the number `stored` took it in place of the configured one.
fn is_renumbered(stored: u64, configured: u64, cluster: &ClusterConfig) -> bool {
    cluster.renumber_empty_disks
        && stored.checked_sub(configured).is_some_and(|more| more.is_multiple_of(RENUMBER_STEP))
}

impl Greeter for Identity {
    fn hello(&self, request: &HelloRequest) -> Result<HelloResponse, Status> {
        let asking = request.from_node_id;
        // Two nodes whose configurations name different founders must not both find all their
        // peers willing.
        if self.founding().is_none() && !self.known.contains(&asking) {
            let text =
                format!("cluster.peers of node {} does not name node {asking}", self.node_id);
            return Err(Status::permission_denied(text));
        }
        let members = self.members.get();
        if let Some(members) = members {
            self.waiting.note(request, &members.row());
        }
        Ok(HelloResponse {
            node_id: self.node_id,
            incarnation: self.incarnation.clone(),
            founding: self.founding().cloned(),
            members: members.map(Members::row),
        })
    }
}

async fn read<M: prost::Message + Default>(
    store: &Arc<Store>,
    name: &'static str,
) -> Result<Option<M>, Error> {
    let store = Arc::clone(store);
    let bytes =
        blocking::run(move || store.read_meta(name)).await.map_err(|_| Error::Interrupted)??;
    bytes.map(|bytes| M::decode(bytes).map_err(|error| Error::Decode(name, error))).transpose()
}

async fn write(
    store: &Arc<Store>,
    name: &'static str,
    message: &impl prost::Message,
) -> Result<(), Error> {
    Ok(store.write_meta(name, message.encode_to_vec()).await?)
}
