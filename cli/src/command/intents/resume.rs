//! `axp intents resume`.

use clap::Args;
use serde_json::json;

use super::{connect, text};
use crate::api::intent_path;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::input;
use crate::output::{self, Ui, status_style};

/// Answer an intent in its agent's place: the result ends it, and a scenario goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  axp intents resume ID --data passed=yes --data reason='within the limit'
  axp intents resume ID --data-json '{\"passed\": true}'
  axp intents resume ID --fail --data reason='no such account'")]
pub(super) struct ResumeArgs {
    intent_id: String,
    /// A field of the result; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = input::pair)]
    data: Vec<(String, String)>,
    /// The result as a JSON object; `@FILE` reads a file, `-` stdin.
    #[arg(long, value_name = "JSON")]
    data_json: Option<String>,
    /// The agent could not do it: the intent, or its step, has failed.
    #[arg(long)]
    fail: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: ResumeArgs, ui: Ui) -> anyhow::Result<Exit> {
    let fields = args.data_json.as_deref().map(|json| input::object(json, "--data-json"));
    let mut body = fields.transpose()?.unwrap_or_default();
    body.extend(args.data.into_iter().map(|(name, value)| (name, value.into())));
    body.insert("action".into(), json!(if args.fail { "fail" } else { "complete" }));
    let path = format!("{}/resume", intent_path(&args.intent_id));
    let answer = connect(&args.server)?.post(&path, &[], &body.into()).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let status = text(&answer, "status");
    output::line(&format!("{}  {}", args.intent_id, ui.paint(status_style(status), status)))?;
    Ok(Exit::Success)
}
