//! `axp intents list`.

use clap::Args;

use super::{connect, text};
use crate::api::query;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Ui};

/// List intents of the key's workspace, newest first.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// At most this many, up to 1000.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Only these: one status, several with commas, or `pending` or `active`.
    #[arg(long)]
    status: Option<String>,
    /// Only those to this agent.
    #[arg(long, value_name = "ADDRESS")]
    to_agent: Option<String>,
    /// Only those from this agent.
    #[arg(long, value_name = "ADDRESS")]
    from_agent: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: ListArgs, ui: Ui) -> anyhow::Result<Exit> {
    let query = query(&[
        ("limit", Some(args.limit.to_string())),
        ("status", args.status),
        ("to_agent", args.to_agent),
        ("from_agent", args.from_agent),
    ]);
    let answer = connect(&args.server)?.get(&format!("/v1/intents{query}")).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let header = ["INTENT", "STATUS", "UPDATED", "TO"];
    let mut table = output::Table::new(&header).elastic(&[3]).status(1);
    for intent in answer["intents"].as_array().into_iter().flatten() {
        let text = |field| text(intent, field).to_owned();
        let updated = ui.when(&text("updated_at"));
        table.row(vec![text("intent_id"), text("status"), updated, text("to_agent")]);
    }
    output::line(&ui.table(&table))?;
    Ok(Exit::Success)
}
