//! `axp intents watch`.

use clap::Args;

use super::{connect, text};
use crate::api::intent_path;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::Ui;
use crate::watch::{self, Watch};

/// Watch an intent until it ends; the exit code says how.
///
/// In a terminal its steps are kept up to date in place; in a pipe there is a line for each event.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    intent_id: String,
    /// Start after this event.
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    since: u64,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: WatchArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = connect(&args.server)?;
    let intent_id = &args.intent_id;
    // Only a board has a title; lines need no question before their first.
    let title = match ui.width {
        Some(_) if !ui.json => {
            let answer = api.get(&intent_path(intent_id)).await?;
            text(&answer["intent"], "intent_type").to_owned()
        }
        _ => String::new(),
    };
    watch::until_end(&api, Watch { intent_id, since: args.since, title, steps: vec![] }, ui).await
}
