//! Gets a request answered by the leader of its group, whoever that is by now.
//!
//! Every request may be repeated: intent ids are fixed before the first attempt, control writes
//! are compare-and-set, reads change nothing. So whatever goes wrong on the way, another node is
//! tried until the deadline. What can be asked is in `requests`.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axp_proto::ids::{GroupId, SLOTS};
use tonic::{Code, Status};

use super::answer::Answer;
use super::cache::Cache;
use super::doubt;
use super::error::Error;
use super::link::{Link, Nodes};
use super::search::Search;
use crate::clock::{self, Deadline};
use crate::config::ClusterConfig;
use crate::metrics::{NODE_ATTEMPTS_TOTAL, attempt};

/// What the leader said, and how sure we are that it heard us once only.
#[derive(Debug)]
pub(crate) struct Outcome<T> {
    pub(crate) value: T,
    /// An earlier attempt got no answer: it may have been carried out before this one.
    pub(crate) repeated: bool,
}

#[derive(Debug)]
pub(crate) struct Router {
    config: ClusterConfig,
    nodes: Arc<Nodes>,
    cache: Arc<Cache>,
    /// By group: one control group, and at most one shard per slot.
    leaders: Box<[ArcSwapOption<Link>]>,
    /// By group: when others may be asked about its leader again.
    doubts: Box<[AtomicI64]>,
}

impl Router {
    pub(super) fn new(config: ClusterConfig, nodes: Arc<Nodes>, cache: Arc<Cache>) -> Self {
        let leaders = (0..=SLOTS).map(|_| ArcSwapOption::empty()).collect();
        let doubts = (0..=SLOTS).map(|_| AtomicI64::new(0)).collect();
        Self { config, nodes, cache, leaders, doubts }
    }

    pub(super) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    pub(super) fn config(&self) -> &ClusterConfig {
        &self.config
    }

    pub(super) fn leader(&self, group: GroupId) -> Option<Arc<Link>> {
        self.leaders.get(usize::from(group.0))?.load_full()
    }

    pub(super) fn learn(&self, group: GroupId, link: &Arc<Link>) {
        let Some(leader) = self.leaders.get(usize::from(group.0)) else { return };
        if leader.load().as_ref().is_none_or(|known| !Arc::ptr_eq(known, link)) {
            tracing::debug!(%group, node = %link.address(), "leader learned");
            leader.store(Some(Arc::clone(link)));
        }
    }

    /// Forgets `link` as the leader, unless another one was learned meanwhile.
    pub(super) fn forget(&self, group: GroupId, link: &Arc<Link>) {
        let Some(leader) = self.leaders.get(usize::from(group.0)) else { return };
        leader.rcu(|known| known.clone().filter(|known| !Arc::ptr_eq(known, link)));
    }

    /// Whether it is the caller's turn to ask others about a group's leader; once in `pause`.
    pub(super) fn may_doubt(&self, group: GroupId, pause: Duration) -> bool {
        let Some(again_at) = self.doubts.get(usize::from(group.0)) else { return false };
        let now = clock::now_ms();
        let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let due = |at: i64| (at <= now).then_some(now.saturating_add(pause));
        again_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
    }

    /// Every node that may know the group, from a random one on.
    pub(super) fn candidates(&self, group: GroupId) -> Vec<Arc<Link>> {
        let topology = self.cache.load().topology.clone();
        let members = topology.as_deref().and_then(|topology| topology.members.get(&group));
        let mut links: Vec<Arc<Link>> = match members {
            Some(members) if !members.is_empty() => {
                members.iter().filter_map(|address| self.nodes.link(address)).collect()
            }
            _ => self.everybody(),
        };
        if !links.is_empty() {
            let first = rand::random_range(0..links.len());
            links.rotate_left(first);
        }
        links
    }

    /// All nodes of the shard map, or the configured ones while there is none.
    pub(super) fn everybody(&self) -> Vec<Arc<Link>> {
        let topology = self.cache.load().topology.clone();
        let known = topology.iter().flat_map(|topology| topology.nodes.iter().map(|node| &**node));
        let mut addresses: Vec<&str> = known.chain(self.nodes.seeds()).collect();
        addresses.dedup();
        addresses.iter().filter_map(|address| self.nodes.link(address)).collect()
    }

    /// Repeats `attempt` at one node after the other until the leader has answered.
    ///
    /// # Errors
    /// When no leader answered in time, or one refuses the request as such.
    pub(super) async fn call<T, F, R>(
        &self,
        group: GroupId,
        deadline: Deadline,
        attempt: F,
    ) -> Result<Outcome<T>, Error>
    where
        F: Fn(Arc<Link>, Duration) -> R,
        R: Future<Output = Result<Answer<T>, Status>>,
    {
        let mut repeated = false;
        let search = async {
            let mut search = Search::new(group);
            loop {
                let Some(link) = search.next(self).await else { return Err(Error::NotReady) };
                let patience = self.config.attempt_timeout().min(deadline.remaining());
                // Boxed: requests that wait for their turn must not carry the whole of a call.
                let answer = Box::pin(attempt(Arc::clone(&link), patience));
                let answer = tokio::select! {
                    answer = tokio::time::timeout(patience, answer) => answer,
                    () = doubt::superseded(self, group, &link) => {
                        count(attempt::SUPERSEDED);
                        repeated = true;
                        link.suspect();
                        search.failed(self, &link);
                        continue;
                    }
                };
                match answer {
                    Ok(Ok(Answer::Done(value))) => {
                        count(attempt::ANSWERED);
                        search.found(self, &link);
                        return Ok(Outcome { value, repeated });
                    }
                    Ok(Ok(Answer::NotLeader(hint))) => {
                        count(attempt::NOT_LEADER);
                        search.not_leader(self, &link, &hint);
                    }
                    Ok(Err(status)) => {
                        count(attempt::FAILED);
                        refused(group, &link, status)?;
                        repeated = true;
                        search.failed(self, &link);
                    }
                    Err(_) => {
                        count(attempt::TIMED_OUT);
                        tracing::debug!(%group, node = %link.address(), "attempt timed out");
                        repeated = true;
                        link.suspect();
                        search.failed(self, &link);
                    }
                }
            }
        };
        match tokio::time::timeout_at(deadline.instant(), search).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::NoLeader { group }),
        }
    }
}

/// Whether a status ends the search.
fn refused(group: GroupId, link: &Link, status: Status) -> Result<(), Error> {
    tracing::debug!(%group, node = %link.address(), %status, "attempt failed");
    match status.code() {
        Code::ResourceExhausted => Err(Error::Busy { group }),
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => Err(Error::Refused { group, status: Box::new(status) }),
        // Broken on the way or in that node: nothing is known about the others.
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Ok(()),
    }
}

fn count(outcome: &'static str) {
    metrics::counter!(NODE_ATTEMPTS_TOTAL, "outcome" => outcome).increment(1);
}
