//! `axp-sim`: a whole cluster in one thread, from one seed.
//!
//! Real nodes and gateways, real HTTP/2 and HTTP between them, the same workload and the same checks
//! as against real processes; network, disks, clocks and randomness are simulated. The same seed
//! gives the same packets at the same instants, byte for byte (docs/chaos.md, ADR 0015).

mod batch;
mod bug;
mod disk;
mod hosts;
mod journal;
mod loss;
mod net;
mod plan;
mod probe;
mod verdict;
mod walls;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bug::Bug;
use crate::plan::Plan;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One seed: what happened and whether all promises held.
    Seed {
        seed: u64,
        /// Puts a bug in, which the checks have to find: of the disks, or of the product.
        #[arg(long, visible_alias = "mutant")]
        bug: Option<Bug>,
        /// Writes everything that happened, each packet included, to a file.
        #[arg(long, value_name = "FILE")]
        journal: Option<PathBuf>,
        /// The verdict as one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// What a seed stands for; nothing is run.
    Plan { seed: u64 },
    /// Many seeds, each in a process of its own.
    Run(batch::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Seed { seed, bug, journal, json } => {
            if let Some(ended) = bug.map(Bug::again).transpose()?.flatten() {
                return Ok(ExitCode::from(u8::from(!ended.success())));
            }
            let bug = bug.or_else(Bug::of_this_process);
            let verdict = world::run(Plan::new(seed, bug), journal.as_deref())?;
            verdict.print(json)?;
            Ok(ExitCode::from(u8::from(!verdict.ok())))
        }
        Command::Plan { seed } => {
            println!("{:#?}", Plan::new(seed, None));
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(arguments) => batch::run(&arguments),
    }
}
