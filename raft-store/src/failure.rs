//! The one-way switch behind `Store::failed`: set by the first write or sync that goes wrong.
//!
//! After that nothing is acknowledged any more. The process is expected to say why and to exit; a
//! sync is never repeated, since the kernel may report success for pages it has dropped.

use tokio::sync::watch;

use crate::error::Error;

#[derive(Debug)]
pub(crate) struct Failure {
    reason: watch::Sender<Option<String>>,
}

impl Failure {
    pub(crate) fn new() -> Self {
        Self { reason: watch::Sender::new(None) }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<String>> {
        self.reason.subscribe()
    }

    /// Records the first failure; later ones are its consequences.
    pub(crate) fn set(&self, what: &str, error: &Error) {
        let reason = format!("{what}: {}", error.chain());
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                tracing::error!(reason, "storage failed, nothing is acknowledged any more");
                *current = Some(reason);
            }
            first
        });
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match &*self.reason.borrow() {
            None => Ok(()),
            Some(reason) => Err(Error::Failed(reason.clone())),
        }
    }
}
