use std::sync::{Arc, Mutex};

use axp_raft_store::wire::log_id_from_proto;
use axp_raft_store::{Entry, Payload, Vote};
use openraft::EntryPayload;
use openraft::raft::StreamAppendError;
use tokio::sync::mpsc;
use tokio::time::{advance, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;

const PATIENCE: Duration = Duration::from_millis(500);

/// What the peer got: the position before the entries, their number, and the commit.
type Got = (Option<u64>, usize, Option<u64>);

#[derive(Debug)]
struct FakeLine {
    got: Arc<Mutex<Vec<Got>>>,
    answers: mpsc::UnboundedReceiver<AppendResponse>,
    cut_after: Option<LogId>,
}

impl Line for FakeLine {
    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn send(&mut self, request: &Request) -> Result<Option<LogId>, RpcError> {
        let index = |id: Option<LogId>| id.map(|id| id.index());
        let got = (index(request.prev_log_id), request.entries.len(), index(request.leader_commit));
        self.got.lock().unwrap().push(got);
        Ok(self.cut_after)
    }

    async fn answer(&mut self) -> Result<AppendResponse, RpcError> {
        self.answers.recv().await.ok_or_else(|| Unreachable::from_string("gone").into())
    }

    fn timed_out(&self) -> RpcError {
        Unreachable::from_string("late").into()
    }
}

/// Both ends of a session.
struct World {
    requests: mpsc::UnboundedSender<Request>,
    answers: mpsc::UnboundedSender<AppendResponse>,
    got: Arc<Mutex<Vec<Got>>>,
    session: Session<FakeLine, UnboundedReceiverStream<Request>>,
}

fn world(cut_after: Option<LogId>) -> World {
    let (requests, input) = mpsc::unbounded_channel();
    let (answers, line_answers) = mpsc::unbounded_channel();
    let got = Arc::default();
    let line = FakeLine { got: Arc::clone(&got), answers: line_answers, cut_after };
    World {
        requests,
        answers,
        got,
        session: Session::new(line, UnboundedReceiverStream::new(input)),
    }
}

impl World {
    fn request(&self, prev: u64, entries: u64, commit: u64) {
        let entry = |index| Entry {
            log_id: id(index),
            payload: EntryPayload::Normal(Payload(vec![7].into())),
        };
        let request = AppendEntriesRequest {
            vote: Vote::new_committed(2, 1),
            prev_log_id: Some(id(prev)),
            leader_commit: Some(id(commit)),
            entries: (prev + 1..=prev + entries).map(entry).collect(),
        };
        self.requests.send(request).unwrap();
    }

    fn answer(&self, answer: &AppendEntriesResponse<TypeConfig>) {
        self.answers.send(wire::append_answer(answer)).unwrap();
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Lets the session do what it can do now.
    async fn turn(&mut self) -> Option<Item> {
        let next = timeout(Duration::ZERO, self.session.next()).await;
        next.unwrap_or_else(|_| Some(Err(Unreachable::from_string("nothing yet").into())))
    }
}

fn id(index: u64) -> LogId {
    log_id_from_proto(&axp_proto::raft::LogId { term: 2, node_id: 1, index }).unwrap()
}

fn matched(item: Option<Item>) -> u64 {
    item.unwrap().unwrap().unwrap().unwrap().index()
}

#[tokio::test(start_paused = true)]
async fn a_commit_alone_waits_and_is_said_by_the_entries_that_follow() {
    let mut world = world(None);
    world.request(5, 0, 5);
    world.turn().await.unwrap().unwrap_err();
    assert_eq!(world.got(), [], "held");
    world.request(5, 2, 5);
    world.turn().await.unwrap().unwrap_err();
    assert_eq!(world.got(), [(Some(5), 2, Some(5))], "one message for both");
    world.answer(&AppendEntriesResponse::Success);
    assert_eq!(matched(world.turn().await), 5, "the result of the first");
    assert_eq!(matched(world.turn().await), 7);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_nothing_follows_is_sent() {
    let mut world = world(None);
    world.request(5, 0, 5);
    world.turn().await.unwrap().unwrap_err();
    advance(HOLD).await;
    world.turn().await.unwrap().unwrap_err();
    assert_eq!(world.got(), [(Some(5), 0, Some(5))]);
    world.answer(&AppendEntriesResponse::Success);
    assert_eq!(matched(world.turn().await), 5);
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_sent_when_the_requests_end() {
    let mut world = world(None);
    world.request(5, 0, 5);
    drop(std::mem::replace(&mut world.requests, mpsc::unbounded_channel().0));
    world.turn().await.unwrap().unwrap_err();
    assert_eq!(world.got().len(), 1);
    world.answer(&AppendEntriesResponse::Success);
    assert_eq!(matched(world.turn().await), 5);
    assert!(world.turn().await.is_none(), "and the session is over");
}

#[tokio::test(start_paused = true)]
async fn one_request_is_under_way_at_a_time() {
    let mut world = world(None);
    world.request(5, 1, 5);
    world.request(6, 1, 5);
    world.turn().await.unwrap().unwrap_err();
    assert_eq!(world.got().len(), 1, "the lease counts from requests that were answered");
    world.answer(&AppendEntriesResponse::Success);
    assert_eq!(matched(world.turn().await), 6);
    world.turn().await.unwrap().unwrap_err();
    assert_eq!(world.got().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_ends_the_session() {
    let mut world = world(None);
    world.request(5, 1, 5);
    world.turn().await.unwrap().unwrap_err();
    advance(PATIENCE).await;
    let error = world.turn().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("late"), "{error}");
    assert!(world.turn().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_ends_the_session_even_when_nothing_is_under_way() {
    let mut world = world(None);
    drop(std::mem::replace(&mut world.answers, mpsc::unbounded_channel().0));
    let error = world.turn().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
    assert!(world.turn().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_conflict_ends_the_session_and_tells_nothing_of_what_it_absorbed() {
    let mut world = world(None);
    world.request(5, 0, 5);
    world.request(5, 1, 5);
    world.turn().await.unwrap().unwrap_err();
    world.answer(&AppendEntriesResponse::Conflict);
    let result = world.turn().await.unwrap().unwrap();
    assert_eq!(result, Err(StreamAppendError::Conflict(id(5))));
    assert!(world.turn().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_cut_is_the_last_one() {
    let mut world = world(Some(id(6)));
    world.request(5, 3, 5);
    world.request(8, 1, 5);
    world.turn().await.unwrap().unwrap_err();
    world.answer(&AppendEntriesResponse::Success);
    assert_eq!(matched(world.turn().await), 6, "what was sent, not what was asked for");
    assert!(world.turn().await.is_none());
    assert_eq!(world.got().len(), 1);
}

/// openraft waits inside its requests after a failure: whoever asks the peer before them asks it as
/// fast as a processor can.
#[tokio::test(start_paused = true)]
async fn a_peer_is_not_asked_before_there_is_something_to_send() {
    let asked = Arc::new(Mutex::new(0));
    let away = || {
        let asked = Arc::clone(&asked);
        async move {
            *asked.lock().unwrap() += 1;
            Err::<FakeLine, _>(Unreachable::from_string("away").into())
        }
    };
    let (requests, input) = mpsc::unbounded_channel();
    let mut session = Box::pin(run(UnboundedReceiverStream::new(input), away()));
    assert!(timeout(Duration::from_secs(60), &mut session).await.is_err());
    assert_eq!(*asked.lock().unwrap(), 0);
    let (vote, prev_log_id) = (Vote::new_committed(2, 1), None);
    let request = Request { vote, prev_log_id, leader_commit: None, entries: Vec::new() };
    requests.send(request).unwrap();
    assert!(session.await.is_err());
    assert_eq!(*asked.lock().unwrap(), 1);
}
