//! What can be asked of a mounted disk, as values and as text.
//!
//! The process that mounted the disk uses [`PowerLossDisk`]; anybody else writes a line to the file
//! [`CONTROL_FILE`] in the root of the mount and reads the answer from it.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::Disk;
use super::faults::Fault;
use super::{EntryRule, Survival};

/// Not listed by `readdir`, so that an engine that scans its folder does not stumble over it.
pub const CONTROL_FILE: &str = ".axp-power";

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `power-loss lose|reorder|torn SEED`: cut the power. Users of the mount must be dead.
    PowerLoss { survival: Survival, seed: u64 },
    /// `fault sync-eio|sync-eio-once|sync-lies|read-eio|full PATTERN`, `fault slow-sync PATTERN MILLIS`.
    Fault { fault: Fault, pattern: String },
    /// `heal`: switch all faults off.
    Heal,
    /// `flip PATTERN COUNT SEED`: flip bits in synced bytes.
    Flip { pattern: String, count: usize, seed: u64 },
    /// `status`: counters as text.
    Status,
}

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["power-loss", survival, seed] => {
                Ok(Self::PowerLoss { survival: survival.parse()?, seed: number(seed)? })
            }
            ["fault", "slow-sync", pattern, millis] => {
                let fault = Fault::SlowSync(Duration::from_millis(number(millis)?));
                Ok(Self::Fault { fault, pattern: (*pattern).to_owned() })
            }
            ["fault", name, pattern] => {
                let fault = match *name {
                    "sync-eio" => Fault::SyncFails { once: false },
                    "sync-eio-once" => Fault::SyncFails { once: true },
                    "sync-lies" => Fault::SyncLies,
                    "read-eio" => Fault::ReadFails,
                    "full" => Fault::DiskFull,
                    other => return Err(format!("no fault is called {other}")),
                };
                Ok(Self::Fault { fault, pattern: (*pattern).to_owned() })
            }
            ["flip", pattern, count, seed] => Ok(Self::Flip {
                pattern: (*pattern).to_owned(),
                count: number(count)?,
                seed: number(seed)?,
            }),
            ["heal"] => Ok(Self::Heal),
            ["status"] => Ok(Self::Status),
            _ => Err(format!("cannot read the order {line:?}")),
        }
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

/// A handle on a disk, shared by the file system and by whoever torments it.
#[derive(Clone)]
pub struct PowerLossDisk {
    disk: Arc<Mutex<Disk>>,
    answer: Arc<Mutex<String>>,
}

impl fmt::Debug for PowerLossDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PowerLossDisk").field("counters", &self.lock().counters).finish()
    }
}

impl PowerLossDisk {
    #[must_use]
    pub fn new(rule: EntryRule) -> Self {
        Self {
            disk: Arc::new(Mutex::new(Disk::new(rule))),
            answer: Arc::new(Mutex::new(String::new())),
        }
    }

    /// The disk itself. Not to be held across anything slow: every operation of the mount waits.
    pub fn lock(&self) -> MutexGuard<'_, Disk> {
        // A panic in one operation leaves the model as it is: there is nothing to repair.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out an order and says what came of it.
    pub fn execute(&self, command: &Command) -> String {
        let mut disk = self.lock();
        match command {
            Command::PowerLoss { survival, seed } => {
                let lost = disk.lose_power(*survival, *seed);
                format!(
                    "lost {} writes, {} bytes and {} entries; {} unsynced changes survived",
                    lost.writes, lost.bytes, lost.entries, lost.survived
                )
            }
            Command::Fault { fault, pattern } => {
                disk.faults.add(*fault, pattern);
                format!("{fault:?} on {pattern}")
            }
            Command::Heal => {
                disk.faults.clear();
                format!("healed after {} hits", disk.faults.hits)
            }
            Command::Flip { pattern, count, seed } => {
                let flipped = disk.flip_bits(pattern, *count, *seed);
                format!("flipped {flipped} bits")
            }
            Command::Status => {
                format!("{:?}, {} unsynced changes", disk.counters, disk.unsynced_changes())
            }
        }
    }

    /// The last answer to an order that came as text.
    #[must_use]
    pub fn answer(&self) -> String {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Carries out an order given as text and keeps the answer for whoever reads the control file.
    ///
    /// # Errors
    /// When the text is not an order; the answer says so too.
    pub fn execute_text(&self, line: &str) -> Result<(), String> {
        let outcome = line.parse::<Command>().map(|command| self.execute(&command));
        let text = outcome.as_ref().map_or_else(Clone::clone, Clone::clone);
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = format!("{text}\n");
        outcome.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        let loss = Command::PowerLoss { survival: Survival::Torn, seed: 7 };
        assert_eq!("power-loss torn 7\n".parse(), Ok(loss));
        let slow = Fault::SlowSync(Duration::from_millis(50));
        let fault = Command::Fault { fault: slow, pattern: "*.jnl".to_owned() };
        assert_eq!("fault slow-sync *.jnl 50".parse(), Ok(fault));
        assert!("power-loss softly 7".parse::<Command>().is_err());
        assert!("fault fire *".parse::<Command>().is_err());
    }

    #[test]
    fn answers_are_kept() {
        let disk = PowerLossDisk::new(EntryRule::Strict);
        disk.execute_text("power-loss lose 1").unwrap();
        assert!(disk.answer().starts_with("lost 0 writes"));
        assert!(disk.execute_text("nonsense").is_err());
        assert!(disk.answer().contains("nonsense"));
    }
}
