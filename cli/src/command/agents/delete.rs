//! `axp agents delete`.

use clap::Args;

use super::account_of;
use crate::api::{Api, percent_encoded};
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::input;
use crate::output::{self, Ui};

/// Delete an agent: its keys are revoked and its address takes no more intents.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// An address, a bare name, or a service account's id.
    agent: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: DeleteArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = Api::new(&args.server)?;
    let id = account_of(&api, &args.agent).await?;
    let question = format!("Delete {} ({id}) and revoke its keys?", args.agent);
    if !args.yes && !input::agree(ui, &question)? {
        return Ok(Exit::Other);
    }
    let answer = api.delete(&format!("/v1/service-accounts/{}", percent_encoded(&id))).await?;
    if ui.json {
        output::json(&answer)?;
    } else {
        output::line(&format!("{id}  deleted"))?;
    }
    Ok(Exit::Success)
}
