//! `axp agents`: one file per command below.

mod list;
mod listen;

use clap::{Args, Subcommand};

use crate::exit::Exit;

#[derive(Debug, Args)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Listen(listen::ListenArgs),
}

pub(crate) async fn run(args: AgentsArgs, json: bool) -> anyhow::Result<Exit> {
    match args.command {
        Command::List(args) => list::run(args, json).await,
        Command::Listen(args) => listen::run(args, json).await,
    }
}
