//! Control writes: decided over the cached rows, committed by compare-and-set, decided again when
//! somebody else was faster.

use std::sync::Arc;

use axp_proto::log::RowChange;
use axp_proto::node::{CommitRequest, commit_response};
use tokio::time::{Duration, sleep};

use super::Cluster;
use super::error::Error;
use super::tables::Tables;
use crate::clock::Deadline;
use crate::error::ApiError;
use crate::metrics::CONTROL_CONFLICTS_TOTAL;

pub(super) const ATTEMPTS_MAX: u32 = 16;

/// What a decision wants to be done.
pub(crate) enum Plan<T, C = RowChange> {
    /// It is as the caller wants it already.
    Done(T),
    Commit {
        changes: Vec<C>,
        then: T,
    },
}

/// Decides and commits until nobody interferes; afterwards this gateway's cache has the change.
///
/// `decide` may run several times, and after a lost answer it meets its own work: what it creates
/// must have ids that were fixed before, and finding them means it is done.
pub(crate) async fn transact<T>(
    cluster: &Cluster,
    deadline: Deadline,
    mut decide: impl FnMut(&Tables) -> Result<Plan<T>, ApiError>,
) -> Result<T, ApiError> {
    let mut tables = cluster.cache.ready(deadline).await?;
    for attempt in 0..ATTEMPTS_MAX {
        let (changes, then) = match decide(&tables)? {
            Plan::Done(value) => return Ok(value),
            Plan::Commit { changes, then } => (changes, then),
        };
        let request = CommitRequest { changes };
        match cluster.router.commit(&request, deadline).await? {
            commit_response::Outcome::Committed(committed) => {
                cluster.cache.reach(committed.revision, deadline).await?;
                return Ok(then);
            }
            commit_response::Outcome::Conflict(conflict) => {
                metrics::counter!(CONTROL_CONFLICTS_TOTAL).increment(1);
                tables = cluster.cache.reach(conflict.revision, deadline).await?;
                // Writers of the same rows come apart by chance.
                let pause = Duration::from_millis(u64::from(attempt) * 2);
                sleep(pause.mul_f64(rand::random())).await;
                tables = newest(cluster, tables);
            }
            commit_response::Outcome::Rejection(rejection) => return Err(rejection.into()),
            commit_response::Outcome::NotLeader(_) => {
                unreachable!("the router follows hints and never returns one")
            }
        }
    }
    Err(Error::Contended.into())
}

fn newest(cluster: &Cluster, known: Arc<Tables>) -> Arc<Tables> {
    let now = cluster.cache.load_full();
    if now.revision > known.revision { now } else { known }
}
