//! `axp agents list`.

use clap::Args;

use crate::api::{Api, query};
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Ui};

/// List the registered agents of the key's workspace.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// At most this many.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: ListArgs, ui: Ui) -> anyhow::Result<Exit> {
    let query = query(&[("limit", Some(args.limit.to_string()))]);
    let answer = Api::new(&args.server)?.get(&format!("/v1/agents{query}")).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let mut table = output::Table::new(&["ADDRESS", "STATUS", "CREATED", "NAME"]).elastic(&[3]);
    for agent in answer["agents"].as_array().into_iter().flatten() {
        let text = |field: &str| agent[field].as_str().unwrap_or_default().to_owned();
        let created = ui.when(&text("created_at"));
        table.row(vec![text("address"), text("status"), created, text("display_name")]);
    }
    output::line(&ui.table(&table))?;
    Ok(Exit::Success)
}
