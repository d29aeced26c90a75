//! `axp agents show`.

use clap::Args;

use crate::api::{Api, agent_path};
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Table, Ui};

/// Show a registered agent.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// agent://org/workspace/name, or a bare name in the key's workspace.
    address: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: ShowArgs, ui: Ui) -> anyhow::Result<Exit> {
    let answer = Api::new(&args.server)?.get(&agent_path(&args.address)).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    output::line(&ui.table(&Table::of_fields(&answer["agent"], ui)))?;
    Ok(Exit::Success)
}
