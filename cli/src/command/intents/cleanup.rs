//! `axp intents cleanup`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::connect;
use crate::api::Api;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::input;
use crate::output::{self, Ui};

/// Cancel open intents that nothing has happened to for a time.
///
/// What would be canceled is counted first; then it is asked for, or `--yes` says so.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  axp intents cleanup --older-than 7d --dry-run
  axp intents cleanup --older-than 24h --status WAITING --yes")]
pub(super) struct CleanupArgs {
    /// Since their last change, like `30m`, `24h` or `7d`.
    #[arg(long, value_name = "AGE", value_parser = input::age)]
    older_than: Duration,
    /// Only those in these statuses: one, or several with commas.
    #[arg(long, value_delimiter = ',')]
    status: Vec<String>,
    /// At most this many.
    #[arg(long, default_value_t = 500)]
    limit: u32,
    /// Why; it is in the last event of each.
    #[arg(long, default_value = "canceled with axp", value_name = "TEXT")]
    reason: String,
    /// Count, and cancel nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: CleanupArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = connect(&args.server)?;
    if args.dry_run || !args.yes {
        let counted = send(&api, &args, true).await?;
        let count = counted["would_cancel"].as_u64().unwrap_or_default();
        if args.dry_run {
            report(&counted, &format!("{count} would be canceled"), ui)?;
            return Ok(Exit::Success);
        }
        if count == 0 {
            report(&counted, "nothing to cancel", ui)?;
            return Ok(Exit::Success);
        }
        if !input::agree(ui, &format!("Cancel {count} intents?"))? {
            return Ok(Exit::Other);
        }
    }
    let done = send(&api, &args, false).await?;
    let count = done["canceled"].as_u64().unwrap_or_default();
    report(&done, &format!("{count} canceled"), ui)?;
    Ok(Exit::Success)
}

async fn send(api: &Api, args: &CleanupArgs, dry_run: bool) -> anyhow::Result<Value> {
    let mut body = json!({
        "older_than_hours": args.older_than.as_secs_f64() / 3600.0,
        "dry_run": dry_run,
        "reason": args.reason,
        "limit": args.limit,
    });
    if !args.status.is_empty() {
        body["status_filter"] = json!(args.status);
    }
    Ok(api.post("/v1/intents/bulk-cancel", &[], &body).await?)
}

fn report(answer: &Value, sentence: &str, ui: Ui) -> anyhow::Result<()> {
    if ui.json {
        output::json(answer)?;
        return Ok(());
    }
    for id in answer["intent_ids"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::line(id)?;
    }
    output::note(sentence);
    Ok(())
}
