//! What a shard replica can do only where it leads. Implemented above, by the actors: what is below
//! never calls up.

use std::fmt;

use axp_proto::ids::GroupId;
use axp_proto::node::NumberedEffect;
use tokio::sync::oneshot;

use super::admission::Permit;
use super::handle::{ExecuteError, Reply, Request};
use super::inbox::InboxCommand;
use super::proposer::Proposer;

/// The running parts of a led shard.
pub trait Led: fmt::Debug + Send + Sync + 'static {
    /// Hands a command to the intent's actor, waking it if it sleeps.
    ///
    /// # Errors
    /// When the actors are being stopped; nothing happened.
    fn execute(
        &self,
        request: Request,
        permit: Option<Permit>,
        reply: oneshot::Sender<Result<Reply, ExecuteError>>,
    ) -> Result<(), ExecuteError>;

    /// Hands effects of another group to the mailboxes.
    ///
    /// # Errors
    /// As `execute`.
    fn deliver(&self, batch: Batch) -> Result<(), ExecuteError>;

    /// Appends for the shard as such, and not for one intent.
    fn proposer(&self) -> &Proposer;

    /// Hands an action on an inbox to the mailboxes.
    ///
    /// # Errors
    /// As `execute`.
    fn inbox(&self, command: InboxCommand) -> Result<(), ExecuteError>;

    /// Stops the parts; what is under way ends without an answer.
    fn stop(&self);
}

/// Effects of one source group, ascending; the answer is the last one that is taken.
#[derive(Debug)]
pub struct Batch {
    pub source: GroupId,
    pub effects: Vec<NumberedEffect>,
    pub reply: oneshot::Sender<Result<u64, ExecuteError>>,
}
