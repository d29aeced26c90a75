//! Who is to be looked at next: receivers by the time their first parcel is due. Pure.
//!
//! A receiver that cannot be served now waits by itself, so that nobody waits behind it.

use std::collections::{BTreeSet, HashMap};

use super::attempt::Ended;

/// Until a parcel is looked at again whose attempt came to nothing, or whose receiver is not known.
pub(super) const OPEN_MS: i64 = 200;

/// Receivers with waiting parcels, as far as the dispatcher has heard of them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    receivers: HashMap<String, Waiting>,
    by_time: BTreeSet<(i64, String)>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// When to look.
    look_ms: i64,
    /// No parcel of the receiver that waits is due before.
    floor_ms: i64,
}

impl Queue {
    /// There is a parcel due at that time.
    pub(super) fn expect(&mut self, receiver: String, due_at_ms: i64) {
        self.put(receiver, due_at_ms, due_at_ms);
    }

    /// There may be parcels from `floor_ms` on; look at `look_ms` at the latest.
    pub(super) fn put(&mut self, receiver: String, floor_ms: i64, look_ms: i64) {
        let wanted = match self.receivers.get(&receiver) {
            Some(known) => Waiting {
                look_ms: known.look_ms.min(look_ms),
                floor_ms: known.floor_ms.min(floor_ms),
            },
            None => Waiting { look_ms, floor_ms },
        };
        self.set(receiver, wanted);
    }

    /// An attempt ended, for a parcel that was due at `due_at_ms`. One that came to nothing hurries
    /// nobody, itself included: without a majority every attempt ends so, and at once.
    pub(super) fn ended(&mut self, receiver: String, due_at_ms: i64, ended: Ended, now_ms: i64) {
        match ended {
            Ended::Open => self.put(receiver, due_at_ms, now_ms + OPEN_MS),
            Ended::Settled => self.hurry(&receiver, now_ms),
        }
    }

    /// Room may have become free: looks at a known receiver now, unless its time is yet to come
    /// anyway.
    fn hurry(&mut self, receiver: &str, now_ms: i64) {
        if let Some(known) = self.receivers.get(receiver).copied()
            && known.floor_ms <= now_ms
        {
            let look_ms = known.look_ms.min(now_ms);
            self.set(receiver.to_owned(), Waiting { look_ms, ..known });
        }
    }

    /// Takes the receiver whose time came first, with the floor from which to look.
    pub(super) fn pop(&mut self, now_ms: i64) -> Option<(String, i64)> {
        let first = self.by_time.first().filter(|(look_ms, _)| *look_ms <= now_ms)?.clone();
        self.by_time.remove(&first);
        let waiting = self.receivers.remove(&first.1)?;
        Some((first.1, waiting.floor_ms))
    }

    /// When the next receiver is to be looked at.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.by_time.first().map(|(look_ms, _)| *look_ms)
    }

    fn set(&mut self, receiver: String, waiting: Waiting) {
        if let Some(known) = self.receivers.insert(receiver.clone(), waiting) {
            self.by_time.remove(&(known.look_ms, receiver.clone()));
        }
        self.by_time.insert((waiting.look_ms, receiver));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_in_time_is_first() {
        let mut queue = Queue::default();
        queue.expect("b".into(), 20);
        queue.expect("a".into(), 30);
        queue.expect("b".into(), 10);
        assert_eq!((queue.next_ms(), queue.pop(9)), (Some(10), None));
        assert_eq!(queue.pop(50), Some(("b".into(), 10)));
        assert_eq!(queue.pop(50), Some(("a".into(), 30)));
        assert_eq!((queue.pop(50), queue.next_ms()), (None, None));
    }

    #[test]
    fn a_receiver_without_room_waits_and_is_hurried() {
        let mut queue = Queue::default();
        queue.put("busy".into(), 10, 60);
        queue.hurry("busy", 20);
        queue.hurry("nobody", 20);
        assert_eq!(queue.pop(20), Some(("busy".into(), 10)));
        queue.put("later".into(), 100, 100);
        queue.hurry("later", 20);
        assert_eq!(queue.pop(99), None, "nothing of it is due");
    }

    #[test]
    fn an_attempt_that_came_to_nothing_is_not_repeated_at_once() {
        let mut queue = Queue::default();
        queue.ended("dead".into(), 10, Ended::Open, 20);
        assert_eq!(queue.pop(19 + OPEN_MS), None);
        assert_eq!(queue.pop(20 + OPEN_MS), Some(("dead".into(), 10)));
        queue.put("busy".into(), 10, 60);
        queue.ended("busy".into(), 5, Ended::Settled, 20);
        assert_eq!(queue.pop(20), Some(("busy".into(), 10)), "its room is free");
    }

    proptest! {
        /// However it is told, a look comes no later than each parcel is due and starts no later
        /// than it: no parcel is forgotten.
        #[test]
        fn nobody_is_forgotten(told in prop::collection::vec((0..4_u8, 0..100_i64), 1..40)) {
            let mut queue = Queue::default();
            for (receiver, due) in &told {
                queue.expect(receiver.to_string(), *due);
            }
            let mut looks = HashMap::new();
            while let Some((receiver, floor)) = queue.pop(i64::MAX) {
                prop_assert!(looks.insert(receiver, floor).is_none(), "one look for all");
            }
            for (receiver, due) in &told {
                prop_assert!(looks[&receiver.to_string()] <= *due);
            }
        }
    }
}
