//! Power losses under a storage engine: write until killed, cut the power, look what is there.
//!
//! The writer and the verifier are `raft-store`'s churn client, a process of its own: it is killed at
//! a random moment, then the disk forgets, then a fresh process opens what is left. Some rounds cut
//! the power a second time while the store is being opened. Acknowledgements are noted on an
//! ordinary file system.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde::Serialize;

use super::{EntryRule, Lost, Mounted, PowerLossDisk, Survival};

/// The churn client, an example of `raft-store`.
pub const CHURN: &str = "churn";
const ACKS_WITHIN: Duration = Duration::from_secs(60);
const VERIFIED_WITHIN: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(1);
/// Rounds on one disk, each continuing with what the one before left, before a fresh one.
const ROUNDS_PER_DISK: u32 = 5;
/// Exit codes of the churn client.
const EXIT_LOST: i32 = 1;
const EXIT_CANNOT_OPEN: i32 = 2;
const STORE: &str = "store";

/// What to try.
#[derive(Debug, Clone)]
pub struct Trial {
    pub churn: PathBuf,
    pub engine: String,
    pub survival: Survival,
    pub rule: EntryRule,
    pub rounds: u32,
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcome {
    pub rounds: u32,
    /// Power losses, those while opening included.
    pub power_losses: u32,
    /// Acknowledgements noted by all writers.
    pub acknowledgements: u64,
    /// Rounds after which everything acknowledged was there.
    pub kept: u32,
    pub lost: u32,
    pub cannot_open: u32,
    /// What the disk forgot; a trial in which it forgot nothing proves nothing.
    pub forgotten: Lost,
    /// The first few failures in words.
    pub failures: Vec<String>,
}

impl Outcome {
    fn note(&mut self, text: String) {
        const FAILURES_MAX: usize = 5;
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(text);
        }
    }
}

