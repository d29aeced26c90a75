//! All subscriptions of one gateway to this node, over one stream.
//!
//! Each subscription reads on from the state by seq or cursor; bells only say when to look. At
//! most `window` items are on their way: beyond it nothing is buffered, the log keeps them.

use std::collections::HashMap;
use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::log::MailboxKey;
use axp_proto::mutant::{self, Mutant};
use axp_proto::node::open::Target;
use axp_proto::node::subscribe_request::Kind as RequestKind;
use axp_proto::node::subscribe_response::Kind;
use axp_proto::node::{
    CaughtUp, Complete, DeliveryList, Ended, EventList, Open, Scope, SubscribeRequest,
    SubscribeResponse, WatchIntent, WatchMailbox, ended,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::query::{caller, foreign_mailbox, intent_id};
use super::{Context, rejection};
use crate::intent::Rejection;
use crate::shard::bells::{Listener, Topic};
use crate::shard::handle::storage;
use crate::shard::metrics as names;
use crate::shard::{ExecuteError, Shard};

/// Responses that wait for the connection.
const RESPONSES_MAX: usize = 1024;
/// Items of one response.
const BATCH_MAX: u32 = 128;

type Responses = mpsc::Sender<Result<SubscribeResponse, Status>>;

struct Running {
    room: Arc<Semaphore>,
    window: usize,
    task: AbortHandle,
}

/// Serves the stream until either side ends it, or the node stops.
pub(super) fn serve(
    context: Arc<Context>,
    requests: Streaming<SubscribeRequest>,
    stop: CancellationToken,
) -> ReceiverStream<Result<SubscribeResponse, Status>> {
    let (responses, stream) = mpsc::channel(RESPONSES_MAX);
    crate::tasks::spawn("subscriptions", async move {
        stop.run_until_cancelled(connection(&context, requests, &responses)).await;
    });
    ReceiverStream::new(stream)
}

async fn connection(
    context: &Arc<Context>,
    mut requests: Streaming<SubscribeRequest>,
    responses: &Responses,
) {
    let mut running: HashMap<u64, Running> = HashMap::new();
    let mut tasks: JoinSet<u64> = JoinSet::new();
    loop {
        let request = tokio::select! {
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if let Ok(id) = ended {
                    running.remove(&id);
                    metrics::gauge!(names::SUBSCRIPTIONS).decrement(1.0);
                }
                continue;
            }
            request = requests.message() => request,
            () = responses.closed() => break,
        };
        let Ok(Some(SubscribeRequest { subscription_id: id, kind: Some(kind) })) = request else {
            break;
        };
        match kind {
            RequestKind::Open(open) => {
                let Ok(place) = Arc::clone(&context.subscriptions).try_acquire_owned() else {
                    let refusal = Rejection::new(ErrorCode::Unavailable, "too many subscriptions");
                    let ended = ended(ended::Reason::Rejection(rejection(&refusal)));
                    responses.send(Ok(response(id, ended))).await.ok();
                    continue;
                };
                let window = open.window.clamp(1, context.window_max) as usize;
                let room = Arc::new(Semaphore::new(window));
                let subscription =
                    Subscription { id, room: Arc::clone(&room), responses: responses.clone() };
                let context = Arc::clone(context);
                let task = tasks.spawn(async move {
                    let _place = place;
                    subscription.run(&context, open).await
                });
                metrics::gauge!(names::SUBSCRIPTIONS).increment(1.0);
                running.insert(id, Running { room, window, task });
            }
            RequestKind::Credit(credit) => {
                if let Some(running) = running.get(&id) {
                    let missing = running.window.saturating_sub(running.room.available_permits());
                    running.room.add_permits((credit.items as usize).min(missing));
                }
            }
            RequestKind::Close(_) => {
                if let Some(closed) = running.remove(&id) {
                    closed.task.abort();
                    metrics::gauge!(names::SUBSCRIPTIONS).decrement(1.0);
                }
            }
        }
    }
    metrics::gauge!(names::SUBSCRIPTIONS).decrement(running.len() as f64);
}

struct Subscription {
    id: u64,
    room: Arc<Semaphore>,
    responses: Responses,
}

/// What a look at the state found.
struct Look {
    items: u32,
    kind: Kind,
    /// Nothing can follow.
    complete: bool,
}

impl Subscription {
    async fn run(self, context: &Context, open: Open) -> u64 {
        let Ok(shard) = context.shard(open.group) else {
            // This node does not host the group: the gateway's map is old.
            self.end(ended::Reason::NotLeader(axp_proto::node::NotLeader::default())).await;
            return self.id;
        };
        let reason = match self.follow(shard, open).await {
            Ok(()) => ended::Reason::Complete(Complete {}),
            Err(ExecuteError::Rejected(refusal)) => ended::Reason::Rejection(rejection(&refusal)),
            Err(_) => ended::Reason::NotLeader(context.not_leader(&shard.raft)),
        };
        self.end(reason).await;
        self.id
    }

