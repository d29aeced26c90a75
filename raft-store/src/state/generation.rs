//! One copy of a group's state, and the thread that removes copies which no longer count.
//!
//! A reader holds the generation it reads. When a snapshot has replaced it, it is retired, and its
//! keys are removed once the last reader has let go; so nobody sees a state that is half gone.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use axp_proto::ids::GroupId;
use tokio::sync::mpsc;

use crate::engine::{Batch, Engine};
use crate::error::Error;
use crate::failure::Failure;
use crate::keyspace::StateKeys;
use crate::workers::Workers;

/// Keys removed in one batch, so that applies get in between.
const CHUNK: usize = 512;

/// One copy of a group's state.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) number: u32,
    group: GroupId,
    retired: AtomicBool,
    removals: mpsc::UnboundedSender<(GroupId, u32)>,
}

impl Generation {
    /// Nobody starts to read it any more; its keys go when the last reader lets go.
    pub(crate) fn retire(self) -> Self {
        self.mark_retired();
        self
    }

    pub(crate) fn mark_retired(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Acquire) {
            // The thread is gone when the store closes; the next open finds the keys again.
            self.removals.send((self.group, self.number)).ok();
        }
    }
}

/// Removes retired generations in the background.
#[derive(Debug)]
pub(crate) struct Janitor {
    removals: mpsc::UnboundedSender<(GroupId, u32)>,
    stop: Arc<AtomicBool>,
}

impl Janitor {
    pub(crate) fn start(
        engine: Arc<dyn Engine>,
        failure: Arc<Failure>,
        workers: &Workers,
    ) -> Result<Self, Error> {
        let (removals, mut queue) = mpsc::unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let remove = move |(group, number)| {
            remove(&*engine, StateKeys(group), number, &stopped)
                .inspect_err(|error| failure.set("removal of a replaced state", error))
                .is_ok()
        };
        match workers {
            Workers::Threads => {
                let run = move || while queue.blocking_recv().is_some_and(&remove) {};
                let spawned = thread::Builder::new().name("axp-janitor".to_owned()).spawn(run);
                spawned.map_err(|source| Error::Engine {
                    engine: "any",
                    action: "start the janitor thread",
                    source: source.into(),
                })?;
            }
            #[cfg(any(test, feature = "test-util"))]
            Workers::Tasks(_) => {
                tokio::spawn(async move { while queue.recv().await.is_some_and(&remove) {} });
            }
        }
        Ok(Self { removals, stop })
    }

    pub(crate) fn generation(&self, group: GroupId, number: u32) -> Generation {
        let (removals, retired) = (self.removals.clone(), AtomicBool::new(false));
        Generation { number, group, retired, removals }
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn remove(
    engine: &dyn Engine,
    keys: StateKeys,
    number: u32,
    stop: &AtomicBool,
) -> Result<(), Error> {
    let (from, to) = (keys.prefix(number), keys.generation_end(number));
    while !stop.load(Ordering::Acquire) {
        let mut batch = Batch::default();
        engine.scan(&from, &to, &mut |key, _| {
            batch.delete(key.to_vec());
            if batch.len() < CHUNK { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if batch.is_empty() {
            return Ok(());
        }
        engine.write(batch)?;
    }
    Ok(())
}
