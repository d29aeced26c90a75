//! `axp agents list`.

use clap::Args;

use crate::api::{Api, ServerArgs, query};
use crate::exit::Exit;
use crate::output;

/// List the registered agents of the key's workspace.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// At most this many.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: ListArgs, json: bool) -> anyhow::Result<Exit> {
    let query = query(&[("limit", Some(args.limit.to_string()))]);
    let answer = Api::new(&args.server)?.get(&format!("/v1/agents{query}")).await?;
    if json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let mut table = output::Table::new(&["ADDRESS", "STATUS", "CREATED", "NAME"]);
    for agent in answer["agents"].as_array().into_iter().flatten() {
        let cells = ["address", "status", "created_at", "display_name"];
        table.row(cells.map(|field| agent[field].as_str().unwrap_or_default().to_owned()).into());
    }
    output::line(&table.render())?;
    Ok(Exit::Success)
}
