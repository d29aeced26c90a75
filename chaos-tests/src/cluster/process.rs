//! One process under test: started, tormented and restarted by its own handle, never by name.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::clock;

const POLL: Duration = Duration::from_millis(5);

/// Which of two builds of the programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Build {
    #[default]
    Usual,
    /// Another version.
    Other,
}

/// Makes what starts a program where it belongs.
pub(super) type Launch = Box<dyn Fn(Build) -> anyhow::Result<Command> + Send + Sync>;

/// A program with a configuration file, and its child while it runs. Faults that overlap share it.
pub struct Process {
    launch: Launch,
    config: PathBuf,
    log: PathBuf,
    name: String,
    /// Read by the library that fakes its wall clock, when it was started with that.
    clock: PathBuf,
    life: Mutex<Life>,
}

#[derive(Debug, Default)]
struct Life {
    child: Option<Child>,
    paused: bool,
    starts: u32,
    build: Build,
}

impl Process {
    pub(super) fn new(launch: Launch, config: &Path, folder: &Path, name: &str) -> Self {
        Self {
            launch,
            config: config.to_owned(),
            log: folder.join(format!("{name}.log")),
            name: name.to_owned(),
            clock: clock::file(folder, name),
            life: Mutex::default(),
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        // Nothing that panics happens between two changes of it.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that configures it.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.life().child.as_ref().map(Child::id)
    }

    /// The next start is of this build.
    pub fn switch(&self, build: Build) {
        self.life().build = build;
    }

    #[must_use]
    pub fn build(&self) -> Build {
        self.life().build
    }

    /// Starts it; what it writes is appended to its log.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn start(&self) -> anyhow::Result<()> {
        let mut life = self.life();
        if life.child.is_some() {
            bail!("{} runs already", self.name);
        }
        life.starts += 1;
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        mark(&log, life.starts)?;
        let child = (self.launch)(life.build)?
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        life.child = Some(child);
        Ok(())
    }

    fn signal(&self, life: &Life, signal: Signal) -> anyhow::Result<()> {
        let child = life.child.as_ref().with_context(|| format!("{} is down", self.name))?;
        let pid = i32::try_from(child.id()).context("a process id is positive")?;
        // The child has not been waited for, so its id is still its own.
        kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When it is down already.
    pub fn kill(&self) -> anyhow::Result<()> {
        let mut life = self.life();
        self.signal(&life, Signal::SIGKILL)?;
        if let Some(mut child) = life.child.take() {
            child.wait()?;
            clock::tidy(child.id());
        }
        life.paused = false;
        Ok(())
    }

    /// Only sends `kill -9`: to hit several at one moment, send to all before reaping any.
    ///
    /// # Errors
    /// When it is down already.
    pub fn send_kill(&self) -> anyhow::Result<()> {
        self.signal(&self.life(), Signal::SIGKILL)
    }

    /// SIGSTOP: alive, connected, and silent.
    ///
    /// # Errors
    /// When it is down.
    pub fn pause(&self) -> anyhow::Result<()> {
        let mut life = self.life();
        self.signal(&life, Signal::SIGSTOP)?;
        life.paused = true;
        Ok(())
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it is down.
    pub fn resume(&self) -> anyhow::Result<()> {
        let mut life = self.life();
        self.signal(&life, Signal::SIGCONT)?;
        life.paused = false;
        Ok(())
    }

    /// SIGTERM, and waits for an orderly end.
    ///
    /// # Errors
    /// When it does not end within `within`.
    pub async fn terminate(&self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(&self.life(), Signal::SIGTERM)?;
        self.wait_ended(within).await
    }

    /// Waits until it ends, of itself or as it was told to.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub async fn wait_ended(&self, within: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} did not end within {within:?}", self.name);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// How it ended, once, if it has.
    ///
    /// # Errors
    /// When it was not running before either.
    pub fn ended(&self) -> anyhow::Result<Option<ExitStatus>> {
        let mut life = self.life();
        let child = life.child.as_mut().with_context(|| format!("{} is down", self.name))?;
        let (id, status) = (child.id(), child.try_wait()?);
        if status.is_some() {
            clock::tidy(id);
            life.child = None;
        }
        Ok(status)
    }

    /// The last line of its log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn last_words(&self) -> std::io::Result<String> {
        let log = std::fs::read(&self.log)?;
        Ok(String::from_utf8_lossy(&log).lines().last().unwrap_or_default().to_owned())
    }

    /// Sets its wall clock this many seconds off, and lets it run at another speed.
    ///
    /// # Errors
    /// When the file that says so cannot be written.
    pub fn set_clock(&self, offset_seconds: i64, speed: f64) -> std::io::Result<()> {
        clock::set(&self.clock, offset_seconds, speed)
    }

    /// Fails when it has ended by itself.
    ///
    /// # Errors
    /// With its exit status and where its log is.
    pub fn check_running(&self) -> anyhow::Result<()> {
        match self.ended()? {
            Some(status) => {
                bail!("{} ended by itself: {status}; see {}", self.name, self.log.display())
            }
            None => Ok(()),
        }
    }

    /// Wakes it up if it is paused, starts it if it is down.
    pub(super) fn heal(&self) -> anyhow::Result<()> {
        let (paused, down) = {
            let life = self.life();
            (life.paused, life.child.is_none())
        };
        if paused {
            self.resume()?;
        }
        if down {
            self.start()?;
        }
        Ok(())
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name).field("life", &self.life()).finish()
    }
}

fn mark(mut log: &File, starts: u32) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(log, "--- start {starts}")
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.life().child.take() {
            // Also ends a stopped process; nothing is left to be told when it fails.
            drop(child.kill());
            drop(child.wait());
            clock::tidy(child.id());
        }
    }
}
