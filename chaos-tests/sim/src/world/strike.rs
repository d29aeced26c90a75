//! Breaks things and mends them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axp_proto::ids::GroupId;

use super::World;
use super::judge::Switch;
use crate::hosts::{self, gateway_name, node_name};
use crate::loss::Answers;
use crate::plan::{Fault, Leaves};
use crate::verdict::checks;

/// How long a node is down that ended by itself.
const DOWN: Duration = Duration::from_millis(700);
/// A node whose sync failed may take this long to end.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

impl World<'_> {
    /// Begins or ends a fault.
    pub(super) fn switch(&mut self, strike: usize, fault: &Fault, begins: bool) {
        let at = self.sim.elapsed();
        let text = format!("{} {fault:?}", if begins { "begin" } else { "end" });
        self.journal.note(at, &text);
        self.switched.push(Switch { at, strike, fault: fault.clone(), begins });
        if begins {
            *self.verdict.faults.entry(fault.name().to_owned()).or_default() += 1;
        }
        match fault {
            Fault::Crash { nodes, leaves } => {
                nodes.iter().for_each(|node| self.crash_node(*node, *leaves, begins));
            }
            Fault::Restart { node } => {
                if begins && self.nodes[*node].context().is_some() {
                    self.nodes[*node].restart.notify_one();
                }
            }
            Fault::GatewayCrash { gateway } => self.crash_gateway(*gateway, begins),
            Fault::Cut { pairs } => pairs.iter().for_each(|pair| self.cut(*pair, begins)),
            Fault::Stall { pairs } => pairs.iter().for_each(|pair| self.stall(*pair, begins)),
            Fault::OneWay { from, to } => self.one_way(*from, *to, begins),
            Fault::Refused { node, gateway } => self.refuse(*node, *gateway, begins),
            Fault::Split { node, gateway } => self.split(*node, *gateway, begins),
            Fault::AnswersLost { node, peers, pings } => {
                let answers = match (begins, pings) {
                    (false, _) => Answers::Arrive,
                    (true, true) => Answers::AreLost,
                    (true, false) => Answers::AreLostButPings,
                };
                let losses = &self.nodes[*node].losses;
                peers.iter().for_each(|peer| losses.answers(hosts::node_id(*peer), answers));
            }
            Fault::Lossy { share } => {
                let share = if begins { *share } else { 0.0 };
                self.nodes.iter().for_each(|node| node.losses.lose(share));
            }
            Fault::SlowDisk { node, sync } => {
                self.nodes[*node].disk.slow(if begins { *sync } else { Duration::ZERO });
            }
            Fault::SyncFails { node } => self.nodes[*node].disk.fail_one_sync(begins),
            Fault::SlowLink { pair, latency } => self.slow_link(*pair, *latency, begins),
            Fault::ClockJump { node, by_ms } => self.jump(*node, *by_ms, begins),
            Fault::Shrink { node, group } if begins => self.nodes[*node].shrink(GroupId(*group)),
            Fault::Shrink { .. } => {}
        }
    }

    /// Whether this is the first who wants it, or the last who lets go.
    fn turns(&mut self, what: &str, begins: bool) -> bool {
        let count = self.down.entry(what.to_owned()).or_default();
        if begins {
            *count += 1;
            *count == 1
        } else {
            *count = count.saturating_sub(1);
            *count == 0
        }
    }

    fn crash_node(&mut self, node: usize, leaves: Leaves, begins: bool) {
        let name = node_name(node);
        if !self.turns(&name, begins) {
            return;
        }
        if begins {
            let host = &self.nodes[node];
            host.forget();
            self.verdict.forgotten_batches += host.disk.crash(leaves) as u64;
            self.sim.crash(name);
        } else {
            self.sim.bounce(name);
        }
    }

    fn crash_gateway(&mut self, gateway: usize, begins: bool) {
        let name = gateway_name(gateway);
        if !self.turns(&name, begins) {
            return;
        }
        if begins {
            self.sim.crash(name);
        } else {
            self.sim.bounce(name);
        }
    }

    /// Nodes whose sync failed are gone, as their processes would be, and come back after a while;
    /// none goes on.
    pub(super) fn after_failed_syncs(&mut self) {
        let now = self.sim.elapsed();
        for node in 0..self.nodes.len() {
            let host = &self.nodes[node];
            let goes_on = host.disk.has_failed() && host.context().is_some();
            if host.take_ended().is_some() {
                self.fallen.insert(node, now + DOWN);
                self.crash_node(node, Leaves::Synced, true);
            } else if self.fallen.get(&node).is_some_and(|until| *until <= now) {
                self.fallen.remove(&node);
                self.crash_node(node, Leaves::Synced, false);
            }
            if !goes_on {
                self.unmoved.remove(&node);
                continue;
            }
            let since = *self.unmoved.entry(node).or_insert(now);
            self.probe.expect(checks::FAILED_SYNC, now < since + ENDS_WITHIN, || {
                format!("node {} goes on after a sync of its log failed", node + 1)
            });
        }
    }

    /// Cuts a node and a gateway off from everybody else but the clients.
    fn split(&self, node: usize, gateway: usize, begins: bool) {
        let switch = |a: String, b: String| {
            if begins {
                self.sim.partition(a, b);
            } else {
                self.sim.repair(a, b);
            }
        };
        for other in (0..self.plan.nodes).filter(|other| *other != node) {
            switch(node_name(node), node_name(other));
            switch(gateway_name(gateway), node_name(other));
        }
        for other in (0..self.plan.gateways).filter(|other| *other != gateway) {
            switch(gateway_name(other), node_name(node));
        }
    }

    /// Puts walls between a node, and perhaps a gateway, and all other nodes.
    fn refuse(&self, node: usize, gateway: Option<usize>, begins: bool) {
        for other in (0..self.plan.nodes).filter(|other| *other != node) {
            self.walls.between(&node_name(node), &node_name(other), begins);
            if let Some(gateway) = gateway {
                self.walls.between(&gateway_name(gateway), &node_name(other), begins);
            }
        }
    }

    fn cut(&self, (a, b): (usize, usize), begins: bool) {
        if begins {
            self.sim.partition(node_name(a), node_name(b));
        } else {
            self.sim.repair(node_name(a), node_name(b));
        }
    }

    fn stall(&self, (a, b): (usize, usize), begins: bool) {
        if begins {
            self.sim.hold(node_name(a), node_name(b));
        } else {
            self.sim.release(node_name(a), node_name(b));
        }
    }

    fn one_way(&self, from: usize, to: usize, begins: bool) {
        if begins {
            self.sim.partition_oneway(node_name(from), node_name(to));
        } else {
            self.sim.repair_oneway(node_name(from), node_name(to));
        }
    }

    fn slow_link(&self, (a, b): (usize, usize), latency: Duration, begins: bool) {
        let (a, b) = (node_name(a), node_name(b));
        if begins {
            self.sim.set_link_latency(a, b, latency);
        } else {
            // This sets the least latency, too.
            self.sim.set_link_latency(a.as_str(), b.as_str(), Duration::ZERO);
            self.sim.set_link_max_message_latency(a, b, self.plan.latency_max);
        }
    }

    fn jump(&self, node: usize, by_ms: i64, begins: bool) {
        // Simulated wall time began at zero, and nobody's clock was ever before 1970.
        let since = i64::try_from(self.sim.elapsed().as_millis()).unwrap_or(0);
        let off = if begins { by_ms.max(-since / 2) } else { 0 };
        self.nodes[node].clock_off_ms.store(off, Ordering::Relaxed);
    }
}
