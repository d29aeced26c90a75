//! How many attempts are under way on this node: in all, to one host, and of one workspace, so that
//! a slow receiver or a busy workspace takes no more than its share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use super::metrics as names;
use crate::config::PushConfig;

/// Shared by all shards of a node.
#[derive(Debug)]
pub struct Room {
    max: usize,
    per_host_max: usize,
    per_workspace_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    hosts: HashMap<String, usize>,
    workspaces: HashMap<String, usize>,
}

/// Why there is no room right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Nobody gets in.
    Node,
    /// Others may.
    Receiver,
}

/// Room for one attempt; dropping it makes room for another.
#[derive(Debug)]
pub struct Place {
    room: Arc<Room>,
    host: String,
    workspace: String,
}

impl Room {
    #[must_use]
    pub fn new(config: &PushConfig) -> Arc<Self> {
        Arc::new(Self {
            max: config.connections as usize,
            per_host_max: config.connections_per_host as usize,
            per_workspace_max: config.connections_per_workspace as usize,
            taken: Mutex::default(),
        })
    }

    /// # Errors
    /// When a bound is reached.
    pub fn enter(self: &Arc<Self>, workspace: &str, host: &str) -> Result<Place, Full> {
        let mut taken = self.lock();
        if taken.all >= self.max {
            return Err(Full::Node);
        }
        let of_host = taken.hosts.get(host).copied().unwrap_or_default();
        let of_workspace = taken.workspaces.get(workspace).copied().unwrap_or_default();
        if of_host >= self.per_host_max || of_workspace >= self.per_workspace_max {
            return Err(Full::Receiver);
        }
        taken.all += 1;
        *taken.hosts.entry(host.to_owned()).or_default() += 1;
        *taken.workspaces.entry(workspace.to_owned()).or_default() += 1;
        metrics::gauge!(names::ATTEMPTS_IN_FLIGHT).set(taken.all as f64);
        Ok(Place { room: Arc::clone(self), host: host.to_owned(), workspace: workspace.to_owned() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        taken.all -= 1;
        leave(&mut taken.hosts, &self.host);
        leave(&mut taken.workspaces, &self.workspace);
        metrics::gauge!(names::ATTEMPTS_IN_FLIGHT).set(taken.all as f64);
    }
}

/// Names that nobody uses any more are not remembered.
fn leave<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_holds_and_room_comes_back() {
        let config = PushConfig {
            connections: 4,
            connections_per_host: 2,
            connections_per_workspace: 3,
            ..PushConfig::default()
        };
        let room = Room::new(&config);
        let first = room.enter("w", "a").unwrap();
        let _second = room.enter("w", "a").unwrap();
        assert_eq!(room.enter("x", "a").unwrap_err(), Full::Receiver, "the host is busy");
        let _third = room.enter("w", "b").unwrap();
        assert_eq!(
            room.enter("w", "c").unwrap_err(),
            Full::Receiver,
            "the workspace has its share"
        );
        let _fourth = room.enter("x", "b").unwrap();
        assert_eq!(room.enter("y", "d").unwrap_err(), Full::Node);
        drop(first);
        let fifth = room.enter("x", "a").unwrap();
        drop(fifth);
        assert_eq!(room.lock().hosts.len(), 2);
    }
}
