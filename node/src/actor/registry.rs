//! Which intents are awake in a led shard: activation on demand, passivation when idle.
//!
//! ```text
//! absent --message--> live --idle, or over the cap--> (leaves the map) drains --> gone
//! ```
//!
//! Messages are sent under the map's lock, and an actor leaves the map before it drains: so nothing
//! is sent to an actor that will not handle it. Should a second actor of the same intent be awake
//! while the first one drains, `expected_seq` at apply keeps them from doing harm.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axp_proto::ids::IntentId;
use axp_proto::mutant::{self, Mutant};
use ractor::{ActorCell, ActorId, ActorRef, ActorRuntime};
use tokio::sync::oneshot;

use super::intent::{IntentActor, IntentArgs, IntentMessage};
use crate::push::Publisher;
use crate::shard::admission::Permit;
use crate::shard::handle::{ExecuteError, Reply, Request, Shard};
use crate::shard::metrics as names;
use crate::shard::proposer::Proposer;

/// An actor that had nothing to do for this long is passivated.
pub const IDLE_AFTER: Duration = Duration::from_millis(500);

/// The awake intents of one led shard.
#[derive(Debug)]
pub struct Registry {
    shard: Arc<Shard>,
    proposer: Proposer,
    publisher: Publisher,
    supervisor: ActorCell,
    live: Mutex<HashMap<IntentId, Live>>,
}

#[derive(Debug)]
struct Live {
    actor: ActorRef<IntentMessage>,
    last_used: Instant,
}

impl Registry {
    #[must_use]
    pub fn new(
        shard: Arc<Shard>,
        proposer: Proposer,
        publisher: Publisher,
        supervisor: ActorCell,
    ) -> Self {
        Self { shard, proposer, publisher, supervisor, live: Mutex::default() }
    }

    /// Sends a command to the intent's actor, waking it if it sleeps.
    ///
    /// # Errors
    /// `NotLeader` when the actors of this shard are being stopped.
    pub fn send(
        &self,
        request: Request,
        permit: Option<Permit>,
        reply: oneshot::Sender<Result<Reply, ExecuteError>>,
    ) -> Result<(), ExecuteError> {
        let id = request.intent_id;
        let message = IntentMessage { request, permit, reply };
        let mut live = self.lock();
        let actor = match live.get_mut(&id) {
            Some(entry) => {
                let drowsy = entry.last_used.elapsed() > IDLE_AFTER / 2;
                entry.last_used = Instant::now();
                if drowsy && mutant::active(Mutant::PassivationDrops) {
                    std::mem::forget(message);
                    return Ok(());
                }
                entry.actor.clone()
            }
            None => {
                let actor = self.activate(id)?;
                live.insert(id, Live { actor: actor.clone(), last_used: Instant::now() });
                actor
            }
        };
        if actor.send_message(message).is_err() {
            // It failed a moment ago and its supervisor has not told us yet.
            live.remove(&id);
            return Err(ExecuteError::Unknown);
        }
        Ok(())
    }

    /// Lets go of actors that are idle, and of the longest unused beyond the cap.
    pub fn passivate(&self, now: Instant) {
        let mut live = self.lock();
        let excess = live.len().saturating_sub(self.shard.actors_max);
        let mut leaving: Vec<_> = live
            .iter()
            .filter(|(_, entry)| now.duration_since(entry.last_used) >= IDLE_AFTER)
            .map(|(id, _)| *id)
            .collect();
        if leaving.len() < excess {
            let mut by_use: Vec<_> = live.iter().map(|(id, live)| (live.last_used, *id)).collect();
            by_use.sort_unstable();
            leaving = by_use.into_iter().take(excess).map(|(_, id)| id).collect();
        }
        for id in leaving {
            if let Some(entry) = live.remove(&id) {
                // Queued commands are handled first; an actor that is gone already is fine.
                entry.actor.drain().ok();
            }
        }
        let shard = self.shard.group().to_string();
        metrics::gauge!(names::ACTORS, "shard" => shard).set(live.len() as f64);
    }

    /// Forgets an actor that failed; the next command wakes a new one.
    pub fn forget(&self, actor: ActorId) {
        self.lock().retain(|_, entry| entry.actor.get_id() != actor);
    }

    fn activate(&self, id: IntentId) -> Result<ActorRef<IntentMessage>, ExecuteError> {
        let args = IntentArgs {
            id,
            shard: Arc::clone(&self.shard),
            proposer: self.proposer.clone(),
            publisher: self.publisher.clone(),
        };
        let supervisor = self.supervisor.clone();
        ActorRuntime::spawn_linked_instant(None, IntentActor, args, supervisor)
            .map(|(actor, _)| actor)
            .map_err(|_| ExecuteError::NotLeader)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IntentId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
