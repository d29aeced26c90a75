//! Who wants to know that something was committed. A bell says "look again", never what happened:
//! readers read from the state by seq or cursor, so a ring that is missed or doubled loses nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axp_proto::ids::IntentId;
use axp_proto::log::MailboxKey;
use tokio::sync::Notify;

/// What can be listened to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    Intent(IntentId),
    Mailbox(MailboxKey),
    /// The threads of a mailbox's owner.
    Inbox(MailboxKey),
}

/// The bells of one shard replica.
#[derive(Debug, Default)]
pub struct Bells {
    topics: Mutex<HashMap<Topic, Vec<Arc<Notify>>>>,
    listeners: AtomicUsize,
    /// Effects were added to the outbox.
    pub outbox: Notify,
    /// Steps of workflows are to be told something.
    pub steps: Notify,
    /// A timer was set.
    pub timers: Notify,
    /// Parcels were queued, or their due times changed.
    pub push: PushBell,
}

/// The bell of the push queue also says whose parcels, and from when on to look for them: a queue
/// leaves gaps behind where deleted rows were, and looking from its start would walk through them.
#[derive(Debug, Default)]
pub struct PushBell(Mutex<Weak<PushListener>>);

/// The one who listens to the push queue; dropping it takes the bell down.
#[derive(Debug, Default)]
pub struct PushListener {
    rung: Notify,
    /// Receivers that were touched since the last look.
    earliest: Mutex<HashMap<String, i64>>,
}

impl PushBell {
    /// Listens from now on, in the place of who listened before.
    pub fn listen(&self) -> Arc<PushListener> {
        let listener = Arc::new(PushListener::default());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&listener);
        listener
    }

    pub fn ring(&self, receiver: String, due_at_ms: i64) {
        let listener = self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(listener) = listener {
            let mut earliest = listener.lock();
            let known = earliest.entry(receiver).or_insert(due_at_ms);
            *known = due_at_ms.min(*known);
            listener.rung.notify_one();
        }
    }
}

impl PushListener {
    /// Waits for a ring; one that came since the last wait is not lost.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    /// Receivers that were touched, each with the earliest due time among its changed parcels.
    pub fn take(&self) -> HashMap<String, i64> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, i64>> {
        self.earliest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bells {
    /// Listens until the listener is dropped. What was committed before is not rung.
    pub fn listen(self: &Arc<Self>, topic: Topic) -> Listener {
        let bell = Arc::new(Notify::new());
        self.listeners.fetch_add(1, Ordering::SeqCst);
        self.lock().entry(topic.clone()).or_default().push(Arc::clone(&bell));
        Listener { bells: Arc::clone(self), topic, bell }
    }

    /// Whether ringing a topic could reach anybody.
    #[must_use]
    pub fn anybody(&self) -> bool {
        self.listeners.load(Ordering::SeqCst) > 0
    }

    /// How many listeners there are.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    pub fn ring(&self, topic: &Topic) {
        if let Some(bells) = self.lock().get(topic) {
            bells.iter().for_each(|bell| bell.notify_one());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Topic, Vec<Arc<Notify>>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One listener; dropping it takes its bell down.
#[derive(Debug)]
pub struct Listener {
    bells: Arc<Bells>,
    topic: Topic,
    bell: Arc<Notify>,
}

impl Listener {
    /// Waits for the next ring; one that came since the last wait is not lost.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut topics = self.bells.lock();
        if let Some(bells) = topics.get_mut(&self.topic) {
            bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
            if bells.is_empty() {
                topics.remove(&self.topic);
            }
        }
        self.bells.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_before_the_wait_is_kept_and_a_dropped_listener_is_gone() {
        let bells = Arc::new(Bells::default());
        let topic = Topic::Mailbox(MailboxKey::default());
        let listener = bells.listen(topic.clone());
        bells.ring(&topic);
        listener.rung().await;
        drop(listener);
        assert!(!bells.anybody());
        assert!(bells.lock().is_empty());
    }

    #[test]
    fn the_push_bell_tells_the_earliest_time_to_the_last_listener() {
        let bell = PushBell::default();
        bell.ring("a".to_owned(), 1);
        let replaced = bell.listen();
        let listener = bell.listen();
        for (receiver, due) in [("a", 7), ("b", 3), ("a", 5), ("a", 9)] {
            bell.ring(receiver.to_owned(), due);
        }
        assert!(replaced.take().is_empty());
        let told = listener.take();
        assert_eq!((told.len(), told["a"], told["b"]), (2, 5, 3));
        assert!(listener.take().is_empty());
    }
}
