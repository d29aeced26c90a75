//! Appends of one group to one peer over one stream, one request under way at a time.
//!
//! ```text
//! openraft --requests--> [held commit] --> under way, with a deadline --> peer
//! openraft <--results, in order-------------------------------------------- answers
//! ```
//!
//! A request without entries only tells the follower what is committed. Under load another one with
//! entries follows within moments and says it too, so such a request is held for a moment and then
//! absorbed by its successor: half of all appends, and half of what followers apply, are saved. Its
//! result is the successor's: who accepted the entries after a position has that position.
//!
//! One at a time, because openraft takes the answer to a request for an answer to all that end at
//! the same position, and counts the lease from the latest of them (`drain_acked`): with a commit
//! sent behind entries that are still under way, the lease would begin too late.
//!
//! The session ends with the first error; openraft then opens another one and starts from what it
//! knows. Rules of the transport (docs/clustering.md) hold for each request: nothing is sent while
//! the breaker is open, and an answer that does not come in time ends the session.

use std::collections::VecDeque;
use std::time::Duration;

use axp_proto::raft::{AppendRequest, AppendResponse};
use axp_raft_store::{LogId, TypeConfig};
use futures_util::{Stream, StreamExt as _, stream};
use openraft::errors::{RPCError, Unreachable};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::link::Half;
use super::network::GroupNetwork;
use super::{BATCH_BYTES_MAX, wire};

/// How long a request without entries waits for one with entries.
const HOLD: Duration = Duration::from_millis(2);

type Item = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;
type Request = AppendEntriesRequest<TypeConfig>;

/// What a request was about, until its answer comes.
#[derive(Debug)]
struct Sent {
    /// The position of a request without entries that this one replaces.
    absorbed: Option<Option<LogId>>,
    prev: Option<LogId>,
    last: Option<LogId>,
    /// The last entry that was sent, if some had to be left out.
    cut_after: Option<LogId>,
    deadline: Instant,
}

/// One stream of appends to one peer.
pub(super) struct Session<'a, S> {
    network: &'a GroupNetwork,
    requests: S,
    outbound: mpsc::Sender<AppendRequest>,
    answers: Streaming<AppendResponse>,
    held: Option<(Request, Instant)>,
    under_way: Option<Sent>,
    results: VecDeque<Item>,
    /// No more requests are taken: there are none, or the last one was sent in part only.
    exhausted: bool,
    failed: bool,
}

impl<'a, S> Session<'a, S>
where
    S: Stream<Item = Request> + Send + Unpin + 'a,
{
    pub(super) fn new(
        network: &'a GroupNetwork,
        requests: S,
        outbound: mpsc::Sender<AppendRequest>,
        answers: Streaming<AppendResponse>,
    ) -> Self {
        Self {
            network,
            requests,
            outbound,
            answers,
            held: None,
            under_way: None,
            results: VecDeque::new(),
            exhausted: false,
            failed: false,
        }
    }

    /// The results, one for each request that openraft gave, in order.
    pub(super) fn results(self) -> impl Stream<Item = Item> + Send + 'a {
        stream::unfold(self, |mut session| async move { Some((session.next().await?, session)) })
    }

    async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(result) = self.results.pop_front() {
                return Some(result);
            }
            if self.failed || (self.exhausted && self.under_way.is_none() && self.held.is_none()) {
                return None;
            }
            let taking = !self.exhausted && self.under_way.is_none();
            let held_until = self.held.as_ref().map(|(_, until)| *until);
            let deadline = self.under_way.as_ref().map(|sent| sent.deadline);
            tokio::select! {
                biased;
                answer = self.answers.message() => self.answered(answer),
                request = self.requests.next(), if taking => self.take(request),
                () = sleep_until(held_until), if held_until.is_some() => self.flush(),
                () = sleep_until(deadline), if deadline.is_some() => self.timed_out(),
            }
        }
    }

    /// The next request of openraft, or the end of them.
    fn take(&mut self, request: Option<Request>) {
        let Some(request) = request else {
            self.exhausted = true;
            self.flush();
            return;
        };
        let absorbed = self.held.take().map(|(held, _)| held.prev_log_id);
        if request.entries.is_empty() && absorbed.is_none() {
            self.held = Some((request, Instant::now() + HOLD));
        } else {
            self.send(&request, absorbed);
        }
    }

    fn flush(&mut self) {
        if let Some((held, _)) = self.held.take() {
            self.send(&held, None);
        }
    }

    fn send(&mut self, request: &Request, absorbed: Option<Option<LogId>>) {
        let Some(peer) = self.network.peer_to_append() else {
            self.fail(self.network.unreachable("answers no pings"), "breaker");
            return;
        };
        let (message, cut_after) =
            wire::append_request(self.network.wire_target(), request, BATCH_BYTES_MAX);
        let last = request.entries.last().map_or(request.prev_log_id, |entry| Some(entry.log_id));
        self.under_way = Some(Sent {
            absorbed,
            prev: request.prev_log_id,
            last,
            cut_after,
            deadline: Instant::now() + self.network.append_timeout(),
        });
        // openraft's next request begins behind the whole of this one.
        self.exhausted |= cut_after.is_some();
        // What gets lost on the way is noticed by the deadline.
        let lost = peer.links.loses(peer.id(), "append", Half::Request);
        // There is room for the one under way: an error is the end of the call, which `answers`
        // reports with its reason.
        if !lost {
            self.outbound.try_send(message).ok();
        }
    }

    fn answered(&mut self, answer: Result<Option<AppendResponse>, Status>) {
        let answer = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => return self.fail(self.network.unreachable("ended the stream"), "refused"),
            Err(status) => {
                return self.fail(self.network.unreachable(&status.to_string()), "refused");
            }
        };
        if self.network.loses_answer() {
            return;
        }
        let Some(sent) = self.under_way.take() else {
            return self.fail(self.network.unreachable("answered what nobody asked"), "malformed");
        };
        match wire::append_answer_from(answer, sent.cut_after) {
            Ok(answer) => {
                let result = answer.into_stream_result(sent.prev, sent.last);
                self.deliver(sent, result);
            }
            Err(error) => self.fail(Unreachable::new(&error), "malformed"),
        }
    }

    fn deliver(&mut self, sent: Sent, result: StreamAppendResult<TypeConfig>) {
        match &result {
            Ok(matched) => {
                self.results.extend(sent.absorbed.map(|position| Ok(Ok(position))));
                // Entries are missing behind a partial success; openraft begins again there.
                self.failed |= *matched != sent.last;
            }
            // The follower disagrees: the stream ends, as openraft expects.
            Err(_) => self.failed = true,
        }
        self.results.push_back(Ok(result));
    }

    fn timed_out(&mut self) {
        self.network.count_failure("append", "deadline");
        self.failed = true;
        self.results.push_back(Err(self.network.append_timed_out()));
    }

    fn fail(&mut self, error: Unreachable<TypeConfig>, reason: &'static str) {
        self.network.count_failure("append", reason);
        self.failed = true;
        self.results.push_back(Err(error.into()));
    }
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
