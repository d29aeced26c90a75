//! Decides the next step of a change of members. Pure, and looks at nothing but the wanted members,
//! what the leader of every group says of its replicas, and who answers: so it goes on from wherever
//! somebody crashed, and asking again after each step is all there is to it.
//!
//! ```text
//! 1. learners    control group first, then the shards, one replica after the other, each caught up
//!                before the next: the new nodes have the control rows before they lead anything
//! 2. voters      one joint change for each group, the shards first and the control group last: who
//!                leaves has the control rows for as long as it leads anything
//! 3. leftovers   learners that nobody wants, of a change that was aborted
//! ```
//!
//! No step is taken on a group whose last membership is not committed, or that left a joint one
//! behind, until that is finished.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use axp_proto::ids::GroupId;

use super::placement;

/// What a change is to come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Goal {
    pub wanted: BTreeSet<u64>,
    /// A majority of the wanted nodes is enough to change voters.
    pub forced: bool,
}

/// The replicas of one group as its leader says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Replicas {
    pub leader: u64,
    /// One set of voters, or two while they change.
    pub voters: Vec<BTreeSet<u64>>,
    pub learners: BTreeSet<u64>,
    pub committed: bool,
    /// Who lacks a few entries at most.
    pub caught_up: BTreeSet<u64>,
}

/// What happens next, of all groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    AddLearner { group: GroupId, node: u64 },
    MoveLeader { group: GroupId, to: u64 },
    SetVoters { group: GroupId, voters: BTreeSet<u64> },
    RemoveLearner { group: GroupId, node: u64 },
    Wait(Reason),
    Done,
}

/// What a change waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    NoLeader(GroupId),
    Uncommitted(GroupId),
    Unreachable(u64),
    CatchingUp { group: GroupId, node: u64 },
}

/// The next step towards the goal. A group is absent when no leader of it answered.
#[must_use]
pub(super) fn next_step(
    goal: &Goal,
    groups: &BTreeMap<GroupId, Option<Replicas>>,
    reachable: &BTreeSet<u64>,
) -> Step {
    let view = |group: &GroupId| groups[group].as_ref().ok_or(Step::Wait(Reason::NoLeader(*group)));
    let control_first = groups.keys();
    let control_last = groups.keys().filter(|group| !group.is_control());
    let control_last = control_last.chain(groups.keys().filter(|group| group.is_control()));
    let found = control_first
        .clone()
        .map(|group| finish(*group, view(group)?, goal, reachable))
        .chain(control_first.clone().map(|group| learn(*group, view(group)?, goal, reachable)))
        .chain(control_last.map(|group| vote(*group, view(group)?, goal, reachable)))
        .chain(control_first.map(|group| tidy(*group, view(group)?, goal)))
        .find_map(Result::err);
    found.unwrap_or(Step::Done)
}

/// A joint membership is left behind before anything else begins.
fn finish(
    group: GroupId,
    replicas: &Replicas,
    goal: &Goal,
    reachable: &BTreeSet<u64>,
) -> Result<(), Step> {
    if !replicas.committed {
        return Err(Step::Wait(Reason::Uncommitted(group)));
    }
    let [.., target] = &replicas.voters[..] else { return Ok(()) };
    if replicas.voters.len() == 1 {
        return Ok(());
    }
    let wanted = placement::replicas(group, &goal.wanted);
    // Back to the first set if that is what is wanted now: both are one step away.
    let voters = if replicas.voters.contains(&wanted) { &wanted } else { target };
    match missing_for_majority(voters, replicas, reachable) {
        Some(reason) => Err(Step::Wait(reason(group))),
        None => Err(Step::SetVoters { group, voters: voters.clone() }),
    }
}

