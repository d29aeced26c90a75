//! Why the cluster gave no answer. Rejections are answers and no errors.

use axp_proto::ids::GroupId;
use tonic::Status;

use crate::error::ApiError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no leader of group {group} answered in time")]
    NoLeader { group: GroupId },
    #[error("the leader of group {group} has no room for more work")]
    Busy { group: GroupId },
    #[error("a node refused a request of group {group}: {status}")]
    Refused { group: GroupId, status: Box<Status> },
    #[error("the cached control data did not reach revision {revision} in time")]
    Behind { revision: u64 },
    #[error("no node has been reached since the start")]
    NotReady,
    #[error("other writers kept changing the same control rows")]
    Contended,
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match &error {
            Error::Refused { .. } => {
                tracing::error!(%error, "a node refused what this gateway sent");
                Self::internal()
            }
            Error::NoLeader { .. } => Self::unavailable("no leader of the shard answered in time"),
            Error::Busy { .. } => Self::unavailable("the shard has no room for more work"),
            Error::Behind { .. } => Self::unavailable("this gateway is behind the cluster"),
            Error::NotReady => Self::unavailable("this gateway has not reached the cluster yet"),
            Error::Contended => Self::unavailable("too many writers change the same data"),
        }
    }
}
