//! `axp context`: one file per command below.

mod delete;
mod list;
mod set;
mod show;
mod use_;

use clap::{Args, Subcommand};

use crate::exit::{Exit, Usage};
use crate::output::Ui;

#[derive(Debug, Args)]
pub(crate) struct ContextArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Use(use_::UseArgs),
    Set(set::SetArgs),
    Show(show::ShowArgs),
    Delete(delete::DeleteArgs),
}

pub(crate) fn run(args: ContextArgs, ui: Ui) -> anyhow::Result<Exit> {
    match args.command {
        Command::List(args) => list::run(&args, ui),
        Command::Use(args) => use_::run(&args, ui),
        Command::Set(args) => set::run(args, ui),
        Command::Show(args) => show::run(&args, ui),
        Command::Delete(args) => delete::run(&args, ui),
    }
}

fn unknown(name: &str) -> Usage {
    Usage(format!("there is no context `{name}`: `axp context list` shows them"))
}
