//! The node's gRPC services: translate, call a handle, translate back. Nothing is decided here.

pub mod admin;
mod command;
mod command_stream;
pub mod control;
pub mod courier;
pub mod inbox;
pub mod push;
pub mod query;
pub mod records;
pub mod shard;
pub mod subscribe;

use std::collections::BTreeMap;
use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::GroupId;
use axp_proto::node as wire;
use axp_raft_store::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::Semaphore;
use tonic::Status;

use crate::cluster::Members;
use crate::control::Control;
use crate::intent::{Intent, Rejection, current};
use crate::shard::Shard;

/// What the services of one node share.
#[derive(Debug)]
pub struct Context {
    /// Whom hints name.
    pub members: Members,
    pub shards: BTreeMap<GroupId, Arc<Shard>>,
    pub control: Arc<Control>,
    /// Unacknowledged items that a subscription may have, at most.
    pub window_max: u32,
    /// How long published events are remembered.
    pub push_keep_ms: i64,
    /// Room for subscriptions on this node.
    pub subscriptions: Arc<Semaphore>,
}

impl Context {
    /// The shard replica of a request.
    pub(crate) fn shard(&self, group: u32) -> Result<&Arc<Shard>, Status> {
        GroupId::try_from(group)
            .ok()
            .and_then(|group| self.shards.get(&group))
            .ok_or_else(|| Status::not_found(format!("no replica of group {group} on this node")))
    }

    /// Where the leader of a group is, as far as this replica knows.
    pub(crate) fn not_leader(&self, raft: &Raft) -> wire::NotLeader {
        let leader = raft.server_metrics().borrow_watched().current_leader;
        let leader = leader.filter(|leader| *leader != self.members.own_id()).unwrap_or_default();
        let leader_address = self.members.api_address(leader).unwrap_or_default();
        wire::NotLeader { leader_id: leader, leader_address }
    }
}

pub(crate) fn rejection(rejection: &Rejection) -> wire::Rejection {
    let message = rejection.message.clone().into_owned();
    wire::Rejection { code: rejection.code.as_str().to_owned(), message }
}

pub(crate) fn overloaded() -> wire::Rejection {
    rejection(&Rejection::new(ErrorCode::Unavailable, "too many commands under way"))
}

pub(crate) fn view(intent: &Intent) -> wire::IntentView {
    wire::IntentView {
        intent_id: intent.id.to_bytes(),
        state: Some(intent.state.clone()),
        submission: Some((*intent.submission).clone()),
        terminal_event: intent.terminal_event.as_deref().cloned(),
        task: current(intent).map(|task| wire::CurrentTask {
            number: task.number,
            rules: Some(task.rules),
            task_json: task.json,
        }),
    }
}
