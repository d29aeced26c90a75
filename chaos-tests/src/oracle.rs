//! Records what every client was told while the run goes on.
//!
//! Everybody shares one oracle. It keeps the history for the checks at the end, and of every
//! acknowledged intent whether somebody knows that it has ended: that is what draining waits for.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::history::{
    FaultRecord, FinalRead, Finish, Heal, History, LeaderChange, Listen, Read, ReplicaHash, Span,
    Submit, Watch,
};

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
        let history = History { shard_groups, ..History::default() };
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
        self.lock().history.watches.push(watch);
    }

    pub fn listen(&self, listen: Listen) {
        self.lock().history.listens.push(listen);
    }

    pub fn final_read(&self, read: FinalRead) {
        self.lock().history.finals.push(read);
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

    /// Every acknowledged intent, once.
    #[must_use]
    pub fn acknowledged_intents(&self) -> Vec<String> {
        self.lock().history.acknowledged().into_keys().map(str::to_owned).collect()
    }

    /// The history so far, taken out.
    #[must_use]
    pub fn take_history(&self) -> History {
        let mut state = self.lock();
        let shard_groups = state.history.shard_groups;
        std::mem::replace(&mut state.history, History { shard_groups, ..History::default() })
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
        assert_eq!(oracle.open_intents(), 2);
        assert_eq!(oracle.acknowledged_intents(), [fixture::A, fixture::B]);
        for finish in good.finishes {
            oracle.finish(finish);
        }
        // The end of B is unknown.
        assert_eq!(oracle.open_intents(), 1);
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
