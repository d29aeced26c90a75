//! The search for the leader of one group, on behalf of one request or subscription.
//!
//! The cached leader first, then whom hints name, then every member in turn. Following a hint
//! costs no pause, but only so often: during an election nodes point at each other.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::node::NotLeader;

use super::link::Link;
use super::router::Router;

const HOPS_MAX: u32 = 3;
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Search {
    group: GroupId,
    round: Vec<Arc<Link>>,
    at: usize,
    hops: u32,
    pause: Duration,
    pause_due: bool,
}

impl Search {
    pub(super) fn new(group: GroupId) -> Self {
        let round = Vec::new();
        Self { group, round, at: 0, hops: 0, pause: PAUSE_MIN, pause_due: false }
    }

    /// Whom to ask next, after any pause that is due. Absent when no node is known.
    pub(super) async fn next(&mut self, router: &Router) -> Option<Arc<Link>> {
        if std::mem::take(&mut self.pause_due) {
            // Half of it by chance, so that waiting requests do not come back all at once.
            let half = self.pause / 2;
            tokio::time::sleep(half + half.mul_f64(rand::random())).await;
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
        if let Some(leader) = router.leader(self.group) {
            return Some(leader);
        }
        if self.at.is_multiple_of(self.round.len().max(1)) {
            self.round = router.candidates(self.group);
            self.at = 0;
        }
        self.round.get(self.at).cloned()
    }

    /// `link` does not lead the group, and may know who does.
    pub(super) fn not_leader(&mut self, router: &Router, link: &Arc<Link>, hint: &NotLeader) {
        router.forget(self.group, link);
        let hinted = Some(hint.leader_address.as_str())
            .filter(|address| !address.is_empty() && **address != **link.address())
            .and_then(|address| router.nodes().link(address))
            .filter(|leader| !leader.is_suspect());
        match hinted {
            Some(leader) if self.hops < HOPS_MAX => {
                self.hops += 1;
                router.learn(self.group, &leader);
            }
            _ => {
                self.hops = 0;
                self.at += 1;
                self.pause_due = true;
            }
        }
    }

    /// `link` could not be asked, or did not answer.
    pub(super) fn failed(&mut self, router: &Router, link: &Arc<Link>) {
        router.forget(self.group, link);
        self.at += 1;
        self.pause_due = self.at >= self.round.len();
    }

    /// `link` did what was asked.
    pub(super) fn found(&mut self, router: &Router, link: &Arc<Link>) {
        link.trust();
        router.learn(self.group, link);
        (self.hops, self.pause, self.pause_due) = (0, PAUSE_MIN, false);
    }
}
