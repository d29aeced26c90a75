//! Counting gates: so many at a time, never a queue.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axp_proto::hash::stable_hash;

#[derive(Debug)]
pub(super) struct Gate {
    inside: AtomicUsize,
    most: usize,
}

impl Gate {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { inside: AtomicUsize::new(0), most })
    }

    pub(super) fn enter(self: &Arc<Self>, gauge: Option<&'static str>) -> Option<Permit> {
        let entered = self.inside.fetch_add(1, Ordering::Relaxed);
        if entered >= self.most {
            self.inside.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        if let Some(gauge) = gauge {
            metrics::gauge!(gauge).increment(1);
        }
        Some(Permit { gate: Arc::clone(self), gauge })
    }
}

/// Room for one. Dropping it makes room again.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    gauge: Option<&'static str>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.inside.fetch_sub(1, Ordering::Relaxed);
        if let Some(gauge) = self.gauge {
            metrics::gauge!(gauge).decrement(1);
        }
    }
}

const SHARDS: usize = 64;

type Shard = Mutex<HashMap<Box<str>, Arc<Gate>>>;

/// A gate per name. Names come from authenticated callers, so there are as many as tenants; a gate
/// that nobody is inside of is dropped when its shard grows.
#[derive(Debug)]
pub(super) struct Gates {
    shards: Box<[Shard]>,
    most: usize,
}

impl Gates {
    pub(super) fn new(most: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), most }
    }

    pub(super) fn enter(&self, name: &str) -> Option<Permit> {
        let shard = usize::from((stable_hash(&[name.as_bytes()]) & 63) as u8);
        let mut gates = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(name) {
            return gate.enter(None);
        }
        if gates.len() == gates.capacity() {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let gate = Gate::new(self.most);
        let permit = gate.enter(None);
        gates.insert(name.into(), gate);
        permit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_full_until_somebody_leaves() {
        let gate = Gate::new(2);
        let first = gate.enter(None).unwrap();
        let _second = gate.enter(None).unwrap();
        assert!(gate.enter(None).is_none());
        drop(first);
        assert!(gate.enter(None).is_some());
    }

    #[test]
    fn names_do_not_share_room_and_empty_gates_go() {
        let gates = Gates::new(1);
        let kept = gates.enter("kept").unwrap();
        assert!(gates.enter("kept").is_none());
        assert!(gates.enter("other").is_some());
        for number in 0..10_000 {
            assert!(gates.enter(&number.to_string()).is_some());
        }
        assert!(gates.enter("kept").is_none());
        let known: usize = gates.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(known < 2_000, "{known} gates are kept");
        drop(kept);
        assert!(gates.enter("kept").is_some());
    }
}
