//! The one place that spawns tasks, so that none is lost without a word when it panics.

use tokio::task::JoinHandle;

/// Runs a task; a panic in it is logged with its name and reaches whoever awaits the handle.
#[expect(clippy::disallowed_methods, reason = "this is the supervised helper")]
pub fn spawn<T: Send + 'static>(
    name: &'static str,
    task: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(async move {
        let watch = PanicWatch(name);
        let result = task.await;
        std::mem::forget(watch);
        result
    })
}

struct PanicWatch(&'static str);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.0, "a task panicked");
        }
    }
}
