//! Records what every client was told while the run goes on.
//!
//! Everybody shares one oracle. It keeps the history for the checks at the end, and of every
//! acknowledged intent whether somebody knows that it has ended: that is what draining waits for.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::history::{
    FaultRecord, FinalRead, Finish, Heal, History, Inspection, LeaderChange, Listen, Listing,
    Probe, Push, Read, Refusal, ReplicaHash, SeenEvent, Span, Submit, Timer, Watch,
};

/// The promise for a cluster in which nothing is broken.
const TIMER_LATE_MS_MAX: u64 = 1000;

/// Milliseconds since 1970.
pub(crate) fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The recorder of one run.
#[derive(Debug)]
pub struct Oracle {
    begin: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    history: History,
    /// Acknowledged intents that nobody knows to have ended.
    open: BTreeSet<String>,
    ended: BTreeSet<String>,
}

impl Oracle {
    #[must_use]
    pub fn new(shard_groups: u16) -> Self {
        let history = History {
            shard_groups,
            began_at_ms: wall_clock_ms(),
            timer_late_ms_max: TIMER_LATE_MS_MAX,
            ..History::default()
        };
        let state = Mutex::new(State { history, ..State::default() });
        Self { begin: Instant::now(), state }
    }

    /// Microseconds of the run.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A span that ends now.
    #[must_use]
    pub fn since(&self, start: u64) -> Span {
        Span { start, end: self.now() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is a push or an insert: nothing is left half done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn submit(&self, submit: Submit) {
        let mut state = self.lock();
        if let Some(intent) = submit.told.done()
            && !state.ended.contains(intent)
        {
            state.open.insert(intent.clone());
        }
        state.history.submits.push(submit);
    }

    pub fn finish(&self, finish: Finish) {
        let mut state = self.lock();
        // Done, or refused as too late: it has ended either way.
        let too_late = finish.told.refusal().is_some_and(|(status, _)| status == 409);
        if finish.told.done().is_some() || too_late {
            state.open.remove(&finish.intent);
            state.ended.insert(finish.intent.clone());
        }
        state.history.finishes.push(finish);
    }

    pub fn read(&self, read: Read) {
        self.lock().history.reads.push(read);
    }

    pub fn watch(&self, watch: Watch) {
        let mut state = self.lock();
        if watch.events.last().is_some_and(SeenEvent::is_terminal) {
            state.open.remove(&watch.intent);
            state.ended.insert(watch.intent.clone());
        }
        state.history.watches.push(watch);
    }

    pub fn listen(&self, listen: Listen) {
        self.lock().history.listens.push(listen);
    }

    pub fn final_read(&self, read: FinalRead) {
        self.lock().history.finals.push(read);
    }

    pub fn timer(&self, timer: Timer) {
        self.lock().history.timers.push(timer);
    }

    /// For builds and machines that are slower than what is promised for.
    pub fn allow_timers_late(&self, late_ms_max: u64) {
        self.lock().history.timer_late_ms_max = late_ms_max;
    }

    pub fn listing(&self, listing: Listing) {
        self.lock().history.listings.push(listing);
    }

    pub fn probe(&self, probe: Probe) {
        self.lock().history.probes.push(probe);
    }

    pub fn inspection(&self, inspection: Inspection) {
        self.lock().history.inspections.push(inspection);
    }

    pub fn refusal(&self, refusal: Refusal) {
        self.lock().history.refusals.push(refusal);
    }

    pub fn push(&self, push: Push) {
        self.lock().history.pushes.push(push);
    }

    pub fn fault(&self, fault: FaultRecord) {
        self.lock().history.faults.push(fault);
    }

    pub fn heal(&self, heal: Heal) {
        self.lock().history.heals.push(heal);
    }

    pub fn leader_change(&self, change: LeaderChange) {
        self.lock().history.leader_changes.push(change);
    }

    pub fn replica_hash(&self, hash: ReplicaHash) {
        self.lock().history.replica_hashes.push(hash);
    }

    /// How many acknowledged intents nobody knows to have ended.
    #[must_use]
    pub fn open_intents(&self) -> usize {
        self.lock().open.len()
    }

    #[must_use]
    pub fn acknowledged_submits(&self) -> usize {
        self.lock().history.submits.iter().filter(|submit| submit.told.done().is_some()).count()
    }

    /// Every acknowledged intent, once, with its organization.
    #[must_use]
    pub fn acknowledged_intents(&self) -> Vec<(String, usize)> {
        let state = self.lock();
        let acknowledged = state.history.acknowledged().into_iter();
        acknowledged.map(|(intent, submits)| (intent.to_owned(), submits[0].org)).collect()
    }

    /// The history so far, taken out.
    #[must_use]
    pub fn take_history(&self) -> History {
        let mut state = self.lock();
        std::mem::take(&mut state.history)
    }

    /// Looks at the history so far.
    pub fn with_history<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.lock().history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture;

    #[test]
    fn an_intent_is_open_until_somebody_knows_its_end() {
        let oracle = Oracle::new(8);
        let good = fixture::good();
        for submit in good.submits {
            oracle.submit(submit);
        }
        assert_eq!(oracle.open_intents(), 3);
        let known = [fixture::C, fixture::A, fixture::B].map(|intent| (intent.to_owned(), 0));
        assert_eq!(oracle.acknowledged_intents(), known);
        for finish in good.finishes {
            oracle.finish(finish);
        }
        // Nobody saw the end of C, and that of B is unknown.
        assert_eq!(oracle.open_intents(), 2);
    }

    #[test]
    fn an_end_may_be_known_before_the_submit_is_answered() {
        let oracle = Oracle::new(8);
        let good = fixture::good();
        oracle.finish(good.finishes[0].clone());
        oracle.submit(good.submits[0].clone());
        assert_eq!(oracle.open_intents(), 0);
    }
}
