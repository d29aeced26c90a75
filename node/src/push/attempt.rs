//! One parcel, once: is it still wanted, claim it, send it, and store what became of it.
//!
//! Every change is a compare-and-set on the parcel, so whoever was faster wins and nothing has to
//! be locked. An attempt that ends without a word (a crash, a lost leadership) leaves a claim behind
//! that comes due after the longest time that its request can last.

mod mail;

use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::IntentId;
use axp_proto::log::append::Kind;
use axp_proto::log::push_append::Kind as PushKind;
use axp_proto::log::{
    Append, DeliveryMode, EventType, Parcel, ParcelChange, ParcelState, PushAppend, Status,
};
use axp_raft_store::Outcome;
use tokio::time::Instant;

use super::directory::{Callback, Destination};
use super::letter::{Letter, event_letter, intent_letter};
use super::room::Place;
use super::sender::SendError;
use super::{Push, metrics as names, retry};
use crate::intent::{Command, DeliveryResult, Intent};
use crate::shard::handle::{ExecuteError, Reply, Request, Shard, storage};
use crate::shard::keys;
use crate::shard::proposer::{ProposeError, Proposer};

/// Between the end of the longest attempt and the moment others may begin one: clocks differ.
const CLAIM_MARGIN: Duration = Duration::from_secs(2);

/// What one attempt works with.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) shard: Arc<Shard>,
    pub(super) proposer: Proposer,
    pub(super) push: Arc<Push>,
    pub(super) term: u64,
}

/// What became of an attempt, to whoever planned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The state says what is next.
    Settled,
    /// It may be as before: look again.
    Open,
}

/// What a parcel is about, while it is of use.
enum Matter {
    Intent(Box<Intent>),
    Event(Box<axp_proto::log::PublishEvent>),
    /// Nobody waits for it.
    Over,
    /// It was given up, and the one who did that ended before saying so here.
    GivenUp,
}

impl Attempt {
    /// Works on a parcel that is due.
    pub(super) async fn run(
        &self,
        parcel: Parcel,
        destination: Destination,
        place: Option<Place>,
    ) -> Ended {
        let worked = self.work(&parcel, destination).await;
        drop(place);
        match worked {
            Ok(()) => Ended::Settled,
            Err(error) => {
                tracing::debug!(%error, "a push stays as it was");
                Ended::Open
            }
        }
    }

    async fn work(&self, parcel: &Parcel, destination: Destination) -> Result<(), ExecuteError> {
        if let Some(mail) = &parcel.mail {
            return self.mail(parcel, mail).await;
        }
        let matter = match self.matter(parcel)? {
            Matter::Over => return self.remove(parcel).await,
            Matter::GivenUp => return self.bury(parcel, &parcel.last_error).await,
            matter => matter,
        };
        match destination {
            Destination::Callback(callback) => self.push(parcel, &matter, &callback).await,
            Destination::Elsewhere(mode) => self.rebind(parcel, mode).await,
            Destination::Unsubscribed => self.remove(parcel).await,
            Destination::Nowhere(reason) => {
                count(parcel, "nowhere");
                self.failed(parcel, &matter, reason).await
            }
            Destination::Unknown | Destination::Mail => Err(ExecuteError::Unknown),
        }
    }

