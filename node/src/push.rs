//! Pushing to agents and subscribers outside: what is to be pushed are *parcels*, rows of a shard's
//! state that are written with their cause and worked on where the shard is led (ADR 0007).
//!
//! ```text
//! an intent's events ─ publisher ─ effects ─> parcels (rows) ─> dispatcher: due? room? claim, post,
//! POST /v1/webhooks/events ─────────────────────^                   settle: delivered, again, dead
//! ```

mod attempt;
pub mod directory;
pub mod dispatcher;
pub mod guard;
pub mod letter;
pub mod metrics;
pub mod publisher;
mod queue;
pub mod retry;
pub mod room;
pub mod sender;
pub mod subscribers;
pub mod tls;

use std::sync::Arc;

use axp_proto::ids::GroupId;

pub use directory::Directory;
pub use publisher::Publisher;
pub use room::Room;
pub use sender::{HttpSender, Sender};
pub use subscribers::Subscribers;

use self::guard::{Guard, Network};
use self::tls::TlsError;
use crate::config::{MailConfig, PushConfig};
use crate::control::Control;
use crate::mail::Mailer;

/// What all shards of a node share for pushing.
#[derive(Debug)]
pub struct Push {
    pub config: PushConfig,
    pub subscribers: Arc<Subscribers>,
    pub directory: Directory,
    pub room: Arc<Room>,
    pub sender: Arc<dyn Sender>,
    pub mail: MailConfig,
    pub mailer: Box<dyn Mailer>,
}

impl Push {
    /// # Errors
    /// When `push.ca-file` cannot be used.
    pub fn new(
        config: &PushConfig,
        mail: (&MailConfig, Box<dyn Mailer>),
        control: Arc<Control>,
    ) -> Result<Arc<Self>, TlsError> {
        let guard = Guard {
            allow_private: config.allow_private_targets,
            allowed: config.allowed_networks.iter().filter_map(|it| Network::parse(it)).collect(),
        };
        let tls = tls::client_config(&config.ca_file)?;
        let sender = HttpSender::new(guard, tls, config.connections_per_host as usize);
        Ok(Arc::new(Self {
            config: config.clone(),
            subscribers: Arc::default(),
            directory: Directory::new(control),
            room: Room::new(config),
            sender: Arc::new(sender),
            mail: mail.0.clone(),
            mailer: mail.1,
        }))
    }

    /// What names the receivers of a shard's appends.
    #[must_use]
    pub fn publisher(&self, group: GroupId, shard_groups: u16) -> Publisher {
        let subscribers = Arc::clone(&self.subscribers);
        Publisher::new(subscribers, group, shard_groups, self.config.keep_ms())
    }
}
