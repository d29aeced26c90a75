//! Subscriptions of a fake node: windows are kept, leadership is looked at before each item.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axp_proto::node::{
    CaughtUp, Complete, DeliveryList, Ended, EventList, Open, SubscribeRequest, SubscribeResponse,
    ended, open, subscribe_request, subscribe_response,
};
use futures_util::Stream;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::FakeNode;
use super::shard::visible;

type Answers = mpsc::Sender<Result<SubscribeResponse, Status>>;
type Kind = subscribe_response::Kind;

impl FakeNode {
    pub(super) fn subscriptions(
        &self,
        mut requests: Streaming<SubscribeRequest>,
    ) -> Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>> {
        let (answers, receiver) = mpsc::channel(64);
        let node = self.clone();
        tokio::spawn(async move {
            let mut open: HashMap<u64, (Arc<Semaphore>, CancellationToken)> = HashMap::new();
            while let Ok(Some(request)) = requests.message().await {
                let id = request.subscription_id;
                match request.kind.unwrap() {
                    subscribe_request::Kind::Open(wish) => {
                        let window = Arc::new(Semaphore::new(wish.window as usize));
                        let close = CancellationToken::new();
                        open.insert(id, (Arc::clone(&window), close.clone()));
                        let reader = Reader {
                            node: node.clone(),
                            id,
                            wish,
                            window,
                            answers: answers.clone(),
                        };
                        tokio::spawn(async move {
                            let faults = Arc::clone(&reader.node.faults);
                            faults.subscriptions.fetch_add(1, Ordering::SeqCst);
                            close.run_until_cancelled_owned(reader.run()).await;
                            faults.subscriptions.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                    subscribe_request::Kind::Credit(credit) => {
                        if let Some((window, _)) = open.get(&id) {
                            window.add_permits(credit.items as usize);
                        }
                    }
                    subscribe_request::Kind::Close(_) => {
                        if let Some((_, close)) = open.remove(&id) {
                            close.cancel();
                        }
                    }
                }
            }
            open.into_values().for_each(|(_, close)| close.cancel());
        });
        Box::pin(ReceiverStream::new(receiver))
    }
}

struct Reader {
    node: FakeNode,
    id: u64,
    wish: Open,
    window: Arc<Semaphore>,
    answers: Answers,
}

impl Reader {
    async fn run(self) {
        let mut bell = self.node.shared.bell.subscribe();
        let mut caught_up = false;
        let mut position = match self.wish.target.as_ref().unwrap() {
            open::Target::Intent(intent) => intent.since,
            open::Target::Mailbox(mailbox) => mailbox.since,
        };
        loop {
            bell.borrow_and_update();
            if let Some(hint) = self.node.not_leader(self.wish.group) {
                return self.end(ended::Reason::NotLeader(hint)).await;
            }
            match self.next(position) {
                Err(reason) => return self.end(reason).await,
                Ok(Some((at, item, terminal))) => {
                    self.window.acquire().await.unwrap().forget();
                    // Waiting for the window may have outlived the leadership.
                    if self.node.not_leader(self.wish.group).is_none() {
                        position = at;
                        self.node.faults.items_sent.fetch_add(1, Ordering::SeqCst);
                        self.send(item).await;
                        if terminal {
                            return self.end(ended::Reason::Complete(Complete {})).await;
                        }
                    }
                }
                Ok(None) => {
                    if !std::mem::replace(&mut caught_up, true) {
                        self.send(Kind::CaughtUp(CaughtUp {})).await;
                    }
                    if bell.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// The item after a position, whether it is the last one of all.
    fn next(&self, position: u32) -> Result<Option<(u32, Kind, bool)>, ended::Reason> {
        let state = self.node.shared.state();
        match self.wish.target.as_ref().unwrap() {
            open::Target::Intent(watch) => {
                let (_, intent) = visible(&state, &watch.intent_id, self.wish.scope.as_ref())
                    .map_err(ended::Reason::Rejection)?;
                let Some(event) = intent.events.iter().find(|event| event.seq > position) else {
                    let over = intent.status().is_terminal();
                    return if over { Err(ended::Reason::Complete(Complete {})) } else { Ok(None) };
                };
                let list = EventList { events: vec![event.clone()] };
                Ok(Some((event.seq, Kind::Events(list), event.status().is_terminal())))
            }
            open::Target::Mailbox(watch) => {
                let key = watch.mailbox.clone().unwrap();
                let entries = state.mailboxes.get(&(key.workspace_id, key.address));
                let entry = entries.and_then(|it| it.iter().find(|entry| entry.cursor > position));
                Ok(entry.map(|entry| {
                    let list = DeliveryList { entries: vec![entry.clone()] };
                    (entry.cursor, Kind::Deliveries(list), false)
                }))
            }
        }
    }

    async fn end(&self, reason: ended::Reason) {
        self.send(Kind::Ended(Ended { reason: Some(reason) })).await;
    }

    async fn send(&self, kind: Kind) {
        let answer = SubscribeResponse { subscription_id: self.id, kind: Some(kind) };
        // The gateway may be gone.
        self.answers.send(Ok(answer)).await.ok();
    }
}
