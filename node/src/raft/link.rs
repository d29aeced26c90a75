//! What may get lost between this node and a peer: nothing, unless a test embeds the node.
//!
//! No configuration reaches this. Only a caller of `Node::start_with` in the same process can lose
//! something, and then it vanishes as packets do: the deadline of the call ends the wait.

use std::fmt;
use std::sync::Arc;

/// One direction of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    Request,
    Answer,
}

/// Sees every call that is really sent, and decides what of it is lost.
pub trait Loss: fmt::Debug + Send + Sync + 'static {
    /// `call` is the name under which the call is counted in metrics: `ping`, `append` ...
    fn loses(&self, peer: u64, call: &'static str, half: Half) -> bool;
}

/// The links of one node to its peers.
#[derive(Debug, Clone, Default)]
pub struct Links(Option<Arc<dyn Loss>>);

impl Links {
    #[must_use]
    pub fn losing(loss: Arc<dyn Loss>) -> Self {
        Self(Some(loss))
    }

    pub(super) async fn request(&self, peer: u64, call: &'static str) {
        self.pass(peer, call, Half::Request).await;
    }

    pub(super) async fn answer(&self, peer: u64, call: &'static str) {
        self.pass(peer, call, Half::Answer).await;
    }

    /// Whether this half of a call gets lost now; asked once for each.
    pub(super) fn loses(&self, peer: u64, call: &'static str, half: Half) -> bool {
        self.0.as_ref().is_some_and(|loss| loss.loses(peer, call, half))
    }

    /// What vanished stays away when the link is whole again.
    async fn pass(&self, peer: u64, call: &'static str, half: Half) {
        if self.loses(peer, call, half) {
            std::future::pending::<()>().await;
        }
    }
}
