//! Work that may wait for the disk, away from the tasks of the runtime.

use tokio::runtime::{Handle, RuntimeFlavor};

/// The runtime stopped before the work was done, or the work panicked.
#[derive(Debug, thiserror::Error)]
#[error("the work was interrupted")]
pub struct Interrupted;

/// Does the work on a thread for such work, and waits for it.
///
/// A runtime of one thread gets no second one: there the work is done in place, so that a single
/// thread decides the order of everything. A simulation repeats itself because of that.
///
/// # Errors
/// When the runtime stops, or the work panics on the other thread.
pub async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Interrupted> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => Ok(work()),
        _ => tokio::task::spawn_blocking(work).await.map_err(|_| Interrupted),
    }
}
