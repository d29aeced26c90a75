//! `axp cluster`: what operators ask the nodes themselves, over `axp.node.v1`.

mod report;
mod status;

use clap::{Args, Subcommand};

use crate::exit::Exit;

#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(status::StatusArgs),
}

pub(crate) async fn run(args: ClusterArgs, json: bool) -> anyhow::Result<Exit> {
    match args.command {
        Command::Status(args) => status::run(args, json).await,
    }
}
