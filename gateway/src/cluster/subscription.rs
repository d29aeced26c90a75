//! One reader of one intent or mailbox: every event once and in order, wherever the leader is.
//!
//! The position is the last thing that was handed out. Whatever happens to node, stream or
//! leadership, the subscription is opened again from there, so the reader sees neither gap nor
//! repeat. It does not end by itself: whoever reads bounds the time.

use std::sync::Arc;

use axp_proto::ids::{GroupId, IntentId};
use axp_proto::log::{Event, MailboxEntry, MailboxKey};
use axp_proto::mutant::{self, Mutant};
use axp_proto::node::{Open, Rejection, Scope, WatchIntent, WatchMailbox, ended, open};

use super::hub::{Lane, Message};
use super::link::Link;
use super::router::Router;
use super::search::Search;
use crate::metrics::RESUBSCRIBED_TOTAL;

/// What a subscription hands out.
#[derive(Debug)]
pub(crate) enum Item {
    Events(Vec<Event>),
    Deliveries(Vec<MailboxEntry>),
    /// Once: everything that was stored when the subscription began has been handed out.
    CaughtUp,
    /// The terminal event has been handed out, or lies before the position. Nothing follows.
    Complete,
}

#[derive(Debug, Clone)]
enum Target {
    Intent(IntentId),
    Mailbox(MailboxKey),
}

#[derive(Debug)]
pub(crate) struct Subscription {
    router: Arc<Router>,
    group: GroupId,
    scope: Scope,
    target: Target,
    window: u32,
    position: u32,
    caught_up: bool,
    /// Handed out and not yet credited: only what the reader has come back from is written.
    uncredited: u32,
    search: Search,
    lane: Option<(Arc<Link>, Lane)>,
    opened_before: bool,
}

impl Subscription {
    pub(crate) fn to_intent(
        router: Arc<Router>,
        group: GroupId,
        scope: Scope,
        intent: IntentId,
        since: u32,
        window: u32,
    ) -> Self {
        Self::new(router, group, scope, Target::Intent(intent), since, window)
    }

    pub(crate) fn to_mailbox(
        router: Arc<Router>,
        group: GroupId,
        scope: Scope,
        mailbox: MailboxKey,
        since: u32,
        window: u32,
    ) -> Self {
        Self::new(router, group, scope, Target::Mailbox(mailbox), since, window)
    }

    fn new(
        router: Arc<Router>,
        group: GroupId,
        scope: Scope,
        target: Target,
        since: u32,
        window: u32,
    ) -> Self {
        Self {
            router,
            group,
            scope,
            target,
            window,
            // Positions have 31 bits, so that what follows one has 32.
            position: since.min(i32::MAX as u32),
            caught_up: false,
            uncredited: 0,
            search: Search::new(group),
            lane: None,
            opened_before: false,
        }
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the leader refuses: the intent is unknown, or not the caller's.
    pub(crate) async fn next(&mut self) -> Result<Item, Rejection> {
        loop {
            if self.lane.is_none() {
                self.open().await;
            }
            self.return_credit();
            let Some((link, lane)) = self.lane.as_mut() else { continue };
            let link = Arc::clone(link);
            let Some(message) = lane.next().await else {
                // The stream to that node broke.
                self.search.failed(&self.router, &link);
                self.close();
                continue;
            };
            if !matches!(message, Message::Ended(_)) {
                self.search.found(&self.router, &link);
            }
            if let Some(item) = self.take(&link, message)? {
                return Ok(item);
            }
        }
    }

    fn take(&mut self, link: &Arc<Link>, message: Message) -> Result<Option<Item>, Rejection> {
        match message {
            Message::Events(list) => {
                self.uncredited += count(list.events.len());
                Ok(self.fresh_events(list.events))
            }
            Message::Deliveries(list) => {
                self.uncredited += count(list.entries.len());
                Ok(self.fresh_deliveries(list.entries))
            }
            Message::CaughtUp(_) if self.caught_up => Ok(None),
            Message::CaughtUp(_) => {
                self.caught_up = true;
                Ok(Some(Item::CaughtUp))
            }
            Message::Ended(ended) => match ended.reason {
                Some(ended::Reason::NotLeader(hint)) => {
                    self.search.not_leader(&self.router, link, &hint);
                    self.close();
                    Ok(None)
                }
                Some(ended::Reason::Rejection(rejection)) => Err(rejection),
                Some(ended::Reason::Complete(_)) => Ok(Some(Item::Complete)),
                None => {
                    self.search.failed(&self.router, link);
                    self.close();
                    Ok(None)
                }
            },
        }
    }

    /// Drops repeats. A gap means that something was lost on the way: read again from before it.
    fn fresh_events(&mut self, mut events: Vec<Event>) -> Option<Item> {
        events.retain(|event| event.seq > self.position);
        let dense = events.iter().zip(self.position + 1..).all(|(event, seq)| event.seq == seq);
        if !dense && !mutant::active(Mutant::StreamSkips) {
            tracing::warn!(group = %self.group, position = self.position, "a gap in a subscription");
            self.close();
            return None;
        }
        self.position = events.last()?.seq;
        Some(Item::Events(events))
    }

    fn fresh_deliveries(&mut self, mut entries: Vec<MailboxEntry>) -> Option<Item> {
        entries.retain(|entry| entry.cursor > self.position);
        self.position = entries.last()?.cursor;
        Some(Item::Deliveries(entries))
    }

    async fn open(&mut self) {
        let Some(link) = self.search.next(&self.router).await else {
            // No node is known at all; the shard map will name some.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            return;
        };
        let patience = self.router.config().attempt_timeout();
        let connecting = link.hub(self.router.nodes().stop());
        let hub = match tokio::time::timeout(patience, connecting).await {
            Ok(Ok(hub)) => Some(hub),
            Ok(Err(status)) => {
                tracing::debug!(node = %link.address(), %status, "no subscription stream");
                None
            }
            Err(_) => {
                link.suspect();
                None
            }
        };
        match hub.and_then(|hub| hub.open(self.request())) {
            Some(lane) => {
                if std::mem::replace(&mut self.opened_before, true) {
                    metrics::counter!(RESUBSCRIBED_TOTAL).increment(1);
                }
                self.uncredited = 0;
                self.lane = Some((link, lane));
            }
            None => self.search.failed(&self.router, &link),
        }
    }

    fn close(&mut self) {
        self.lane = None;
    }

    fn request(&self) -> Open {
        let target = match &self.target {
            Target::Intent(id) => {
                open::Target::Intent(WatchIntent { intent_id: id.to_bytes(), since: self.position })
            }
            Target::Mailbox(mailbox) => open::Target::Mailbox(WatchMailbox {
                mailbox: Some(mailbox.clone()),
                since: self.position,
            }),
        };
        Open {
            group: self.group.into(),
            scope: Some(self.scope.clone()),
            window: self.window,
            target: Some(target),
        }
    }

    /// Called when the reader comes for more: what it got before is written.
    fn return_credit(&mut self) {
        let due = self.uncredited >= self.window.div_ceil(2);
        if let Some((_, lane)) = self.lane.as_ref()
            && due
        {
            lane.credit(std::mem::take(&mut self.uncredited));
        }
    }
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}
