//! The command line: what can be asked for, and which file does it.

mod agents;
mod bench;
mod cluster;
mod completion;
mod context;
mod dev;
mod doctor;
mod intents;
mod login;
mod raw;
mod scenarios;
mod status;
mod tasks;
mod trace;
mod why;

use std::future::Future;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::exit::{self, Exit};
use crate::output::Ui;

const EXAMPLES: &str = "\
Examples:
  axp dev                                    a server of your own, on this machine
  axp login --url URL --api-key KEY          use a server; the key is stored
  axp scenarios apply scenario.json --watch  run a scenario and watch it
  axp tasks list                             what waits for a person
  axp why ID                                 what an intent waits for

";

#[derive(Debug, Parser)]
#[command(
    name = "axp",
    version,
    about = "Durable intents: server, load, user and operator commands"
)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}{}", exit::HELP))]
#[command(propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print results as JSON: one document, or one line per event for commands that keep running.
    #[arg(long, global = true)]
    json: bool,
    /// No colours; so does the environment variable NO_COLOR.
    #[arg(long, global = true)]
    no_color: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a cluster and a gateway in this process, for development.
    Dev(dev::DevArgs),
    /// Use a server: store its URL and API key.
    Login(login::LoginArgs),
    /// Servers by name, and which one is used.
    Context(context::ContextArgs),
    /// Check scenarios and run them.
    Scenarios(scenarios::ScenariosArgs),
    /// See what waits for people, and answer it.
    Tasks(tasks::TasksArgs),
    /// Submit intents and see what becomes of them.
    Intents(intents::IntentsArgs),
    /// See agents and what is delivered to them.
    Agents(agents::AgentsArgs),
    Why(why::WhyArgs),
    Trace(trace::TraceArgs),
    Status(status::StatusArgs),
    Doctor(doctor::DoctorArgs),
    Raw(raw::RawArgs),
    /// Ask the nodes of a cluster how they are.
    Cluster(cluster::ClusterArgs),
    /// Load a server and report how it did.
    Bench(bench::BenchArgs),
    /// Print a completion script for a shell.
    Completion(completion::CompletionArgs),
}

impl Cli {
    pub(crate) fn wants_json(&self) -> bool {
        self.json
    }

    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let ui = Ui::new(self.json, self.no_color);
        match self.command {
            Command::Dev(args) => dev::run(args, ui.json),
            Command::Login(args) => on_one_thread(login::run(args, ui)),
            Command::Context(args) => context::run(args, ui),
            Command::Intents(args) => on_one_thread(intents::run(args, ui)),
            Command::Scenarios(args) => on_one_thread(scenarios::run(args, ui)),
            Command::Tasks(args) => on_one_thread(tasks::run(args, ui)),
            Command::Agents(args) => on_one_thread(agents::run(args, ui)),
            Command::Why(args) => on_one_thread(why::run(args, ui)),
            Command::Trace(args) => on_one_thread(trace::run(args, ui)),
            Command::Status(args) => on_one_thread(status::run(args, ui)),
            Command::Doctor(args) => on_one_thread(doctor::run(args, ui)),
            Command::Raw(args) => on_one_thread(raw::run(args, ui)),
            Command::Cluster(args) => on_one_thread(cluster::run(args, ui.json)),
            Command::Bench(args) => on_one_thread(bench::run(args, ui.json)),
            Command::Completion(args) => completion::run(&args),
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
