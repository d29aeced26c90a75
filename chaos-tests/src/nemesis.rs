//! What breaks things. One fault per file; each breaks, sees that it hurt, and heals what it broke,
//! and nothing that another strike broke meanwhile.

mod bit_flip;
mod bridge;
mod clock_jump;
mod flapping;
mod full_disk;
mod grow_shrink;
mod half_open;
mod isolate;
mod kill_all;
mod kill_gateway;
mod kill_leader;
mod lossy;
mod lost_answers;
mod membership;
mod old_leader;
mod one_way;
mod overload;
mod pause;
mod power_loss;
mod read_fails;
mod refused;
mod replace_node;
mod reset;
mod restart;
mod rolling_restart;
mod scene;
mod silent_target;
mod slow_disk;
mod slow_link;
mod snapshot_install;
mod sync_fails;
mod transfer_storm;
mod upgrade;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;

pub use scene::Scene;

/// One strike.
pub type Strike<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// What a nemesis wants of the cluster that it breaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// A network namespace for each process.
    pub network: bool,
    /// Proxies between the processes, too.
    pub proxies: bool,
    /// Disks that can lose power.
    pub disks: bool,
    /// Wall clocks that can be set for one process.
    pub clocks: bool,
    /// Logs that are dropped after a few seconds of load.
    pub short_logs: bool,
    /// Room for a node that is added later.
    pub spare_node: bool,
    /// Programs of another version.
    pub other_build: bool,
}

impl Needs {
    const NOTHING: Self = Self {
        network: false,
        proxies: false,
        disks: false,
        clocks: false,
        short_logs: false,
        spare_node: false,
        other_build: false,
    };
    const NETWORK: Self = Self { network: true, ..Self::NOTHING };
    const PROXIES: Self = Self { network: true, proxies: true, ..Self::NOTHING };
    const DISKS: Self = Self { disks: true, ..Self::NOTHING };
    const CLOCKS: Self = Self { clocks: true, ..Self::NOTHING };
    const SHORT_LOGS: Self = Self { short_logs: true, ..Self::NOTHING };
    const OTHER_BUILD: Self = Self { other_build: true, ..Self::NOTHING };
    const MEMBERS: Self = Self { network: true, spare_node: true, ..Self::NOTHING };

    /// Whatever one of them needs.
    #[must_use]
    pub fn of(kinds: &[Kind]) -> Self {
        kinds.iter().map(|kind| kind.nemesis().needs).fold(Self::default(), |all, needs| Self {
            network: all.network || needs.network,
            proxies: all.proxies || needs.proxies,
            disks: all.disks || needs.disks,
            clocks: all.clocks || needs.clocks,
            short_logs: all.short_logs || needs.short_logs,
            spare_node: all.spare_node || needs.spare_node,
            other_build: all.other_build || needs.other_build,
        })
    }
}

/// What a fault is made of. Faults of one class do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Nodes: their processes and their disks.
    Nodes,
    /// What is between the processes, and the gateways.
    Surroundings,
}

/// A kind of fault.
#[derive(Debug)]
pub struct Nemesis {
    pub name: &'static str,
    pub class: Class,
    pub needs: Needs,
    /// Whether a node cannot be heard, by some of the others at least, while it lasts. Two of these at
    /// once could take a majority away, so they wait for each other.
    pub takes_node: bool,
    /// Whether a gateway does not answer while it lasts; such strikes wait for each other, too.
    pub takes_gateway: bool,
    /// Breaks something, waits until it shows, and heals it again.
    pub strike: for<'a> fn(&'a mut Scene<'_>) -> Strike<'a>,
}

const ALL: &[Nemesis] = &[
    kill_leader::NEMESIS,
    kill_all::NEMESIS,
    kill_gateway::NEMESIS,
    pause::NEMESIS,
    restart::NEMESIS,
    power_loss::NEMESIS,
    isolate::NEMESIS,
    refused::NEMESIS,
    one_way::NEMESIS,
    bridge::NEMESIS,
    flapping::NEMESIS,
    lossy::NEMESIS,
    slow_link::NEMESIS,
    reset::NEMESIS,
    lost_answers::NEMESIS,
    half_open::NEMESIS,
    slow_disk::NEMESIS,
    full_disk::NEMESIS,
    sync_fails::NEMESIS,
    read_fails::NEMESIS,
    bit_flip::NEMESIS,
    old_leader::NEMESIS,
    rolling_restart::NEMESIS,
    upgrade::NEMESIS,
    snapshot_install::NEMESIS,
    transfer_storm::NEMESIS,
    replace_node::NEMESIS,
    grow_shrink::NEMESIS,
    clock_jump::NEMESIS,
    overload::NEMESIS,
    silent_target::NEMESIS,
];

/// A nemesis by name.
#[derive(Clone, Copy)]
pub struct Kind(&'static Nemesis);

impl Kind {
    #[must_use]
    pub fn all() -> Vec<Self> {
        ALL.iter().map(Self).collect()
    }

    #[must_use]
    pub fn nemesis(self) -> &'static Nemesis {
        self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::all().into_iter().find(|kind| kind.0.name == text);
        found.ok_or_else(|| {
            let names: Vec<_> = ALL.iter().map(|nemesis| nemesis.name).collect();
            format!("{text} is none of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in Kind::all() {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("earthquake".parse::<Kind>().is_err());
    }

    #[test]
    fn every_name_is_one_nemesis() {
        let mut names: Vec<_> = ALL.iter().map(|nemesis| nemesis.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
