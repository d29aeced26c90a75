//! Starts and stops the actors of a led shard.
//!
//! A failed intent actor is forgotten and woken again by the next command. When one of the main
//! actors fails (mailboxes, outbox, timers), the supervisor ends and leadership starts over from
//! the state: there is nothing to repair in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::leadership::Leadership;
use super::mailboxes::{Mailboxes, MailboxesArgs};
use super::registry::Registry;
use crate::outbox::{Courier, dispatcher, steps};
use crate::push::{self, Push};
use crate::shard::handle::Shard;
use crate::shard::proposer::Proposer;
use crate::timer;

/// How often idle actors are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub struct Supervisor;

#[derive(Debug)]
pub struct SupervisorArgs {
    pub shard: Arc<Shard>,
    pub courier: Arc<dyn Courier>,
    pub push: Arc<Push>,
    pub stop: CancellationToken,
}

#[derive(Debug)]
pub enum SupervisorMessage {
    /// The registry whose actors are watched; sent once, right after the start.
    Watch(Arc<Registry>, Vec<ActorCell>),
    Sweep,
    /// A loop of the shard ended although it should not have.
    LoopEnded(&'static str),
}

#[derive(Debug, Default)]
pub struct Watching {
    registry: Option<Arc<Registry>>,
    main: Vec<ActorCell>,
}

impl Supervisor {
    /// Starts everything a led shard needs; the handle ends when the supervisor does.
    pub async fn start(
        args: SupervisorArgs,
    ) -> Result<(Arc<Leadership>, JoinHandle<()>), SpawnErr> {
        let SupervisorArgs { shard, courier, push, stop } = args;
        let (supervisor, handle) = Actor::spawn(None, Self, ()).await?;
        let (proposer, propose) = Proposer::new(shard.raft.clone());
        let publisher = push.publisher(shard.group(), shard.shard_groups);
        let registry = Arc::new(Registry::new(
            Arc::clone(&shard),
            proposer.clone(),
            publisher.clone(),
            supervisor.get_cell(),
        ));
        let mailboxes =
            MailboxesArgs { shard: Arc::clone(&shard), proposer: proposer.clone(), publisher };
        let cell = supervisor.get_cell();
        let (mailboxes, _) = Actor::spawn_linked(None, Mailboxes, mailboxes, cell).await?;
        let dispatch = dispatcher::run(Arc::clone(&shard), courier, proposer.clone());
        run_loop("proposer", propose, &stop, &supervisor);
        run_loop("outbox", dispatch, &stop, &supervisor);
        run_loop("timers", timer::run(Arc::clone(&shard), proposer.clone()), &stop, &supervisor);
        let steps = steps::run(Arc::clone(&shard), proposer.clone());
        run_loop("steps", steps, &stop, &supervisor);
        let pushes = push::dispatcher::run(Arc::clone(&shard), proposer.clone(), push);
        run_loop("push", pushes, &stop, &supervisor);
        let main = vec![mailboxes.get_cell()];
        supervisor.send_message(SupervisorMessage::Watch(Arc::clone(&registry), main)).ok();
        supervisor.send_interval(SWEEP_EVERY, || SupervisorMessage::Sweep);
        let leadership = Leadership { registry, supervisor, mailboxes, proposer, stop };
        Ok((Arc::new(leadership), handle))
    }
}

/// A loop of the shard, ended with it; one that ends by itself or panics ends the supervisor.
fn run_loop(
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
    stop: &CancellationToken,
    supervisor: &ActorRef<SupervisorMessage>,
) {
    let (stop, supervisor) = (stop.clone(), supervisor.clone());
    let work = crate::tasks::spawn(name, async move { stop.run_until_cancelled(work).await });
    crate::tasks::spawn("watch a loop", async move {
        if !matches!(work.await, Ok(None)) {
            supervisor.send_message(SupervisorMessage::LoopEnded(name)).ok();
        }
    });
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = Watching;
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<SupervisorMessage>,
        (): (),
    ) -> Result<Watching, ActorProcessingErr> {
        Ok(Watching::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        watching: &mut Watching,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::Watch(registry, main) => {
                *watching = Watching { registry: Some(registry), main };
            }
            SupervisorMessage::Sweep => {
                if let Some(registry) = &watching.registry {
                    registry.passivate(Instant::now());
                }
            }
            SupervisorMessage::LoopEnded(name) => {
                tracing::error!(name, "a loop of the shard ended");
                myself.stop(None);
            }
        }
        Ok(())
    }

    // The default would stop us when any child ends.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        watching: &mut Watching,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, error) => {
                tracing::error!(%error, "an actor failed");
                if watching.main.iter().any(|main| main.get_id() == actor.get_id()) {
                    myself.stop(None);
                } else if let Some(registry) = &watching.registry {
                    registry.forget(actor.get_id());
                }
            }
            SupervisionEvent::ActorTerminated(actor, _, _) => {
                if watching.main.iter().any(|main| main.get_id() == actor.get_id()) {
                    myself.stop(None);
                }
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        myself: ActorRef<SupervisorMessage>,
        _watching: &mut Watching,
    ) -> Result<(), ActorProcessingErr> {
        myself.stop_children(None);
        Ok(())
    }
}
