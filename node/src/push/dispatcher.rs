//! One loop per led shard: parcels that are due are attempted, as many at a time as there is room.
//!
//! The loop looks at one receiver after the other, in the order in which their first parcels are
//! due. A receiver without room steps aside and comes back when one of its attempts ends, so that
//! the parcels of a slow one hold up nobody else's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axp_proto::log::Parcel;
use axp_raft_store::Error;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use openraft::async_runtime::watch::WatchReceiver;

use super::attempt::{Attempt, Ended, forget};
use super::directory::Destination;
use super::queue::{OPEN_MS, Queue};
use super::room::{Full, Place};
use super::sender::host_of;
use super::{Push, metrics as names};
use crate::shard::handle::Shard;
use crate::shard::keys;
use crate::shard::proposer::Proposer;

/// The longest time without a look: wall clocks jump, and a jump must not hold parcels back.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Parcels of one receiver that are taken up in one look; its share of connections is less.
const LOOK_MAX: usize = 64;
/// Receivers that are looked at before attempts that ended are heard.
const RECEIVERS_MAX: usize = 256;
/// Until a receiver without room is looked at again, should nothing tell before.
const NO_ROOM_MS: i64 = 50;
/// Parcels that need no connection and are worked on at the same time.
const SETTLING_MAX: usize = 64;
/// What the mail server is called where room is shared: no host has such a name.
const MAIL: &str = "mail:";
/// Rows that are forgotten at a time.
const FORGET_MAX: usize = 64;

/// Dispatches for as long as it is polled; leadership drops it, and with it all attempts.
pub async fn run(shard: Arc<Shard>, proposer: Proposer, push: Arc<Push>) {
    let term = shard.raft.server_metrics().borrow_watched().vote.leader_id.term;
    let attempt = Attempt { shard: Arc::clone(&shard), proposer, push: Arc::clone(&push), term };
    let dispatcher = Dispatcher {
        attempt: Arc::new(attempt),
        queue: Queue::default(),
        in_flight: HashSet::new(),
        under_way: FuturesUnordered::new(),
        settling: 0,
    };
    if let Err(error) = dispatcher.run().await {
        tracing::error!(error = %error.chain(), "cannot read the parcels");
    }
}

struct Dispatcher {
    attempt: Arc<Attempt>,
    queue: Queue,
    /// Keys of the parcels that are worked on.
    in_flight: HashSet<Vec<u8>>,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Those under way that have no place, as they need no connection.
    settling: usize,
}

/// A parcel that is not worked on any more.
struct Done {
    parcel: Parcel,
    had_place: bool,
    ended: Ended,
}

/// Whether others can be looked at.
enum Look {
    Goes,
    NodeIsFull,
}

impl Dispatcher {
    async fn run(mut self) -> Result<(), Error> {
        let shard = Arc::clone(&self.attempt.shard);
        let listener = shard.bells().push.listen();
        for (receiver, due_at_ms) in shard.reader().receivers()? {
            self.queue.expect(receiver, due_at_ms);
        }
        let mut forget_at_ms = 0;
        loop {
            for (receiver, due_at_ms) in listener.take() {
                self.queue.expect(receiver, due_at_ms);
            }
            self.look()?;
            self.report()?;
            let now_ms = shard.clock.now_ms();
            if now_ms >= forget_at_ms {
                let more = forget(&shard, &self.attempt.proposer, FORGET_MAX).await?;
                forget_at_ms = if more { now_ms } else { now_ms + milliseconds(LOOK_EVERY) };
            }
            let pause = self.pause(now_ms);
            tokio::select! {
                () = listener.rung() => {}
                () = tokio::time::sleep(pause) => {}
                Some(done) = self.under_way.next(), if !self.under_way.is_empty() => {
                    self.finish(&done);
                    // Whoever else has ended by now makes room in the same look.
                    while let Some(Some(done)) = self.under_way.next().now_or_never() {
                        self.finish(&done);
                    }
                }
            }
        }
    }

    fn pause(&self, now_ms: i64) -> Duration {
        let next = self.queue.next_ms().map_or(LOOK_EVERY, |next| {
            Duration::from_millis(u64::try_from(next - now_ms).unwrap_or_default())
        });
        next.min(LOOK_EVERY)
    }

