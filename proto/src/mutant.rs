//! Seeded bugs: each is put in on purpose, to show that the checks of `chaos-tests` find it.
//!
//! Without the feature `mutants`, which nothing that ships enables, [`active`] is `false` at compile
//! time and the bugs are not in the program. With it, one bug is chosen when the process starts, by
//! the variable [`VARIABLE`]; then the process says so at level error, and nothing it answers may be
//! relied on. docs/chaos.md says which check finds which.

use std::fmt;
use std::str::FromStr;

/// The environment variable that chooses one, such as `AXP_MUTANT=M3`.
pub const VARIABLE: &str = "AXP_MUTANT";

/// A bug. The numbers are those of the goals, M1 to M17, and go on with what our own history adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// A peer that cannot be reached counts as one that has stored the entries.
    CommitAlone = 1,
    /// Acknowledged when written, synced only now and then.
    SyncLater = 2,
    /// A read is answered without asking anybody whether this replica still leads.
    ReadWithoutIndex = 3,
    /// Snapshots leave the idempotency keys out.
    SnapshotWithoutKeys = 4,
    /// A timer fires when the leader looks ahead, and what it finds is not compared with it.
    TimerUnfenced = 5,
    /// A stream that is behind gets the newest event only.
    StreamSkips = 6,
    /// Whoever knows an intent's id may read it.
    OrganizationsBlend = 7,
    /// A vote is remembered until the process ends.
    VoteInMemory = 8,
    /// Apply asks the replica's clock.
    ApplyByClock = 9,
    /// A sync that failed is tried again, and believed.
    SyncRetried = 10,
    /// Damage in the log is cut off wherever it lies, and no checksum is looked at.
    TailUnchecked = 11,
    /// An owner may end what has ended.
    EndsTwice = 12,
    /// Voters change at once: of a joint configuration, whoever reads it takes the new half for all.
    MembershipAtOnce = 13,
    /// An actor that is put to sleep takes the commands in its queue with it, without a word.
    PassivationDrops = 14,
    /// A call to a peer may take as long as it likes.
    PeerWithoutDeadline = 15,
    /// Peers that answer no pings are talked to all the same.
    BreakerOff = 16,
    /// A leader without a quorum does not probe.
    ProbeOff = 17,
    /// A deposed leader refuses, and repeats answers, from what it remembers.
    AnswerFromMemory = 18,
    /// Whoever finds an intent ended takes that end for its own work.
    EndGuessed = 19,
    /// An effect whose delivery failed counts as delivered.
    OutboxForgets = 20,
    /// Apply takes an append that expected another state.
    StaleAppendTaken = 21,
    /// Apply does not look whether an idempotency key is taken.
    KeyUnchecked = 22,
    /// The log is purged before the state that replaces it is on disk.
    PurgeUnsynced = 23,
}

impl Mutant {
    pub const ALL: [Self; 23] = [
        Self::CommitAlone,
        Self::SyncLater,
        Self::ReadWithoutIndex,
        Self::SnapshotWithoutKeys,
        Self::TimerUnfenced,
        Self::StreamSkips,
        Self::OrganizationsBlend,
        Self::VoteInMemory,
        Self::ApplyByClock,
        Self::SyncRetried,
        Self::TailUnchecked,
        Self::EndsTwice,
        Self::MembershipAtOnce,
        Self::PassivationDrops,
        Self::PeerWithoutDeadline,
        Self::BreakerOff,
        Self::ProbeOff,
        Self::AnswerFromMemory,
        Self::EndGuessed,
        Self::OutboxForgets,
        Self::StaleAppendTaken,
        Self::KeyUnchecked,
        Self::PurgeUnsynced,
    ];
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "M{}", *self as u8)
    }
}

/// Not the name of a mutant.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is none of M1 to M23")]
pub struct UnknownMutant(String);

impl FromStr for Mutant {
    type Err = UnknownMutant;

    fn from_str(text: &str) -> Result<Self, UnknownMutant> {
        let found = Self::ALL.into_iter().find(|mutant| mutant.to_string() == text);
        found.ok_or_else(|| UnknownMutant(text.to_owned()))
    }
}

/// Whether the bug is in this process.
#[cfg(not(feature = "mutants"))]
#[must_use]
pub const fn active(_mutant: Mutant) -> bool {
    false
}

/// What a process that could have a bug has to say about it, at level error, when it starts.
#[cfg(not(feature = "mutants"))]
#[must_use]
pub const fn warning() -> Option<&'static str> {
    None
}

#[cfg(feature = "mutants")]
pub use chosen::{active, warning};

#[cfg(feature = "mutants")]
mod chosen {
    use std::sync::OnceLock;

    use super::{Mutant, VARIABLE};

    static CHOSEN: OnceLock<Option<Mutant>> = OnceLock::new();

    fn chosen() -> Option<Mutant> {
        *CHOSEN.get_or_init(|| {
            let name = std::env::var(VARIABLE).ok().filter(|name| !name.is_empty())?;
            // Whoever asks for a bug that is not there would believe that it was not found.
            Some(name.parse().unwrap_or_else(|error| panic!("{VARIABLE}: {error}")))
        })
    }

    #[must_use]
    pub fn active(mutant: Mutant) -> bool {
        chosen() == Some(mutant)
    }

    #[must_use]
    pub fn warning() -> Option<&'static str> {
        static TEXT: OnceLock<String> = OnceLock::new();
        Some(TEXT.get_or_init(|| match chosen() {
            Some(mutant) => {
                format!("seeded bug {mutant} ({mutant:?}) is active: nothing here may be relied on")
            }
            None => {
                "built with seeded bugs, none of them active: not a build to rely on".to_owned()
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_is_found_by_its_name() {
        for (number, mutant) in (1..).zip(Mutant::ALL) {
            assert_eq!(mutant.to_string(), format!("M{number}"));
            assert_eq!(format!("M{number}").parse::<Mutant>().unwrap(), mutant);
        }
        assert!("M0".parse::<Mutant>().is_err() && "M24".parse::<Mutant>().is_err());
    }

    #[cfg(not(feature = "mutants"))]
    #[test]
    fn no_mutant_is_in_an_ordinary_build() {
        assert!(Mutant::ALL.into_iter().all(|mutant| !active(mutant)));
        assert_eq!(warning(), None);
    }
}
