//! `axp agents listen`.

use std::num::NonZeroU64;
use std::ops::ControlFlow;

use clap::Args;

use crate::api::{Api, agent_path, follow};
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Ui};

/// Print what is delivered to an agent. Reading is not acknowledging: an agent sees it as well.
#[derive(Debug, Args)]
pub(super) struct ListenArgs {
    /// agent://org/workspace/name, or a bare name in the key's workspace.
    address: String,
    /// Start after this cursor; 0 begins with all that has not ended.
    #[arg(long, default_value_t = 0, value_name = "CURSOR")]
    since: u64,
    /// Stop after this many deliveries.
    #[arg(long, value_name = "COUNT")]
    max: Option<NonZeroU64>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: ListenArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = Api::new(&args.server)?;
    let stream = agent_path(&args.address);
    let path = |since| format!("{stream}/intents/stream?since={since}");
    let mut left = args.max.map(NonZeroU64::get);
    follow(&api, args.since, path, |delivery| {
        if ui.json {
            output::json_line(delivery)?;
        } else {
            let text = |field: &str| delivery[field].as_str().unwrap_or_default();
            output::line(&format!(
                "{:>6}  {}  {:<11}  {}  {}",
                delivery["seq"].to_string(),
                text("intent_id"),
                text("status"),
                text("intent_type"),
                text("from_agent"),
            ))?;
        }
        left = left.map(|left| left - 1);
        Ok(if left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .await?;
    Ok(Exit::Success)
}
