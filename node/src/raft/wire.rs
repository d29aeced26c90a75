//! openraft's requests and answers as `axp.raft.v1` messages and back. The values inside them
//! (entries, votes, memberships) are converted by raft-store, which also writes them to disk.

use axp_proto::ids::GroupId;
use axp_proto::raft;
use axp_raft_store::wire::{
    entry_from_proto, entry_to_proto, log_id_from_proto, log_id_to_proto, vote_from_proto,
    vote_to_proto,
};
use axp_raft_store::{LogId, TypeConfig, Vote};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use prost::Message as _;
use raft::append_response::Outcome;

/// A message that does not say what it must.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the field {0} is missing")]
    Missing(&'static str),
    #[error("a value is malformed")]
    Value(#[from] axp_raft_store::Error),
    #[error("a nested message does not decode")]
    Decode(#[from] prost::DecodeError),
}

pub(super) fn target(cluster_id: &str, group: GroupId, to_node_id: u64) -> raft::Target {
    raft::Target { cluster_id: cluster_id.to_owned(), group: group.into(), to_node_id }
}

/// An append of as many entries as fit `bytes_max`, at least one; and the last of them if some
/// had to be left out.
pub(super) fn append_request(
    target: raft::Target,
    request: &AppendEntriesRequest<TypeConfig>,
    bytes_max: usize,
) -> (raft::AppendRequest, Option<LogId>) {
    let mut bytes = 0;
    let mut entries = Vec::with_capacity(request.entries.len());
    let mut cut_after = None;
    for entry in &request.entries {
        let message = entry_to_proto(entry);
        bytes += message.encoded_len();
        if bytes > bytes_max && !entries.is_empty() {
            cut_after = request.entries.get(entries.len() - 1).map(|last| last.log_id);
            break;
        }
        entries.push(message);
    }
    let message = raft::AppendRequest {
        target: Some(target),
        vote: Some(vote_to_proto(&request.vote)),
        prev_log_id: request.prev_log_id.as_ref().map(log_id_to_proto),
        leader_commit: request.leader_commit.as_ref().map(log_id_to_proto),
        entries,
    };
    (message, cut_after)
}

pub(super) fn append_from(
    message: raft::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, Error> {
    Ok(AppendEntriesRequest {
        vote: required_vote(message.vote)?,
        prev_log_id: optional_log_id(message.prev_log_id)?,
        leader_commit: optional_log_id(message.leader_commit)?,
        entries: message.entries.into_iter().map(entry_from_proto).collect::<Result<_, _>>()?,
    })
}

pub(super) fn append_answer(response: &AppendEntriesResponse<TypeConfig>) -> raft::AppendResponse {
    let blank = raft::Blank {};
    let outcome = match response {
        AppendEntriesResponse::Success => Outcome::Success(blank),
        AppendEntriesResponse::PartialSuccess(None) => Outcome::PartialNone(blank),
        AppendEntriesResponse::PartialSuccess(Some(last)) => {
            Outcome::PartialSuccess(log_id_to_proto(last))
        }
        AppendEntriesResponse::Conflict => Outcome::Conflict(blank),
        AppendEntriesResponse::HigherVote(vote) => Outcome::HigherVote(vote_to_proto(vote)),
    };
    raft::AppendResponse { outcome: Some(outcome) }
}

/// As [`append_answer`], for one result of a stream.
pub(super) fn append_result(result: &StreamAppendResult<TypeConfig>) -> raft::AppendResponse {
    append_answer(&match result {
        Ok(matched) => AppendEntriesResponse::PartialSuccess(*matched),
        Err(StreamAppendError::Conflict(_)) => AppendEntriesResponse::Conflict,
        Err(StreamAppendError::HigherVote(vote)) => AppendEntriesResponse::HigherVote(*vote),
    })
}

/// The answer to an append that carried the request's entries up to `cut_after`, or all of them.
pub(super) fn append_answer_from(
    message: raft::AppendResponse,
    cut_after: Option<LogId>,
) -> Result<AppendEntriesResponse<TypeConfig>, Error> {
    Ok(match message.outcome.ok_or(Error::Missing("outcome"))? {
        Outcome::Success(_) => match cut_after {
            Some(last) => AppendEntriesResponse::PartialSuccess(Some(last)),
            None => AppendEntriesResponse::Success,
        },
        Outcome::PartialSuccess(last) => {
            AppendEntriesResponse::PartialSuccess(Some(log_id_from_proto(&last)?))
        }
        Outcome::PartialNone(_) => AppendEntriesResponse::PartialSuccess(None),
        Outcome::Conflict(_) => AppendEntriesResponse::Conflict,
        Outcome::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote_from_proto(&vote)?),
        // Nothing of the kind is sent by a node of this version: we cut batches ourselves.
        Outcome::PayloadTooLarge(_) => return Err(Error::Missing("outcome")),
    })
}

pub(super) fn vote_request(
    target: raft::Target,
    request: &VoteRequest<TypeConfig>,
) -> raft::VoteRequest {
    raft::VoteRequest {
        target: Some(target),
        vote: Some(vote_to_proto(&request.vote)),
        last_log_id: request.last_log_id.as_ref().map(log_id_to_proto),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(super) fn vote_from(message: &raft::VoteRequest) -> Result<VoteRequest<TypeConfig>, Error> {
    Ok(VoteRequest {
        vote: required_vote(message.vote)?,
        last_log_id: optional_log_id(message.last_log_id)?,
        leadership_transfer: message.leadership_transfer,
    })
}

pub(super) fn vote_answer(response: &VoteResponse<TypeConfig>) -> raft::VoteResponse {
    raft::VoteResponse {
        vote: Some(vote_to_proto(&response.vote)),
        granted: response.vote_granted,
        last_log_id: response.last_log_id.as_ref().map(log_id_to_proto),
    }
}

pub(super) fn vote_answer_from(
    message: raft::VoteResponse,
) -> Result<VoteResponse<TypeConfig>, Error> {
    Ok(VoteResponse {
        vote: required_vote(message.vote)?,
        vote_granted: message.granted,
        last_log_id: optional_log_id(message.last_log_id)?,
    })
}

pub(super) fn transfer_request(
    target: raft::Target,
    request: &TransferLeaderRequest<TypeConfig>,
) -> raft::TransferLeaderRequest {
    raft::TransferLeaderRequest {
        target: Some(target),
        from: Some(vote_to_proto(request.from_leader())),
        to: *request.to_node_id(),
        last_log_id: request.last_log_id().map(log_id_to_proto),
    }
}

pub(super) fn transfer_from(
    message: &raft::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, Error> {
    let from = required_vote(message.from)?;
    Ok(TransferLeaderRequest::new(from, message.to, optional_log_id(message.last_log_id)?))
}

/// Why a peer refused to take leadership; the encoding of `TransferLeaderResponse.detail`, which
/// is empty when it accepted.
#[derive(Clone, PartialEq, prost::Message)]
struct TransferRefusal {
    #[prost(message, optional, tag = "1")]
    expected_vote: Option<raft::LeaderVote>,
    #[prost(message, optional, tag = "2")]
    actual_vote: Option<raft::LeaderVote>,
    #[prost(message, optional, tag = "3")]
    expected_log: Option<raft::LogId>,
    #[prost(message, optional, tag = "4")]
    actual_log: Option<raft::LogId>,
    #[prost(bool, tag = "5")]
    log_is_behind: bool,
}

pub(super) fn transfer_answer(
    response: &Result<(), TransferLeaderError<TypeConfig>>,
) -> raft::TransferLeaderResponse {
    let refusal = match response {
        Ok(()) => return raft::TransferLeaderResponse::default(),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => TransferRefusal {
            expected_vote: Some(vote_to_proto(expected)),
            actual_vote: Some(vote_to_proto(actual)),
            ..TransferRefusal::default()
        },
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => TransferRefusal {
            expected_log: expected.as_ref().map(log_id_to_proto),
            actual_log: actual.as_ref().map(log_id_to_proto),
            log_is_behind: true,
            ..TransferRefusal::default()
        },
    };
    raft::TransferLeaderResponse { detail: refusal.encode_to_vec().into() }
}

pub(super) fn transfer_answer_from(
    message: &raft::TransferLeaderResponse,
) -> Result<Result<(), TransferLeaderError<TypeConfig>>, Error> {
    if message.detail.is_empty() {
        return Ok(Ok(()));
    }
    let refusal = TransferRefusal::decode(message.detail.as_ref())?;
    Ok(Err(if refusal.log_is_behind {
        TransferLeaderError::LogNotFlushed {
            expected: optional_log_id(refusal.expected_log)?,
            actual: optional_log_id(refusal.actual_log)?,
        }
    } else {
        TransferLeaderError::VoteChanged {
            expected: required_vote(refusal.expected_vote)?,
            actual: required_vote(refusal.actual_vote)?,
        }
    }))
}

pub(super) fn required_vote(vote: Option<raft::LeaderVote>) -> Result<Vote, Error> {
    Ok(vote_from_proto(&vote.ok_or(Error::Missing("vote"))?)?)
}

pub(super) fn optional_log_id(id: Option<raft::LogId>) -> Result<Option<LogId>, Error> {
    Ok(id.as_ref().map(log_id_from_proto).transpose()?)
}

#[cfg(test)]
mod tests {
    use axp_raft_store::{Entry, Payload};
    use openraft::EntryPayload;

    use super::*;

    fn id(index: u64) -> LogId {
        log_id_from_proto(&raft::LogId { term: 2, node_id: 1, index }).unwrap()
    }

    fn append(sizes: &[usize]) -> AppendEntriesRequest<TypeConfig> {
        let entry = |(index, size): (usize, &usize)| Entry {
            log_id: id(5 + index as u64),
            payload: EntryPayload::Normal(Payload(vec![7; *size].into())),
        };
        AppendEntriesRequest {
            vote: Vote::new_committed(2, 1),
            prev_log_id: Some(id(4)),
            leader_commit: None,
            entries: sizes.iter().enumerate().map(entry).collect(),
        }
    }

    fn message(sizes: &[usize]) -> (raft::AppendRequest, Option<LogId>) {
        append_request(target("c", GroupId(3), 2), &append(sizes), 1000)
    }

    #[test]
    fn a_batch_is_cut_where_it_gets_too_big_but_never_to_nothing() {
        let (all, cut) = message(&[100, 100]);
        assert_eq!((all.entries.len(), cut), (2, None));
        let (some, cut) = message(&[600, 100, 600, 1]);
        assert_eq!((some.entries.len(), cut), (2, Some(id(6))));
        let (one, cut) = message(&[5000, 1]);
        assert_eq!((one.entries.len(), cut), (1, Some(id(5))));
        let (none, cut) = message(&[]);
        assert_eq!((none.entries.len(), cut), (0, None));
    }

    #[test]
    fn an_append_survives_the_wire() {
        let (sent, _) = message(&[10, 20]);
        let got = append_from(sent).unwrap();
        assert_eq!(got.entries, append(&[10, 20]).entries);
        assert_eq!(got.prev_log_id, Some(id(4)));
        assert_eq!(got.vote, Vote::new_committed(2, 1));
    }

    #[test]
    fn success_of_a_cut_batch_is_partial() {
        let answer = |cut| {
            let message = append_answer(&AppendEntriesResponse::Success);
            append_answer_from(message, cut).unwrap()
        };
        assert_eq!(answer(None), AppendEntriesResponse::Success);
        assert_eq!(answer(Some(id(6))), AppendEntriesResponse::PartialSuccess(Some(id(6))));
        for response in [
            AppendEntriesResponse::Conflict,
            AppendEntriesResponse::PartialSuccess(None),
            AppendEntriesResponse::PartialSuccess(Some(id(9))),
            AppendEntriesResponse::HigherVote(Vote::new(7, 3)),
        ] {
            let message = append_answer(&response);
            assert_eq!(append_answer_from(message, Some(id(6))).unwrap(), response);
        }
        assert!(append_answer_from(raft::AppendResponse::default(), None).is_err());
    }

    #[test]
    fn a_refused_transfer_survives_the_wire() {
        let refusals = [
            TransferLeaderError::VoteChanged {
                expected: Vote::new_committed(2, 1),
                actual: Vote::new(3, 2),
            },
            TransferLeaderError::LogNotFlushed { expected: Some(id(5)), actual: None },
            TransferLeaderError::LogNotFlushed { expected: None, actual: None },
        ];
        for refusal in refusals {
            let message = transfer_answer(&Err(refusal.clone()));
            assert_eq!(transfer_answer_from(&message).unwrap(), Err(refusal));
        }
        assert_eq!(transfer_answer_from(&transfer_answer(&Ok(()))).unwrap(), Ok(()));
    }
}
