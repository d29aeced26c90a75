//! `axp intents cancel`.

use clap::Args;
use serde_json::json;

use super::{connect, text};
use crate::api::intent_path;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Ui, status_style};

/// End an intent as CANCELED, and with it the steps that are open.
#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    intent_id: String,
    /// Why; it is in the last event.
    #[arg(long, default_value = "canceled with axp", value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: CancelArgs, ui: Ui) -> anyhow::Result<Exit> {
    let body = json!({"status": "CANCELED", "reason": args.reason});
    let path = format!("{}/resolve", intent_path(&args.intent_id));
    let answer = connect(&args.server)?.post(&path, &[], &body).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let status = text(&answer["intent"], "status");
    output::line(&format!("{}  {}", args.intent_id, ui.paint(status_style(status), status)))?;
    Ok(Exit::Success)
}
