//! What can break, and whom it can be aimed at.

use std::time::Duration;

/// What a crash leaves of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// All that was written: the process died, the machine did not.
    Written,
    /// What was synced, and some of the batches that were not, in order.
    Synced,
}

/// Something that breaks for a while.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// Nodes die at once and come back.
    Crash { nodes: Vec<usize>, leaves: Leaves },
    /// A node is asked to stop, and starts again.
    Restart { node: usize },
    /// A gateway dies and comes back.
    GatewayCrash { gateway: usize },
    /// Nothing passes between two nodes, and what was under way is lost.
    Cut { pairs: Vec<(usize, usize)> },
    /// The same, but what is sent meanwhile arrives in the end, as TCP would have it.
    Stall { pairs: Vec<(usize, usize)> },
    /// A node and a gateway are on one side of a cut, everybody else on the other.
    Split { node: usize, gateway: usize },
    /// A node and its peers refuse each other's connections, and those that were open are reset: as
    /// if its process had died, but it lives, and gateways reach it; or one of them, and only it.
    Refused { node: usize, gateway: Option<usize> },
    /// Nothing goes one way.
    OneWay { from: usize, to: usize },
    /// A node's calls arrive at these peers, and the answers get lost; those of pings, too, or not.
    AnswersLost { node: usize, peers: Vec<usize>, pings: bool },
    /// A share of all calls between nodes gets lost, either half.
    Lossy { share: f64 },
    /// Every sync of a node takes long.
    SlowDisk { node: usize, sync: Duration },
    /// The next sync of a node's log fails, and what it was to make durable is gone. The node has to
    /// end, and starts again soon after.
    SyncFails { node: usize },
    /// All messages between two hosts take long.
    SlowLink { pair: (usize, usize), latency: Duration },
    /// A node's wall clock jumps, and jumps back.
    ClockJump { node: usize, by_ms: i64 },
    /// A node is asked to be the only voter of a group that it leads.
    Shrink { node: usize, group: u16 },
}

impl Fault {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Crash { nodes, .. } if nodes.len() > 2 => "crash-of-all-nodes",
            Self::Crash { nodes, .. } if nodes.len() > 1 => "crash-of-two-nodes",
            Self::Crash { .. } => "crash-of-a-node",
            Self::Restart { .. } => "restart",
            Self::GatewayCrash { .. } => "crash-of-a-gateway",
            Self::Cut { pairs } if pairs.len() > 1 => "partition-of-a-node",
            Self::Cut { .. } => "partition-of-a-pair",
            Self::Stall { .. } => "stalled-connections",
            Self::Split { .. } => "partition-of-a-node-and-a-gateway",
            Self::Refused { .. } => "refused-connections",
            Self::OneWay { .. } => "one-way-partition",
            Self::AnswersLost { peers, .. } if peers.len() > 1 => "lost-answers",
            Self::AnswersLost { .. } => "lost-answers-of-a-peer",
            Self::Lossy { .. } => "lossy-calls",
            Self::SlowDisk { .. } => "slow-disk",
            Self::SyncFails { .. } => "failed-sync",
            Self::SlowLink { .. } => "slow-link",
            Self::ClockJump { .. } => "clock-jump",
            Self::Shrink { .. } => "change-of-voters",
        }
    }

    /// The node that it is about first of all.
    pub(crate) fn first(&self) -> Option<usize> {
        match self {
            Self::Crash { nodes, .. } => nodes.first().copied(),
            Self::Cut { pairs } | Self::Stall { pairs } => pairs.first().map(|(node, _)| *node),
            Self::OneWay { from: node, .. }
            | Self::SlowLink { pair: (node, _), .. }
            | Self::Restart { node }
            | Self::Split { node, .. }
            | Self::Refused { node, .. }
            | Self::AnswersLost { node, .. }
            | Self::SlowDisk { node, .. }
            | Self::SyncFails { node }
            | Self::ClockJump { node, .. }
            | Self::Shrink { node, .. } => Some(*node),
            Self::GatewayCrash { .. } | Self::Lossy { .. } => None,
        }
    }

    /// The same about other nodes: each is the one so many places further, in a circle of `nodes`.
    pub(crate) fn turned(&self, by: usize, nodes: usize) -> Self {
        let turn = |node: &usize| (node + by) % nodes;
        let turn_all = |pairs: &[(usize, usize)]| {
            pairs.iter().map(|(a, b)| (turn(a), turn(b))).collect::<Vec<_>>()
        };
        let mut turned = self.clone();
        match &mut turned {
            Self::Crash { nodes, .. } => nodes.iter_mut().for_each(|node| *node = turn(node)),
            Self::Cut { pairs } | Self::Stall { pairs } => *pairs = turn_all(pairs),
            Self::OneWay { from, to } => (*from, *to) = (turn(from), turn(to)),
            Self::SlowLink { pair: (a, b), .. } => (*a, *b) = (turn(a), turn(b)),
            Self::AnswersLost { node, peers, .. } => {
                *node = turn(node);
                peers.iter_mut().for_each(|peer| *peer = turn(peer));
            }
            Self::Restart { node }
            | Self::Split { node, .. }
            | Self::Refused { node, .. }
            | Self::SlowDisk { node, .. }
            | Self::SyncFails { node }
            | Self::ClockJump { node, .. }
            | Self::Shrink { node, .. } => *node = turn(node),
            Self::GatewayCrash { .. } | Self::Lossy { .. } => {}
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_is_turned_is_about_the_next_nodes() {
        let cut = Fault::Cut { pairs: vec![(1, 0), (1, 2)] };
        assert_eq!(cut.first(), Some(1));
        assert_eq!(cut.turned(2, 3), Fault::Cut { pairs: vec![(0, 2), (0, 1)] });
        assert_eq!(cut.turned(0, 3), cut);
        let crash = Fault::Crash { nodes: vec![2], leaves: Leaves::Synced };
        assert_eq!(crash.turned(1, 3).first(), Some(0));
        let lost = |node, peer| Fault::AnswersLost { node, peers: vec![peer], pings: false };
        assert_eq!(lost(0, 1).turned(2, 3), lost(2, 0));
    }
}