/// Every wanted node has a replica that has caught up.
fn learn(
    group: GroupId,
    replicas: &Replicas,
    goal: &Goal,
    reachable: &BTreeSet<u64>,
) -> Result<(), Step> {
    let voters = replicas.voters.iter().flatten().copied().collect::<BTreeSet<u64>>();
    for node in placement::replicas(group, &goal.wanted) {
        if voters.contains(&node) {
            continue;
        }
        if !reachable.contains(&node) {
            return Err(Step::Wait(Reason::Unreachable(node)));
        }
        if !replicas.learners.contains(&node) {
            return Err(Step::AddLearner { group, node });
        }
        if !replicas.caught_up.contains(&node) {
            return Err(Step::Wait(Reason::CatchingUp { group, node }));
        }
    }
    Ok(())
}

/// The wanted nodes are the voters.
fn vote(
    group: GroupId,
    replicas: &Replicas,
    goal: &Goal,
    reachable: &BTreeSet<u64>,
) -> Result<(), Step> {
    let wanted = placement::replicas(group, &goal.wanted);
    if replicas.voters.last() == Some(&wanted) {
        return Ok(());
    }
    let well = |node: &u64| reachable.contains(node) && replicas.caught_up.contains(node);
    if let Some(reason) = missing_for_majority(&wanted, replicas, reachable) {
        return Err(Step::Wait(reason(group)));
    }
    if let Some(node) = wanted.iter().find(|node| !goal.forced && !well(node)) {
        return Err(Step::Wait(reason(*node, reachable)(group)));
    }
    if !wanted.contains(&replicas.leader) {
        let voters = replicas.voters.iter().flatten().copied();
        let heirs: BTreeSet<u64> =
            voters.filter(|node| wanted.contains(node) && well(node)).collect();
        let preferred = placement::preferred_leader(group, &goal.wanted);
        let heir = preferred.filter(|node| heirs.contains(node)).or(heirs.first().copied());
        // If none of the voters stays, the leader hands over when it is out (step-down policy).
        if let Some(to) = heir {
            return Err(Step::MoveLeader { group, to });
        }
    }
    Err(Step::SetVoters { group, voters: wanted })
}

fn tidy(group: GroupId, replicas: &Replicas, goal: &Goal) -> Result<(), Step> {
    let wanted = placement::replicas(group, &goal.wanted);
    match replicas.learners.difference(&wanted).next() {
        Some(node) => Err(Step::RemoveLearner { group, node: *node }),
        None => Ok(()),
    }
}

/// Why too few of these voters could acknowledge an entry now.
fn missing_for_majority(
    voters: &BTreeSet<u64>,
    replicas: &Replicas,
    reachable: &BTreeSet<u64>,
) -> Option<impl Fn(GroupId) -> Reason> {
    let (well, ill): (Vec<u64>, Vec<u64>) = voters
        .iter()
        .partition(|node| reachable.contains(node) && replicas.caught_up.contains(node));
    let first = *ill.first()?;
    (well.len() * 2 <= voters.len()).then(|| reason(first, reachable))
}

fn reason(node: u64, reachable: &BTreeSet<u64>) -> impl Fn(GroupId) -> Reason + use<> {
    let reachable = reachable.contains(&node);
    move |group| match reachable {
        true => Reason::CatchingUp { group, node },
        false => Reason::Unreachable(node),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddLearner { group, node } => {
                write!(f, "group {group}: node {node} gets a replica without a vote")
            }
            Self::MoveLeader { group, to } => write!(f, "group {group}: node {to} is to lead"),
            Self::SetVoters { group, voters } => {
                let voters: Vec<_> = voters.iter().map(u64::to_string).collect();
                write!(f, "group {group}: the voters become {}", voters.join(","))
            }
            Self::RemoveLearner { group, node } => {
                write!(f, "group {group}: the replica on node {node} goes")
            }
            Self::Wait(reason) => write!(f, "waits: {reason}"),
            Self::Done => f.write_str("done"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeader(group) => write!(f, "group {group} has no leader that answers"),
            Self::Uncommitted(group) => {
                write!(f, "the last change of group {group} is not committed")
            }
            Self::Unreachable(node) => write!(f, "node {node} does not answer"),
            Self::CatchingUp { group, node } => {
                write!(f, "node {node} is not up to date with group {group} yet")
            }
        }
    }
}

#[cfg(test)]
mod tests;
