//! The loop that drives every group to the wanted members, on the leader of the control group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::node::ClusterMembers;
use axp_proto::raft::change_replicas_request::Step as WireStep;
use axp_proto::raft::{LogId, MemberAddress, ReplicasResponse, VoterSet};
use tonic::Status;

use super::{Error, Membership};
use crate::cluster::change;
use crate::cluster::plan::{self, Goal, Replicas, Step};
use crate::metrics as names;
use crate::raft::replicas;

/// How often a change that waits is looked at again, and how often the row while none is under way:
/// whoever becomes leader must notice that there is something to do.
const PAUSE: Duration = Duration::from_millis(200);
const IDLE_PAUSE: Duration = Duration::from_secs(1);

/// What one look came to.
enum Round {
    /// Nothing is under way, or somebody else leads.
    Idle,
    Waits,
    Acted,
}

/// A group's replicas and where in the log that was said.
struct Seen {
    replicas: Replicas,
    observed: Option<LogId>,
}

impl Membership {
    /// Looks again and again, until the node stops.
    pub async fn reconcile(self: Arc<Self>) {
        loop {
            let round = self.round().await.unwrap_or_else(|error| {
                tracing::debug!(%error, "the change of members is looked at again");
                Round::Waits
            });
            let idle = matches!(round, Round::Idle);
            metrics::gauge!(names::MEMBERS_CHANGING).set(if idle { 0.0 } else { 1.0 });
            match round {
                Round::Acted => {}
                Round::Waits => tokio::time::sleep(PAUSE).await,
                Round::Idle => {
                    self.progress.send_if_modified(|text| !std::mem::take(text).is_empty());
                    let row = self.members.row();
                    let changed = self.members.changed(row.epoch, row.settled);
                    tokio::time::timeout(IDLE_PAUSE, changed).await.ok();
                }
            }
        }
    }

    async fn round(&self) -> Result<Round, Error> {
        // What every node has heard is enough to know that nothing is under way; what a new leader
        // has not applied yet, it hears in a moment.
        if !self.leads() || self.members.row().settled {
            return Ok(Round::Idle);
        }
        let (row, revision) = self.confirmed_row().await?;
        if row.settled {
            return Ok(Round::Idle);
        }
        let wanted: BTreeSet<u64> = row.wanted.iter().copied().collect();
        let goal = Goal { wanted, forced: row.forced };
        let seen = self.observe().await;
        let views = seen
            .iter()
            .map(|(group, seen)| (*group, seen.as_ref().map(|seen| seen.replicas.clone())));
        let step = plan::next_step(&goal, &views.collect(), &self.reachable());
        self.tell(&step);
        match step {
            Step::Wait(_) => Ok(Round::Waits),
            Step::Done => {
                let settled = change::settle(&row, self.clock.now_ms());
                if self.commit(&settled, revision).await? {
                    tracing::info!(members = ?settled.wanted, "the members have changed");
                }
                Ok(Round::Acted)
            }
            step => Ok(self.take(&row, &seen, step).await),
        }
    }

    fn tell(&self, step: &Step) {
        let text = step.to_string();
        let news = self.progress.send_if_modified(|told| {
            let news = *told != text;
            told.clone_from(&text);
            news
        });
        if news {
            tracing::info!(step = text, "change of members");
        }
    }

    /// What the leader of every group says of its replicas.
    async fn observe(&self) -> BTreeMap<GroupId, Option<Seen>> {
        let asks = self.groups.iter().map(|handle| async move {
            let leader = handle.metrics().current_leader;
            let answer = match leader {
                Some(leader) => self.ask(handle.group, leader).await.ok(),
                None => None,
            };
            (handle.group, answer.zip(leader).map(|(answer, leader)| seen(leader, answer)))
        });
        futures_util::future::join_all(asks).await.into_iter().collect()
    }

    async fn ask(&self, group: GroupId, leader: u64) -> Result<ReplicasResponse, Status> {
        let peers = self.groups.peers();
        match (self.groups.get(group), peers.get(leader)) {
            (Some(handle), _) if leader == peers.node_id() => {
                replicas::describe(&handle.raft).await
            }
            (_, Some(peer)) => replicas::ask(peers, &peer, group).await,
            _ => Err(Status::unavailable("nobody knows where the leader is")),
        }
    }

    /// Has the leader of the group take the step. Whatever comes of it is seen by the next look.
    async fn take(
        &self,
        row: &ClusterMembers,
        seen: &BTreeMap<GroupId, Option<Seen>>,
        step: Step,
    ) -> Round {
        let Some((group, name, wire)) = wire_step(row, step) else { return Round::Waits };
        let Some(Some(seen)) = seen.get(&group) else { return Round::Waits };
        let (leader, observed) = (seen.replicas.leader, seen.observed);
        let peers = self.groups.peers();
        let taken = match (self.groups.get(group), peers.get(leader)) {
            (Some(handle), _) if leader == peers.node_id() => {
                replicas::change(&handle.raft, observed, wire).await
            }
            (_, Some(peer)) => replicas::order(peers, &peer, group, observed, wire).await,
            _ => Err(Status::unavailable("nobody knows where the leader is")),
        };
        let outcome = if taken.is_ok() { "taken" } else { "failed" };
        metrics::counter!(names::MEMBERS_STEPS, "step" => name, "outcome" => outcome).increment(1);
        match taken {
            // A leader that is asked to hand over does so a little later.
            Ok(()) if name == "move-leader" => Round::Waits,
            Ok(()) => Round::Acted,
            Err(status) => {
                tracing::warn!(%group, step = name, reason = status.message(), "a step was not taken");
                Round::Waits
            }
        }
    }
}

fn seen(leader: u64, answer: ReplicasResponse) -> Seen {
    let membership = answer.membership.unwrap_or_default();
    let voters = membership.configs.iter().map(|set| set.node_ids.iter().copied().collect());
    Seen {
        replicas: Replicas {
            leader,
            voters: voters.collect(),
            learners: membership.learners.iter().copied().collect(),
            committed: answer.committed,
            caught_up: answer.caught_up.into_iter().collect(),
        },
        observed: answer.membership_log_id,
    }
}

/// The step as the leader of its group is told, and its name in metrics.
fn wire_step(row: &ClusterMembers, step: Step) -> Option<(GroupId, &'static str, WireStep)> {
    Some(match step {
        Step::AddLearner { group, node } => {
            let member = row.members.iter().find(|member| member.node_id == node)?;
            let raft_address = member.raft_address.clone();
            let address = MemberAddress { node_id: node, raft_address };
            (group, "add-learner", WireStep::AddLearner(address))
        }
        Step::SetVoters { group, voters } => {
            let voters = VoterSet { node_ids: voters.into_iter().collect() };
            (group, "set-voters", WireStep::SetVoters(voters))
        }
        Step::RemoveLearner { group, node } => {
            (group, "remove-learner", WireStep::RemoveLearner(node))
        }
        Step::MoveLeader { group, to } => (group, "move-leader", WireStep::MoveLeader(to)),
        Step::Wait(_) | Step::Done => return None,
    })
}
