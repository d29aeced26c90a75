//! `axp agents`: one file per command below.

mod delete;
mod keys;
mod list;
mod listen;
mod register;
mod show;

use clap::{Args, Subcommand};

use crate::api::{Api, agent_path};
use crate::exit::Exit;
use crate::output::Ui;

#[derive(Debug, Args)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Register(register::RegisterArgs),
    Show(show::ShowArgs),
    Delete(delete::DeleteArgs),
    Keys(keys::KeysArgs),
    Listen(listen::ListenArgs),
}

pub(crate) async fn run(args: AgentsArgs, ui: Ui) -> anyhow::Result<Exit> {
    match args.command {
        Command::List(args) => list::run(args, ui).await,
        Command::Register(args) => register::run(args, ui).await,
        Command::Show(args) => show::run(args, ui).await,
        Command::Delete(args) => delete::run(args, ui).await,
        Command::Keys(args) => keys::run(args, ui).await,
        Command::Listen(args) => listen::run(args, ui).await,
    }
}

/// The service account behind an agent: its id as it is, or that of an address.
async fn account_of(api: &Api, agent: &str) -> anyhow::Result<String> {
    if agent.starts_with("sa_") {
        return Ok(agent.to_owned());
    }
    let answer = api.get(&agent_path(agent)).await?;
    Ok(answer["agent"]["service_account_id"].as_str().unwrap_or_default().to_owned())
}
