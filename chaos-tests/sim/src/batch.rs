//! Many seeds, each in a process of its own, several at a time; a sample of them twice.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;

use crate::bug::Bug;
use crate::verdict::{Verdict, Violation, checks};

/// How often somebody looks whether a seed has come to its end.
const POLL: Duration = Duration::from_millis(20);

/// Which seeds, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Processes at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Every so many seeds one is run a second time, and must come to the same journal.
    #[arg(long, default_value_t = 50)]
    twice_every: u64,
    /// Puts a bug in; then the run is good if it is found by a check that is meant to, and ends there.
    #[arg(long, visible_alias = "mutant")]
    bug: Option<Bug>,
    /// The summary as one line of JSON, at the end.
    #[arg(long)]
    json: bool,
}

/// Where a bug was found.
#[derive(Debug, serde::Serialize)]
struct Found {
    seed: u64,
    /// How often each check failed that is meant to find it.
    by: BTreeMap<String, u64>,
    simulated_ms: u64,
}

/// What all seeds together came to.
#[derive(Debug, Default, serde::Serialize)]
struct Summary {
    bug: Option<String>,
    found: Option<Found>,
    seeds: u64,
    repeated: u64,
    simulated_ms: u64,
    operations: u64,
    acknowledged: u64,
    checked: u64,
    leaders: u64,
    packets: u64,
    forgotten_batches: u64,
    faults: BTreeMap<String, u64>,
    failed: BTreeMap<u64, Vec<Violation>>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (next, over) = (AtomicU64::new(arguments.from), AtomicBool::new(false));
    let end = arguments.from + arguments.seeds;
    let bug = arguments.bug;
    let begin = Summary { bug: bug.map(|bug| bug.to_string()), ..Summary::default() };
    let summary = Mutex::new(begin);
    let work = || -> anyhow::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let first = || in_process(seed, bug, &over);
            let twice = arguments.twice_every > 0
                && (seed - arguments.from).is_multiple_of(arguments.twice_every);
            let (verdict, again) = if twice { both(first)? } else { (first()?, None) };
            let Some(verdict) = verdict else { return Ok(()) };
            let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
            summary.look_for(bug, &verdict);
            summary.add(verdict, again.as_ref());
            over.fetch_or(summary.found.is_some(), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?
        })
    })?;
    let summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.print();
    if arguments.json {
        println!("{}", serde_json::to_string(&summary)?);
    }
    let good = if bug.is_some() { summary.found.is_some() } else { summary.failed.is_empty() };
    Ok(ExitCode::from(u8::from(!good)))
}

/// Runs it twice at the same time: what else the machine does must not matter.
fn both(
    run: impl Fn() -> anyhow::Result<Option<Verdict>> + Sync,
) -> anyhow::Result<(Option<Verdict>, Option<Verdict>)> {
    std::thread::scope(|scope| {
        let again = scope.spawn(&run);
        let verdict = run()?;
        let again = again.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        Ok((verdict, again))
    })
}

/// One seed's verdict; none, when the bug was found by another one before.
fn in_process(seed: u64, bug: Option<Bug>, over: &AtomicBool) -> anyhow::Result<Option<Verdict>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["seed", &seed.to_string(), "--json"]);
    if let Some(bug) = bug {
        bug.choose(&mut command);
    }
    let (said, complained) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdout(said.try_clone()?).stderr(complained.try_clone()?);
    let mut process = command.spawn().context("a seed cannot be started")?;
    while process.try_wait()?.is_none() {
        if over.load(Ordering::Relaxed) {
            process.kill()?;
            process.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
    let verdict = serde_json::from_str(&text(said)?);
    let complaint = text(complained)?;
    verdict.map(Some).with_context(|| format!("seed {seed} has no verdict: {complaint}"))
}

/// What a process wrote into a file, from the beginning.
fn text(mut file: File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Summary {
    /// Others than the meant checks may have failed for another reason.
    fn look_for(&mut self, bug: Option<Bug>, verdict: &Verdict) {
        let (Some(bug), None) = (bug, &self.found) else { return };
        let meant = bug.meant();
        let by = verdict.by_check(|check| meant.is_none_or(|meant| meant.contains(&check)));
        if !by.is_empty() {
            let (seed, simulated_ms) = (verdict.seed, verdict.simulated_ms);
            self.found = Some(Found { seed, by, simulated_ms });
        }
    }

    fn add(&mut self, mut verdict: Verdict, again: Option<&Verdict>) {
        self.seeds += 1;
        self.simulated_ms += verdict.simulated_ms;
        self.operations += verdict.operations();
        self.acknowledged += verdict.acknowledged;
        self.checked += verdict.checked;
        self.leaders += verdict.leaders;
        self.packets += verdict.packets;
        self.forgotten_batches += verdict.forgotten_batches;
        for (fault, count) in &verdict.faults {
            *self.faults.entry(fault.clone()).or_default() += count;
        }
        if let Some(again) = again {
            self.repeated += 1;
            if again.digest != verdict.digest {
                let text = format!("two journals: {} and {}", verdict.digest, again.digest);
                verdict.violations.push(Violation::new(checks::REPEATS, text));
            }
        }
        if !verdict.ok() {
            let texts: Vec<_> = verdict.violations.iter().map(ToString::to_string).collect();
            println!("seed {}: {}", verdict.seed, texts.join("\n    "));
            println!("    again: {}", verdict.repeat());
            self.failed.insert(verdict.seed, verdict.violations);
        }
    }

    fn print(&self) {
        let simulated = self.simulated_ms / 1000;
        println!("{} seeds, {simulated} s simulated", self.seeds);
        println!(
            "{} operations of clients, {} acknowledged submits, {} things checked",
            self.operations, self.acknowledged, self.checked
        );
        println!(
            "{} leaders, {} packets, {} batches forgotten by power losses",
            self.leaders, self.packets, self.forgotten_batches
        );
        let faults: Vec<_> =
            self.faults.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
        println!("faults: {}", faults.join(", "));
        println!("{} seeds run twice", self.repeated);
        match (&self.bug, &self.found) {
            (None, _) if self.failed.is_empty() => println!("all promises held"),
            (None, _) => println!("{} seeds failed", self.failed.len()),
            (Some(bug), Some(found)) => {
                let by: Vec<_> =
                    found.by.iter().map(|(check, count)| format!("{check} ({count})")).collect();
                let simulated = found.simulated_ms as f64 / 1000.0;
                println!(
                    "{bug} found by seed {} after {simulated:.1} s simulated: {}",
                    found.seed,
                    by.join(", ")
                );
            }
            (Some(bug), None) => println!("{bug} not found"),
        }
    }
}
