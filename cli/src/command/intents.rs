//! `axp intents`: one file per command below.

mod cancel;
mod cleanup;
mod get;
mod list;
mod log;
mod resume;
mod submit;
mod watch;

use clap::{Args, Subcommand};

use crate::api::Api;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::Ui;

#[derive(Debug, Args)]
pub(crate) struct IntentsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Submit(submit::SubmitArgs),
    Get(get::GetArgs),
    List(list::ListArgs),
    Watch(watch::WatchArgs),
    Log(log::LogArgs),
    Resume(resume::ResumeArgs),
    Cancel(cancel::CancelArgs),
    Cleanup(cleanup::CleanupArgs),
}

pub(crate) async fn run(args: IntentsArgs, ui: Ui) -> anyhow::Result<Exit> {
    match args.command {
        Command::Submit(args) => submit::run(args, ui).await,
        Command::Get(args) => get::run(args, ui).await,
        Command::List(args) => list::run(args, ui).await,
        Command::Watch(args) => watch::run(args, ui).await,
        Command::Log(args) => log::run(args, ui).await,
        Command::Resume(args) => resume::run(args, ui).await,
        Command::Cancel(args) => cancel::run(args, ui).await,
        Command::Cleanup(args) => cleanup::run(args, ui).await,
    }
}

fn connect(server: &ServerArgs) -> anyhow::Result<Api> {
    Api::new(server)
}

/// Text of a field that may be missing.
fn text<'a>(value: &'a serde_json::Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
