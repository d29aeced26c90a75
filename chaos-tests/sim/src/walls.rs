//! Hosts that refuse each other's connections: as at a firewall that rejects, or where a process has
//! died. Connections that were open are reset, and new ones are told at once that nobody listens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Two hosts, whoever of them connects.
type Pair = [String; 2];

/// Resolves when the connection is reset.
pub(crate) type Reset = oneshot::Receiver<()>;

/// All walls of a simulation, and the connections that they would reset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Walls(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// How many strikes hold each one up.
    up: BTreeMap<Pair, u32>,
    /// Dropping the sender resets the connection.
    open: Vec<(Pair, oneshot::Sender<()>)>,
}

fn pair(a: &str, b: &str) -> Pair {
    let mut pair = [a.to_owned(), b.to_owned()];
    pair.sort_unstable();
    pair
}

impl Walls {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a wall between two hosts, or takes one away.
    pub(crate) fn between(&self, a: &str, b: &str, up: bool) {
        let (pair, mut inner) = (pair(a, b), self.lock());
        if up {
            *inner.up.entry(pair.clone()).or_default() += 1;
            inner.open.retain(|(open, _)| *open != pair);
        } else if let Some(count) = inner.up.get_mut(&pair) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether a connection would be refused.
    pub(crate) fn refuse(&self, from: &str, to: &str) -> bool {
        self.lock().up.get(&pair(from, to)).is_some_and(|count| *count > 0)
    }

    /// What resets a connection that was just made; at once, where a wall was put up meanwhile.
    pub(crate) fn connected(&self, from: &str, to: &str) -> Reset {
        let (sender, reset) = oneshot::channel();
        if !self.refuse(from, to) {
            let mut inner = self.lock();
            inner.open.retain(|(_, sender)| !sender.is_closed());
            inner.open.push((pair(from, to), sender));
        }
        reset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_resets_what_crosses_it_and_stands_until_the_last_one_lets_go() {
        let walls = Walls::default();
        let mut crossing = walls.connected("a", "b");
        let mut beside = walls.connected("a", "c");
        walls.between("b", "a", true);
        walls.between("a", "b", true);
        let closed = |error| error == oneshot::error::TryRecvError::Closed;
        assert!(crossing.try_recv().is_err_and(closed));
        assert!(beside.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        walls.between("a", "b", false);
        assert!(walls.connected("a", "b").try_recv().is_err_and(closed), "dialed before it stood");
        assert!(walls.refuse("a", "b") && walls.refuse("b", "a") && !walls.refuse("a", "c"));
        walls.between("b", "a", false);
        assert!(!walls.refuse("a", "b"));
    }
}
