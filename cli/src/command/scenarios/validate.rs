//! `axp scenarios validate`.

use clap::Args;
use serde_json::Value;

use crate::api::Api;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::input;
use crate::output::{self, Style, Ui};

/// Check a scenario bundle, and create nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  axp scenarios validate scenario.json
  jq '.intent.payload.n = 2' scenario.json | axp scenarios validate -")]
pub(super) struct ValidateArgs {
    /// The bundle, a JSON file; `-` is stdin.
    file: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: ValidateArgs, ui: Ui) -> anyhow::Result<Exit> {
    let bundle = Value::Object(input::object_file(&args.file, "the bundle")?);
    let answer = Api::new(&args.server)?.post("/v1/scenarios/validate", &[], &bundle).await?;
    let exit = if answer["valid"] == true { Exit::Success } else { Exit::Invalid };
    if ui.json {
        output::json(&answer)?;
        return Ok(exit);
    }
    let texts = |list: &Value| {
        let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect::<Vec<_>>()
    };
    for error in texts(&answer["errors"]) {
        output::line(&format!("{} {error}", ui.paint(Style::Bad, "error:")))?;
    }
    for warning in texts(&answer["warnings"]) {
        output::line(&format!("{} {warning}", ui.paint(Style::Waiting, "warning:")))?;
    }
    match exit {
        Exit::Success => output::line("valid")?,
        _ => output::line("not valid")?,
    }
    Ok(exit)
}
