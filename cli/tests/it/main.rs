//! Runs the `axp` binary as its users do.

mod bench;
mod commands;
mod fake;

use std::process::Output;

use tokio::process::Command;

/// Runs `axp` against a server and waits for its end.
async fn axp(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axp"));
    command.args(arguments).env("AXME_BASE_URL", url).env("AXME_API_KEY", fake::KEY);
    command.kill_on_drop(true);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), command.output());
    ended.await.expect("axp ends within a minute").unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// The JSON document on stdout of a run that succeeded.
fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
