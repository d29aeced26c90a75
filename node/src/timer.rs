//! Due timers become commands, on the leader. Timers are rows of the state: they survive whoever
//! waits for them, and what fires is decided by the intent (`intent::command::expire`), once.
//!
//! ```text
//! look: rows that are due and not under way ─> firing (at most IN_FLIGHT_MAX) ─> row gone
//!   ^      │ next row, a bell, room again                        └─ failed: a pause, then looked at again
//!   └──────┘
//! ```
//!
//! Nobody waits for somebody else's timer: a look takes what is due beside what is under way. Rows that
//! are gone leave traces in the store which a scan has to step over, so most looks begin a little
//! before the last one, and only some at the very first row.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axp_proto::log::append::Kind;
use axp_proto::log::{Append, KeysForgotten};
use axp_proto::mutant::{self, Mutant};
use axp_raft_store::Error;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, sleep, sleep_until};

use crate::intent::Command;
use crate::shard::handle::{Request, Shard};
use crate::shard::metrics as names;
use crate::shard::proposer::Proposer;
use crate::shard::read::DueTimer;

/// The longest time without a look: wall clocks jump, and a jump must not hold timers back.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The shortest: timers that are set one by one ring a bell each.
const LOOK_APART: Duration = Duration::from_millis(5);
/// How many timers one look takes.
const LOOK_MAX: usize = 256;
/// Due timers that are worked on at the same time; their commands share Raft entries.
const IN_FLIGHT_MAX: usize = 512;
/// A pause after a command that did not get through, before it is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// A look begins this long before the last one: a timer that was decided then may be stored now.
const OVERLAP_MS: i64 = 5_000;
/// A look at all rows, for what was stored later than that or under another clock.
const WHOLE_EVERY: Duration = Duration::from_secs(10);

/// Fires timers for as long as it is polled; leadership drops it.
pub async fn run(shard: Arc<Shard>, proposer: Proposer) {
    let mut timers = Timers {
        shard,
        proposer,
        firing: FuturesUnordered::new(),
        busy: HashSet::new(),
        tidying: false,
        taken_to_ms: i64::MIN,
        failed_ms: None,
        whole_at: Instant::now(),
    };
    loop {
        let pause = match timers.look() {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(error = %error.chain(), "cannot read the timers");
                return;
            }
        };
        timers.wait(pause).await;
    }
}

/// What came to its end.
enum Ended {
    Timer(DueTimer, bool),
    Tidied,
}

struct Timers {
    shard: Arc<Shard>,
    proposer: Proposer,
    firing: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// The timers among `firing`.
    busy: HashSet<DueTimer>,
    tidying: bool,
    /// What is due before it was begun with.
    taken_to_ms: i64,
    /// The oldest timer whose command did not get through.
    failed_ms: Option<i64>,
    whole_at: Instant,
}

impl Timers {
    /// Begins with what is due and says how long to wait.
    fn look(&mut self) -> Result<Duration, Error> {
        let mut now_ms = self.shard.clock.now_ms();
        self.tidy(now_ms)?;
        if mutant::active(Mutant::TimerUnfenced) {
            now_ms += 2000;
        }
        let room = IN_FLIGHT_MAX.saturating_sub(self.busy.len());
        if room == 0 {
            return Ok(LOOK_EVERY);
        }
        let most = self.busy.len() + room.min(LOOK_MAX);
        let from_ms = self.begin_ms(now_ms);
        let (due, next) = self.shard.reader().due_timers(from_ms, now_ms, most)?;
        let more = due.len() >= most;
        // What was not taken is still to be found by the next look.
        let last = due.last().filter(|_| more).map(|(due_at_ms, ..)| *due_at_ms);
        self.taken_to_ms = last.unwrap_or(now_ms);
        for timer in due {
            if self.busy.insert(timer) {
                self.firing.push(fire(Arc::clone(&self.shard), timer).boxed());
            }
        }
        metrics::gauge!(names::TIMERS_IN_FLIGHT, "shard" => self.shard.group().to_string())
            .set(self.busy.len() as f64);
        if more {
            return Ok(Duration::ZERO);
        }
        let until = next.map_or(LOOK_EVERY, |next| {
            Duration::from_millis(u64::try_from(next - now_ms).unwrap_or_default())
        });
        Ok(until.min(LOOK_EVERY))
    }

