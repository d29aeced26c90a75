//! One process under test: started, tormented and restarted by its own handle, never by name.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(5);

/// Makes what starts a program where it belongs.
pub(super) type Launch = Box<dyn Fn() -> Command + Send + Sync>;

/// A program with a configuration file, and its child while it runs.
pub struct Process {
    launch: Launch,
    config: PathBuf,
    log: PathBuf,
    name: String,
    child: Option<Child>,
    paused: bool,
    starts: u32,
}

impl Process {
    pub(super) fn new(launch: Launch, config: &Path, folder: &Path, name: &str) -> Self {
        Self {
            launch,
            config: config.to_owned(),
            log: folder.join(format!("{name}.log")),
            name: name.to_owned(),
            child: None,
            paused: false,
            starts: 0,
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it; what it writes is appended to its log.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.child.is_some() {
            bail!("{} runs already", self.name);
        }
        self.starts += 1;
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        mark(&log, self.starts)?;
        let child = (self.launch)()
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        self.child = Some(child);
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} is down", self.name))?;
        let pid = i32::try_from(child.id()).context("a process id is positive")?;
        // The child has not been waited for, so its id is still its own.
        kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When it is down already.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGKILL)?;
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        self.paused = false;
        Ok(())
    }

    /// Only sends `kill -9`: to hit several at one moment, send to all before reaping any.
    ///
    /// # Errors
    /// When it is down already.
    pub fn send_kill(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGKILL)
    }

    /// SIGSTOP: alive, connected, and silent.
    ///
    /// # Errors
    /// When it is down.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)?;
        self.paused = true;
        Ok(())
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it is down.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)?;
        self.paused = false;
        Ok(())
    }

    /// SIGTERM, and waits for an orderly end.
    ///
    /// # Errors
    /// When it does not end within `within`.
    pub async fn terminate(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let deadline = Instant::now() + within;
        let child = self.child.as_mut().with_context(|| format!("{} is down", self.name))?;
        loop {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} did not end within {within:?}", self.name);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Fails when it has ended by itself.
    ///
    /// # Errors
    /// With its exit status and where its log is.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        let Some(child) = &mut self.child else { bail!("{} was not started", self.name) };
        if let Some(status) = child.try_wait()? {
            self.child = None;
            bail!("{} ended by itself: {status}; see {}", self.name, self.log.display());
        }
        Ok(())
    }

    /// Wakes it up if it is paused, starts it if it is down.
    pub(super) fn heal(&mut self) -> anyhow::Result<()> {
        if self.paused {
            self.resume()?;
        }
        if self.child.is_none() {
            self.start()?;
        }
        Ok(())
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name).field("child", &self.child).finish()
    }
}

fn mark(mut log: &File, starts: u32) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(log, "--- start {starts}")
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Also ends a stopped process; nothing is left to be told when it fails.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
