//! Pushing to agents and subscribers outside: what is to be pushed are *parcels*, rows of a shard's
//! state that are written with their cause and worked on where the shard is led (ADR 0007).
//!
//! ```text
//! an intent's events ─ publisher ─ effects ─> parcels (rows) ─> dispatcher: due? room? claim, post,
//! POST /v1/webhooks/events ─────────────────────^                   settle: delivered, again, dead
//! ```

pub mod guard;
pub mod publisher;
pub mod subscribers;

use std::sync::Arc;

use axp_proto::ids::GroupId;

pub use publisher::Publisher;
pub use subscribers::Subscribers;

use crate::config::PushConfig;

/// What all shards of a node share for pushing.
#[derive(Debug)]
pub struct Push {
    pub config: PushConfig,
    pub subscribers: Arc<Subscribers>,
}

impl Push {
    /// What names the receivers of a shard's appends.
    #[must_use]
    pub fn publisher(&self, group: GroupId, shard_groups: u16) -> Publisher {
        let subscribers = Arc::clone(&self.subscribers);
        Publisher::new(subscribers, group, shard_groups, self.config.keep_ms())
    }
}
