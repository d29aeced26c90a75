//! One seed from begin to end: builds the hosts, lets time pass, breaks things, looks, and judges.

mod strike;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axp_chaos_tests::history::{FaultRecord, Heal, History};
use axp_chaos_tests::invariants;
use rand::SeedableRng;
use rand::rngs::StdRng;
use turmoil::Sim;

use crate::hosts::{self, NodeHost, Progress, gateway_name, node_name, with};
use crate::journal::{Journal, SimulatedTime};
use crate::plan::{Bug, Plan};
use crate::probe::Probe;
use crate::verdict::Verdict;

const TICK: Duration = Duration::from_millis(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const COMPARE_EVERY: Duration = Duration::from_millis(500);
/// The load begins within this, and ends within this after everything is whole.
const BEGIN_WITHIN: Duration = Duration::from_secs(60);
const END_WITHIN: Duration = Duration::from_secs(180);
/// After the last request; then replicas are equal.
const QUIET: Duration = Duration::from_secs(3);

/// What is logged unless `AXP_SIM_LOG` says otherwise, which changes the journal and nothing else.
const LOG: &str = "info,openraft=warn,turmoil=warn";

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs one seed, in a thread that has seen no other: what hash maps and generators begin with
/// belongs to their thread.
pub(crate) fn run(seed: u64, bug: Option<Bug>, path: Option<&Path>) -> anyhow::Result<Verdict> {
    let journal = Journal::new(path).context("the journal cannot be written")?;
    let folder = tempfile::tempdir()?;
    log_into(&journal);
    note_panics();
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    let work = move || {
        let _clocks = mad_turmoil::time::SimClocksGuard::init();
        World::new(Plan::new(seed, bug), folder.path(), journal).run()
    };
    let thread = std::thread::Builder::new().name("simulation".to_owned()).spawn(work)?;
    thread.join().map_err(|_| anyhow::anyhow!("the simulation itself panicked: {:?}", panics()))
}

fn log_into(journal: &Journal) {
    tracing_subscriber::fmt()
        .with_timer(SimulatedTime)
        .with_ansi(false)
        .with_env_filter(std::env::var("AXP_SIM_LOG").unwrap_or_else(|_| LOG.to_owned()))
        .with_writer(journal.clone())
        .init();
}

fn note_panics() {
    std::panic::set_hook(Box::new(|info| {
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
    }));
}

fn panics() -> Vec<String> {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

struct World<'a> {
    plan: Arc<Plan>,
    sim: Sim<'a>,
    nodes: Vec<Arc<NodeHost>>,
    progress: Arc<Mutex<Progress>>,
    journal: Journal,
    probe: Probe,
    verdict: Verdict,
    /// Faults on a host or a pair that more than one strike holds, so that the last one ends it.
    down: BTreeMap<String, u32>,
    /// What began to be broken and what was mended, and when.
    switched: Vec<Switch>,
}

/// A fault began or ended.
#[derive(Debug)]
struct Switch {
    at: Duration,
    fault: usize,
    begins: bool,
}

impl World<'_> {
    fn new(plan: Plan, folder: &Path, journal: Journal) -> Self {
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(3600))
            .min_message_latency(Duration::ZERO)
            .max_message_latency(plan.latency_max)
            .tcp_capacity(1024)
            .enable_random_order()
            .build();
        let plan = Arc::new(plan);
        let progress = Arc::<Mutex<Progress>>::default();
        let mut nodes = Vec::new();
        for index in 0..plan.nodes {
            let host = NodeHost::new(&plan, index, folder);
            let (started, notes) = (Arc::clone(&host), journal.clone());
            sim.host(node_name(index), move || hosts::node(Arc::clone(&started), notes.clone()));
            nodes.push(host);
        }
        for index in 0..plan.gateways {
            let (plan, folder) = (Arc::clone(&plan), Arc::<Path>::from(folder));
            let notes = journal.clone();
            sim.host(gateway_name(index), move || {
                hosts::gateway(Arc::clone(&plan), index, Arc::clone(&folder), notes.clone())
            });
        }
        let clients = hosts::clients(Arc::clone(&plan), Arc::clone(&progress), journal.clone());
        sim.client("clients", clients);
        let verdict = Verdict {
            seed: plan.seed,
            bug: plan.bug.map(|bug| bug.name().to_owned()),
            nodes: plan.nodes,
            shard_groups: plan.shard_groups,
            ..Verdict::default()
        };
        let (probe, down, switched) = (Probe::default(), BTreeMap::new(), Vec::new());
        Self { plan, sim, nodes, progress, journal, probe, verdict, down, switched }
    }

    fn run(mut self) -> Verdict {
        if let Err(problem) = self.live() {
            self.verdict.violations.push(problem);
        }
        let record = with(&self.progress, |progress| progress.record.take());
        if let Some((mut history, open)) = record {
            self.tell_faults(&mut history);
            self.judge(&history, open);
        }
        self.end()
    }

    /// Lets everything happen.
    fn live(&mut self) -> Result<(), String> {
        let began =
            self.until(BEGIN_WITHIN, "the load did not begin", |progress| progress.began)?;
        let plan = Arc::clone(&self.plan);
        let mut events: Vec<(Duration, bool, usize)> = Vec::new();
        for (index, strike) in plan.strikes.iter().enumerate() {
            events.push((began + strike.begin, true, index));
            events.push((began + strike.end, false, index));
        }
        // At one instant ends come first.
        events.sort();
        for (at, begins, index) in events {
            while self.sim.elapsed() < at {
                self.step()?;
            }
            self.switched.push(Switch { at: self.sim.elapsed(), fault: index, begins });
            self.switch(&plan.strikes[index].fault, begins);
        }
        let end = plan.settle + END_WITHIN;
        self.until(end, "the clients did not come to an end", |progress| {
            progress.record.is_some().then_some(())
        })?;
        let quiet = self.sim.elapsed() + QUIET;
        while self.sim.elapsed() < quiet {
            self.step()?;
        }
        self.probe.all_equal(&self.nodes);
        Ok(())
    }

    fn until<T>(
        &mut self,
        within: Duration,
        otherwise: &str,
        ready: impl Fn(&Progress) -> Option<T>,
    ) -> Result<T, String> {
        let deadline = self.sim.elapsed() + within;
        while self.sim.elapsed() < deadline {
            if let Some(value) = with(&self.progress, |progress| ready(progress)) {
                return Ok(value);
            }
            self.step()?;
        }
        Err(format!("{otherwise} within {within:?}"))
    }

    fn step(&mut self) -> Result<(), String> {
        self.sim.step().map_err(|error| format!("a host failed: {error}"))?;
        let now = self.sim.elapsed();
        let due = |every: Duration| now.as_millis().is_multiple_of(every.as_millis());
        if due(LOOK_EVERY) {
            self.probe.look(&self.nodes);
        }
        if due(COMPARE_EVERY) {
            self.probe.compare(&self.nodes);
        }
        // What is wrong already is not made better by going on.
        if self.probe.findings.violations > 0 {
            return Err("the nodes broke a promise".to_owned());
        }
        match self.nodes.iter().find_map(|node| node.failure()) {
            Some(failure) => Err(format!("a node ended by itself: {failure}")),
            None => Ok(()),
        }
    }

    /// The clients do not know what was broken, and some checks have to.
    fn tell_faults(&self, history: &mut History) {
        let epoch = with(&self.progress, |progress| progress.epoch);
        for Switch { at, fault, begins } in &self.switched {
            let at = u64::try_from(at.saturating_sub(epoch).as_micros()).unwrap_or(u64::MAX);
            let (strike, broken) = (*fault as u64, &self.plan.strikes[*fault].fault);
            let nemesis = broken.name().to_owned();
            if *begins {
                let what = format!("{broken:?}");
                history.faults.push(FaultRecord {
                    at,
                    nemesis,
                    what,
                    strike,
                    ..FaultRecord::default()
                });
            } else {
                history.heals.push(Heal { at, nemesis, strike });
            }
        }
    }

    fn judge(&mut self, history: &History, open: usize) {
        let counts = [
            ("submits", history.submits.len()),
            ("finishes", history.finishes.len()),
            ("reads", history.reads.len()),
            ("watches", history.watches.len()),
            ("listens", history.listens.len()),
            ("finals", history.finals.len()),
        ];
        for (name, count) in counts {
            self.verdict.operations.insert(name.to_owned(), count as u64);
        }
        let acknowledged = history.submits.iter().filter(|submit| submit.told.done().is_some());
        self.verdict.acknowledged = acknowledged.count() as u64;
        if self.verdict.acknowledged == 0 {
            self.verdict.violations.push("nothing was acknowledged".to_owned());
        }
        if open > 0 {
            let text = format!("{open} acknowledged intents are not known to have ended");
            self.verdict.violations.push(text);
        }
        for verdict in invariants::check_all(history) {
            self.verdict.checked += verdict.findings.checked;
            let texts = verdict.findings.texts.into_iter();
            let texts = texts.map(|text| format!("{}: {text}", verdict.invariant));
            self.verdict.violations.extend(texts);
        }
        // The record itself is part of what has to repeat.
        self.journal.note(self.sim.elapsed(), &serde_json::to_string(history).unwrap_or_default());
    }

    fn end(mut self) -> Verdict {
        let verdict = &mut self.verdict;
        verdict.checked += self.probe.findings.checked;
        verdict.violations.extend(std::mem::take(&mut self.probe.findings.texts));
        verdict.violations.extend(panics());
        verdict.leaders = self.probe.leaders() as u64;
        verdict.simulated_ms = u64::try_from(self.sim.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (digest, packets) = self.journal.end();
        verdict.packets = packets;
        verdict.digest = digest;
        std::mem::take(verdict)
    }
}
