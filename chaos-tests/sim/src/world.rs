//! One seed from begin to end: builds the hosts, lets time pass, breaks things, looks, and judges.

mod judge;
mod schedule;
mod strike;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axp_proto::ids::GroupId;
use rand::SeedableRng;
use rand::rngs::StdRng;
use turmoil::Sim;

use crate::hosts::{self, NodeHost, Progress, gateway_name, node_name, with};
use crate::journal::{Journal, SimulatedTime};
use crate::net::Dialer;
use crate::plan::{Aim, Fault, Plan};
use crate::probe::Probe;
use crate::verdict::{Verdict, Violation, checks};
use crate::walls::Walls;

use judge::Switch;
use schedule::{Event, events};

const CLIENTS: &str = "clients";
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

/// A seed takes seconds; one that takes as long as this stands still, however its own time goes.
const REAL_TIME_MAX: Duration = Duration::from_secs(600);
const STANDS_STILL: i32 = 3;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs one seed, in a thread that has seen no other: what hash maps and generators begin with
/// belongs to their thread.
pub(crate) fn run(plan: Plan, path: Option<&Path>) -> anyhow::Result<Verdict> {
    let journal = Journal::new(path).context("the journal cannot be written")?;
    let folder = tempfile::tempdir()?;
    log_into(&journal);
    note_panics();
    end_if_it_stands_still();
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(plan.seed));
    let work = move || {
        let _clocks = mad_turmoil::time::SimClocksGuard::init();
        World::new(plan, folder.path(), journal).run()
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

/// A simulated thread that never waits cannot be stopped, only its process.
fn end_if_it_stands_still() {
    std::thread::spawn(|| {
        std::thread::sleep(REAL_TIME_MAX);
        eprintln!("stands still after {REAL_TIME_MAX:?}");
        std::process::exit(STANDS_STILL);
    });
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
    walls: Walls,
    journal: Journal,
    probe: Probe,
    verdict: Verdict,
    /// Faults on a host or a pair that more than one strike holds, so that the last one ends it.
    down: BTreeMap<String, u32>,
    /// Nodes that ended after a failed sync, as they had to, and when they start again.
    fallen: BTreeMap<usize, Duration>,
    /// Nodes that go on after one, and since when.
    unmoved: BTreeMap<usize, Duration>,
    /// What began to be broken and what was mended, and when.
    switched: Vec<Switch>,
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
        let (plan, walls) = (Arc::new(plan), Walls::default());
        let dialer = |from: String| Dialer { from, walls: walls.clone(), journal: journal.clone() };
        let progress = Arc::<Mutex<Progress>>::default();
        let mut nodes = Vec::new();
        for index in 0..plan.nodes {
            let host = NodeHost::new(&plan, index, folder);
            let (started, dialer) = (Arc::clone(&host), dialer(node_name(index)));
            sim.host(node_name(index), move || hosts::node(Arc::clone(&started), dialer.clone()));
            nodes.push(host);
        }
        for index in 0..plan.gateways {
            let (plan, folder) = (Arc::clone(&plan), Arc::<Path>::from(folder));
            let dialer = dialer(gateway_name(index));
            sim.host(gateway_name(index), move || {
                hosts::gateway(Arc::clone(&plan), index, Arc::clone(&folder), dialer.clone())
            });
        }
        let dialer = dialer(CLIENTS.to_owned());
        sim.client(CLIENTS, hosts::clients(Arc::clone(&plan), Arc::clone(&progress), dialer));
        let verdict = Verdict {
            seed: plan.seed,
            bug: plan.bug.map(|bug| bug.to_string()),
            nodes: plan.nodes,
            shard_groups: plan.shard_groups,
            ..Verdict::default()
        };
        Self {
            plan,
            sim,
            nodes,
            progress,
            walls,
            journal,
            probe: Probe::default(),
            verdict,
            down: BTreeMap::new(),
            fallen: BTreeMap::new(),
            unmoved: BTreeMap::new(),
            switched: Vec::new(),
        }
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
    fn live(&mut self) -> Result<(), Violation> {
        let began =
            self.until(BEGIN_WITHIN, "the load did not begin", |progress| progress.began)?;
        let plan = Arc::clone(&self.plan);
        // Whom each strike hits is known when it begins.
        let mut hit: Vec<Fault> = plan.strikes.iter().map(|strike| strike.fault.clone()).collect();
        let mut turned = 0;
        let mut mark = BTreeMap::new();
        for (at, event) in events(&plan) {
            while self.sim.elapsed() < began + at {
                self.step()?;
            }
            match event {
                Event::Begin(index) => {
                    turned = self.turn(plan.strikes[index].aim, &hit[index], turned);
                    hit[index] = hit[index].turned(turned, plan.nodes);
                    self.switch(index, &hit[index], true);
                }
                Event::End(index) => self.switch(index, &hit[index], false),
                Event::Mark => mark = self.probe.newest(),
                Event::Measure => self.measure(&mark),
            }
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

    /// By how many places a strike is turned to hit whom it is aimed at; `before`: the last one.
    fn turn(&self, aim: Aim, fault: &Fault, before: usize) -> usize {
        match (aim, fault.first()) {
            (Aim::Again, _) => before,
            (Aim::Leader(group), Some(first)) => {
                let leader = Probe::leader_of(&self.nodes, GroupId(group)).unwrap_or(first);
                (leader + self.plan.nodes - first) % self.plan.nodes
            }
            (Aim::AsNamed, _) | (Aim::Leader(_), None) => 0,
        }
    }

    /// Whether every shard has committed something since.
    fn measure(&mut self, mark: &BTreeMap<GroupId, u64>) {
        let newest = self.probe.newest();
        for group in (1..=self.plan.shard_groups).map(GroupId) {
            let (before, now) = (mark.get(&group), newest.get(&group));
            self.probe.expect(checks::WRITABLE, now > before, || {
                format!("group {group} committed nothing behind {before:?} while a fault lasted")
            });
        }
    }

    fn until<T>(
        &mut self,
        within: Duration,
        otherwise: &str,
        ready: impl Fn(&Progress) -> Option<T>,
    ) -> Result<T, Violation> {
        let deadline = self.sim.elapsed() + within;
        while self.sim.elapsed() < deadline {
            if let Some(value) = with(&self.progress, |progress| ready(progress)) {
                return Ok(value);
            }
            self.step()?;
        }
        Err(Violation::new(checks::OVER, format!("{otherwise} within {within:?}")))
    }

    fn step(&mut self) -> Result<(), Violation> {
        let failed = |error| Violation::new(checks::OVER, format!("a host failed: {error}"));
        self.sim.step().map_err(failed)?;
        let now = self.sim.elapsed();
        let due = |every: Duration| now.as_millis().is_multiple_of(every.as_millis());
        if due(LOOK_EVERY) {
            self.probe.look(&self.nodes);
            self.after_failed_syncs();
        }
        if due(COMPARE_EVERY) {
            self.probe.compare(&self.nodes);
        }
        // What is wrong already is not made better by going on.
        if let Some(violation) = self.probe.violations.pop() {
            return Err(violation);
        }
        match self.nodes.iter().find_map(|node| node.failure()) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn end(mut self) -> Verdict {
        let verdict = &mut self.verdict;
        verdict.checked += self.probe.checked;
        verdict.violations.append(&mut self.probe.violations);
        let panics = panics().into_iter().map(|text| Violation::new(checks::PANICS, text));
        verdict.violations.extend(panics);
        verdict.leaders = self.probe.leaders() as u64;
        verdict.simulated_ms = u64::try_from(self.sim.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (digest, packets) = self.journal.end();
        verdict.packets = packets;
        verdict.digest = digest;
        std::mem::take(verdict)
    }
}
