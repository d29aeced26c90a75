//! A file system that can lose power: what was not synced is forgotten, or survives by chance.
//!
//! `kill -9` keeps the page cache and so proves nothing about durability. This disk keeps, for each
//! file, the bytes that programs see and the bytes that a power loss leaves, and the list of changes
//! between the two. `fsync` moves the list over; nothing else does. In particular `sync_file_range`
//! and `close` never reach it, which is the point: an engine that relies on them loses its data here.
//!
//! [`Disk`] is the model and is tested without a kernel; [`mount`] puts it behind FUSE (as root);
//! [`control`] is its command language, for the process that mounted it and for a magic file.
//! What it does not model: rot of synced bytes other than the flips asked for, a disk that lies about
//! a completed sync, and two hard links to one file.

pub mod control;
pub mod disk;
pub mod faults;
pub mod file;
pub mod mount;
pub mod names;
pub mod trial;

pub use control::{Command, PowerLossDisk};
pub use disk::{Disk, DiskError};
pub use faults::{Fault, Faults, RuleId};
pub use mount::Mounted;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What of the unsynced changes a power loss leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Survival {
    /// Nothing: the cache was never written back.
    Lose,
    /// Each change survives with probability one half, whatever came before or after it.
    Reorder,
    /// Like `Reorder`, but a surviving write may be torn: of one in two, each 512-byte sector
    /// survives with probability one half.
    Torn,
}

/// When a directory entry (a new file, a rename, an unlink) survives a power loss for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryRule {
    /// After an `fsync` of that directory: all that POSIX promises.
    Strict,
    /// After any `fsync`: one metadata journal in order, as ext4 and xfs have it.
    Journaled,
}

/// What a power loss took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    pub writes: u64,
    pub bytes: u64,
    pub entries: u64,
    /// Unsynced changes that survived all the same.
    pub survived: u64,
}

impl std::ops::AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        self.writes += other.writes;
        self.bytes += other.bytes;
        self.entries += other.entries;
        self.survived += other.survived;
    }
}

macro_rules! text_names {
    ($type:ident { $($variant:ident = $text:literal),* }) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(format!("{text} is none of {}", [$($text),*].join(", "))),
                }
            }
        }
    };
}

text_names!(Survival { Lose = "lose", Reorder = "reorder", Torn = "torn" });
text_names!(EntryRule { Strict = "strict", Journaled = "journaled" });