impl Trial {
    /// Runs all rounds.
    ///
    /// # Errors
    /// When the trial itself cannot be carried out; what the engine does wrong is in the outcome.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut outcome = Outcome::default();
        while outcome.rounds < self.rounds {
            let rounds = ROUNDS_PER_DISK.min(self.rounds - outcome.rounds);
            self.run_disk(rounds, &mut rng, &mut outcome)?;
        }
        Ok(outcome)
    }

    fn run_disk(&self, rounds: u32, rng: &mut StdRng, outcome: &mut Outcome) -> anyhow::Result<()> {
        let mount_point = tempfile::tempdir()?;
        let spared = tempfile::tempdir()?;
        let acks = spared.path().join("acks");
        fs::write(&acks, "")?;
        let mount = Mounted::mount(&PowerLossDisk::new(self.rule), mount_point.path())?;
        // The folder of a store is made by whoever installs it, long before.
        fs::create_dir(mount.path().join(STORE))?;
        fs::File::open(mount.path())?.sync_all()?;
        for _ in 0..rounds {
            outcome.rounds += 1;
            if !self.write_until_killed(&mount, &acks, rng)? {
                outcome.cannot_open += 1;
                let said = fs::read_to_string(spared.path().join("write.log"))?;
                outcome.note(format!("round {}: the writer: {}", outcome.rounds, said.trim()));
                break;
            }
            self.lose_power(&mount, rng, outcome);
            if rng.random_bool(0.3) {
                // Opening writes as well: cut the power while it does.
                self.open_until_killed(&mount, &acks, rng)?;
                self.lose_power(&mount, rng, outcome);
            }
            if !self.verify(&mount, &acks, outcome)? {
                // What comes after a failure on this disk says nothing new.
                break;
            }
        }
        outcome.acknowledgements += lines_of(&acks, "a ")?;
        Ok(())
    }

    fn churn(&self, mode: &str, mount: &Mounted, acks: &Path) -> anyhow::Result<Child> {
        let log = fs::File::create(acks.with_file_name(format!("{mode}.log")))?;
        Command::new(&self.churn)
            .arg(mode)
            .arg(mount.path().join(STORE))
            .args([self.engine.as_str()])
            .arg(acks)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.churn.display()))
    }

    /// Returns whether the writer ran; `false` when it ended by itself, which it must not.
    fn write_until_killed(
        &self,
        mount: &Mounted,
        acks: &Path,
        rng: &mut StdRng,
    ) -> anyhow::Result<bool> {
        let wanted = file_len(acks)? + rng.random_range(200..8000);
        let mut writer = self.churn("write", mount, acks)?;
        let deadline = Instant::now() + ACKS_WITHIN;
        while file_len(acks)? < wanted {
            if writer.try_wait()?.is_some() {
                return Ok(false);
            }
            if Instant::now() > deadline {
                writer.kill()?;
                writer.wait()?;
                bail!("the writer acknowledges too slowly");
            }
            std::thread::sleep(POLL);
        }
        // Between two acknowledgements, wherever that is.
        std::thread::sleep(Duration::from_micros(rng.random_range(0..5000)));
        writer.kill()?;
        writer.wait()?;
        Ok(true)
    }

    fn open_until_killed(
        &self,
        mount: &Mounted,
        acks: &Path,
        rng: &mut StdRng,
    ) -> anyhow::Result<()> {
        let mut opener = self.churn("verify", mount, acks)?;
        std::thread::sleep(Duration::from_micros(rng.random_range(0..60_000)));
        opener.kill()?;
        opener.wait()?;
        Ok(())
    }

    fn lose_power(&self, mount: &Mounted, rng: &mut StdRng, outcome: &mut Outcome) {
        outcome.power_losses += 1;
        outcome.forgotten += mount.disk.lock().lose_power(self.survival, rng.next_u64());
    }

    /// Returns whether everything acknowledged is there.
    fn verify(&self, mount: &Mounted, acks: &Path, outcome: &mut Outcome) -> anyhow::Result<bool> {
        let mut verifier = self.churn("verify", mount, acks)?;
        let deadline = Instant::now() + VERIFIED_WITHIN;
        let status = loop {
            if let Some(status) = verifier.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                verifier.kill()?;
                verifier.wait()?;
                bail!("the verifier hangs");
            }
            std::thread::sleep(POLL);
        };
        if status.success() {
            outcome.kept += 1;
            return Ok(true);
        }
        let said = fs::read_to_string(acks.with_file_name("verify.log"))?;
        match status.code() {
            Some(EXIT_LOST) => outcome.lost += 1,
            // An engine that panics or is killed while it opens does not open either.
            Some(EXIT_CANNOT_OPEN | 101) | None => outcome.cannot_open += 1,
            Some(code) => bail!("the verifier ended with {code}: {said}"),
        }
        let last = said.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
        outcome.note(format!("round {}: {last}", outcome.rounds));
        Ok(false)
    }
}

/// A line of the table in ADR 0001.
#[must_use]
pub fn table_row(trial: &Trial, outcome: &Outcome) -> String {
    let mut row = String::new();
    let Trial { engine, survival, rule, seed, .. } = trial;
    let Outcome { rounds, power_losses, kept, lost, cannot_open, forgotten, .. } = outcome;
    let Lost { writes, bytes, entries, survived } = forgotten;
    write!(
        row,
        "| {engine} | {survival} | {rule} | {seed} | {rounds} | {power_losses} | {kept} | {lost} | \
         {cannot_open} | {writes} writes, {} KiB, {entries} entries | {survived} |",
        bytes / 1024
    )
    .expect("a string takes everything");
    row
}

/// The head of that table.
pub const TABLE_HEAD: &str = "\
| engine | unsynced changes | entries | seed | rounds | power losses | all there | lost | cannot open | forgotten | survived |
|---|---|---|---|---|---|---|---|---|---|---|";

fn file_len(path: &Path) -> anyhow::Result<u64> {
    Ok(fs::metadata(path)?.len())
}

fn lines_of(path: &Path, prefix: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(path)?;
    Ok(text.lines().filter(|line| line.starts_with(prefix)).count() as u64)
}
