//! Whether a peer hears us and we hear it, from pings alone.
//!
//! Appends cannot tell: when requests arrive and answers are lost, every retried append renews
//! the followers' leases, so they never elect another leader while this one commits nothing. A
//! ping touches neither Raft nor disk, so a slow disk does not look like a cut network.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// One peer as our pings see it.
#[derive(Debug)]
pub struct Breaker {
    open_after: Duration,
    started: Instant,
    /// Microseconds since `started` of the last answer, and of the first one after a silence.
    last_answer: AtomicU64,
    answers_since: AtomicU64,
    round_trip_micros: AtomicU64,
    answered_once: AtomicBool,
    draining: AtomicBool,
    reachable: watch::Sender<bool>,
}

impl Breaker {
    /// A new peer counts as reachable until it was silent for `open_after`.
    #[must_use]
    pub fn new(open_after: Duration) -> Self {
        Self {
            open_after,
            started: Instant::now(),
            last_answer: AtomicU64::new(0),
            answers_since: AtomicU64::new(0),
            round_trip_micros: AtomicU64::new(0),
            answered_once: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            reachable: watch::Sender::new(true),
        }
    }

    /// Asked before every append, heartbeat and snapshot: computed from the clock rather than from
    /// the ping loop, so that a process that was paused sends nothing on waking up before a peer
    /// has answered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.elapsed().saturating_sub(self.last_answer()) > self.open_after
    }

    /// For how long the peer has answered without a silence; zero while the breaker is open.
    #[must_use]
    pub fn reachable_for(&self) -> Duration {
        if self.is_open() || !self.answered_once.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        self.elapsed()
            .saturating_sub(Duration::from_micros(self.answers_since.load(Ordering::Relaxed)))
    }

    /// The last measured time of a ping.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.answered_once
            .load(Ordering::Relaxed)
            .then(|| Duration::from_micros(self.round_trip_micros.load(Ordering::Relaxed)))
    }

    /// Whether the peer said that it is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Changes between reachable and not, as the ping loop notices them.
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.reachable.subscribe()
    }

    pub(super) fn answered(&self, round_trip: Duration, draining: bool) {
        let now = micros(self.elapsed());
        if self.is_open() || !self.answered_once.swap(true, Ordering::Relaxed) {
            self.answers_since.store(now, Ordering::Relaxed);
        }
        self.last_answer.store(now, Ordering::Relaxed);
        self.round_trip_micros.store(micros(round_trip), Ordering::Relaxed);
        self.draining.store(draining, Ordering::Relaxed);
    }

    /// Publishes the state; answers the new one if it changed. Called after every ping.
    pub(super) fn publish(&self) -> Option<bool> {
        let reachable = !self.is_open();
        let changed = self
            .reachable
            .send_if_modified(|current| std::mem::replace(current, reachable) != reachable);
        changed.then_some(reachable)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn last_answer(&self) -> Duration {
        Duration::from_micros(self.last_answer.load(Ordering::Relaxed))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(1200);

    #[tokio::test(start_paused = true)]
    async fn silence_opens_and_one_answer_closes() {
        let breaker = Breaker::new(LEASE);
        assert!(!breaker.is_open(), "a new peer gets the benefit of the doubt");
        assert_eq!(breaker.reachable_for(), Duration::ZERO, "but it has not been heard");
        tokio::time::advance(LEASE + Duration::from_millis(1)).await;
        assert!(breaker.is_open());
        assert_eq!(breaker.publish(), Some(false));
        assert_eq!(breaker.publish(), None, "published once");

        breaker.answered(Duration::from_millis(1), false);
        assert!(!breaker.is_open());
        assert_eq!(breaker.publish(), Some(true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_starts_the_count_again() {
        let breaker = Breaker::new(LEASE);
        breaker.answered(Duration::ZERO, false);
        tokio::time::advance(Duration::from_secs(1)).await;
        breaker.answered(Duration::ZERO, false);
        assert_eq!(breaker.reachable_for(), Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(breaker.reachable_for(), Duration::ZERO);
        breaker.answered(Duration::ZERO, false);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(breaker.reachable_for(), Duration::from_millis(100));
    }
}
