//! `axp intents`: one file per command below.

mod get;
mod list;
mod submit;
mod watch;

use clap::{Args, Subcommand};

use crate::api::{Api, ServerArgs};
use crate::exit::Exit;

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
}

pub(crate) async fn run(args: IntentsArgs, json: bool) -> anyhow::Result<Exit> {
    match args.command {
        Command::Submit(args) => submit::run(args, json).await,
        Command::Get(args) => get::run(args, json).await,
        Command::List(args) => list::run(args, json).await,
        Command::Watch(args) => watch::run(args, json).await,
    }
}

fn connect(server: &ServerArgs) -> anyhow::Result<Api> {
    Ok(Api::new(server)?)
}

/// Text of a field that may be missing.
fn text<'a>(value: &'a serde_json::Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
