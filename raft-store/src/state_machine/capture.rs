//! The state as it is at one log index, for who wants to compare replicas while they apply.

use tokio::sync::oneshot;

use super::StateMachine;
use crate::error::Error;
use crate::types::Snapshot;

/// Why there is no state of that index.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("this replica has applied {applied} already")]
    Passed { applied: u64 },
    #[error("the state cannot be read")]
    Store(#[from] Error),
}

/// A state that was asked for. The sender goes without a word when somebody else asks later.
pub type Captured = oneshot::Receiver<Result<Snapshot, CaptureError>>;

/// Somebody waits for the state at exactly this index.
#[derive(Debug)]
pub(super) struct Awaited {
    index: u64,
    sender: oneshot::Sender<Result<Snapshot, CaptureError>>,
}

impl StateMachine {
    /// The state as it is now, or as it is once exactly `at` is applied. One waits at a time: who
    /// asks later takes the place.
    pub async fn capture(&mut self, at: Option<u64>) -> Captured {
        let (sender, captured) = oneshot::channel();
        let index = at.or_else(|| Some(self.record.applied?.index())).unwrap_or_default();
        self.awaited = Some(Awaited { index, sender });
        // Before the first entry, the state at zero is the empty one.
        if at.is_none() || self.record.applied.is_some_and(|applied| applied.index() >= index) {
            self.give_awaited().await;
        }
        captured
    }

    /// Whether the state at this index is waited for: the batch has to end here.
    pub(super) fn is_awaited(&self, index: u64) -> bool {
        self.awaited.as_ref().is_some_and(|awaited| awaited.index == index)
    }

    /// Answers who waits for the state of now, or of an index that is behind.
    pub(super) async fn give_awaited(&mut self) {
        let applied = self.record.applied.map_or(0, |applied| applied.index());
        let Some(awaited) = self.awaited.take_if(|awaited| awaited.index <= applied) else {
            return;
        };
        let captured = match awaited.index == applied {
            true => self.snapshot().await.map_err(CaptureError::Store),
            false => Err(CaptureError::Passed { applied }),
        };
        // Who gave up waiting needs no answer.
        awaited.sender.send(captured).ok();
    }
}

#[cfg(test)]
mod tests;