    fn matter(&self, parcel: &Parcel) -> Result<Matter, ExecuteError> {
        let reader = self.shard.reader();
        if !parcel.event_id.is_empty() {
            let event = reader.published(&parcel.event_id).map_err(storage)?;
            return Ok(event.map_or(Matter::Over, |event| Matter::Event(Box::new(event))));
        }
        let Ok(id) = IntentId::from_slice(&parcel.intent_id) else { return Ok(Matter::Over) };
        let Some(intent) = reader.intent(id).map_err(storage)? else { return Ok(Matter::Over) };
        let ended_by = intent.terminal_event.as_ref().map(|event| event.r#type());
        if parcel.again {
            return Ok(Matter::Intent(Box::new(intent)));
        }
        Ok(match (ended_by, intent.state.status()) {
            (Some(EventType::DeliveryFailed), _) => Matter::GivenUp,
            (None, Status::Created | Status::Submitted) => Matter::Intent(Box::new(intent)),
            // It has ended, or its agent was heard of: the push was acknowledged by whoever led
            // before, or the agent found the intent by itself.
            _ => Matter::Over,
        })
    }

    /// Claims the parcel, and sends it if that was committed.
    async fn push(
        &self,
        parcel: &Parcel,
        matter: &Matter,
        callback: &Callback,
    ) -> Result<(), ExecuteError> {
        let timeout = self.push.config.attempt_timeout();
        // Counted from before the claim is proposed: whoever sees the claim come due later can rely
        // on this request being over.
        let until = Instant::now() + timeout;
        let Some(claimed) = self.claim(parcel, timeout).await? else { return Ok(()) };
        let began = Instant::now();
        let sent = match letter(&claimed, matter, callback, self.shard.clock.now_ms()) {
            Some(letter) => {
                let sending = tokio::time::timeout_at(until, self.push.sender.send(letter));
                sending.await.unwrap_or(Err(SendError::TimedOut))
            }
            None => Err(SendError::BadUrl),
        };
        metrics::histogram!(names::ATTEMPT_SECONDS).record(began.elapsed().as_secs_f64());
        match sent {
            Ok(()) => {
                count(parcel, "delivered");
                self.delivered(&claimed, matter).await
            }
            Err(error) => {
                count(parcel, error.label());
                self.failed(&claimed, matter, &error.to_string()).await
            }
        }
    }

    /// The parcel as claimed for an attempt that takes so long at most, or nothing when somebody else
    /// was faster.
    async fn claim(
        &self,
        parcel: &Parcel,
        timeout: Duration,
    ) -> Result<Option<Parcel>, ExecuteError> {
        let now_ms = self.shard.clock.now_ms();
        let claimed = Parcel {
            state: ParcelState::Claimed.into(),
            attempt: parcel.attempt + 1,
            term: self.term,
            due_at_ms: now_ms + milliseconds(timeout + CLAIM_MARGIN),
            changed_at_ms: now_ms,
            ..parcel.clone()
        };
        let claimed = self.change(parcel, claimed).await?;
        if claimed.is_some() {
            let late_ms = (now_ms - parcel.due_at_ms).max(0);
            metrics::histogram!(names::LATENESS_SECONDS).record(late_ms as f64 / 1000.0);
        }
        Ok(claimed)
    }

    async fn delivered(&self, parcel: &Parcel, matter: &Matter) -> Result<(), ExecuteError> {
        if let Matter::Intent(intent) = matter {
            self.tell(intent, true, String::new()).await?;
            return self.remove(parcel).await;
        }
        let changed_at_ms = self.shard.clock.now_ms();
        let state = ParcelState::Delivered.into();
        let last_error = String::new();
        let delivered = Parcel { state, changed_at_ms, last_error, ..parcel.clone() };
        self.change(parcel, delivered).await.map(drop)
    }

    /// Another attempt later, or none if this was the last one.
    async fn failed(
        &self,
        parcel: &Parcel,
        matter: &Matter,
        reason: &str,
    ) -> Result<(), ExecuteError> {
        let failures = parcel.failures + 1;
        let given_up = match matter {
            Matter::Intent(intent) => {
                let reply = self.tell(intent, false, reason.to_owned()).await?;
                let event = reply.and_then(|reply| reply.event);
                // Whether the attempts are used up is for the intent to say. A push that somebody
                // asked for again also ends when the intent has ended before.
                event.is_some_and(|event| event.r#type() == EventType::DeliveryFailed)
                    || (parcel.again && failures >= intent.delivery_attempts_max())
            }
            _ => failures >= retry::attempts_max(&self.push.config),
        };
        let parcel = Parcel { failures, ..parcel.clone() };
        if given_up {
            return self.bury(&parcel, reason).await;
        }
        let now_ms = self.shard.clock.now_ms();
        let pause = retry::pause_ms(
            &self.push.config.retry_ms,
            self.push.config.retry_jitter,
            failures,
            rand::random(),
        );
        let again = Parcel {
            state: ParcelState::Queued.into(),
            due_at_ms: now_ms + pause,
            changed_at_ms: now_ms,
            last_error: reason.to_owned(),
            ..parcel.clone()
        };
        self.change(&parcel, again).await.map(drop)
    }

    /// Keeps a parcel as a dead letter.
    async fn bury(&self, parcel: &Parcel, reason: &str) -> Result<(), ExecuteError> {
        let now_ms = self.shard.clock.now_ms();
        let of_intent = parcel.event_id.is_empty();
        // An event is forgotten with all its parcels.
        let forget_at_ms = if of_intent { now_ms + self.push.config.keep_ms() } else { 0 };
        let last_error = reason.to_owned();
        let state = ParcelState::Dead.into();
        let dead =
            Parcel { state, changed_at_ms: now_ms, forget_at_ms, last_error, ..parcel.clone() };
        if self.change(parcel, dead).await?.is_some() {
            metrics::counter!(names::DEAD_TOTAL, "kind" => kind(parcel)).increment(1);
        }
        Ok(())
    }

    async fn remove(&self, parcel: &Parcel) -> Result<(), ExecuteError> {
        let change = ParcelChange {
            parcel: Some(parcel.clone()),
            expected_version: parcel.version,
            removed: true,
        };
        self.propose(change).await.map(drop)
    }

    /// The agent wants its deliveries by another road: the intent says what follows.
    async fn rebind(&self, parcel: &Parcel, mode: DeliveryMode) -> Result<(), ExecuteError> {
        let Ok(id) = IntentId::from_slice(&parcel.intent_id) else { return Ok(()) };
        match self.execute(id, Command::Rebind(mode)).await {
            Ok(_) | Err(ExecuteError::Rejected(_)) => {}
            Err(error) => return Err(error),
        }
        // Withdrawn by the intent, unless it was bound that way already.
        self.remove(parcel).await
    }

    /// Tells the intent what became of the attempt. Nothing when it has ended meanwhile.
    async fn tell(
        &self,
        intent: &Intent,
        delivered: bool,
        error: String,
    ) -> Result<Option<Reply>, ExecuteError> {
        // Attempts that are known to have ended are what counts: one that a crash cut off may have
        // failed or not, and is made again.
        let attempt = intent.state.delivery_attempt + 1;
        let result = DeliveryResult { attempt, delivered, error };
        match self.execute(intent.id, Command::DeliveryResult(result)).await {
            Ok(reply) => Ok(Some(reply)),
            Err(ExecuteError::Rejected(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn execute(&self, intent_id: IntentId, command: Command) -> Result<Reply, ExecuteError> {
        // Bounded by the room for attempts, as due timers are by their batch.
        self.shard.execute_admitted(Request::internal(intent_id, command), None).await
    }

    /// The parcel as it is stored now, or nothing when somebody else was faster.
    async fn change(&self, before: &Parcel, after: Parcel) -> Result<Option<Parcel>, ExecuteError> {
        let change = ParcelChange {
            expected_version: before.version,
            parcel: Some(after.clone()),
            removed: false,
        };
        Ok(match self.propose(change).await? {
            Outcome::Accepted { position } => {
                let version = u32::try_from(position).unwrap_or(u32::MAX);
                Some(Parcel { version, ..after })
            }
            Outcome::Stale { .. } | Outcome::Taken { .. } => None,
        })
    }

    async fn propose(&self, change: ParcelChange) -> Result<Outcome, ExecuteError> {
        let kind = Kind::Push(PushAppend { kind: Some(PushKind::Parcel(change)) });
        match self.proposer.propose(Append { kind: Some(kind) }).await {
            Ok(outcome) => Ok(outcome),
            Err(ProposeError::NotLeader) => Err(ExecuteError::NotLeader),
            Err(ProposeError::Unknown) => Err(ExecuteError::Unknown),
        }
    }
}

/// Forgets rows whose time is over; whether there may be more.
pub(super) async fn forget(
    shard: &Shard,
    proposer: &Proposer,
    at_once: usize,
) -> Result<bool, axp_raft_store::Error> {
    let rows = shard.reader().forgettable_pushes(shard.clock.now_ms(), at_once)?;
    let more = rows.len() >= at_once;
    for row in rows {
        let kind = if let Some(event_id) = keys::published_id(&row) {
            PushKind::ForgetEvent(event_id.to_vec().into())
        } else if let Some(parcel) = shard.reader().parcel(&row)? {
            let expected_version = parcel.version;
            PushKind::Parcel(ParcelChange { parcel: Some(parcel), expected_version, removed: true })
        } else {
            continue;
        };
        let append = Append { kind: Some(Kind::Push(PushAppend { kind: Some(kind) })) };
        if proposer.propose(append).await.is_err() {
            return Ok(false);
        }
    }
    Ok(more)
}

fn letter(parcel: &Parcel, matter: &Matter, callback: &Callback, now_ms: i64) -> Option<Letter> {
    match matter {
        Matter::Intent(intent) => Some(intent_letter(intent, parcel, callback, now_ms)),
        Matter::Event(event) => Some(event_letter(event, parcel, callback, now_ms)),
        Matter::Over | Matter::GivenUp => None,
    }
}

fn kind(parcel: &Parcel) -> &'static str {
    match (&parcel.mail, parcel.event_id.is_empty()) {
        (Some(_), _) => "mail",
        (None, true) => "agent",
        (None, false) => "subscription",
    }
}

fn count(parcel: &Parcel, outcome: &'static str) {
    metrics::counter!(names::ATTEMPTS_TOTAL, "kind" => kind(parcel), "outcome" => outcome)
        .increment(1);
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
