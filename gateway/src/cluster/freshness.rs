//! What has been committed to the control group by now: asked once for all who want to know.
//!
//! A caller must not be content with a question that was under way before it came, as that one may
//! have been answered before the write that the caller has heard of. It waits for the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use super::router::Router;
use crate::clock::Deadline;

/// A flood of unknown keys becomes at most this many questions: one in 10 ms.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
const RECENT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
struct Probed {
    number: u64,
    /// Absent when that question got no answer.
    revision: Option<u64>,
    asked: Instant,
}

#[derive(Debug)]
pub(super) struct Freshness {
    wanted: Notify,
    started: AtomicU64,
    done: watch::Sender<Option<Probed>>,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { wanted: Notify::new(), started: AtomicU64::new(0), done: watch::Sender::new(None) }
    }
}

impl Freshness {
    /// A revision that includes everything committed before this call.
    pub(super) async fn revision(&self, deadline: Deadline) -> Result<u64, Error> {
        let mut done = self.done.subscribe();
        loop {
            let next = self.started.load(Ordering::SeqCst) + 1;
            self.wanted.notify_one();
            let answered = done.wait_for(|probed| probed.is_some_and(|it| it.number >= next));
            let probed = match timeout_at(deadline.instant(), answered).await {
                Ok(Ok(probed)) => *probed,
                Ok(Err(_)) | Err(_) => None,
            };
            match probed {
                Some(Probed { revision: Some(revision), .. }) => return Ok(revision),
                // That one failed; as long as there is time, another one may not.
                Some(_) if !deadline.is_over() => {}
                _ => return Err(Error::NoLeader { group: axp_proto::ids::GroupId::CONTROL }),
            }
        }
    }

    /// A revision that was current within the last second, if one was asked for.
    pub(super) fn recent_revision(&self) -> Option<u64> {
        let probed = (*self.done.borrow())?;
        probed.revision.filter(|_| probed.asked.elapsed() < RECENT)
    }

    /// Asks whenever somebody wants to know.
    pub(super) async fn run(self: Arc<Self>, router: Arc<Router>) {
        loop {
            self.wanted.notified().await;
            let asked = Instant::now();
            let number = self.started.fetch_add(1, Ordering::SeqCst) + 1;
            let revision = router.revision(Deadline::after(PATIENCE)).await.ok();
            self.done.send_replace(Some(Probed { number, revision, asked }));
            tokio::time::sleep_until(asked + INTERVAL_MIN).await;
        }
    }
}
