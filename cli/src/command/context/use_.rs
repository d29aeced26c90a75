//! `axp context use`.

use clap::Args;
use serde_json::json;

use super::unknown;
use crate::config::{Folder, choose};
use crate::exit::Exit;
use crate::output::{self, Ui};

/// Use another server from now on.
#[derive(Debug, Args)]
pub(super) struct UseArgs {
    name: String,
}

pub(super) fn run(args: &UseArgs, ui: Ui) -> anyhow::Result<Exit> {
    if !choose(&Folder::require()?, &args.name)? {
        return Err(unknown(&args.name).into());
    }
    if ui.json {
        output::json(&json!({"ok": true, "context": args.name}))?;
    } else {
        output::line(&format!("Using context `{}`.", args.name))?;
    }
    if std::env::var_os("AXME_BASE_URL").is_some_and(|url| !url.is_empty()) {
        output::note("note: AXME_BASE_URL is set and goes first; unset it to use the context");
    }
    Ok(Exit::Success)
}
