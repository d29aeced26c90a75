//! `axp intents list`.

use clap::Args;

use super::{connect, text};
use crate::api::{ServerArgs, query};
use crate::exit::Exit;
use crate::output;

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

pub(super) async fn run(args: ListArgs, json: bool) -> anyhow::Result<Exit> {
    let query = query(&[
        ("limit", Some(args.limit.to_string())),
        ("status", args.status),
        ("to_agent", args.to_agent),
        ("from_agent", args.from_agent),
    ]);
    let answer = connect(&args.server)?.get(&format!("/v1/intents{query}")).await?;
    if json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let mut table = output::Table::new(&["INTENT", "STATUS", "UPDATED", "TO"]);
    for intent in answer["intents"].as_array().into_iter().flatten() {
        let cells = ["intent_id", "status", "updated_at", "to_agent"];
        table.row(cells.map(|field| text(intent, field).to_owned()).into());
    }
    output::line(&table.render())?;
    Ok(Exit::Success)
}
