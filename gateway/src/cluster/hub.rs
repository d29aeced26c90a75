//! The one subscription stream to a node, shared by all subscriptions of this gateway.
//!
//! ```text
//! subscription 1 --\                                /--> lane 1
//! subscription 2 ---+--> requests == stream == answers --> lane 2
//! subscription 3 --/                                \--> lane 3
//! ```
//!
//! A lane holds what its subscription may have unread, which is what flow control lets the node
//! send: a subscriber that does not read holds up nobody else. When the stream breaks every lane
//! ends, and each subscription opens itself again where the leader is by then.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axp_proto::node::shard_client::ShardClient;
use axp_proto::node::{
    Close, Credit, Open, SubscribeRequest, subscribe_request, subscribe_response,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use axp_proto::node::SubscribeResponse;

pub(super) type Message = subscribe_response::Kind;

/// Answers without items that a node may send on one lane: caught up, ended, and room to spare.
const CONTROL_MESSAGES_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Hub {
    /// Unbounded, yet bounded by what is in it: per lane one opening, one closing, and credit for
    /// half a window at a time; lanes are bounded by the limits on streams.
    requests: mpsc::UnboundedSender<SubscribeRequest>,
    lanes: Arc<Lanes>,
    next_id: AtomicU64,
}

/// Absent when the stream has ended: then no lane can be opened any more.
#[derive(Debug, Default)]
struct Lanes(Mutex<Option<HashMap<u64, mpsc::Sender<Message>>>>);

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, mpsc::Sender<Message>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes all lanes when the reader ends, however it ends: their subscribers go elsewhere.
struct CloseLanes(Arc<Lanes>);

impl Drop for CloseLanes {
    fn drop(&mut self) {
        self.0.lock().take();
    }
}

impl Hub {
    #[expect(clippy::disallowed_methods, reason = "a reader that panics closes its lanes")]
    pub(super) async fn connect(
        mut client: ShardClient<Channel>,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, Status> {
        let (requests, outgoing) = mpsc::unbounded_channel();
        let answers = client.subscribe(UnboundedReceiverStream::new(outgoing)).await?.into_inner();
        let lanes = Arc::new(Lanes(Mutex::new(Some(HashMap::new()))));
        tokio::spawn(read(answers, Arc::clone(&lanes), stop));
        Ok(Arc::new(Self { requests, lanes, next_id: AtomicU64::new(1) }))
    }

    pub(super) fn is_open(&self) -> bool {
        self.lanes.lock().is_some()
    }

    /// Opens a subscription; absent when the stream has just ended.
    pub(super) fn open(self: &Arc<Self>, open: Open) -> Option<Lane> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, messages) = mpsc::channel(open.window as usize + CONTROL_MESSAGES_MAX);
        self.lanes.lock().as_mut()?.insert(id, sender);
        let lane = Lane { id, hub: Arc::clone(self), messages };
        lane.send(subscribe_request::Kind::Open(open));
        Some(lane)
    }
}

/// Hands answers to lanes until the stream ends.
async fn read(
    mut answers: Streaming<SubscribeResponse>,
    lanes: Arc<Lanes>,
    stop: CancellationToken,
) {
    let lanes = CloseLanes(lanes);
    loop {
        let answer = tokio::select! {
            answer = answers.message() => answer,
            () = stop.cancelled() => break,
        };
        match answer {
            Ok(Some(SubscribeResponse { subscription_id, kind: Some(kind) })) => {
                dispatch(&lanes.0, subscription_id, kind);
            }
            Ok(Some(SubscribeResponse { kind: None, .. })) => {}
            Ok(None) => break,
            Err(status) => {
                tracing::debug!(%status, "a subscription stream broke");
                break;
            }
        }
    }
}

fn dispatch(lanes: &Lanes, id: u64, kind: Message) {
    let mut guard = lanes.lock();
    let Some(open) = guard.as_mut() else { return };
    let Some(lane) = open.get(&id) else { return };
    if lane.try_send(kind).is_err() {
        // Closed by its reader, or overrun by a node that ignores the window: the lane ends, and
        // its subscription opens again from the last thing it read.
        open.remove(&id);
    }
}

/// One subscription on the stream. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Lane {
    id: u64,
    hub: Arc<Hub>,
    messages: mpsc::Receiver<Message>,
}

impl Lane {
    /// The next answer; absent when the lane has ended and must be opened again.
    pub(super) async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    pub(super) fn credit(&self, items: u32) {
        self.send(subscribe_request::Kind::Credit(Credit { items }));
    }

    fn send(&self, kind: subscribe_request::Kind) {
        let request = SubscribeRequest { subscription_id: self.id, kind: Some(kind) };
        // When the stream is gone the lane ends by itself, so there is nothing to do about it.
        self.hub.requests.send(request).ok();
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let was_open = self.hub.lanes.lock().as_mut().and_then(|open| open.remove(&self.id));
        if was_open.is_some() {
            self.send(subscribe_request::Kind::Close(Close {}));
        }
    }
}
