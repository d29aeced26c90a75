//! Looks into the nodes from outside, at instants when nothing moves.
//!
//! What is committed is the same everywhere and on the disks of a majority; replicas at one index have
//! one state.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use axp_node::raft::GroupHandle;
use axp_proto::ids::GroupId;
use axp_raft_store::LogId;

use crate::hosts::NodeHost;
use crate::verdict::{Violation, checks};

/// Violations kept; one is enough to end a run.
const KEPT_MAX: usize = 20;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    pub(crate) checked: u64,
    pub(crate) violations: Vec<Violation>,
    /// Group, term and node. A term can have several, each with a greater node id than the one
    /// before: openraft orders votes by both, and log ids name both.
    leaders: BTreeSet<(GroupId, u64, u64)>,
    applied: BTreeMap<(GroupId, u64), LogId>,
    hashes: BTreeMap<(GroupId, u64), u64>,
    /// Of each node, so that one that goes back is seen.
    newest: BTreeMap<GroupId, u64>,
}

impl Probe {
    /// How many leaders were seen, of all groups and terms.
    pub(crate) fn leaders(&self) -> usize {
        self.leaders.len()
    }

    pub(crate) fn expect(&mut self, check: &str, holds: bool, problem: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds && self.violations.len() < KEPT_MAX {
            self.violations.push(Violation::new(check, problem()));
        }
    }

    /// Up to where each group is known to have committed.
    pub(crate) fn newest(&self) -> BTreeMap<GroupId, u64> {
        self.newest.clone()
    }

    /// The node that leads a group in the newest term.
    pub(crate) fn leader_of(nodes: &[Arc<NodeHost>], group: GroupId) -> Option<usize> {
        let mut leading = None;
        for_each_group(nodes, |node, handle| {
            if handle.group == group && handle.is_leader() {
                leading = leading.max(Some((handle.metrics().current_term, node)));
            }
        });
        leading.map(|(_, node)| node)
    }

    /// Leaders and committed entries; cheap.
    pub(crate) fn look(&mut self, nodes: &[Arc<NodeHost>]) {
        let mut committed: BTreeMap<GroupId, LogId> = BTreeMap::new();
        for_each_group(nodes, |_, handle| {
            let metrics = handle.metrics();
            if let Some(leader) = metrics.current_leader {
                self.leaders.insert((handle.group, metrics.current_term, leader));
            }
            if let Some(applied) = metrics.last_applied {
                self.applied(handle.group, applied);
                let newest = committed.entry(handle.group).or_insert(applied);
                if newest.index() < applied.index() {
                    *newest = applied;
                }
            }
        });
        for (node, host) in nodes.iter().enumerate() {
            let nagging = host.losses.take_nagging();
            self.expect(checks::QUIET, nagging.is_none(), || {
                format!("node {} sent {}", node + 1, nagging.unwrap_or_default())
            });
        }
        for (group, entry) in committed {
            let newest = self.newest.entry(group).or_default();
            if *newest < entry.index() {
                *newest = entry.index();
                self.durable(nodes, group, &entry);
            }
        }
    }

    fn applied(&mut self, group: GroupId, entry: LogId) {
        let known = *self.applied.entry((group, entry.index())).or_insert(entry);
        self.expect(checks::ONE_ENTRY, known == entry, || {
            format!("group {group}: {known} and {entry} are both committed")
        });
    }

    fn durable(&mut self, nodes: &[Arc<NodeHost>], group: GroupId, entry: &LogId) {
        let has = |node: &&Arc<NodeHost>| matches!(node.disk.has(group, entry), Ok(true));
        let count = nodes.iter().filter(has).count();
        self.expect(checks::DURABLE, count > nodes.len() / 2, || {
            format!("group {group}: {entry} is committed and on {count} disks")
        });
    }

    /// The states of all replicas; reads all of them.
    pub(crate) fn compare(&mut self, nodes: &[Arc<NodeHost>]) {
        for_each_group(nodes, |node, handle| {
            let index = handle.reader.applied_index();
            let hash = state_hash(handle);
            let known = *self.hashes.entry((handle.group, index)).or_insert(hash);
            self.expect(checks::EQUAL, known == hash, || {
                let group = handle.group;
                format!("group {group} at {index}: node {} has another state", node + 1)
            });
        });
    }

    /// In the end, when nothing happens any more.
    pub(crate) fn all_equal(&mut self, nodes: &[Arc<NodeHost>]) {
        self.compare(nodes);
        let mut at: BTreeMap<GroupId, Vec<u64>> = BTreeMap::new();
        for_each_group(nodes, |_, handle| {
            at.entry(handle.group).or_default().push(handle.reader.applied_index());
        });
        for (group, indexes) in at {
            let equal = indexes.len() == nodes.len() && indexes.iter().all(|at| *at == indexes[0]);
            self.expect(checks::EQUAL, equal, || format!("group {group} ends at {indexes:?}"));
        }
    }
}

fn for_each_group(nodes: &[Arc<NodeHost>], mut look: impl FnMut(usize, &GroupHandle)) {
    for (node, host) in nodes.iter().enumerate() {
        if let Some(context) = host.context() {
            context.groups.iter().for_each(|handle| look(node, handle));
        }
    }
}

fn state_hash(handle: &GroupHandle) -> u64 {
    let (mut low, mut high) = (0, 0);
    let read = handle.reader.scan(&[], &[], &mut |key, value| {
        low = crc32c::crc32c_append(low, key);
        high = crc32c::crc32c_append(high ^ low, value);
        ControlFlow::Continue(())
    });
    match read {
        Ok(()) => u64::from(high) << 32 | u64::from(low),
        // As unequal as a state can be.
        Err(error) => u64::from(crc32c::crc32c(error.to_string().as_bytes())),
    }
}
