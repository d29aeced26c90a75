//! Which run should reveal which bug.

use std::fmt;

use axp_proto::mutant::Mutant;

/// What is done to reveal a bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exposure {
    /// `axp-chaos run` with these arguments.
    Run(&'static str),
    /// Tests of one crate: package, target and filter, as cargo takes them.
    Tests { package: &'static str, target: &'static str, filter: &'static str },
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(arguments) => f.write_str(arguments),
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

// openraft stops a leader that sees a log go back, or two logs that are both committed.
const LOSS: &[&str] =
    &["acknowledged-kept", "readers-agree", "terminal-as-told", "nobody panicked"];
const STALE: &[&str] =
    &["reads-see-writes", "linearizable", "acknowledged-kept", "terminal-as-told"];
const NO_SUCCESSOR: &[&str] = &["every strike did its work", "every shard makes progress"];
const UNDELIVERED: &[&str] = &["delivered-and-finished", "nothing is left open"];

/// All of them. The whole system where it shows the bug within a minute, the tests of the crate where
/// only an accident of timing would.
#[must_use]
pub fn suspects() -> Vec<Suspect> {
    let run = |mutant, arguments, by| Suspect { mutant, exposure: Exposure::Run(arguments), by };
    let tests = |mutant, package, filter, by| {
        let exposure = Exposure::Tests { package, target: "--lib", filter };
        Suspect { mutant, exposure, by }
    };
    vec![
        run(Mutant::CommitAlone, "--nemesis isolate --duration 30s", LOSS),
        run(Mutant::SyncLater, "--nemesis power-loss --mode lose --duration 20s", LOSS),
        run(Mutant::ReadWithoutIndex, "--nemesis isolate --duration 40s", STALE),
        run(
            Mutant::SnapshotWithoutKeys,
            "--nemesis snapshot-install --duration 30s",
            &["replicas-equal", "one-intent-per-key"],
        ),
        tests(Mutant::TimerUnfenced, "axp-node", "intent::", &["never_early", "reminders"]),
        run(Mutant::StreamSkips, "--nemesis kill-gateway --duration 20s", &["dense-seq"]),
        run(Mutant::OrganizationsBlend, "--nemesis kill-gateway --duration 20s", &["no-leak"]),
        run(
            Mutant::VoteInMemory,
            "--nemesis kill-leader --duration 20s",
            &["every strike did its work", "everything came back"],
        ),
        run(Mutant::ApplyByClock, "--nemesis kill-leader --duration 20s", &["replicas-equal"]),
        tests(Mutant::SyncRetried, "axp-raft-store", "writer::", &["after_a_failed_sync"]),
        tests(Mutant::TailUnchecked, "axp-raft-store", "journal::", &["journal"]),
        run(
            Mutant::EndsTwice,
            "--nemesis kill-gateway --duration 20s",
            &["one-terminal", "terminal-as-told"],
        ),
        run(Mutant::PassivationDrops, "--nemesis kill-gateway --duration 30s", UNDELIVERED),
        run(Mutant::PeerWithoutDeadline, "--nemesis one-way,lossy --duration 40s", NO_SUCCESSOR),
        run(Mutant::BreakerOff, "--nemesis one-way --duration 30s", NO_SUCCESSOR),
        tests(Mutant::ProbeOff, "axp-node", "groups::", &["default_timing"]),
        run(Mutant::AnswerFromMemory, "--nemesis isolate --duration 40s", STALE),
        run(
            Mutant::EndGuessed,
            "--nemesis kill-gateway --duration 20s",
            &["one-terminal", "terminal-as-told"],
        ),
        run(Mutant::OutboxForgets, "--nemesis kill-leader --duration 20s", UNDELIVERED),
        tests(
            Mutant::StaleAppendTaken,
            "axp-node",
            "shard::tests",
            &["a_repeated_append_changes_nothing"],
        ),
        run(Mutant::KeyUnchecked, "--nemesis kill-gateway --duration 20s", &["one-intent-per-key"]),
        run(
            Mutant::PurgeUnsynced,
            "--nemesis power-loss --mode lose --duration 30s",
            &["every strike did its work", "everything came back"],
        ),
    ]
}

/// Bugs that cannot be put in yet, and why.
pub(super) const NOT_YET: &[(Mutant, &str)] =
    &[(Mutant::MembershipAtOnce, "membership changes came after this list")];
