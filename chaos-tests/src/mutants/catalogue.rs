//! Which run should reveal which bug.

use std::fmt;

use axp_proto::mutant::Mutant;

/// What is done to reveal a bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exposure {
    /// `axp-sim run` with the bug in it, for this many seeds at most.
    Simulation { seeds: u32 },
    /// `axp-chaos run` with these arguments.
    Run(&'static str),
    /// Tests of one crate: package, target and filter, as cargo takes them.
    Tests { package: &'static str, target: &'static str, filter: &'static str },
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulation { seeds } => write!(f, "axp-sim run --seeds {seeds}"),
            Self::Run(arguments) => write!(f, "axp-chaos run {arguments}"),
            Self::Tests { package, target, filter } => {
                write!(f, "cargo test -p {package} {target} {filter}")
            }
        }
    }
}

/// A bug, what should reveal it, and the checks that are meant to: another one that fails may have
/// failed for another reason, such as a machine that is too busy.
#[derive(Debug, Clone)]
pub struct Suspect {
    pub mutant: Mutant,
    pub exposure: Exposure,
    /// Names of invariants and gates; of tests, parts of their names.
    pub by: &'static [&'static str],
}

const STALE: &[&str] =
    &["reads-see-writes", "linearizable", "acknowledged-kept", "terminal-as-told"];
const DURABLE: &str = "committed is durable on a majority";
const WRITABLE: &str = "writable around a fault";
const OPEN: &str = "nothing is left open";
const UNDELIVERED: &[&str] = &["delivered-and-finished", "chains", OPEN];
/// A replica ends when an event does not follow what it has.
const TWISTED: &[&str] =
    &["dense-seq", "one-terminal", "terminal-as-told", "no node ends by itself"];
const SPLIT: &[&str] = &[DURABLE, "one entry at an index"];

/// All of them. In the simulation where it can show them; the whole system, or the tests of a crate,
/// where the simulation has something else in that place: the engine on a disk.
#[must_use]
pub fn suspects() -> Vec<Suspect> {
    let simulated = |mutant, by| {
        let exposure = Exposure::Simulation { seeds: 200 };
        Suspect { mutant, exposure, by }
    };
    let tests = |mutant, package, filter, by| {
        let exposure = Exposure::Tests { package, target: "--lib", filter };
        Suspect { mutant, exposure, by }
    };
    vec![
        simulated(Mutant::CommitAlone, &[DURABLE, "one entry at an index"]),
        simulated(Mutant::SyncLater, &[DURABLE]),
        simulated(Mutant::ReadWithoutIndex, &["reads-see-writes", "linearizable"]),
        simulated(Mutant::SnapshotWithoutKeys, &["replicas-equal", "one-intent-per-key"]),
        simulated(Mutant::TimerUnfenced, &["timers"]),
        simulated(Mutant::StreamSkips, &["dense-seq"]),
        simulated(Mutant::OrganizationsBlend, &["no-leak"]),
        simulated(Mutant::VoteInMemory, &["every node starts again"]),
        simulated(Mutant::ApplyByClock, &["replicas-equal"]),
        simulated(Mutant::SyncRetried, &["a failed sync ends its node", DURABLE]),
        tests(Mutant::TailUnchecked, "axp-raft-store", "journal::", &["journal"]),
        simulated(Mutant::EndsTwice, &["one-terminal", "terminal-as-told"]),
        simulated(Mutant::MembershipAtOnce, SPLIT),
        simulated(Mutant::PassivationDrops, &["timers", "delivered-and-finished", OPEN]),
        simulated(Mutant::PeerWithoutDeadline, &[WRITABLE, "replicas-equal", OPEN]),
        simulated(Mutant::BreakerOff, &["silent peers are left alone"]),
        simulated(Mutant::ProbeOff, &[WRITABLE]),
        simulated(Mutant::AnswerFromMemory, STALE),
        simulated(Mutant::EndGuessed, &["one-terminal", "terminal-as-told"]),
        simulated(Mutant::OutboxForgets, UNDELIVERED),
        simulated(Mutant::StaleAppendTaken, TWISTED),
        simulated(Mutant::KeyUnchecked, &["one-intent-per-key"]),
        simulated(Mutant::PurgeUnsynced, &["every node starts again"]),
    ]
}
