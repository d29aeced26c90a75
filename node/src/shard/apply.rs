//! Folds committed entries into a shard's state, on every replica.
//!
//! No decision is taken here: an append is in or it is refused, by what it expected. So a mixed
//! cluster of two program versions cannot diverge (design, section 3).

mod inbox;
mod intent;
mod mailbox;
mod outbox;
mod push;
mod record;
mod task;

use std::sync::{Arc, Mutex, PoisonError};

use axp_proto::ids::GroupId;
use axp_proto::log::append::Kind;
use axp_proto::log::{Append, Entry};
use axp_raft_store::{Applied, Applier, Error, Outcome, Transaction};
use bytes::Bytes;
use prost::Message;

use super::bells::{Bells, Topic};

/// The state machine of one shard.
#[derive(Debug)]
pub struct ShardApplier {
    group: GroupId,
    shard_groups: u16,
    bells: Arc<Bells>,
    /// What to ring once the running batch is visible.
    touched: Mutex<Touched>,
}

#[derive(Debug, Default)]
struct Touched {
    topics: Vec<Topic>,
    outbox: bool,
    steps: bool,
    timers: bool,
    /// Receivers whose parcels changed, and when those are due.
    parcels: Vec<(String, i64)>,
}

impl ShardApplier {
    #[must_use]
    pub fn new(group: GroupId, shard_groups: u16) -> Self {
        let (bells, touched) = (Arc::new(Bells::default()), Mutex::default());
        Self { group, shard_groups, bells, touched }
    }

    #[must_use]
    pub fn bells(&self) -> &Arc<Bells> {
        &self.bells
    }

    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    fn append(&self, tx: &mut Transaction<'_>, append: &Append) -> Result<Outcome, Error> {
        match &append.kind {
            Some(Kind::Intent(append)) => self.intent(tx, append),
            Some(Kind::Mailbox(append)) => self.mailbox(tx, append),
            Some(Kind::OutboxDone(done)) => outbox::done(tx, done),
            Some(Kind::KeysForgotten(forgotten)) => intent::forget_keys(tx, forgotten),
            Some(Kind::Push(append)) => self.push(tx, append),
            Some(Kind::Records(append)) => record::commit(tx, append),
            Some(Kind::Control(_)) => Err(Error::applier("control rows in a shard's log")),
            None => Err(Error::applier("an append of an unknown kind: this program is too old")),
        }
    }

    fn touch(&self, touch: impl FnOnce(&mut Touched)) {
        touch(&mut self.touched.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Applier for ShardApplier {
    fn apply(
        &self,
        state: &mut Transaction<'_>,
        _index: u64,
        entry: &Bytes,
    ) -> Result<Applied, Error> {
        let entry = Entry::decode(entry.clone()).map_err(Error::applier)?;
        let outcomes = entry.appends.iter().map(|append| self.append(state, append));
        Ok(Applied { outcomes: outcomes.collect::<Result<_, _>>()? })
    }

    fn committed(&self, _index: u64) {
        let touched =
            std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner));
        if self.bells.anybody() {
            touched.topics.iter().for_each(|topic| self.bells.ring(topic));
        }
        if touched.outbox {
            self.bells.outbox.notify_one();
        }
        if touched.steps {
            self.bells.steps.notify_one();
        }
        if touched.timers {
            self.bells.timers.notify_one();
        }
        for (receiver, due_at_ms) in touched.parcels {
            self.bells.push.ring(receiver, due_at_ms);
        }
    }

    fn restored(&self, _index: u64) {
        // Followers install snapshots, and nobody listens at a follower.
    }
}
