//! `axp intents log`.

use clap::Args;
use serde_json::Value;

use super::{connect, text};
use crate::api::intent_path;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Table, Ui};
use crate::watch::describe;

/// Print the events of an intent that have happened by now.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    intent_id: String,
    /// Only those after this event.
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    since: u64,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: LogArgs, ui: Ui) -> anyhow::Result<Exit> {
    let path = format!("{}/events?since={}", intent_path(&args.intent_id), args.since);
    let answer = connect(&args.server)?.get(&path).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let events = answer["events"].as_array().into_iter().flatten();
    if ui.width.is_none() {
        for event in events {
            output::line(&describe(event))?;
        }
        return Ok(Exit::Success);
    }
    let header = ["SEQ", "AT", "STATUS", "EVENT", "WITH", "DETAILS"];
    let mut table = Table::new(&header).elastic(&[4, 5]).status(2);
    for event in events {
        table.row(row(event, ui));
    }
    output::line(&ui.table(&table))?;
    Ok(Exit::Success)
}

fn row(event: &Value, ui: Ui) -> Vec<String> {
    let details = match &event["details"] {
        Value::Object(details) if !details.is_empty() => event["details"].to_string(),
        _ => String::new(),
    };
    vec![
        event["seq"].to_string(),
        ui.when(text(event, "at")),
        text(event, "status").to_owned(),
        text(event, "event_type").trim_start_matches("intent.").to_owned(),
        text(&event["pending_with"], "name").to_owned(),
        details,
    ]
}
