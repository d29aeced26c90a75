//! `axp-powerloss`: power losses under a storage engine by hand, and a mount to play with.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use axp_chaos_tests::cluster::binaries;
use axp_chaos_tests::powerloss::trial::{CHURN, TABLE_HEAD, Trial, table_row};
use axp_chaos_tests::powerloss::{EntryRule, Mounted, PowerLossDisk, Survival};
use clap::{Args, Parser, Subcommand};

/// Cuts the power under a storage engine, again and again, and prints the table of ADR 0001.
#[derive(Debug, Parser)]
#[command(name = "axp-powerloss", version)]
struct Cli {
    #[command(flatten)]
    trial: TrialArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct TrialArgs {
    /// fjall or sled; several with commas.
    #[arg(long, default_value = "fjall", value_delimiter = ',')]
    engine: Vec<String>,
    /// Rounds of each combination.
    #[arg(long, default_value_t = 25)]
    rounds: u32,
    /// lose: nothing unsynced survives; reorder: each change survives by chance; torn: in sectors.
    #[arg(long, default_value = "lose,reorder,torn", value_delimiter = ',')]
    mode: Vec<Survival>,
    /// strict: entries need their directory synced; journaled: any sync makes them durable.
    #[arg(long, default_value = "strict", value_delimiter = ',')]
    entries: Vec<EntryRule>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mounts an empty disk until interrupted; write orders to the file .axp-power in it.
    Mount { path: PathBuf },
}

fn main() -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "info,fuser=off".into()),
        )
        .init();
    let cli = Cli::parse();
    if let Some(reason) = Mounted::unavailable() {
        bail!("cannot mount: {reason}");
    }
    match cli.command {
        Some(Command::Mount { path }) => {
            let rule = cli.trial.entries.first().copied().unwrap_or(EntryRule::Strict);
            hold(&PowerLossDisk::new(rule), &path)?;
            Ok(ExitCode::SUCCESS)
        }
        None => try_all(&cli.trial),
    }
}

/// Keeps the mount until SIGINT or SIGTERM.
#[tokio::main(flavor = "current_thread")]
async fn hold(disk: &PowerLossDisk, path: &std::path::Path) -> anyhow::Result<()> {
    let mount = Mounted::mount(disk, path)?;
    println!("mounted at {}", mount.path().display());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn try_all(args: &TrialArgs) -> anyhow::Result<ExitCode> {
    binaries::build_example(CHURN)?;
    let churn = binaries::example(CHURN)?;
    let mut failed = false;
    println!("{TABLE_HEAD}");
    for engine in &args.engine {
        for &rule in &args.entries {
            for &survival in &args.mode {
                let trial = Trial {
                    churn: churn.clone(),
                    engine: engine.clone(),
                    survival,
                    rule,
                    rounds: args.rounds,
                    seed: args.seed,
                };
                let outcome = trial.run()?;
                println!("{}", table_row(&trial, &outcome));
                for failure in &outcome.failures {
                    eprintln!("  {failure}");
                }
                failed |= outcome.kept != outcome.rounds;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
