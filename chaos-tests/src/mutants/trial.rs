//! One trial: a process that has to fail, and what it said.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context as _, bail, ensure};
use axp_proto::mutant::{Mutant, VARIABLE};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::runner::REPORT;

use super::{Exposure, MutantsArgs, Suspect, TRIAL_WITHIN, Verdict};

/// Tries one bug: only what is meant to find it counts.
pub(super) async fn of(args: &MutantsArgs, suspect: &Suspect) -> Verdict {
    let mutant = suspect.mutant;
    let mut verdict = run(args, Some(mutant), &suspect.exposure).await;
    let failed = verdict.caught_by.len();
    verdict.caught_by.retain(|check| suspect.by.iter().any(|name| check.contains(name)));
    verdict.beside = failed - verdict.caught_by.len();
    if let (false, Exposure::Run(_)) = (verdict.is_as_expected(), &suspect.exposure) {
        tracing::warn!(%mutant, folder = %args.keep.join(mutant.to_string()).display(), "kept");
    }
    verdict
}

/// Seeds without a bug: more than most bugs take, in the time that a trial may take.
const CONTROL_SEEDS: u32 = 40;

/// The same without a bug.
pub(super) async fn control(args: &MutantsArgs, exposure: &Exposure) -> Verdict {
    match exposure {
        Exposure::Simulation { .. } => {
            run(args, None, &Exposure::Simulation { seeds: CONTROL_SEEDS }).await
        }
        Exposure::Run(_) | Exposure::Tests { .. } => run(args, None, exposure).await,
    }
}

async fn run(args: &MutantsArgs, mutant: Option<Mutant>, exposure: &Exposure) -> Verdict {
    let begun = Instant::now();
    let failed = match exposure {
        Exposure::Simulation { seeds } => simulation(args, mutant, *seeds).await,
        Exposure::Run(arguments) => chaos(args, mutant, arguments).await,
        Exposure::Tests { package, target, filter } => tests(mutant, package, target, filter).await,
    };
    let seconds = begun.elapsed().as_secs();
    let (caught_by, problem) = match failed {
        Ok(caught_by) => (caught_by, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    let (mutant, exposure) = (mutant.map(|it| it.to_string()), exposure.to_string());
    Verdict { mutant, exposure, caught_by, beside: 0, seconds, problem }
}

/// Seeds of the simulation until the bug is found, and by what; without one, all that failed.
async fn simulation(
    args: &MutantsArgs,
    mutant: Option<Mutant>,
    seeds: u32,
) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new(beside_this_program("axp-sim")?);
    command.args(["run", "--json", "--twice-every", "0", "--seeds", &seeds.to_string()]);
    command.args(["--from", &args.seed.to_string(), "--jobs", &args.jobs.to_string()]);
    if let Some(mutant) = mutant {
        command.args(["--bug", &mutant.to_string()]);
    }
    let output = finish(choose(&mut command, None).spawn()?).await?;
    let said = String::from_utf8_lossy(&output.stdout);
    let summary = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    let summary: Value = summary.with_context(|| {
        let error = String::from_utf8_lossy(&output.stderr);
        format!("no summary: {}", error.lines().last().unwrap_or_default())
    })?;
    let Some(found) = summary.get("found").and_then(Value::as_object) else {
        let failed = summary.get("failed").and_then(Value::as_object).into_iter().flatten();
        return Ok(failed.map(|(seed, violations)| format!("seed {seed}: {violations}")).collect());
    };
    let seed = found.get("seed").and_then(Value::as_u64).unwrap_or_default();
    let checks = found.get("by").and_then(Value::as_object).into_iter().flatten();
    Ok(checks.map(|(check, count)| format!("`{check}` ({count}, seed {seed})")).collect())
}

fn beside_this_program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.is_file(), "{} is missing: build it with --features mutants", path.display());
    Ok(path)
}

