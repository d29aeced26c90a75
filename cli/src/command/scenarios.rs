//! `axp scenarios`: one file per command below.

mod apply;
mod templates;
mod validate;

use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::output::Ui;

#[derive(Debug, Args)]
pub(crate) struct ScenariosArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Validate(validate::ValidateArgs),
    Apply(apply::ApplyArgs),
    ListTemplates(templates::ListArgs),
    ShowTemplate(templates::ShowArgs),
}

pub(crate) async fn run(args: ScenariosArgs, ui: Ui) -> anyhow::Result<Exit> {
    match args.command {
        Command::Validate(args) => validate::run(args, ui).await,
        Command::Apply(args) => apply::run(args, ui).await,
        Command::ListTemplates(args) => templates::list(args, ui).await,
        Command::ShowTemplate(args) => templates::show(args, ui).await,
    }
}
