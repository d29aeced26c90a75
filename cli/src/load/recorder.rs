//! What the clients of a run saw, inside the window that counts.
//!
//! Throughput counts what ended inside the window. Latency counts what began inside it, however
//! late it ended: leaving the slow ones out that were still under way would flatter the tail.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::connection::Failure;
use crate::clock;

/// Latencies above this count as this much; the deadline of an operation is far below.
const LATENCY_MICROS_MAX: u64 = 600_000_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    opens: Instant,
    closes: Instant,
}

impl Window {
    /// Opens after the warm-up, and stays open for `duration`.
    pub(crate) fn new(warm_up: Duration, duration: Duration) -> Self {
        let opens = clock::now() + warm_up;
        Self { opens, closes: opens + duration }
    }

    pub(crate) fn is_over(&self) -> bool {
        clock::now() >= self.closes
    }

    pub(crate) fn duration(&self) -> Duration {
        self.closes - self.opens
    }

    fn holds(&self, at: Instant) -> bool {
        self.opens <= at && at < self.closes
    }
}

#[derive(Debug)]
pub(crate) struct Recorder {
    window: Window,
    /// Never held across an await, and all clients share a thread: it does not wait.
    record: Mutex<Record>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) latency_micros: Histogram<u64>,
    pub(super) completed: u64,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) counters: BTreeMap<&'static str, u64>,
    pub(super) longest_gap: Duration,
    last_completion: Instant,
}

impl Recorder {
    pub(crate) fn new(window: Window) -> Self {
        let latency_micros = Histogram::new_with_max(LATENCY_MICROS_MAX, 3)
            .expect("the bounds of the histogram are constants that it accepts");
        let record = Record {
            latency_micros,
            completed: 0,
            failures: BTreeMap::new(),
            counters: BTreeMap::new(),
            longest_gap: Duration::ZERO,
            last_completion: window.opens,
        };
        Self { window, record: Mutex::new(record) }
    }

    pub(crate) fn window(&self) -> Window {
        self.window
    }

    /// An operation that began then and has ended now.
    pub(crate) fn completed(&self, began: Instant) {
        self.completed_at(began, clock::now());
    }

    fn completed_at(&self, began: Instant, now: Instant) {
        let mut record = self.record();
        if self.window.holds(began) {
            let micros = u64::try_from((now - began).as_micros()).unwrap_or(LATENCY_MICROS_MAX);
            record.latency_micros.saturating_record(micros);
        }
        if self.window.holds(now) {
            record.completed += 1;
            record.longest_gap = record.longest_gap.max(now - record.last_completion);
            record.last_completion = now;
        }
    }

    /// A failure at any time but the warm-up.
    pub(crate) fn failed(&self, failure: &Failure) {
        self.failed_at(failure, clock::now());
    }

    fn failed_at(&self, failure: &Failure, now: Instant) {
        if now >= self.window.opens {
            *self.record().failures.entry(failure.kind().into_owned()).or_default() += 1;
        }
    }

    /// Something worth telling that is neither an operation nor a failure.
    pub(crate) fn count(&self, what: &'static str) {
        if self.window.holds(clock::now()) {
            *self.record().counters.entry(what).or_default() += 1;
        }
    }

    /// The end of a run: until the window closed, nothing else completed.
    pub(super) fn finish(self) -> Record {
        let mut record = self.record.into_inner().unwrap_or_else(PoisonError::into_inner);
        let silence = self.window.closes - record.last_completion;
        record.longest_gap = record.longest_gap.max(silence);
        record
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // A client that panicked ends the run anyway; the numbers of the others are whole.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_window_decides_what_counts() {
        let start = clock::now();
        let at = |seconds: u32| start + seconds * SECOND;
        let recorder = Recorder::new(Window { opens: at(1), closes: at(11) });
        recorder.completed_at(at(0), at(0));
        recorder.failed_at(&Failure::Timeout, at(0));
        // Began in the warm-up: counts for throughput, not for latency.
        recorder.completed_at(at(0), at(2));
        // Ended after the window: the other way round.
        recorder.completed_at(at(2), at(22));
        recorder.failed_at(&Failure::Closed, at(22));
        let record = recorder.finish();
        assert_eq!(record.completed, 1);
        assert_eq!(record.latency_micros.len(), 1);
        assert!(record.latency_micros.max() >= 20_000_000);
        assert_eq!(record.longest_gap, 9 * SECOND);
        assert_eq!(record.failures, BTreeMap::from([("closed".to_owned(), 1)]));
    }
}
