//! What the nodes' answers mean together. Pure: the answers come in, the report goes out.
//!
//! A group counts as led when a node that answered says that it leads it in the highest term
//! anybody has seen: a deposed leader that does not know it yet is not believed.

use std::collections::BTreeMap;

use axp_proto::node::GroupStatus;
use serde::Serialize;

use super::nodes::Answer;
use crate::output::Table;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    Healthy,
    Degraded,
    Unavailable,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) health: Health,
    /// Why it is not healthy; empty when it is.
    pub(super) problems: Vec<String>,
    pub(super) nodes: Vec<Node>,
    pub(super) groups: Vec<Group>,
}

#[derive(Debug, Serialize)]
pub(super) struct Node {
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    node_id: Option<u64>,
    cluster_id: String,
    version: String,
    storage_engine: String,
    uptime_seconds: u64,
    ready: bool,
    draining: bool,
    groups_led: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Group {
    group: u32,
    leader_id: Option<u64>,
    term: u64,
    voters: Vec<u64>,
    committed_index: u64,
    /// By node, of those that answered.
    applied_index: BTreeMap<u64, u64>,
    /// Entries that a voter is behind its leader, by node.
    lag_entries: BTreeMap<u64, u64>,
}

impl Report {
    pub(super) fn new(answers: &[Answer], lag_max: u64) -> Self {
        let mut findings = Findings { health: Health::Healthy, problems: Vec::new() };
        let nodes: Vec<_> = answers.iter().map(Node::new).collect();
        let groups = groups(answers);
        findings.judge_nodes(&nodes);
        for group in &groups {
            findings.judge_group(group, lag_max);
        }
        if groups.is_empty() {
            findings.add(Health::Unavailable, "no node reports any group".into());
        }
        Self { health: findings.health, problems: findings.problems, nodes, groups }
    }

    pub(super) fn render(&self) -> String {
        let mut nodes =
            Table::new(&["NODE", "ADDRESS", "STATE", "LEADS", "UPTIME", "ENGINE", "VERSION"]);
        for node in &self.nodes {
            nodes.row(vec![
                node.node_id.map_or_else(|| "?".into(), |id| id.to_string()),
                node.address.clone(),
                node.state(),
                node.groups_led.to_string(),
                format!("{}s", node.uptime_seconds),
                node.storage_engine.clone(),
                node.version.clone(),
            ]);
        }
        let mut groups = Table::new(&["GROUP", "LEADER", "TERM", "VOTERS", "COMMITTED", "LAG"]);
        for group in &self.groups {
            let lag = group.lag_entries.iter().filter(|(_, lag)| **lag > 0);
            let lag: Vec<_> = lag.map(|(node, lag)| format!("{node}:{lag}")).collect();
            groups.row(vec![
                group.group.to_string(),
                group.leader_id.map_or_else(|| "none".into(), |id| id.to_string()),
                group.term.to_string(),
                group.voters.iter().map(u64::to_string).collect::<Vec<_>>().join(","),
                group.committed_index.to_string(),
                if lag.is_empty() { "0".into() } else { lag.join(" ") },
            ]);
        }
        let mut text = format!("{}\n\n{}\n\n", nodes.render(), groups.render());
        text.push_str(match self.health {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Unavailable => "unavailable",
        });
        for problem in &self.problems {
            text.push_str(&format!("\n  {problem}"));
        }
        text
    }
}

struct Findings {
    health: Health,
    problems: Vec<String>,
}

impl Findings {
    fn add(&mut self, health: Health, problem: String) {
        self.health = self.health.max(health);
        self.problems.push(problem);
    }

    fn judge_nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            if let Some(error) = &node.error {
                self.add(Health::Degraded, format!("{} does not answer: {error}", node.address));
            } else if node.draining {
                self.add(Health::Degraded, format!("{} is draining", node.address));
            } else if !node.ready {
                self.add(Health::Degraded, format!("{} is not ready", node.address));
            }
        }
        let answered = || nodes.iter().filter(|node| node.error.is_none());
        let mut clusters: Vec<_> = answered().map(|node| node.cluster_id.as_str()).collect();
        clusters.sort_unstable();
        clusters.dedup();
        if clusters.len() > 1 {
            let problem = format!("the nodes belong to different clusters: {}", clusters.join(" "));
            self.add(Health::Unavailable, problem);
        }
        let mut ids: Vec<_> = answered().filter_map(|node| node.node_id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < count {
            self.add(Health::Degraded, "two addresses answer with the same node id".into());
        }
    }

    fn judge_group(&mut self, group: &Group, lag_max: u64) {
        let name = group.group;
        if group.leader_id.is_none() {
            self.add(Health::Unavailable, format!("group {name} has no leader that answers"));
        }
        for voter in group.voters.iter().filter(|id| !group.applied_index.contains_key(id)) {
            self.add(Health::Degraded, format!("group {name} misses its voter {voter}"));
        }
        for (node, lag) in group.lag_entries.iter().filter(|(_, lag)| **lag > lag_max) {
            let problem = format!("group {name} is {lag} entries behind on node {node}");
            self.add(Health::Degraded, problem);
        }
    }
}

impl Node {
    fn new(answer: &Answer) -> Self {
        let error = answer.status.as_ref().err().cloned();
        let status = answer.status.as_ref().cloned().unwrap_or_default();
        Self {
            address: answer.address.clone(),
            node_id: error.is_none().then_some(status.node_id),
            error,
            cluster_id: status.cluster_id,
            version: status.version,
            storage_engine: status.storage_engine,
            uptime_seconds: status.uptime_seconds,
            ready: status.ready,
            draining: status.draining,
            groups_led: status.groups.iter().filter(|group| leads(group)).count(),
        }
    }

    fn state(&self) -> String {
        match &self.error {
            Some(_) => "unreachable".into(),
            None if self.draining => "draining".into(),
            None if self.ready => "ready".into(),
            None => "not ready".into(),
        }
    }
}

fn leads(group: &GroupStatus) -> bool {
    group.role == "leader"
}

fn groups(answers: &[Answer]) -> Vec<Group> {
    let mut replicas: BTreeMap<u32, Vec<(u64, &GroupStatus)>> = BTreeMap::new();
    for status in answers.iter().filter_map(|answer| answer.status.as_ref().ok()) {
        for group in &status.groups {
            replicas.entry(group.group).or_default().push((status.node_id, group));
        }
    }
    replicas.into_iter().map(|(group, replicas)| Group::new(group, &replicas)).collect()
}

impl Group {
    fn new(group: u32, replicas: &[(u64, &GroupStatus)]) -> Self {
        let term = replicas.iter().map(|(_, replica)| replica.term).max().unwrap_or_default();
        let leader = replicas.iter().find(|(_, replica)| leads(replica) && replica.term == term);
        // Without a leader, whoever has seen most speaks for the group.
        let spoken = leader
            .or_else(|| replicas.iter().max_by_key(|(_, replica)| replica.committed_index))
            .map(|(_, replica)| *replica);
        let lag = leader.iter().flat_map(|(_, leader)| &leader.replication);
        Self {
            group,
            leader_id: leader.map(|(node, _)| *node),
            term,
            voters: spoken.map(|replica| replica.voters.clone()).unwrap_or_default(),
            committed_index: spoken.map(|replica| replica.committed_index).unwrap_or_default(),
            applied_index: replicas
                .iter()
                .map(|(node, replica)| (*node, replica.applied_index))
                .collect(),
            lag_entries: lag.map(|lag| (lag.node_id, lag.lag_entries)).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
