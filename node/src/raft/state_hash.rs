//! What the state of a group comes to on this node, for who compares replicas.
//!
//! Reading a whole state costs disk and a thread, so one is read at a time, and none any longer than
//! somebody waits for it. The group goes on meanwhile: what is read is a view.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axp_raft_store::{CaptureError, Snapshot, StateDigest, blocking};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::GroupHandle;
use crate::metrics as names;

/// How long somebody may wait for an index to be applied.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("another state is being read")]
    Busy,
    #[error("this replica has applied {applied} already")]
    Passed { applied: u64 },
    /// Or somebody asked for the same group later.
    #[error("the index was not applied in time")]
    NotReached,
    #[error("the group has stopped")]
    Stopped,
    #[error("the state cannot be read: {0}")]
    Storage(String),
}

/// The state of one group at one index.
#[derive(Debug, Clone, Copy)]
pub struct StateHash {
    pub applied_index: u64,
    pub digest: StateDigest,
    /// How long reading took.
    pub took: Duration,
}

/// Reads one state at a time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StateHasher(Arc<Semaphore>);

impl Default for StateHasher {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl StateHasher {
    /// Hashes the group's state of now, or of the moment when exactly `at_index` is applied.
    ///
    /// # Errors
    /// See [`Error`]; all of them leave the group as it was.
    pub async fn hash(
        &self,
        handle: &GroupHandle,
        at_index: Option<u64>,
        wait: Duration,
    ) -> Result<StateHash, Error> {
        let Ok(_one) = self.0.try_acquire() else {
            metrics::counter!(names::STATE_HASH_REFUSED).increment(1);
            return Err(Error::Busy);
        };
        let captured = handle
            .raft
            .with_state_machine(move |machine| Box::pin(machine.capture(at_index)))
            .await
            .map_err(|_| Error::Stopped)?;
        let snapshot = match tokio::time::timeout(wait.min(WAIT_MAX), captured).await {
            Ok(Ok(Ok(snapshot))) => snapshot,
            Ok(Ok(Err(CaptureError::Passed { applied }))) => return Err(Error::Passed { applied }),
            Ok(Ok(Err(CaptureError::Store(error)))) => return Err(Error::Storage(error.chain())),
            Ok(Err(_)) | Err(_) => return Err(Error::NotReached),
        };
        let applied_index = snapshot.meta.last_log_id.map_or(0, |id| id.index);
        let begun = Instant::now();
        let digest = read(snapshot).await?;
        let took = begun.elapsed();
        metrics::histogram!(names::STATE_HASH).record(took.as_secs_f64());
        Ok(StateHash { applied_index, digest, took })
    }
}

async fn read(snapshot: Snapshot) -> Result<StateDigest, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    // When the caller is gone, this future is dropped, and the thread stops reading.
    let _stop = StopOnDrop(Arc::clone(&stop));
    let reading = blocking::run(move || StateDigest::of(&snapshot, &stop));
    let digest = reading.await.map_err(|_| Error::Stopped)?;
    digest.map_err(|error| Error::Storage(error.chain()))?.ok_or(Error::Stopped)
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
