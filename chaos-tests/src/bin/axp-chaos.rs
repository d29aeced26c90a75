//! `axp-chaos run`: breaks a real cluster under load and says whether the promises held.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axp_chaos_tests::cluster::binaries::OTHER;
use axp_chaos_tests::cluster::{Binaries, Timing};
use axp_chaos_tests::mutants::{self, MutantsArgs};
use axp_chaos_tests::nemesis::{Kind, Needs};
use axp_chaos_tests::powerloss::{EntryRule, Survival};
use axp_chaos_tests::runner::{self, Mutant, Plan};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Breaks a real cluster under load and checks what clients were told.
#[derive(Debug, Parser)]
#[command(name = "axp-chaos", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One run: three nodes, two gateways, load, faults, healing, checks. Exits 1 on a violation.
    Run(Box<RunArgs>),
    /// Makes the run of a report again: the same faults, choices and operations, other timings.
    Repro {
        /// A report.json, or the folder where one is.
        file: PathBuf,
    },
    /// What can be broken, and what it takes.
    Nemeses,
    /// Runs every seeded bug under what should reveal it. Exits 1 when one is not found.
    Mutants(MutantsArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// What breaks, several with commas, chosen from at random; `axp-chaos nemeses` lists all, and
    /// `all` means them.
    #[arg(long, default_value = "kill-leader", value_delimiter = ',')]
    nemesis: Vec<String>,
    /// Two faults at a time, one at nodes and one at what is around them, and one in three that take a
    /// leader followed at once by the end of its successor.
    #[arg(long)]
    overlap: bool,
    /// How long things are broken, e.g. 120s.
    #[arg(long, default_value = "120s", env = "CHAOS_DURATION", value_parser = parse_duration)]
    duration: Duration,
    /// Submits begun per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Agents that do the work.
    #[arg(long, default_value_t = 16)]
    agents: usize,
    /// Organizations that the load comes from.
    #[arg(long, default_value_t = 10)]
    organizations: usize,
    /// Shards of the cluster.
    #[arg(long, default_value_t = 4)]
    shards: u16,
    /// The run's name; chosen and printed when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Fewer faults than this are a failure.
    #[arg(long, default_value_t = 1)]
    kills_min: usize,
    /// Fewer acknowledged intents than this are a failure.
    #[arg(long, default_value_t = 100)]
    acknowledged_min: usize,
    /// Storage engine of the nodes.
    #[arg(long, default_value = "fjall")]
    engine: String,
    /// With power-loss: strict or journaled, when directory entries are durable.
    #[arg(long, default_value = "strict")]
    entries: EntryRule,
    /// With power-loss: what survives, lose, reorder or torn; several with commas.
    #[arg(long, default_value = "lose,reorder,torn", value_delimiter = ',')]
    mode: Vec<Survival>,
    /// Break something that no cluster survives: the run must then fail. lying-disks.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Election timeouts for a machine that is busy with other things.
    #[arg(long)]
    patient: bool,
    /// No process may ever take more memory than this.
    #[arg(long, default_value_t = 512)]
    memory_mib_max: u64,
    /// No node may ever take more space than this.
    #[arg(long, default_value_t = 1024)]
    disk_mib_max: u64,
    /// Where configurations, logs, the record, report.json and timeline.svg go. Default: a temporary
    /// folder, of which only the last two stay when everything held.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text} is not a duration"))?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "h" => Ok(Duration::from_secs(number * 3600)),
        _ => Err(format!("{unit} is none of s, m, h")),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "info,fuser=off".into()),
        )
        .init();
    let command = Cli::parse().command;
    // Children die with this process's values, so a signal must unwind and not just end it.
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = obey(command) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    }
}