    /// Begins what is due and has room.
    fn look(&mut self) -> Result<(), Error> {
        let now_ms = self.attempt.shard.clock.now_ms();
        for _ in 0..RECEIVERS_MAX {
            let Some((receiver, floor_ms)) = self.queue.pop(now_ms) else { return Ok(()) };
            if let Look::NodeIsFull = self.look_at(receiver, floor_ms, now_ms)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn look_at(&mut self, receiver: String, floor_ms: i64, now_ms: i64) -> Result<Look, Error> {
        let limit = LOOK_MAX + self.in_flight.len();
        let reader = self.attempt.shard.reader();
        let due = reader.due_parcels(&receiver, floor_ms, now_ms, limit)?;
        let Some(first_ms) = due.first_ms else { return Ok(Look::Goes) };
        for parcel in due.parcels {
            if self.in_flight.contains(&keys::parcel(&parcel)) {
                continue;
            }
            if let Err((full, look_ms)) = self.begin(parcel, now_ms)? {
                self.queue.put(receiver, first_ms, now_ms + look_ms);
                return Ok(full);
            }
        }
        // What is under way rings when it changes; what is not due yet has its time.
        if let Some(next_ms) = due.next_ms {
            self.queue.put(receiver, first_ms, next_ms.max(now_ms + 1));
        }
        Ok(Look::Goes)
    }

    /// Begins to work on a parcel. Else says who has to wait, and how long at most.
    fn begin(&mut self, parcel: Parcel, now_ms: i64) -> Result<Result<(), (Look, i64)>, Error> {
        let push = &self.attempt.push;
        let destination = push.directory.find(&parcel, now_ms)?;
        let place = match &destination {
            Destination::Unknown => return Ok(Err((Look::Goes, OPEN_MS))),
            Destination::Callback(callback) => {
                // One that cannot be called fails in its attempt.
                let host = host_of(&callback.url).unwrap_or_default();
                match push.room.enter(&parcel.workspace_id, &host) {
                    Ok(place) => Some(place),
                    Err(Full::Receiver) => return Ok(Err((Look::Goes, NO_ROOM_MS))),
                    Err(Full::Node) => return Ok(Err((Look::NodeIsFull, NO_ROOM_MS))),
                }
            }
            Destination::Mail => match push.room.enter(&parcel.workspace_id, MAIL) {
                Ok(place) => Some(place),
                Err(Full::Receiver) => return Ok(Err((Look::Goes, NO_ROOM_MS))),
                Err(Full::Node) => return Ok(Err((Look::NodeIsFull, NO_ROOM_MS))),
            },
            _ if self.settling >= SETTLING_MAX => return Ok(Err((Look::Goes, NO_ROOM_MS))),
            _ => None,
        };
        self.settling += usize::from(place.is_none());
        self.in_flight.insert(keys::parcel(&parcel));
        let attempt = Arc::clone(&self.attempt);
        self.under_way.push(work(attempt, parcel, destination, place).boxed());
        Ok(Ok(()))
    }

    fn finish(&mut self, done: &Done) {
        self.in_flight.remove(&keys::parcel(&done.parcel));
        self.settling -= usize::from(!done.had_place);
        let now_ms = self.attempt.shard.clock.now_ms();
        self.queue.ended(keys::receiver(&done.parcel), done.parcel.due_at_ms, done.ended, now_ms);
    }

    fn report(&self) -> Result<(), Error> {
        let shard = &self.attempt.shard;
        let (waiting, dead) = shard.reader().parcel_counts()?;
        let name = shard.group().to_string();
        metrics::gauge!(names::PARCELS_WAITING, "shard" => name.clone()).set(waiting as f64);
        metrics::gauge!(names::PARCELS_DEAD, "shard" => name).set(dead as f64);
        Ok(())
    }
}

async fn work(
    attempt: Arc<Attempt>,
    parcel: Parcel,
    destination: Destination,
    place: Option<Place>,
) -> Done {
    let had_place = place.is_some();
    let ended = attempt.run(parcel.clone(), destination, place).await;
    Done { parcel, had_place, ended }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