    /// Sends what is there and what comes; ends well only when nothing can come any more.
    async fn follow(&self, shard: &Arc<Shard>, open: Open) -> Result<(), ExecuteError> {
        let mut tenure = shard.tenure.subscribe();
        if shard.led().is_none() {
            return Err(ExecuteError::NotLeader);
        }
        shard.lease_barrier().await?;
        let scope = open.scope.unwrap_or_default();
        let target = open.target.ok_or_else(|| ExecuteError::Rejected(Rejection::not_found()))?;
        let mut source = Source::open(shard, &scope, target)?;
        let mut caught_up = false;
        loop {
            let room = self.room.acquire_many(1).await.map_err(|_| ExecuteError::NotLeader)?;
            room.forget();
            let limit = 1 + self.take_more(BATCH_MAX - 1);
            let look = source.look(shard, limit)?;
            self.room.add_permits((limit - look.items) as usize);
            let empty = look.items == 0;
            if !empty {
                self.send(look.kind).await?;
            }
            if look.complete {
                return Ok(());
            }
            if look.items == limit {
                continue;
            }
            if !std::mem::replace(&mut caught_up, true) {
                self.send(Kind::CaughtUp(CaughtUp {})).await?;
            }
            tokio::select! {
                () = source.listener.rung() => {}
                _ = tenure.changed() => return Err(ExecuteError::NotLeader),
            }
        }
    }

    /// Takes what room there is, up to `most`.
    fn take_more(&self, most: u32) -> u32 {
        let available = u32::try_from(self.room.available_permits()).unwrap_or(most).min(most);
        match self.room.try_acquire_many(available) {
            Ok(permits) => {
                permits.forget();
                available
            }
            Err(_) => 0,
        }
    }

    async fn send(&self, kind: Kind) -> Result<(), ExecuteError> {
        let sent = self.responses.send(Ok(response(self.id, kind))).await;
        sent.map_err(|_| ExecuteError::NotLeader)
    }

    async fn end(&self, reason: ended::Reason) {
        // Who hung up does not need to be told.
        self.responses.send(Ok(response(self.id, ended(reason)))).await.ok();
    }
}

/// Where a subscription reads from.
struct Source {
    listener: Listener,
    at: Position,
}

enum Position {
    Intent { id: IntentId, since: u32 },
    Mailbox { key: MailboxKey, since: u32 },
}

impl Source {
    /// Listens first and reads then, so that nothing falls between.
    fn open(shard: &Arc<Shard>, scope: &Scope, target: Target) -> Result<Self, ExecuteError> {
        match target {
            Target::Intent(WatchIntent { intent_id: id, since }) => {
                let id = intent_id(&id)?;
                let listener = shard.bells().listen(Topic::Intent(id));
                shard.visible_intent(id, &caller(scope))?;
                Ok(Self { listener, at: Position::Intent { id, since } })
            }
            Target::Mailbox(WatchMailbox { mailbox, since }) => {
                let key = mailbox.unwrap_or_default();
                if key.workspace_id != scope.workspace_id {
                    return Err(foreign_mailbox());
                }
                let listener = shard.bells().listen(Topic::Mailbox(key.clone()));
                Ok(Self { listener, at: Position::Mailbox { key, since } })
            }
        }
    }

    fn look(&mut self, shard: &Shard, limit: u32) -> Result<Look, ExecuteError> {
        let reader = shard.reader();
        match &mut self.at {
            Position::Intent { id, since } => {
                let mut events = reader.events(*id, *since, limit as usize).map_err(storage)?;
                skip_to_newest(&mut events);
                let complete = match events.last() {
                    Some(event) => event.status().is_terminal(),
                    // `since` is at the end or beyond it.
                    None => reader.intent(*id).map_err(storage)?.is_none_or(|i| i.is_terminal()),
                };
                *since = events.last().map_or(*since, |event| event.seq);
                let items = count(events.len());
                Ok(Look { items, kind: Kind::Events(EventList { events }), complete })
            }
            Position::Mailbox { key, since } => {
                let mut entries =
                    reader.deliveries(key, *since, limit as usize).map_err(storage)?;
                skip_to_newest(&mut entries);
                *since = entries.last().map_or(*since, |entry| entry.cursor);
                let items = count(entries.len());
                let kind = Kind::Deliveries(DeliveryList { entries });
                Ok(Look { items, kind, complete: false })
            }
        }
    }
}

/// What a broadcast channel does to a receiver that lagged.
fn skip_to_newest<T>(items: &mut Vec<T>) {
    if mutant::active(Mutant::StreamSkips) {
        items.drain(..items.len().saturating_sub(1));
    }
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

fn ended(reason: ended::Reason) -> Kind {
    Kind::Ended(Ended { reason: Some(reason) })
}

fn response(subscription_id: u64, kind: Kind) -> SubscribeResponse {
    SubscribeResponse { subscription_id, kind: Some(kind) }
}
