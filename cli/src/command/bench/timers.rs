//! `axp bench timers`: how late a cluster fires timers that are due close together.
//!
//! Intents are submitted with deadlines that are spread evenly over `--within`, the first of them
//! `--after` from now; nobody works on them. When all have passed, each is read: it must have timed
//! out, and not before its deadline. Lateness is the time of its last event less the deadline, both
//! by the server's clock, which stands on the same machine or has to agree with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Run, ServerArgs, duration, join_all};
use crate::clock;
use crate::exit::Exit;
use crate::load::{Client, Failure, Window, pause_after};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct TimersArgs {
    /// How many timers.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    timers: u32,
    /// Within what time they are all due.
    #[arg(long, default_value = "60s", value_parser = duration)]
    within: Duration,
    /// When the first of them is due; by then all must be submitted.
    #[arg(long, default_value = "2m", value_parser = duration)]
    after: Duration,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Serialize)]
struct TimersReport {
    workload: &'static str,
    timers: u64,
    within_seconds: f64,
    submit_seconds: f64,
    /// Fired before they were due: none may.
    early: u64,
    /// Still open when the time of one request had passed after the last one was due.
    missing: u64,
    lateness_ms: Lateness,
}

#[derive(Debug, Serialize)]
struct Lateness {
    p50: u64,
    p90: u64,
    p99: u64,
    #[serde(rename = "p99.9")]
    p999: u64,
    max: u64,
}

/// A submitted intent and when it is to time out.
struct Timer {
    intent_id: String,
    due_ms: i64,
}

#[derive(Debug)]
struct Tally {
    lateness_ms: Histogram<u64>,
    early: u64,
    missing: u64,
}

pub(super) async fn run(args: TimersArgs, json: bool) -> anyhow::Result<Exit> {
    let run = Run::within(args.server, Window::new(Duration::ZERO, Duration::ZERO))?;
    let first_ms = clock::unix_ms() + i64::try_from(args.after.as_millis())?;
    let within_ms = i64::try_from(args.within.as_millis())?;
    let began = clock::now();
    let timers = submit_all(&run, args.timers as usize, first_ms, within_ms).await?;
    let submit_seconds = began.elapsed().as_secs_f64();
    ensure!(
        clock::unix_ms() < first_ms,
        "submitting took {submit_seconds:.0} s, longer than --after: the first timers were due before the last \
         were set"
    );
    let over_ms = first_ms + within_ms - clock::unix_ms();
    tokio::time::sleep(Duration::from_millis(u64::try_from(over_ms).unwrap_or_default())).await;
    let tally = read_all(&run, timers).await?;
    let at = |quantile| tally.lateness_ms.value_at_quantile(quantile);
    let report = TimersReport {
        workload: "timers",
        timers: tally.lateness_ms.len(),
        within_seconds: args.within.as_secs_f64(),
        submit_seconds,
        early: tally.early,
        missing: tally.missing,
        lateness_ms: Lateness {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        },
    };
    if json {
        output::json(&report)?;
    } else {
        output::line(&report.render())?;
    }
    Ok(if report.early == 0 && report.missing == 0 { Exit::Success } else { Exit::Other })
}

/// Every client takes the next timer until all are set. One that cannot be set ends the run.
async fn submit_all(
    run: &Arc<Run>,
    count: usize,
    first_ms: i64,
    within_ms: i64,
) -> anyhow::Result<Vec<Timer>> {
    let next = Arc::new(AtomicUsize::new(0));
    let timers = Arc::new(Mutex::new(Vec::with_capacity(count)));
    let mut clients = JoinSet::new();
    for number in 0..usize::from(run.args.clients) {
        let (run, next, timers) = (Arc::clone(run), Arc::clone(&next), Arc::clone(&timers));
        clients.spawn(async move {
            let mut client = run.client(number);
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                #[expect(clippy::cast_possible_wrap, reason = "a count below 2^32")]
                let due_ms = first_ms + within_ms * index as i64 / count as i64;
                if let Some(intent_id) = submit(&run, &mut client, index, due_ms).await {
                    timers.lock().await.push(Timer { intent_id, due_ms });
                }
            }
        });
    }
    join_all(clients).await?;
    let timers = Arc::into_inner(timers).context("a client outlived its run")?.into_inner();
    ensure!(timers.len() == count, "only {} of {count} timers could be set", timers.len());
    Ok(timers)
}

