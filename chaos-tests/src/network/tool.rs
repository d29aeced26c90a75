//! Runs `ip` and `nft`, and says what they said when they refuse.

use std::process::Command;

use anyhow::{Context as _, bail};

pub(super) fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    run(Command::new("ip").args(arguments)).map(drop)
}

/// One command of `nft` in a namespace; its words may stand in one string.
pub(super) fn nft(namespace: &str, command: &str) -> anyhow::Result<String> {
    run(Command::new("ip").args(["netns", "exec", namespace, "nft", "-a", command]))
}

/// The same, and answers with the rule that was made, its handle included.
pub(super) fn nft_echo(namespace: &str, command: &str) -> anyhow::Result<String> {
    run(Command::new("ip").args(["netns", "exec", namespace, "nft", "--echo", "-a", command]))
}

pub(super) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
