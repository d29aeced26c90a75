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

use axp_proto::mutant::{self, Mutant};
use axp_proto::raft::AppendResponse;
use axp_raft_store::{LogId, TypeConfig};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, stream};
use openraft::errors::{RPCError, Unreachable};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult};
use tokio::time::Instant;

use super::wire;

mod line;
#[cfg(test)]
mod tests;

pub(super) use line::PeerLine;

/// How long a request without entries waits for one with entries.
const HOLD: Duration = Duration::from_millis(2);

type RpcError = RPCError<TypeConfig>;
type Item = Result<StreamAppendResult<TypeConfig>, RpcError>;
type Request = AppendEntriesRequest<TypeConfig>;

/// The way to one peer.
pub(super) trait Line: Send {
    /// How long an answer may take.
    fn patience(&self) -> Duration;

    /// Sends a request; the last entry that went with it, if some had to be left out.
    ///
    /// # Errors
    /// When nothing may be sent now.
    fn send(&mut self, request: &Request) -> Result<Option<LogId>, RpcError>;

    /// The next answer. Dropping the future loses none.
    ///
    /// # Errors
    /// When none can come any more.
    fn answer(&mut self) -> impl Future<Output = Result<AppendResponse, RpcError>> + Send;

    /// What it means that an answer did not come in time.
    fn timed_out(&self) -> RpcError;
}

/// Runs a session on a line that is opened when there is something to send, and no sooner: openraft
/// waits after failures inside its requests, so a peer that is away must not be asked before them.
///
/// # Errors
/// When the line cannot be opened.
pub(super) async fn run<'a, L, S>(
    mut requests: S,
    open: impl Future<Output = Result<L, RpcError>> + Send,
) -> Result<BoxStream<'a, Item>, RpcError>
where
    L: Line + 'a,
    S: Stream<Item = Request> + Send + Unpin + 'a,
{
    let Some(first) = requests.next().await else { return Ok(stream::empty().boxed()) };
    let requests = stream::iter([first]).chain(requests);
    Ok(Session::new(open.await?, requests).results().boxed())
}

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
struct Session<L, S> {
    line: L,
    requests: S,
    held: Option<(Request, Instant)>,
    under_way: Option<Sent>,
    results: VecDeque<Item>,
    /// No more requests are taken: there are none, or the last one was sent in part only.
    exhausted: bool,
    failed: bool,
}

impl<L, S> Session<L, S>
where
    L: Line,
    S: Stream<Item = Request> + Send + Unpin,
{
    fn new(line: L, requests: S) -> Self {
        Self {
            line,
            requests,
            held: None,
            under_way: None,
            results: VecDeque::new(),
            exhausted: false,
            failed: false,
        }
    }

    /// The results, one for each request that openraft gave, in order.
    fn results(self) -> impl Stream<Item = Item> + Send {
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
                answer = self.line.answer() => self.answered(answer),
                request = self.requests.next(), if taking => self.take(request),
                () = sleep_until(held_until), if held_until.is_some() => self.flush(),
                () = sleep_until(deadline), if deadline.is_some() => self.time_out(),
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
        let cut_after = match self.line.send(request) {
            Ok(cut_after) => cut_after,
            Err(error) => return self.fail(error),
        };
        let last = request.entries.last().map_or(request.prev_log_id, |entry| Some(entry.log_id));
        self.under_way = Some(Sent {
            absorbed,
            prev: request.prev_log_id,
            last,
            cut_after,
            deadline: Instant::now() + self.line.patience(),
        });
        // openraft's next request begins behind the whole of this one.
        self.exhausted |= cut_after.is_some();
    }

    fn answered(&mut self, answer: Result<AppendResponse, RpcError>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.fail(error),
        };
        let Some(sent) = self.under_way.take() else {
            return self.fail(Unreachable::from_string("an answer to no request").into());
        };
        match wire::append_answer_from(answer, sent.cut_after) {
            Ok(answer) => self.deliver(&sent, answer),
            Err(error) => self.fail(Unreachable::new(&error).into()),
        }
    }

    fn deliver(&mut self, sent: &Sent, answer: AppendEntriesResponse<TypeConfig>) {
        let result = answer.into_stream_result(sent.prev, sent.last);
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

    fn time_out(&mut self) {
        if mutant::active(Mutant::CommitAlone)
            && let Some(sent) = self.under_way.take()
        {
            self.results.extend(sent.absorbed.map(|position| Ok(Ok(position))));
            return self.results.push_back(Ok(Ok(sent.last)));
        }
        self.fail(self.line.timed_out());
    }

    fn fail(&mut self, error: RpcError) {
        self.failed = true;
        self.results.push_back(Err(error));
    }
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
