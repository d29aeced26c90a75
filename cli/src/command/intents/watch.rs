//! `axp intents watch`.

use std::ops::ControlFlow;

use clap::Args;
use serde_json::Value;

use super::{connect, text};
use crate::api::{Api, ServerArgs, follow, percent_encoded};
use crate::exit::Exit;
use crate::output;

/// Print an intent's events as they happen, until it ends.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    intent_id: String,
    /// Start after this event.
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    since: u64,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: WatchArgs, json: bool) -> anyhow::Result<Exit> {
    until_end(&connect(&args.server)?, &args.intent_id, args.since, json).await
}

/// Also what `submit --wait` does.
pub(super) async fn until_end(
    api: &Api,
    intent_id: &str,
    since: u64,
    json: bool,
) -> anyhow::Result<Exit> {
    let id = percent_encoded(intent_id);
    let path = |since| format!("/v1/intents/{id}/events/stream?since={since}");
    follow(api, since, path, |event| {
        if json {
            output::json_line(event)?
        } else {
            output::line(&describe(event))?
        }
        Ok(match text(event, "status") {
            "COMPLETED" => ControlFlow::Break(Exit::Success),
            "FAILED" | "CANCELED" | "TIMED_OUT" => ControlFlow::Break(Exit::EndedOtherwise),
            _ => ControlFlow::Continue(()),
        })
    })
    .await
}

fn describe(event: &Value) -> String {
    let mut line = format!(
        "{:>4}  {}  {:<11}  {}",
        event["seq"],
        text(event, "at"),
        text(event, "status"),
        text(event, "event_type"),
    );
    if event["details"].as_object().is_some_and(|details| !details.is_empty()) {
        line.push_str(&format!("  {}", event["details"]));
    }
    line
}
