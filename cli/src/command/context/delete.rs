//! `axp context delete`.

use clap::Args;
use serde_json::json;

use super::unknown;
use crate::config::{self, Folder};
use crate::exit::Exit;
use crate::output::{self, Ui};

/// Forget a stored server and its key. The key itself stays valid at the server.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    name: String,
}

pub(super) fn run(args: &DeleteArgs, ui: Ui) -> anyhow::Result<Exit> {
    if !config::delete(&Folder::require()?, &args.name)? {
        return Err(unknown(&args.name).into());
    }
    if ui.json {
        output::json(&json!({"ok": true, "deleted": args.name}))?;
    } else {
        output::line(&format!("Forgot context `{}` and its key.", args.name))?;
    }
    Ok(Exit::Success)
}