async fn obey(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run(*args).await,
        Command::Repro { file } => run(*repro(&file)?).await,
        Command::Mutants(args) => Ok(match mutants::run(&args).await? {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }),
        Command::Nemeses => {
            list_nemeses();
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn list_nemeses() {
    for kind in Kind::all() {
        let Needs { network, proxies, disks, clocks, short_logs, spare_node, other_build } =
            kind.nemesis().needs;
        let needs = [
            (network, "network"),
            (proxies, "proxies"),
            (disks, "disks"),
            (clocks, "clocks"),
            (short_logs, "short logs"),
            (spare_node, "a spare node"),
            (other_build, "another version"),
        ];
        let needs = needs.into_iter().filter(|(needed, _)| *needed).map(|(_, what)| what);
        let needs: Vec<_> = needs.collect();
        println!("{:<20} {}", kind.to_string(), needs.join(", "));
    }
}

/// The arguments of an earlier run, from its report.
fn repro(file: &Path) -> anyhow::Result<Box<RunArgs>> {
    let file = if file.is_dir() { file.join(runner::REPORT) } else { file.to_owned() };
    let report = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let report: serde_json::Value = serde_json::from_slice(&report)?;
    let text = |key: &str| {
        report[key].as_str().with_context(|| format!("{} has no {key}", file.display()))
    };
    let (repeat, commit) = (text("repeat")?, text("commit")?);
    println!("made at {commit}: {repeat}");
    match Cli::try_parse_from(repeat.split_whitespace())?.command {
        Command::Run(args) => Ok(args),
        Command::Repro { .. } | Command::Nemeses | Command::Mutants(_) => {
            bail!("{repeat:?} is not a run")
        }
    }
}

fn kinds(names: &[String]) -> anyhow::Result<Vec<Kind>> {
    if names == ["all"] {
        // Another version has to be brought by whoever wants it.
        let has_other = std::env::var_os(OTHER).is_some();
        let possible = |kind: &Kind| has_other || !kind.nemesis().needs.other_build;
        return Ok(Kind::all().into_iter().filter(possible).collect());
    }
    names.iter().map(|name| name.parse().map_err(anyhow::Error::msg)).collect()
}

fn plan(args: &RunArgs, folder: &Path) -> anyhow::Result<Plan> {
    let seed = args.seed.unwrap_or_else(rand::random);
    let mut plan = Plan::new(kinds(&args.nemesis)?, args.duration, seed, folder);
    plan.overlap = args.overlap;
    plan.mix.rate = args.rate;
    plan.mix.agents = args.agents;
    plan.mix.organizations = args.organizations;
    plan.shape.engine.clone_from(&args.engine);
    plan.shape.shard_groups = args.shards;
    plan.shape.power_loss_disks = plan.shape.power_loss_disks.map(|_| args.entries);
    plan.shape.survivals.clone_from(&args.mode);
    plan.mutant = args.mutant;
    plan.keep_record = args.folder.is_some();
    if args.patient {
        plan.shape.timing = Timing::Patient;
    }
    plan.limits.faults_min = args.kills_min;
    plan.limits.acknowledged_min = args.acknowledged_min;
    plan.limits.memory_mib_max = args.memory_mib_max;
    plan.limits.disk_mib_max = args.disk_mib_max;
    Ok(plan)
}

async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let binaries = Binaries::locate()?;
    // Never removed as a whole: what a run said stays, and where nothing is wrong only that.
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => tempfile::Builder::new().prefix("axp-chaos-").tempdir()?.keep(),
    };
    std::fs::create_dir_all(&folder)?;
    let plan = plan(&args, &folder)?;
    tracing::info!(seed = plan.seed, folder = %folder.display(), "run");
    let report = runner::run(&binaries, &plan)
        .await
        .with_context(|| format!("no verdict; seed {}, logs in {}", plan.seed, folder.display()))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    if !report.ok {
        return Ok(ExitCode::FAILURE);
    }
    if args.folder.is_none() {
        keep_only(&folder, &[runner::REPORT, runner::TIMELINE])?;
    }
    Ok(ExitCode::SUCCESS)
}

fn keep_only(folder: &Path, names: &[&str]) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if names.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axp_chaos_tests::report::repeat;

    use super::*;

    fn plan_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Plan {
        let Command::Run(args) = Cli::try_parse_from(words).unwrap().command else {
            panic!("it does not say run");
        };
        plan(&args, Path::new("/nowhere")).unwrap()
    }

    #[test]
    fn a_report_says_how_to_make_its_run_again() {
        let runs = [
            "axp-chaos run --seed 7",
            "axp-chaos run --seed 8 --nemesis all --overlap --duration 2m --rate 50 --agents 3 \
             --organizations 2 --shards 8 --engine sled --kills-min 9 --acknowledged-min 5 --memory-mib-max 100 \
             --disk-mib-max 200 --entries journaled --mode torn --patient",
            "axp-chaos run --seed 9 --nemesis power-loss --mutant lying-disks",
        ];
        for run in runs {
            let plan = plan_of(run.split_whitespace());
            let again = plan_of(repeat::command(&plan).split_whitespace());
            assert_eq!(format!("{plan:?}"), format!("{again:?}"));
        }
    }
}
