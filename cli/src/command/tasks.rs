//! `axp tasks`: one file per command below; the answers share one.

mod answer;
mod get;
mod list;

use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::output::Ui;

#[derive(Debug, Args)]
pub(crate) struct TasksArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Get(get::GetArgs),
    /// Approve: the outcome `approved`, or the task's own word for it.
    Approve(answer::AnswerArgs),
    /// Reject: the outcome `rejected`, or the task's own word for it, such as `denied`.
    Reject(answer::AnswerArgs),
    /// Confirm that something was done in the real world.
    Confirm(answer::AnswerArgs),
    /// Report a manual action as completed.
    Complete(answer::AnswerArgs),
    Assign(answer::AssignArgs),
    Submit(answer::SubmitArgs),
}

pub(crate) async fn run(args: TasksArgs, ui: Ui) -> anyhow::Result<Exit> {
    use answer::Wish;
    match args.command {
        Command::List(args) => list::run(args, ui).await,
        Command::Get(args) => get::run(args, ui).await,
        Command::Approve(args) => answer::run(Wish::Approve, args, ui).await,
        Command::Reject(args) => answer::run(Wish::Reject, args, ui).await,
        Command::Confirm(args) => answer::run(Wish::Confirm, args, ui).await,
        Command::Complete(args) => answer::run(Wish::Complete, args, ui).await,
        Command::Assign(args) => answer::assign(args, ui).await,
        Command::Submit(args) => answer::submit(args, ui).await,
    }
}
