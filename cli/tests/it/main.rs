//! Runs the `axp` binary as its users do.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

mod bench;
mod canned;
mod commands;
mod contexts;
mod dev;
mod fake;
mod flow;
mod grpc;
mod operate;
mod scenarios;
mod server;
mod tasks;
mod terminal;

use std::process::Output;
use std::time::Duration;

use tokio::process::Command;

/// `axp` against a server.
fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axp"));
    command.args(arguments).env("AXME_BASE_URL", url).env("AXME_API_KEY", fake::KEY);
    // Never the contexts of whoever runs the tests.
    command.env("AXP_CONFIG_DIR", "/nonexistent/axp").env_remove("AXP_CONTEXT");
    command.kill_on_drop(true);
    command
}

/// Waits for what a process does; one that hangs fails its test, and is killed with it.
async fn within_a_minute<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("within a minute")
}

/// Runs it and waits for its end.
async fn axp(url: &str, arguments: &[&str]) -> Output {
    within_a_minute(command(url, arguments).output()).await.unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// The JSON document on stdout of a run that succeeded.
fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
