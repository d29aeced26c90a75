//! Follows the row that says who is in the cluster: every node hears of new peers, and of removed
//! ones, from its own replica of the control group.

use std::sync::Arc;

use axp_proto::control::CLUSTER_MEMBERS;
use axp_proto::node::ClusterMembers;
use prost::Message as _;

use super::Members;
use crate::control::Control;
use crate::raft::Peers;
use crate::shutdown::Fatal;

const REMOVED: &str = "this node was removed from the cluster and must not come back: delete its \
                       data, and add a node with a new id if one is needed";

/// Takes over every state of the row, until the node stops.
pub async fn run(control: Arc<Control>, members: Members, peers: Peers, fatal: Fatal) {
    let mut changed = control.watch();
    loop {
        changed.mark_unchanged();
        match control.row(CLUSTER_MEMBERS) {
            Ok(None) => {}
            Ok(Some(row)) => match ClusterMembers::decode(row.value) {
                Ok(row) => take(row, &members, &peers),
                Err(error) => tracing::error!(%error, "the row of the members cannot be read"),
            },
            Err(error) => tracing::error!(error = %error.chain(), "cannot read the members"),
        }
        if peers.is_removed(members.own_id()) {
            fatal.report(REMOVED);
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// Ends the node when a peer says that it was removed: it may have missed to hear it as a member.
pub async fn leave_when_removed(peers: Peers, fatal: Fatal) {
    if peers.removed_here().wait_for(|removed| *removed).await.is_ok() {
        fatal.report(REMOVED);
    }
}

/// Takes over one state of the row, unless a newer one is known.
pub(super) fn take(row: ClusterMembers, members: &Members, peers: &Peers) {
    members.update(row);
    let removed = members.row().removed.iter().map(|member| member.node_id).collect();
    peers.set_removed(removed);
    for member in members.iter().filter(|member| member.id != members.own_id()) {
        if let Err(error) = peers.add(member.id, &member.raft_address) {
            tracing::error!(node = member.id, %error, "a member cannot be reached");
        }
    }
}
