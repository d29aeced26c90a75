//! Where deliveries lie and how threads stand, as of the state and of what this step did so far.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::mailbox_change::Kind as ChangeKind;
use axp_proto::log::{
    Delivery, Deposit, Effect, InboxPost, MailboxChange, MailboxEntry, MailboxKey, Thread,
    ThreadChange, ThreadEvent, ThreadOrigin, Withdraw,
};
use axp_raft_store::Error;
use bytes::Bytes;

use super::announce::Announcer;
use crate::inbox;
use crate::push::Publisher;
use crate::shard::handle::Shard;

/// Steps between two places; see the contract, agents.md 4.
const CURSOR_STEP: u32 = 2;

type Key = (MailboxKey, Bytes);

#[derive(Debug)]
pub(super) struct Places<'a> {
    pub(super) shard: &'a Arc<Shard>,
    pub(super) now_ms: i64,
    heads: HashMap<MailboxKey, u32>,
    at: HashMap<Key, u32>,
    /// Deliveries of this step whose thread is to be kept, for when they end within it.
    deposited: HashMap<Key, Delivery>,
    threads: HashMap<Key, Thread>,
    used: HashMap<MailboxKey, bool>,
    changed: HashSet<Key>,
    announcer: Announcer<'a>,
}

impl<'a> Places<'a> {
    pub(super) fn new(shard: &'a Arc<Shard>, publisher: &'a Publisher) -> Self {
        Self {
            shard,
            now_ms: shard.clock.now_ms(),
            heads: HashMap::new(),
            at: HashMap::new(),
            deposited: HashMap::new(),
            threads: HashMap::new(),
            used: HashMap::new(),
            changed: HashSet::new(),
            announcer: Announcer::new(publisher),
        }
    }

    /// What webhook subscriptions are told of this step.
    pub(super) fn announcements(self) -> Vec<Effect> {
        self.announcer.finish(self.now_ms)
    }

    /// What an effect of another group changes here.
    pub(super) fn take(
        &mut self,
        effect: Option<&Effect>,
        changes: &mut Vec<MailboxChange>,
    ) -> Result<(), Error> {
        match effect.and_then(|effect| effect.kind.as_ref()) {
            Some(EffectKind::Deposit(deposit)) => self.deposit(deposit, changes),
            Some(EffectKind::Withdraw(withdraw)) => self.withdraw(withdraw, changes),
            Some(EffectKind::Inbox(post)) => self.post(post, changes),
            Some(
                EffectKind::PublishEvent(_)
                | EffectKind::QueuePush(_)
                | EffectKind::WithdrawPush(_)
                | EffectKind::QueueMail(_)
                | EffectKind::StepStart(_)
                | EffectKind::StepStop(_)
                | EffectKind::StepEnded(_),
            ) => Err(Error::applier("pushes and steps do not go to another shard")),
            // Skipping it would lose it: the source keeps it until this node is upgraded.
            None => Err(Error::applier("an effect of an unknown kind")),
        }
    }

    fn deposit(
        &mut self,
        deposit: &Deposit,
        changes: &mut Vec<MailboxChange>,
    ) -> Result<(), Error> {
        let (Some(mailbox), Some(delivery)) = (&deposit.mailbox, &deposit.delivery) else {
            return Err(Error::applier("a deposit without mailbox or delivery"));
        };
        let (cursor, is_new) = self.place(mailbox, &delivery.intent_id)?;
        if is_new {
            let origin = || inbox::origin_of(mailbox, delivery);
            self.announcer.delivered(mailbox, &delivery.intent_id, origin);
            if delivery.keeps_thread {
                let key = (mailbox.clone(), delivery.intent_id.clone());
                self.deposited.insert(key, delivery.clone());
            }
        }
        let entry = MailboxEntry { cursor, delivery: Some(delivery.clone()) };
        changes.push(change(mailbox, ChangeKind::Deposit(entry)));
        Ok(())
    }

    fn withdraw(
        &mut self,
        withdraw: &Withdraw,
        changes: &mut Vec<MailboxChange>,
    ) -> Result<(), Error> {
        let Some(mailbox) = &withdraw.mailbox else {
            return Err(Error::applier("a withdrawal from no mailbox"));
        };
        // Before the delivery goes, in which the thread may be all there is of it.
        if let Some(thread) = self.ending(mailbox, withdraw)?
            && let Some(event) = inbox::ended(&thread, withdraw, self.now_ms)
        {
            let key = (mailbox.clone(), withdraw.intent_id.clone());
            changes.push(self.change_thread(key, Some(thread), None, vec![event])?);
        }
        let intent_id = withdraw.intent_id.clone();
        let key = (mailbox.clone(), intent_id.clone());
        self.deposited.remove(&key);
        self.at.insert(key, 0);
        changes.push(change(mailbox, ChangeKind::Withdraw(intent_id)));
        Ok(())
    }

