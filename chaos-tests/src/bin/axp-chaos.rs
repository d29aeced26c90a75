//! `axp-chaos run`: breaks a real cluster under load and says whether the promises held.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use axp_chaos_tests::cluster::{Binaries, Timing};
use axp_chaos_tests::nemesis::Kind;
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
    Run(RunArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// What breaks: kill-leader, kill-all, kill-gateway, pause, restart, and as root power-loss,
    /// isolate, one-way, bridge, flapping, lossy; several with commas, chosen from at random.
    #[arg(long, default_value = "kill-leader", value_delimiter = ',')]
    nemesis: Vec<Kind>,
    /// How long things are broken, e.g. 120s.
    #[arg(long, default_value = "120s", env = "CHAOS_DURATION", value_parser = parse_duration)]
    duration: Duration,
    /// Submits begun per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Agents that do the work.
    #[arg(long, default_value_t = 16)]
    agents: usize,
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
    /// Where configurations, logs and the record go. Default: a temporary folder, removed when
    /// everything held.
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
    let Command::Run(args) = Cli::parse().command;
    // Children die with this process's values, so a signal must unwind and not just end it.
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = run(args) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    }
}

async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let binaries = Binaries::locate()?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let temporary = tempfile::Builder::new().prefix("axp-chaos-").tempdir()?;
    let folder = args.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let power_loss = args.nemesis.contains(&Kind::PowerLoss);
    let breaks_network = args.nemesis.iter().any(|kind| kind.breaks_network());
    let mut plan = Plan::new(args.nemesis, args.duration, seed, &folder);
    plan.mix.rate = args.rate;
    plan.mix.agents = args.agents;
    plan.shape.engine = args.engine;
    plan.shape.shard_groups = args.shards;
    plan.shape.own_network = breaks_network;
    plan.shape.power_loss_disks = power_loss.then_some(args.entries);
    plan.shape.survivals = args.mode;
    plan.mutant = args.mutant;
    if args.patient {
        plan.shape.timing = Timing::Patient;
    }
    plan.limits.faults_min = args.kills_min;
    plan.limits.acknowledged_min = args.acknowledged_min;

    tracing::info!(seed, folder = %folder.display(), "run");
    let report = match runner::run(&binaries, &plan).await {
        Ok(report) => report,
        Err(error) => {
            let kept = temporary.keep();
            return Err(error).with_context(|| {
                format!(
                    "no verdict; seed {seed}, logs in {} or {}",
                    folder.display(),
                    kept.display()
                )
            });
        }
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    if !report.ok {
        drop(temporary.keep());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
