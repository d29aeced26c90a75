//! Who this node is: a number from the configuration, bound for ever to one disk.
//!
//! The disk's *incarnation* is a random id, written before it is told to anybody. A disk that was
//! lost comes back with another incarnation, and the members that know the old one refuse it: a
//! voter that forgot its votes could elect a second leader.

use std::sync::Arc;
use std::sync::OnceLock;

use axp_proto::raft::{Founding, HelloRequest, HelloResponse};
use axp_raft_store::Store;
use tonic::Status;
use uuid::Uuid;

use crate::config::ClusterConfig;
use crate::raft::server::Greeter;

const IDENTITY: &str = "identity";
const FOUNDING: &str = "founding";

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
        if stored.node_id != node_id {
            return Err(Error::OtherNode { stored: stored.node_id, configured: node_id });
        }
        let founding = OnceLock::new();
        if let Some(found) = read::<Founding>(store, FOUNDING).await? {
            founding.get_or_init(|| found);
        }
        Ok(Self {
            node_id,
            incarnation: stored.incarnation,
            founding,
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

    /// Writes the founding, then tells of it. The first one stays.
    pub(super) async fn keep_founding(&self, founding: Founding) -> Result<(), Error> {
        if self.founding.get().is_none() {
            write(&self.store, FOUNDING, &founding).await?;
            self.founding.get_or_init(|| founding);
        }
        Ok(())
    }
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
        Ok(HelloResponse {
            node_id: self.node_id,
            incarnation: self.incarnation.clone(),
            founding: self.founding().cloned(),
        })
    }
}

async fn read<M: prost::Message + Default>(
    store: &Arc<Store>,
    name: &'static str,
) -> Result<Option<M>, Error> {
    let store = Arc::clone(store);
    let bytes = tokio::task::spawn_blocking(move || store.read_meta(name))
        .await
        .map_err(|_| Error::Interrupted)??;
    bytes.map(|bytes| M::decode(bytes).map_err(|error| Error::Decode(name, error))).transpose()
}

async fn write(
    store: &Arc<Store>,
    name: &'static str,
    message: &impl prost::Message,
) -> Result<(), Error> {
    Ok(store.write_meta(name, message.encode_to_vec()).await?)
}
