//! The command line: what can be asked for, and which file does it.

mod agents;
mod bench;
mod cluster;
mod dev;
mod intents;

use std::future::Future;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::exit::{self, Exit};

#[derive(Debug, Parser)]
#[command(
    name = "axp",
    version,
    about = "Durable intents: server, load, user and operator commands"
)]
#[command(after_long_help = exit::HELP, propagate_version = true)]
pub(crate) struct Cli {
    /// Print results as JSON: one document, or one line per event for commands that keep running.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a cluster and a gateway in this process, for development.
    Dev(dev::DevArgs),
    /// Load a server and report how it did.
    Bench(bench::BenchArgs),
    /// Submit intents and see what becomes of them.
    Intents(intents::IntentsArgs),
    /// See agents and what is delivered to them.
    Agents(agents::AgentsArgs),
    /// Ask the nodes of a cluster how they are.
    Cluster(cluster::ClusterArgs),
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let json = self.json;
        match self.command {
            Command::Dev(args) => dev::run(args, json),
            Command::Bench(args) => on_one_thread(bench::run(args, json)),
            Command::Intents(args) => on_one_thread(intents::run(args, json)),
            Command::Agents(args) => on_one_thread(agents::run(args, json)),
            Command::Cluster(args) => on_one_thread(cluster::run(args, json)),
        }
    }
}

/// One thread is enough for a client, and leaves the other cores to the server under load.
fn on_one_thread(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
