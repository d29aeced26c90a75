//! `axp cluster`: what operators ask the nodes themselves, over `axp.node.v1`.

mod change;
mod members;
mod nodes;
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
    Members(members::MembersArgs),
    Add(change::AddArgs),
    Remove(change::RemoveArgs),
    Replace(change::ReplaceArgs),
    Abort(change::AbortArgs),
}

pub(crate) async fn run(args: ClusterArgs, json: bool) -> anyhow::Result<Exit> {
    match args.command {
        Command::Status(args) => status::run(args, json).await,
        Command::Verify(args) => verify::run(args, json).await,
        Command::Members(args) => members::run(&args, json).await,
        Command::Add(args) => change::add(args, json).await,
        Command::Remove(args) => change::remove(args, json).await,
        Command::Replace(args) => change::replace(args, json).await,
        Command::Abort(args) => change::abort(args, json).await,
    }
}
