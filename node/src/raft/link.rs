//! A seam for tests that cut one direction of a link: requests or answers vanish, as packets do.
//!
//! Without the feature `test-util` a link is nothing and costs nothing.

#[cfg(any(test, feature = "test-util"))]
pub use faulty::{Links, Rule};
#[cfg(not(any(test, feature = "test-util")))]
pub use sound::Links;

#[cfg(not(any(test, feature = "test-util")))]
mod sound {
    /// The links of one node to its peers.
    #[derive(Debug, Clone, Default)]
    pub struct Links;

    #[expect(clippy::unused_async, reason = "its twin for tests waits")]
    impl Links {
        pub(in crate::raft) async fn request(&self, _peer: u64) {}

        pub(in crate::raft) async fn answer(&self, _peer: u64) {}
    }
}

#[cfg(any(test, feature = "test-util"))]
mod faulty {
    use std::collections::HashMap;

    use tokio::sync::watch;

    /// What is lost on the way to one peer and back.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Rule {
        pub requests: bool,
        pub answers: bool,
    }

    impl Rule {
        pub const CUT: Self = Self { requests: true, answers: true };
        pub const LOSES_ANSWERS: Self = Self { requests: false, answers: true };
    }

    /// The links of one node to its peers.
    #[derive(Debug, Clone)]
    pub struct Links(watch::Sender<HashMap<u64, Rule>>);

    impl Default for Links {
        fn default() -> Self {
            Self(watch::Sender::new(HashMap::new()))
        }
    }

    impl Links {
        /// Sets what is lost between this node and `peer`, for calls that this node makes.
        pub fn set(&self, peer: u64, rule: Rule) {
            self.0.send_modify(|rules| {
                rules.insert(peer, rule);
            });
        }

        pub fn heal(&self) {
            self.0.send_modify(HashMap::clear);
        }

        pub(in crate::raft) async fn request(&self, peer: u64) {
            self.pass(peer, |rule| rule.requests).await;
        }

        pub(in crate::raft) async fn answer(&self, peer: u64) {
            self.pass(peer, |rule| rule.answers).await;
        }

        /// What vanished stays away after the link heals: the caller's deadline ends the wait.
        async fn pass(&self, peer: u64, lost: impl Fn(&Rule) -> bool) {
            let is_lost = self.0.borrow().get(&peer).is_some_and(lost);
            if is_lost {
                std::future::pending::<()>().await;
            }
        }
    }
}
