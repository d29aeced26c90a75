//! Decides what an operator wants of the members: a new row, or a refusal that says why and what
//! to do. Pure: the row, who waits and who answers come in.
//!
//! One change at a time. The row says which members are wanted; `plan` says how to get there.

use std::collections::BTreeSet;

use axp_proto::node::{ChangeMembersRequest, ClusterMember, ClusterMembers, RemovedMember};

/// Replicas of every group are on every node, so more nodes cost more and carry no more.
const MEMBERS_MAX: usize = 9;

/// What the nodes look like from here.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    /// Who has asked to be let in lately.
    pub waiting: &'a [ClusterMember],
    /// Members that answer, this node included.
    pub reachable: &'a BTreeSet<u64>,
    pub now_ms: i64,
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the members of this cluster are fixed (cluster.fixed-members), as those of axp dev are"
    )]
    Fixed,
    #[error(
        "a change to the members {wanted:?} is under way: wait until it is done (axp cluster \
         members), or go back with axp cluster abort"
    )]
    UnderWay { wanted: Vec<u64> },
    #[error("no change is under way")]
    NothingToAbort,
    #[error("the request names nothing to add or remove")]
    Empty,
    #[error(
        "node {0} was removed from this cluster and its id never comes back: give the new node a \
         new id and an empty disk"
    )]
    Removed(u64),
    #[error("node {0} is not a member")]
    NotAMember(u64),
    #[error(
        "node {0} does not ask to be let in: start it with an empty disk and with cluster.peers \
         that name the founding nodes, and look at axp cluster members"
    )]
    NotWaiting(u64),
    #[error("{count} disks ask to be node {id}: stop all but one")]
    Ambiguous { id: u64, count: usize },
    #[error("nobody would be left")]
    NobodyLeft,
    #[error("{0} members are more than the {MEMBERS_MAX} that make sense")]
    TooMany(usize),
    #[error(
        "node {node} does not answer: with the members {wanted:?} the cluster could lose its \
         majority with the next fault. Start or replace that node first, or use --force"
    )]
    NotReachable { node: u64, wanted: Vec<u64> },
    #[error(
        "only the nodes {reachable:?} answer, which is no majority of {wanted:?}: the change could \
         never finish, and --force does not help"
    )]
    NoMajority { reachable: Vec<u64>, wanted: Vec<u64> },
}

/// The row that the request asks for; nothing when it is as wanted already.
///
/// # Errors
/// When the request makes no sense, comes at a bad time, or would endanger a majority.
pub(super) fn decide(
    row: &ClusterMembers,
    request: &ChangeMembersRequest,
    sight: &Sight<'_>,
) -> Result<Option<ClusterMembers>, Refusal> {
    if request.abort {
        return abort(row, sight.now_ms);
    }
    let wanted = wanted(row, request)?;
    if !row.settled {
        // The same request again, after an answer that got lost.
        let same = wanted == as_set(&row.wanted);
        return if same { Ok(None) } else { Err(Refusal::UnderWay { wanted: row.wanted.clone() }) };
    }
    if wanted == as_set(&row.wanted) {
        return Ok(None);
    }
    let mut members = row.members.clone();
    for id in wanted.iter().filter(|id| !row.members.iter().any(|known| known.node_id == **id)) {
        members.push(admit(*id, sight.waiting)?);
    }
    members.sort_by_key(|member| member.node_id);
    check_majority(&wanted, &members, row, request.force, sight)?;
    Ok(Some(ClusterMembers {
        epoch: row.epoch + 1,
        members,
        wanted: wanted.into_iter().collect(),
        before: row.wanted.clone(),
        settled: false,
        forced: request.force,
        removed: row.removed.clone(),
        changed_at_ms: sight.now_ms,
    }))
}

/// The row of a change that every group has made: who is not wanted is removed, for ever.
#[must_use]
pub(super) fn settle(row: &ClusterMembers, now_ms: i64) -> ClusterMembers {
    let (members, gone): (Vec<_>, Vec<_>) =
        row.members.iter().cloned().partition(|member| row.wanted.contains(&member.node_id));
    let removed = gone.into_iter().map(|member| RemovedMember {
        node_id: member.node_id,
        incarnation: member.incarnation,
        removed_at_ms: now_ms,
    });
    ClusterMembers {
        members,
        before: row.wanted.clone(),
        settled: true,
        forced: false,
        removed: row.removed.iter().cloned().chain(removed).collect(),
        changed_at_ms: now_ms,
        ..row.clone()
    }
}

/// Back to where the change began. A node that was being added may have voted, so it is removed.
fn abort(row: &ClusterMembers, now_ms: i64) -> Result<Option<ClusterMembers>, Refusal> {
    if row.settled {
        return Err(Refusal::NothingToAbort);
    }
    if row.wanted == row.before {
        return Ok(None);
    }
    Ok(Some(ClusterMembers {
        epoch: row.epoch + 1,
        wanted: row.before.clone(),
        // The nodes that are wanted now held the cluster until now.
        forced: true,
        changed_at_ms: now_ms,
        ..row.clone()
    }))
}

fn wanted(row: &ClusterMembers, request: &ChangeMembersRequest) -> Result<BTreeSet<u64>, Refusal> {
    if request.add.is_empty() && request.remove.is_empty() {
        return Err(Refusal::Empty);
    }
    let removed = |id: u64| row.removed.iter().any(|member| member.node_id == id);
    let mut wanted = as_set(&row.wanted);
    for id in &request.add {
        if removed(*id) {
            return Err(Refusal::Removed(*id));
        }
        wanted.insert(*id);
    }
    for id in &request.remove {
        if !wanted.remove(id) && !removed(*id) && !as_set(&row.before).contains(id) {
            return Err(Refusal::NotAMember(*id));
        }
    }
    match wanted.len() {
        0 => Err(Refusal::NobodyLeft),
        count if count > MEMBERS_MAX => Err(Refusal::TooMany(count)),
        _ => Ok(wanted),
    }
}

fn admit(id: u64, waiting: &[ClusterMember]) -> Result<ClusterMember, Refusal> {
    let asking: Vec<_> = waiting.iter().filter(|node| node.node_id == id).collect();
    match asking[..] {
        [] => Err(Refusal::NotWaiting(id)),
        [one] => Ok(one.clone()),
        _ => Err(Refusal::Ambiguous { id, count: asking.len() }),
    }
}

/// Every wanted node must answer; with force, a majority. Who waits to be let in answers.
fn check_majority(
    wanted: &BTreeSet<u64>,
    members: &[ClusterMember],
    row: &ClusterMembers,
    force: bool,
    sight: &Sight<'_>,
) -> Result<(), Refusal> {
    let is_new = |id: &u64| {
        members.iter().any(|member| member.node_id == *id)
            && !row.members.iter().any(|member| member.node_id == *id)
    };
    let answers: Vec<u64> =
        wanted.iter().copied().filter(|id| sight.reachable.contains(id) || is_new(id)).collect();
    let listed = || wanted.iter().copied().collect();
    if answers.len() * 2 <= wanted.len() {
        return Err(Refusal::NoMajority { reachable: answers, wanted: listed() });
    }
    match wanted.iter().find(|id| !answers.contains(id)) {
        Some(node) if !force => Err(Refusal::NotReachable { node: *node, wanted: listed() }),
        _ => Ok(()),
    }
}

fn as_set(ids: &[u64]) -> BTreeSet<u64> {
    ids.iter().copied().collect()
}

#[cfg(test)]
mod tests;
