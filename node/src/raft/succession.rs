//! A leader whose process is gone gets a successor at once, not after an election timeout.
//!
//! A crash closes every socket of the process, and its address then refuses connections: evidence
//! that a silence is not (`peer`). Each node that has seen it lets go of the dead leader's lease, and
//! the other voters run for the group one after the other, in an order that all of them know, so
//! that their votes are not split. They ask with a pre-vote first: one that lacks entries disturbs
//! nobody, and the next one takes its turn.
//!
//! The evidence may be wrong, for example when a firewall refuses connections in one direction.
//! Then a leader is deposed that could have gone on, once, since the next evidence needs an answered
//! ping in between. Nothing but time depends on it: reads ask a majority (ADR 0004).

use std::time::Duration;

use axp_raft_store::{TypeConfig, Vote};
use openraft::RaftMetrics;
use openraft::raft::TransferLeaderRequest;
use tokio::sync::watch;

use super::groups::{GroupHandle, Groups};
use crate::metrics as names;

/// How long a successor may take to be voted for before the next one runs: a few syncs.
const TURN: Duration = Duration::from_millis(60);
/// After so many turns of everybody, election timeouts decide as they always did.
const ROUNDS: usize = 3;

/// Replaces `peer` as a leader whenever its process is found gone.
pub(super) async fn follow(groups: Groups, peer: u64, mut gone: watch::Receiver<u64>) {
    while gone.changed().await.is_ok() {
        let successions = groups.iter().map(|handle| succeed(&groups, handle, peer));
        futures_util::future::join_all(successions).await;
    }
}

async fn succeed(groups: &Groups, handle: &GroupHandle, dead: u64) {
    let metrics = handle.metrics();
    if metrics.current_leader != Some(dead) {
        return;
    }
    tracing::info!(group = %handle.group, dead, "the leader's process is gone");
    metrics::counter!(names::RAFT_SUCCESSIONS).increment(1);
    let vote = metrics.vote;
    let order = successors(&metrics, dead, handle.group.0);
    for successor in order.iter().cycle().take(order.len() * ROUNDS) {
        // A transfer from the dead leader to itself: all that this does here is to end its lease.
        let release = TransferLeaderRequest::new(vote, dead, None);
        if handle.raft.handle_transfer_leader(release).await.is_err() {
            return;
        }
        // A node that is leaving votes, and wants nothing.
        let runs = *successor == metrics.id && !groups.peers().is_draining();
        if runs && handle.raft.trigger().elect(true).await.is_err() {
            return;
        }
        if has_moved(handle, &vote).await {
            return;
        }
    }
}

/// Whether somebody ran with success, as this node knows, before the turn was over.
async fn has_moved(handle: &GroupHandle, vote: &Vote) -> bool {
    let moved = |metrics: &RaftMetrics<TypeConfig>| metrics.vote != *vote;
    handle.raft.wait(Some(TURN)).metrics(moved, "a successor").await.is_ok()
}

/// The other voters, from a different one in each group, so that a node's groups are spread over
/// those that are left.
fn successors(metrics: &RaftMetrics<TypeConfig>, dead: u64, group: u16) -> Vec<u64> {
    let voters = metrics.membership_config.membership().voter_ids();
    let mut order: Vec<u64> = voters.filter(|id| *id != dead).collect();
    order.sort_unstable();
    let first = usize::from(group) % order.len().max(1);
    order.rotate_left(first);
    order
}