    /// The thread that outlives the delivery. The others are stored only if somebody used them.
    fn ending(
        &mut self,
        mailbox: &MailboxKey,
        withdraw: &Withdraw,
    ) -> Result<Option<Thread>, Error> {
        let key = (mailbox.clone(), withdraw.intent_id.clone());
        if withdraw.keeps_thread {
            return self.thread(&key);
        }
        if !self.is_used(mailbox)? {
            return Ok(None);
        }
        match self.threads.get(&key) {
            Some(thread) => Ok(Some(thread.clone())),
            None => self.shard.reader().stored_thread(mailbox, &key.1),
        }
    }

    fn post(&mut self, post: &InboxPost, changes: &mut Vec<MailboxChange>) -> Result<(), Error> {
        let Some(mailbox) = &post.mailbox else {
            return Err(Error::applier("a post to no inbox"));
        };
        let key = (mailbox.clone(), post.thread_id.clone());
        let thread = self.thread(&key)?;
        if let Some(arrival) = inbox::arrive(thread.as_ref(), post) {
            let change = self.change_thread(key, thread, arrival.origin, arrival.events)?;
            changes.push(change);
        }
        Ok(())
    }

    /// A thread as it stands, this step included.
    pub(super) fn thread(&self, key: &Key) -> Result<Option<Thread>, Error> {
        if let Some(thread) = self.threads.get(key) {
            return Ok(Some(thread.clone()));
        }
        if let Some(delivery) = self.deposited.get(key) {
            let origin = inbox::origin_of(&key.0, delivery);
            return Ok(Some(inbox::create(&key.1, &key.0, origin, 0)));
        }
        if self.at.get(key) == Some(&0) {
            // The delivery goes with this step: apply will not find it any more.
            return self.shard.reader().stored_thread(&key.0, &key.1);
        }
        self.shard.reader().thread(&key.0, &key.1)
    }

    /// Whether this step has changed the thread already.
    pub(super) fn is_changed(&self, mailbox: &MailboxKey, id: &Bytes) -> bool {
        self.changed.contains(&(mailbox.clone(), id.clone()))
    }

    /// Notes that this step changes something under that key.
    pub(super) fn mark(&mut self, mailbox: &MailboxKey, id: &Bytes) {
        self.changed.insert((mailbox.clone(), id.clone()));
    }

    /// What happens to a thread, as a change of this step.
    pub(super) fn change_thread(
        &mut self,
        key: Key,
        thread: Option<Thread>,
        origin: Option<ThreadOrigin>,
        events: Vec<ThreadEvent>,
    ) -> Result<MailboxChange, Error> {
        let number = self.next(&key.0)?;
        let is_new = thread.is_none();
        let begin = || inbox::create(&key.1, &key.0, origin.clone().unwrap_or_default(), number);
        let mut thread = thread.unwrap_or_else(begin);
        for event in &events {
            inbox::fold(&mut thread, event);
        }
        self.announcer.changed(&key.0, &key.1, &thread, is_new, &events);
        let change = ThreadChange { thread_id: key.1.clone(), number, origin, events };
        let change = self::change(&key.0, ChangeKind::Thread(change));
        self.used.insert(key.0.clone(), true);
        self.changed.insert(key.clone());
        self.threads.insert(key, thread);
        Ok(change)
    }

    fn is_used(&mut self, mailbox: &MailboxKey) -> Result<bool, Error> {
        if let Some(used) = self.used.get(mailbox) {
            return Ok(*used);
        }
        let used = self.shard.reader().inbox_is_used(mailbox)?;
        self.used.insert(mailbox.clone(), used);
        Ok(used)
    }

    /// An intent that lies in the mailbox keeps its place; a new one gets the next.
    fn place(&mut self, mailbox: &MailboxKey, intent_id: &Bytes) -> Result<(u32, bool), Error> {
        let key = (mailbox.clone(), intent_id.clone());
        let known = match self.at.get(&key) {
            Some(cursor) => *cursor,
            None => self.shard.reader().mailbox_place(mailbox, intent_id)?,
        };
        if known != 0 {
            return Ok((known, false));
        }
        let cursor = self.next(mailbox)?;
        self.at.insert(key, cursor);
        Ok((cursor, true))
    }

    /// The next number of a mailbox: a delivery's cursor or a thread's place in the order.
    fn next(&mut self, mailbox: &MailboxKey) -> Result<u32, Error> {
        let head = match self.heads.get(mailbox) {
            Some(head) => *head,
            None => self.shard.reader().mailbox_head(mailbox)?,
        };
        let next = head + CURSOR_STEP;
        self.heads.insert(mailbox.clone(), next);
        Ok(next)
    }
}

fn change(mailbox: &MailboxKey, kind: ChangeKind) -> MailboxChange {
    MailboxChange { mailbox: Some(mailbox.clone()), kind: Some(kind) }
}
