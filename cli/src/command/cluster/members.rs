//! `axp cluster members`: who is in, who waits, who was removed, and how far a change has come.

use std::collections::BTreeMap;

use axp_proto::node::{ClusterMembers, GroupStatus};
use clap::Args;
use serde::Serialize;

use super::nodes::{Answer, NodesArgs, ask_all};
use crate::exit::Exit;
use crate::output::{self, Table};

/// Show the members of the cluster, nodes that wait to be added, and the change under way.
#[derive(Debug, Args)]
pub(super) struct MembersArgs {
    #[command(flatten)]
    nodes: NodesArgs,
}

pub(super) async fn run(args: &MembersArgs, json: bool) -> anyhow::Result<Exit> {
    let answers = ask_all(&args.nodes.nodes, args.nodes.timeout()).await;
    let Some(view) = View::new(&answers) else {
        anyhow::bail!("no node answers; axp cluster status says why");
    };
    if json {
        output::json(&view)?;
    } else {
        output::line(&view.render())?;
    }
    Ok(Exit::Success)
}

/// The membership as the nodes' answers show it together.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) epoch: u64,
    /// No change is under way.
    pub(super) settled: bool,
    pub(super) wanted: Vec<u64>,
    /// What the change does or waits for, if the node that drives it answered.
    pub(super) progress: String,
    nodes: Vec<Node>,
    groups: usize,
}

#[derive(Debug, Serialize)]
struct Node {
    node_id: u64,
    /// member, joining, leaving, waiting or removed.
    state: &'static str,
    voter_in: usize,
    learner_in: usize,
    raft_address: String,
    api_address: String,
}

impl View {
    /// Nothing when no node told of its members.
    pub(super) fn new(answers: &[Answer]) -> Option<Self> {
        let statuses: Vec<_> =
            answers.iter().filter_map(|answer| answer.status.as_ref().ok()).collect();
        let rows = statuses.iter().filter_map(|status| status.members.as_ref());
        let row = rows.max_by_key(|row| (row.epoch, row.settled))?;
        let groups = newest_groups(statuses.iter().flat_map(|status| &status.groups));
        let mut nodes: BTreeMap<u64, Node> = BTreeMap::new();
        for waiting in statuses.iter().flat_map(|status| &status.waiting) {
            let Some(node) = &waiting.node else { continue };
            nodes.entry(node.node_id).or_insert_with(|| Node {
                raft_address: node.raft_address.clone(),
                api_address: node.api_address.clone(),
                ..Node::new(node.node_id, "waiting", &groups)
            });
        }
        for removed in &row.removed {
            nodes.insert(removed.node_id, Node::new(removed.node_id, "removed", &groups));
        }
        for member in &row.members {
            let node = Node {
                raft_address: member.raft_address.clone(),
                api_address: member.api_address.clone(),
                ..Node::new(member.node_id, state(row, member.node_id), &groups)
            };
            nodes.insert(member.node_id, node);
        }
        let progress = statuses.iter().map(|status| status.change_progress.as_str());
        Some(Self {
            epoch: row.epoch,
            settled: row.settled,
            wanted: row.wanted.clone(),
            progress: progress.max_by_key(|text| text.len()).unwrap_or_default().to_owned(),
            nodes: nodes.into_values().collect(),
            groups: groups.len(),
        })
    }

    pub(super) fn render(&self) -> String {
        let mut table = Table::new(&["NODE", "STATE", "VOTES IN", "LEARNS IN", "RAFT", "API"]);
        for node in &self.nodes {
            table.row(vec![
                node.node_id.to_string(),
                node.state.to_owned(),
                format!("{} of {}", node.voter_in, self.groups),
                node.learner_in.to_string(),
                node.raft_address.clone(),
                node.api_address.clone(),
            ]);
        }
        let wanted = self.wanted.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let change = match (self.settled, self.progress.as_str()) {
            (true, _) => format!("no change under way, members {wanted} (epoch {})", self.epoch),
            (false, "") => {
                format!("changing to {wanted} (epoch {}): nobody who answers drives it", self.epoch)
            }
            (false, progress) => format!("changing to {wanted} (epoch {}): {progress}", self.epoch),
        };
        format!("{}\n\n{change}", table.render())
    }
}

impl Node {
    fn new(node_id: u64, state: &'static str, groups: &BTreeMap<u32, &GroupStatus>) -> Self {
        let votes = |group: &&&GroupStatus| {
            group.voters.contains(&node_id) || group.next_voters.contains(&node_id)
        };
        Self {
            node_id,
            state,
            voter_in: groups.values().filter(votes).count(),
            learner_in: groups.values().filter(|group| group.learners.contains(&node_id)).count(),
            raft_address: String::new(),
            api_address: String::new(),
        }
    }
}

fn state(row: &ClusterMembers, id: u64) -> &'static str {
    match (row.wanted.contains(&id), row.before.contains(&id)) {
        (true, true) => "member",
        (true, false) => "joining",
        (false, _) => "leaving",
    }
}

/// Each group as whoever has heard most of it says.
fn newest_groups<'a>(
    groups: impl Iterator<Item = &'a GroupStatus>,
) -> BTreeMap<u32, &'a GroupStatus> {
    let mut newest: BTreeMap<u32, &GroupStatus> = BTreeMap::new();
    let age = |group: &GroupStatus| (group.term, group.role == "leader", group.last_log_index);
    for group in groups {
        let known = newest.entry(group.group).or_insert(group);
        if age(group) > age(known) {
            *known = group;
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use axp_proto::node::{ClusterMember, RemovedMember, StatusResponse, WaitingNode};

    use super::*;

    fn member(node_id: u64) -> ClusterMember {
        ClusterMember {
            node_id,
            raft_address: format!("node-{node_id}:8111"),
            ..ClusterMember::default()
        }
    }

    fn answer(epoch: u64, role: &str, voters: &[u64], learners: &[u64]) -> Answer {
        let members = ClusterMembers {
            epoch,
            members: vec![member(1), member(2), member(4)],
            wanted: vec![1, 4],
            before: vec![1, 2],
            removed: vec![RemovedMember { node_id: 3, ..RemovedMember::default() }],
            ..ClusterMembers::default()
        };
        let group = GroupStatus {
            group: 1,
            role: role.to_owned(),
            voters: voters.to_vec(),
            learners: learners.to_vec(),
            ..GroupStatus::default()
        };
        let status = StatusResponse {
            groups: vec![group],
            members: Some(members),
            waiting: vec![WaitingNode { node: Some(member(5)), asked_ms_ago: 3 }],
            ..StatusResponse::default()
        };
        Answer { address: String::new(), status: Ok(status) }
    }

    #[test]
    fn every_node_has_a_state_and_the_newest_answers_count() {
        let answers = [answer(1, "leader", &[1, 2], &[4]), answer(2, "follower", &[1, 2], &[])];
        let view = View::new(&answers).unwrap();
        let states: Vec<_> = view
            .nodes
            .iter()
            .map(|node| (node.node_id, node.state, node.voter_in, node.learner_in))
            .collect();
        assert_eq!(
            states,
            [
                (1, "member", 1, 0),
                (2, "leaving", 1, 0),
                (3, "removed", 0, 0),
                (4, "joining", 0, 1),
                (5, "waiting", 0, 0),
            ]
        );
        assert_eq!((view.epoch, view.settled), (2, false));
        assert!(view.render().contains("changing to 1,4"), "{}", view.render());
    }

    #[test]
    fn without_an_answer_there_is_nothing_to_show() {
        let dead = Answer { address: String::new(), status: Err("refused".into()) };
        assert!(View::new(&[dead]).is_none());
    }
}
