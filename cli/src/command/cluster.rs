//! `axp cluster`: what operators ask the nodes themselves, over `axp.node.v1`.

mod report;
mod status;
mod verify;

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
    Verify(verify::VerifyArgs),
}

pub(crate) async fn run(args: ClusterArgs, json: bool) -> anyhow::Result<Exit> {
    match args.command {
        Command::Status(args) => status::run(args, json).await,
        Command::Verify(args) => verify::run(args, json).await,
    }
}
