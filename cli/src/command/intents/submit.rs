//! `axp intents submit`.

use clap::Args;
use serde_json::json;

use super::{connect, text};
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::input;
use crate::output::{self, Ui, status_style};
use crate::watch::{self, Watch};

/// Submit an intent.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  axp intents submit --to checker --type compliance.check.v1 --payload '{\"amount\": 250}'
  axp intents submit --to checker --payload @request.json --wait")]
pub(super) struct SubmitArgs {
    /// Who is to do it: agent://org/workspace/name, or a bare name in the key's workspace.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// Type and version, like `intent.approval.v1`.
    #[arg(long = "type", default_value = "intent.ask.v1", value_name = "TYPE")]
    intent_type: String,
    /// A JSON object; `@FILE` reads it from a file, `-` from stdin.
    #[arg(long, default_value = "{}", value_name = "JSON")]
    payload: String,
    /// Submitting again with the same key and body answers with the first intent.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// A UUID that groups what belongs together; made when left out.
    #[arg(long, value_name = "UUID")]
    correlation_id: Option<String>,
    /// Where the outcome is to be delivered as well.
    #[arg(long, value_name = "ADDRESS")]
    reply_to: Option<String>,
    /// After this time the intent ends as TIMED_OUT, like `2030-01-31T12:00:00Z`.
    #[arg(long, value_name = "TIME")]
    deadline_at: Option<String>,
    /// Watch it until it ends.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: SubmitArgs, ui: Ui) -> anyhow::Result<Exit> {
    let mut body = json!({
        "intent_type": args.intent_type,
        "to_agent": args.to,
        "payload": input::object(&args.payload, "the payload")?,
        "correlation_id":
            args.correlation_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
    });
    for (name, value) in [("reply_to", args.reply_to), ("deadline_at", args.deadline_at)] {
        if let Some(value) = value {
            body[name] = value.into();
        }
    }
    let headers: Vec<_> =
        args.idempotency_key.as_deref().map(|key| ("idempotency-key", key)).into_iter().collect();
    let api = connect(&args.server)?;
    let answer = api.post("/v1/intents", &headers, &body).await?;
    let intent_id = text(&answer, "intent_id");
    let status = text(&answer, "status");
    match (ui.json, args.wait) {
        (true, false) => output::json(&answer)?,
        (true, true) => output::json_line(&answer)?,
        (false, _) => {
            output::line(&format!("{intent_id}  {}", ui.paint(status_style(status), status)))?;
        }
    }
    if !args.wait {
        return Ok(Exit::Success);
    }
    let title = text(&body, "intent_type").to_owned();
    watch::until_end(&api, Watch { intent_id, since: 0, title, steps: vec![] }, ui).await
}
