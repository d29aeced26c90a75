//! What a node does with its groups, as the node sees it: the real services, or a small store of a
//! test.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::Surroundings;
use crate::cluster::begin::Readiness;
use crate::cluster::drain::Drain;
use crate::cluster::{Members, Waiting};
use crate::config::Config;
use crate::net::Listener;
use crate::raft::Groups;
use crate::raft::groups::Appliers;
use crate::services::{self, NodeAppliers};
use crate::shutdown::Tasks;

/// Everything that services may use of their node.
#[derive(Debug, Clone)]
pub struct Context {
    pub config: Arc<Config>,
    pub members: Members,
    /// Nodes that asked to be let in.
    pub waiting: Waiting,
    pub groups: Groups,
    pub readiness: Readiness,
    pub drain: Drain,
    /// Background work goes here; it ends when the node stops, after leadership was handed over.
    pub tasks: Tasks,
    pub surroundings: Surroundings,
}

/// What drives the groups' state, and what serves the node API.
pub trait Services: fmt::Debug + Send + Sync {
    /// Called once, when the cluster is known and before any group is opened.
    fn appliers(&self, members: &Members) -> Arc<dyn Appliers>;

    /// Called once, when every group runs.
    fn start(&self, context: &Context, api: Listener);
}

/// Shards, control group and node API.
#[derive(Debug, Default)]
pub(super) struct NodeServices(OnceLock<Arc<NodeAppliers>>);

impl NodeServices {
    fn made(&self, shard_groups: u16) -> &Arc<NodeAppliers> {
        self.0.get_or_init(|| Arc::new(NodeAppliers::new(shard_groups)))
    }
}

impl Services for NodeServices {
    fn appliers(&self, members: &Members) -> Arc<dyn Appliers> {
        Arc::clone(self.made(members.shard_groups())) as _
    }

    fn start(&self, context: &Context, api: Listener) {
        let parts = services::Parts {
            config: &context.config,
            members: &context.members,
            waiting: &context.waiting,
            groups: &context.groups,
            appliers: self.made(context.members.shard_groups()),
            ready: Arc::new(context.readiness.clone()),
            tasks: &context.tasks,
            surroundings: &context.surroundings,
        };
        services::start(&parts, api);
    }
}

impl crate::rpc::admin::Readiness for Readiness {
    fn is_ready(&self) -> bool {
        Readiness::is_ready(self)
    }
}
