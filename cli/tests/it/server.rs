//! `axp dev` as a process: started on free ports, read by its stdout, ended by SIGTERM.

use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Opening a store, founding and electing, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Servers that run at the same time. Each is a cluster; more of them would only wait for each other.
static PLACES: Semaphore = Semaphore::const_new(1);

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) grpc: String,
    pub(crate) nodes: String,
    process: Child,
    _stdout: Lines<BufReader<ChildStdout>>,
    _place: SemaphorePermit<'static>,
}

impl Server {
    pub(crate) fn command(folder: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axp"));
        command.args(["dev", "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(folder).args(more);
        command.env("AXP_CONFIG_DIR", folder.join("config"));
        command.env_remove("AXP_API_KEY").env("RUST_LOG", "error").kill_on_drop(true);
        command
    }

    /// Starts it and waits for `axp: ready`.
    pub(crate) async fn start(folder: &Path, more: &[&str]) -> Self {
        let place = PLACES.acquire().await.unwrap();
        let mut command = Self::command(folder, more);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        let reading = async {
            while let Some(line) = stdout.next_line().await.unwrap() {
                if line == "axp: ready" {
                    return;
                }
                said.push(line);
            }
            panic!("axp dev ended before it was ready; it said {said:?}");
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("axp dev is ready in time");
        let value = |name: &str| {
            let found = said.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("no {name} in {said:?}")).to_owned()
        };
        Self {
            url: value("AXME_BASE_URL"),
            key: value("AXME_API_KEY"),
            grpc: value("AXP_GRPC_ADDR"),
            nodes: value("AXP_NODES"),
            process,
            _stdout: stdout,
            _place: place,
        }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        let id = self.process.id().unwrap().to_string();
        let kill = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        assert!(kill.success());
        tokio::time::timeout(PATIENCE, self.process.wait()).await.expect("it stops").unwrap()
    }

    /// Runs another `axp` command against it, with its key.
    pub(crate) async fn axp(&self, arguments: &[&str]) -> Output {
        let key = ["--api-key", &self.key];
        self.axp_plain(&[arguments, &key].concat()).await
    }

    /// The same for a command that takes no key.
    pub(crate) async fn axp_plain(&self, arguments: &[&str]) -> Output {
        super::axp(&self.url, arguments).await
    }
}