/// With a key, so that one whose answer was lost is not set twice. Absent when time is up.
async fn submit(run: &Run, client: &mut Client, index: usize, due_ms: i64) -> Option<String> {
    let deadline = client.deadline();
    let (key, due) = (format!("{}-{index}", run.name), clock::rfc3339(due_ms));
    loop {
        match run.submit_until(client, index, Some(&key), Some(&due)).await {
            Ok(intent_id) => return Some(intent_id),
            Err(failure) if clock::now() >= deadline => {
                tracing::warn!(%failure, "a timer could not be set");
                return None;
            }
            Err(failure) => pause_after(&failure).await,
        }
    }
}

async fn read_all(run: &Arc<Run>, timers: Vec<Timer>) -> anyhow::Result<Tally> {
    let lateness_ms = Histogram::new(3).context("a histogram of three digits")?;
    let tally = Arc::new(Mutex::new(Tally { lateness_ms, early: 0, missing: 0 }));
    let timers = Arc::new(Mutex::new(timers));
    let mut clients = JoinSet::new();
    for number in 0..usize::from(run.args.clients) {
        let (run, timers, tally) = (Arc::clone(run), Arc::clone(&timers), Arc::clone(&tally));
        clients.spawn(async move {
            let mut client = run.client(number);
            let patience = client.deadline();
            loop {
                let Some(timer) = timers.lock().await.pop() else { return };
                let fired_ms = fired(&mut client, &timer, patience).await;
                let mut tally = tally.lock().await;
                match fired_ms.map(|fired_ms| u64::try_from(fired_ms - timer.due_ms)) {
                    Some(Ok(late_ms)) => tally.lateness_ms.saturating_record(late_ms),
                    Some(Err(_)) => tally.early += 1,
                    None => tally.missing += 1,
                }
            }
        });
    }
    join_all(clients).await?;
    Ok(Arc::into_inner(tally).context("a client outlived its run")?.into_inner())
}

/// When the intent timed out; asked for until it has, or until nobody waits any more.
async fn fired(client: &mut Client, timer: &Timer, patience: Instant) -> Option<i64> {
    let path = format!("/v1/intents/{}", timer.intent_id);
    let mut asked = false;
    while !asked || clock::now() < patience {
        asked = true;
        let read = client.get(&path).await.and_then(|body| {
            serde_json::from_slice::<Answer>(&body)
                .map_err(|_| Failure::Malformed("an intent without status or time"))
        });
        match read {
            Ok(Answer { intent }) if intent.status == "TIMED_OUT" => {
                return clock::parse_rfc3339(&intent.updated_at);
            }
            Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(failure) => pause_after(&failure).await,
        }
    }
    None
}

#[derive(Deserialize)]
struct Answer {
    intent: Intent,
}

#[derive(Deserialize)]
struct Intent {
    status: String,
    updated_at: String,
}

impl TimersReport {
    fn render(&self) -> String {
        let late = &self.lateness_ms;
        format!(
            "timers: {} fired, due within {:.0} s, submitted in {:.1} s\n\
             lateness ms: p50 {}  p90 {}  p99 {}  p99.9 {}  max {}\n\
             early: {}  missing: {}",
            self.timers,
            self.within_seconds,
            self.submit_seconds,
            late.p50,
            late.p90,
            late.p99,
            late.p999,
            late.max,
            self.early,
            self.missing,
        )
    }
}
