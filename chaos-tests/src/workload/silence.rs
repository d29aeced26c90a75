//! Callbacks that accept whatever is sent and answer nothing, for as long as somebody says so.

use std::sync::Arc;

use tokio::sync::watch;

/// Said by a nemesis, obeyed by the receiver. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Silence(Arc<watch::Sender<bool>>);

impl Default for Silence {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Silence {
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    pub fn end(&self) {
        self.0.send_replace(false);
    }

    pub(super) fn reigns(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until there is none.
    pub(super) async fn over(&self) {
        // We hold the sender, so the channel stays open.
        self.0.subscribe().wait_for(|silent| !silent).await.ok();
    }
}

/// Whether the callback of this organization is one of those that fall silent. They have an address to
/// themselves: who is slow may hold up whoever shares its address, and nobody else.
#[must_use]
pub fn falls_silent(org: usize) -> bool {
    !org.is_multiple_of(2)
}