    /// Where to begin: nothing that is due before it can be there.
    fn begin_ms(&mut self, now_ms: i64) -> i64 {
        let whole = self.whole_at <= Instant::now() || now_ms < self.taken_to_ms;
        if whole {
            self.whole_at = Instant::now() + WHOLE_EVERY;
            return i64::MIN;
        }
        let busy = self.busy.iter().map(|(due_at_ms, ..)| *due_at_ms);
        let open = busy.chain(self.failed_ms.take());
        open.chain([self.taken_to_ms.saturating_sub(OVERLAP_MS)]).min().unwrap_or(i64::MIN)
    }

    /// Keys and records whose time is over go some at a time.
    fn tidy(&mut self, now_ms: i64) -> Result<(), Error> {
        if self.tidying {
            return Ok(());
        }
        let mut appends = self.shard.reader().expired_records(now_ms)?;
        let key_hashes = self.shard.reader().forgettable_keys(now_ms)?;
        if !key_hashes.is_empty() {
            let forgotten = Kind::KeysForgotten(KeysForgotten { key_hashes });
            appends.push(Append { kind: Some(forgotten) });
        }
        if !appends.is_empty() {
            self.tidying = true;
            self.firing.push(tidy(self.proposer.clone(), appends).boxed());
        }
        Ok(())
    }

    /// Waits until there is a reason to look: the time, a bell, or what came to its end.
    async fn wait(&mut self, pause: Duration) {
        let looked = Instant::now();
        let shard = Arc::clone(&self.shard);
        loop {
            let crowded = self.busy.len() > IN_FLIGHT_MAX - LOOK_MAX;
            tokio::select! {
                Some(ended) = self.firing.next(), if !self.firing.is_empty() => match ended {
                    Ended::Timer(timer, done) => {
                        self.busy.remove(&timer);
                        if !done {
                            self.failed_ms = self.failed_ms.into_iter().chain([timer.0]).min();
                            break;
                        }
                        if crowded && self.busy.len() <= IN_FLIGHT_MAX - LOOK_MAX {
                            break;
                        }
                    }
                    Ended::Tidied => {
                        self.tidying = false;
                        break;
                    }
                },
                () = sleep_until(looked + pause), if !crowded => break,
                () = shard.bells().timers.notified(), if !crowded => break,
            }
        }
        sleep(LOOK_APART.saturating_sub(looked.elapsed())).await;
    }
}

/// Has the intent take the timer; its row goes with the append.
async fn fire(shard: Arc<Shard>, timer: DueTimer) -> Ended {
    let (due_at_ms, id, kind) = timer;
    let request = Request::internal(id, Command::Expire(kind));
    let done = match shard.execute_admitted(request, None).await {
        Ok(reply) => {
            let late_ms = (shard.clock.now_ms() - due_at_ms).max(0);
            metrics::histogram!(names::TIMER_LATENESS_SECONDS).record(late_ms as f64 / 1000.0);
            // Otherwise the row is still there: the clock went back, and we wait for it.
            reply.intent.timer(kind) != Some(due_at_ms)
        }
        Err(error) => {
            tracing::debug!(%error, intent.id = %id, "a timer will be tried again");
            false
        }
    };
    if !done {
        sleep(RETRY).await;
    }
    Ended::Timer(timer, done)
}

/// All at once, so that they are one entry. One that was refused has a new term meanwhile.
async fn tidy(proposer: Proposer, appends: Vec<Append>) -> Ended {
    let ended = appends.into_iter().map(|append| proposer.propose(append));
    if join_all(ended).await.iter().any(Result::is_err) {
        sleep(RETRY).await;
    }
    Ended::Tidied
}
