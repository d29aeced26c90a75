//! One loop per led shard: what intents of the shard have to tell each other (ADR 0013), at least once.
//!
//! ```text
//! stored, in order --> waiting --> under way: a command of the intent it is for --> done
//!                        ^  one at a time for each intent      |                     all before it too:
//!                        +-------- no outcome: a pause --------+                     the rows may go
//! ```
//!
//! What an intent is told again changes nothing: it is decided by `intent::workflow`. A refusal is an
//! outcome as well, since repeating it would be refused again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::IntentId;
use axp_proto::log::append::Kind;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{Append, OutboxDone};
use axp_proto::node::NumberedEffect;
use axp_raft_store::Error;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, sleep, sleep_until};

use crate::intent::Command;
use crate::shard::handle::{ExecuteError, Request, Shard};
use crate::shard::keys::OWN_INTENTS;
use crate::shard::metrics as names;
use crate::shard::proposer::Proposer;

/// Effects that are looked at; their commands share Raft entries.
const WINDOW_MAX: usize = 512;
const WINDOW_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A pause after a command that had no outcome.
const RETRY: Duration = Duration::from_millis(100);
/// How long the note that effects are done waits for company, and how many do not wait.
const LINGER: Duration = Duration::from_millis(50);
const LINGER_EFFECTS_MAX: u64 = 128;

/// Dispatches for as long as it is polled; leadership drops it.
pub async fn run(shard: Arc<Shard>, proposer: Proposer) {
    let mut steps = Steps {
        shard,
        proposer,
        window: BTreeMap::new(),
        under_way: FuturesUnordered::new(),
        read_to: 0,
        done_to: 0,
        noted_to: 0,
        note_at: None,
    };
    loop {
        if let Err(error) = steps.look() {
            tracing::error!(error = %error.chain(), "cannot read the steps of workflows");
            return;
        }
        steps.begin();
        steps.note();
        steps.wait().await;
    }
}

#[derive(Debug)]
struct Row {
    to: IntentId,
    command: Command,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    UnderWay,
    Done,
}

struct Steps {
    shard: Arc<Shard>,
    proposer: Proposer,
    window: BTreeMap<u64, Row>,
    /// Number of the effect, and whether it had an outcome.
    under_way: FuturesUnordered<BoxFuture<'static, (u64, bool)>>,
    read_to: u64,
    /// All up to here are done.
    done_to: u64,
    /// Up to here, the state was told.
    noted_to: u64,
    note_at: Option<Instant>,
}

impl Steps {
    /// Takes what was stored since into the window.
    fn look(&mut self) -> Result<(), Error> {
        let (done, last) = self.shard.reader().outbox_range(OWN_INTENTS)?;
        self.read_to = self.read_to.max(done);
        self.done_to = self.done_to.max(done);
        self.noted_to = self.noted_to.max(done);
        let room = WINDOW_MAX.saturating_sub(self.window.len());
        if room > 0 && last > self.read_to {
            let reader = self.shard.reader();
            for effect in reader.effects(OWN_INTENTS, self.read_to, room, WINDOW_BYTES_MAX)? {
                let number = effect.number;
                // Left where it is, an effect of a later version waits for a leader that knows it.
                let Some((to, command)) = read(effect) else { break };
                self.window.insert(number, Row { to, command, progress: Progress::Waiting });
                self.read_to = number;
            }
        }
        let shard = self.shard.group().to_string();
        let pending = last.saturating_sub(self.done_to);
        metrics::gauge!(names::STEPS_PENDING, "shard" => shard).set(pending as f64);
        Ok(())
    }

    /// Begins with the first of each intent.
    fn begin(&mut self) {
        let mut busy = HashSet::new();
        for (&number, row) in &mut self.window {
            let first = row.progress != Progress::Done && busy.insert(row.to);
            if first && row.progress == Progress::Waiting {
                row.progress = Progress::UnderWay;
                let (shard, command) = (Arc::clone(&self.shard), row.command.clone());
                self.under_way.push(tell(shard, number, row.to, command).boxed());
            }
        }
    }

    /// Tells the state what is done, so that it lets the rows go.
    fn note(&mut self) {
        let unnoted = self.done_to - self.noted_to;
        if unnoted == 0 {
            return;
        }
        let now = Instant::now();
        let note_at = *self.note_at.get_or_insert(now + LINGER);
        if unnoted < LINGER_EFFECTS_MAX && now < note_at {
            return;
        }
        self.note_at = None;
        self.noted_to = self.done_to;
        let done = OutboxDone { target_group: OWN_INTENTS.into(), last_effect: self.done_to };
        let append = Append { kind: Some(Kind::OutboxDone(done)) };
        let proposer = self.proposer.clone();
        // Should this be lost, the next one covers it, and a new leader tells it all again.
        crate::tasks::spawn("steps done", async move {
            proposer.propose(append).await.ok();
        });
    }

    /// Waits until there is a reason to look.
    async fn wait(&mut self) {
        let shard = Arc::clone(&self.shard);
        let note_at = self.note_at;
        let noting = async {
            match note_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((number, done)) = self.under_way.next(), if !self.under_way.is_empty() => {
                self.finish(number, done);
            }
            () = shard.bells().steps.notified() => {}
            () = noting => {}
        }
    }

    fn finish(&mut self, number: u64, done: bool) {
        if let Some(row) = self.window.get_mut(&number) {
            row.progress = if done { Progress::Done } else { Progress::Waiting };
        }
        while let Some(first) = self.window.first_entry()
            && first.get().progress == Progress::Done
        {
            self.done_to = *first.key();
            first.remove();
        }
    }
}

/// What an effect tells whom.
fn read(effect: NumberedEffect) -> Option<(IntentId, Command)> {
    let (to, command) = match effect.effect?.kind? {
        EffectKind::StepStart(start) => {
            (start.intent_id, Command::StartStep(Arc::new(start.submission?)))
        }
        EffectKind::StepStop(stop) => {
            let (status, reason) = (stop.status(), stop.reason);
            (stop.intent_id, Command::StopStep { status, reason })
        }
        EffectKind::StepEnded(ended) => (ended.intent_id.clone(), Command::StepEnded(ended)),
        _ => return None,
    };
    Some((IntentId::from_slice(&to).ok()?, command))
}

async fn tell(shard: Arc<Shard>, number: u64, to: IntentId, command: Command) -> (u64, bool) {
    match shard.execute_admitted(Request::internal(to, command), None).await {
        Ok(_) => (number, true),
        Err(ExecuteError::Rejected(rejection)) => {
            metrics::counter!(names::STEPS_REFUSED_TOTAL).increment(1);
            tracing::warn!(intent.id = %to, reason = %rejection.message, "a step was refused");
            (number, true)
        }
        Err(error) => {
            tracing::debug!(%error, intent.id = %to, "a step will be told again");
            sleep(RETRY).await;
            (number, false)
        }
    }
}