/// A run of this program, and the checks that failed in it.
async fn chaos(
    args: &MutantsArgs,
    mutant: Option<Mutant>,
    arguments: &str,
) -> anyhow::Result<Vec<String>> {
    let name = mutant.map_or_else(|| "control".to_owned(), |mutant| mutant.to_string());
    let folder = tempfile::Builder::new().prefix(&format!("axp-mutant-{name}-")).tempdir()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("run").args(arguments.split(' ')).arg("--folder").arg(folder.path());
    command.args(["--seed", &args.seed.to_string(), "--rate", &args.rate.to_string()]);
    if args.patient {
        command.arg("--patient");
    }
    let output = finish(choose(&mut command, mutant).spawn()?).await?;
    std::fs::write(folder.path().join("run.log"), &output.stderr)?;
    keep(folder.path(), &args.keep.join(name))?;
    was_active(folder.path(), mutant)?;
    failed_checks(folder.path(), &output)
}

fn choose(command: &mut Command, mutant: Option<Mutant>) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match mutant {
        Some(mutant) => command.env(VARIABLE, mutant.to_string()),
        None => command.env_remove(VARIABLE),
    }
}

/// A bug that was never there is not one that nobody found.
fn was_active(folder: &Path, mutant: Option<Mutant>) -> anyhow::Result<()> {
    let Some(mutant) = mutant else { return Ok(()) };
    let log = std::fs::read_to_string(folder.join("node-1.log")).context("no log of node 1")?;
    let active = log.contains(&format!("seeded bug {mutant} "));
    ensure!(active, "the programs have no seeded bugs: build them with the feature `mutants`");
    Ok(())
}

/// What failed according to the report.
fn failed_checks(folder: &Path, output: &Output) -> anyhow::Result<Vec<String>> {
    let report = std::fs::read(folder.join(REPORT)).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("no report: {}", said.lines().last().unwrap_or_default())
    })?;
    let report: Value = serde_json::from_slice(&report)?;
    let items = |key: &str| report.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |item: &Value, key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
    let count = |item: &Value, key: &str| item.get(key).and_then(Value::as_u64);
    let violated = items("verdicts");
    let violated = violated.iter().filter(|it| count(it, "violations") != Some(0));
    let mut failed: Vec<String> = violated
        .filter_map(|it| {
            Some(format!("`{}` ({})", name(it, "invariant")?, count(it, "violations")?))
        })
        .collect();
    let empty = items("verdicts");
    let empty = empty.iter().filter(|it| count(it, "checked") == Some(0));
    failed.extend(empty.filter_map(|it| Some(format!("`{}` saw nothing", name(it, "invariant")?))));
    let missed = items("gates");
    let missed = missed.iter().filter(|it| it.get("ok") != Some(&Value::Bool(true)));
    failed.extend(missed.filter_map(|it| Some(format!("gate \"{}\"", name(it, "name")?))));
    ensure!(failed.is_empty() == output.status.success(), "the report contradicts the exit status");
    Ok(failed)
}

/// Tests of a crate with the bug in it, and those that failed.
async fn tests(
    mutant: Option<Mutant>,
    package: &str,
    target: &str,
    filter: &str,
) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--quiet", "--features", "mutants", "--package", package]);
    command.args(target.split(' ')).args(["--", filter]);
    let output = finish(choose(&mut command, mutant).spawn()?).await?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        ensure!(!said.contains(" 0 passed;"), "no test is called {filter}");
        return Ok(Vec::new());
    }
    let failed: Vec<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("---- ")?.strip_suffix(" stdout ----"))
        .map(|test| format!("test `{test}`"))
        .collect();
    if failed.is_empty() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default());
    }
    Ok(failed)
}

/// Waits for the end. A child that is given up is asked to end, so that it ends its own.
async fn finish(child: Child) -> anyhow::Result<Output> {
    let guard = TerminateOnDrop(child.id());
    let output = timeout(TRIAL_WITHIN, child.wait_with_output()).await;
    let output = output.with_context(|| format!("not over after {TRIAL_WITHIN:?}"))??;
    guard.disarm();
    Ok(output)
}

struct TerminateOnDrop(Option<u32>);

impl TerminateOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for TerminateOnDrop {
    fn drop(&mut self) {
        if let Some(pid) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // It has not been waited for, so its id is still its own.
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
    }
}

/// What is to be looked at; disks of nodes are not.
fn keep(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
