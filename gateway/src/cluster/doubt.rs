//! A second opinion on a leader that does not answer.
//!
//! A node that is cut off, or stopped, takes requests and never answers them. Waiting for the whole
//! of an attempt would make everybody wait longer than the cluster needs to elect another leader.
//! So after a while the other nodes are asked who leads; the first one that says "I do" is believed,
//! and if it is wrong it says so when it is asked to do something.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::GroupId;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::link::Link;
use super::router::Router;
use crate::metrics::LEADERS_DOUBTED_TOTAL;

/// Longer than a healthy leader takes under load, shorter than an election.
const DOUBT_AFTER: Duration = Duration::from_millis(300);
/// How often it is looked again, and how often at most others are asked about one group.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Returns when another node than `link` is known to lead the group; otherwise never.
pub(super) async fn superseded(router: &Router, group: GroupId, link: &Arc<Link>) {
    let other = || router.leader(group).is_some_and(|leader| !Arc::ptr_eq(&leader, link));
    tokio::time::sleep(DOUBT_AFTER).await;
    while !other() {
        // One of all that wait asks for all of them.
        if router.may_doubt(group, LOOK_EVERY) {
            metrics::counter!(LEADERS_DOUBTED_TOTAL).increment(1);
            if let Some(successor) = successor(router, group, link).await {
                router.learn(group, &successor);
                return;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Another node that says it leads the group.
async fn successor(router: &Router, group: GroupId, doubted: &Arc<Link>) -> Option<Arc<Link>> {
    let others = router.everybody().into_iter().filter(|link| !Arc::ptr_eq(link, doubted));
    let mut asked: FuturesUnordered<_> =
        others.map(|link| async move { link.leads(group).await.then_some(link) }).collect();
    while let Some(answer) = asked.next().await {
        if answer.is_some() {
            return answer;
        }
    }
    None
}
