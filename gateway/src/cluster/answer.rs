//! What a node said to one attempt: each response that a leader gives, and the hint in its place.

use axp_proto::node::{
    Accepted, CommitRecordsResponse, CommitResponse, ExecuteResponse, InboxDone, InboxResponse,
    NotLeader, ParcelList, PublishResponse, Published, QueryResponse, RedeliverResponse, Rejection,
    RevisionResponse, commit_records_response, commit_response, execute_response, inbox_response,
    publish_response, query_response, redeliver_response, revision_response,
};
use tonic::Status;

/// What a node said to one attempt.
pub(super) enum Answer<T> {
    Done(T),
    NotLeader(NotLeader),
}

/// A response that only the leader of a group can give.
pub(super) trait LeaderResponse {
    /// What is left of it when the hint is taken out.
    type Value;

    /// `None`: a node of another version, or broken.
    fn split(self) -> Option<Answer<Self::Value>>;
}

/// # Errors
/// When there is neither an answer nor a hint.
pub(super) fn answer<R: LeaderResponse>(response: R) -> Result<Answer<R::Value>, Status> {
    response.split().ok_or_else(|| Status::internal("a node answered without an outcome"))
}

/// A response whose leader accepts or rejects.
macro_rules! accepts_or_rejects {
    ($response:ty, $module:ident, $accepted:ident($value:ty)) => {
        impl LeaderResponse for $response {
            type Value = Result<$value, Rejection>;

            fn split(self) -> Option<Answer<Self::Value>> {
                use $module::Outcome;
                Some(match self.outcome? {
                    Outcome::$accepted(value) => Answer::Done(Ok(value)),
                    Outcome::Rejection(rejection) => Answer::Done(Err(rejection)),
                    Outcome::NotLeader(hint) => Answer::NotLeader(hint),
                })
            }
        }
    };
}

accepts_or_rejects!(ExecuteResponse, execute_response, Accepted(Accepted));
accepts_or_rejects!(PublishResponse, publish_response, Published(Published));
accepts_or_rejects!(RedeliverResponse, redeliver_response, Queued(ParcelList));
accepts_or_rejects!(InboxResponse, inbox_response, Done(InboxDone));

/// A response with outcomes of its own, of which all but the hint are its caller's.
macro_rules! has_outcomes {
    ($response:ty, $module:ident) => {
        impl LeaderResponse for $response {
            type Value = $module::Outcome;

            fn split(self) -> Option<Answer<Self::Value>> {
                use $module::Outcome;
                Some(match self.outcome? {
                    Outcome::NotLeader(hint) => Answer::NotLeader(hint),
                    outcome => Answer::Done(outcome),
                })
            }
        }
    };
}

has_outcomes!(QueryResponse, query_response);
has_outcomes!(CommitRecordsResponse, commit_records_response);
has_outcomes!(CommitResponse, commit_response);

impl LeaderResponse for RevisionResponse {
    type Value = u64;

    fn split(self) -> Option<Answer<u64>> {
        Some(match self.outcome? {
            revision_response::Outcome::Revision(revision) => Answer::Done(revision),
            revision_response::Outcome::NotLeader(hint) => Answer::NotLeader(hint),
        })
    }
}
