//! The road from one shard to another, wherever the other is led.

use std::fmt;

use axp_proto::ids::GroupId;
use axp_proto::node::DeliverRequest;
use futures_util::future::BoxFuture;

/// Why a batch did not arrive, as far as we know. All of them mean: try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CourierError {
    #[error("nobody leads group {0}")]
    NoLeader(GroupId),
    #[error("cannot reach the leader of group {group}: {reason}")]
    Unreachable { group: GroupId, reason: String },
}

/// Hands effects to the leader of another group and returns the last effect that it has taken.
/// Bounded by a deadline of its own.
pub trait Courier: fmt::Debug + Send + Sync + 'static {
    fn deliver(&self, request: DeliverRequest) -> BoxFuture<'_, Result<u64, CourierError>>;
}
