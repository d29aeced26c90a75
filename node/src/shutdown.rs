//! How a node ends: in order when asked to, loudly when something happened that cannot be repaired.
//!
//! Owns the node's background tasks. A panic in one of them is fatal, since nobody else would do
//! its work; a fatal reason is published once and ends the process (`main`) or the node (tests).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The reason why this node cannot go on; the first one counts.
#[derive(Debug, Clone)]
pub struct Fatal(watch::Sender<Option<String>>);

impl Default for Fatal {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Fatal {
    /// Publishes the reason, unless there already is one.
    pub fn report(&self, reason: impl Into<String>) {
        self.0.send_if_modified(|current| {
            if current.is_some() {
                return false;
            }
            let reason = reason.into();
            tracing::error!(reason, "this node cannot go on");
            *current = Some(reason);
            true
        });
    }

    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits for a reason.
    pub async fn wait(&self) -> String {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(reason) = receiver.borrow_and_update().clone() {
                return reason;
            }
            // We hold a sender ourselves, so the channel stays open.
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The background tasks of one node.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    fatal: Fatal,
}

impl Tasks {
    #[must_use]
    pub fn new(fatal: Fatal) -> Self {
        Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), fatal }
    }

    /// Runs `work` until it is done or the node stops. It may be dropped at any await.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let (stop, fatal) = (self.stop.clone(), self.fatal.clone());
        self.tracker.spawn(async move {
            let guarded = AssertUnwindSafe(work).catch_unwind();
            if let Some(Err(_)) = stop.run_until_cancelled(guarded).await {
                fatal.report(format!("background task {name} panicked"));
            }
        });
    }

    #[must_use]
    pub fn fatal(&self) -> &Fatal {
        &self.fatal
    }

    /// Is cancelled when the node stops.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Stops all tasks and waits for them, at most until the deadline. Answers whether all ended.
    pub async fn stop(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_task_is_fatal_and_the_first_reason_counts() {
        let tasks = Tasks::default();
        tasks.spawn("careless", async { panic!("on purpose") });
        let reason = tasks.fatal().wait().await;
        assert!(reason.contains("careless"), "{reason}");
        tasks.fatal().report("later");
        assert_eq!(tasks.fatal().reason(), Some(reason));
    }

    #[tokio::test]
    async fn stopping_ends_a_task_that_would_wait_for_ever() {
        let tasks = Tasks::default();
        tasks.spawn("patient", std::future::pending());
        assert!(tasks.stop(Duration::from_secs(5)).await);
        assert_eq!(tasks.fatal().reason(), None);
    }
}
