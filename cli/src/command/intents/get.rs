//! `axp intents get`.

use clap::Args;

use super::connect;
use crate::api::intent_path;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Table, Ui};

/// Show an intent as it is now; a terminal cuts long values, `--json` shows them whole.
#[derive(Debug, Args)]
pub(super) struct GetArgs {
    intent_id: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: GetArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = connect(&args.server)?;
    let answer = api.get(&intent_path(&args.intent_id)).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    output::line(&ui.table(&Table::of_fields(&answer["intent"], ui)))?;
    Ok(Exit::Success)
}
