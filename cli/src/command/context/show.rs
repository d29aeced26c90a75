//! `axp context show`.

use clap::Args;
use serde_json::json;

use crate::config::{Folder, Server, ServerArgs, hint};
use crate::exit::Exit;
use crate::output::{self, Table, Ui};

/// Show which server and key a command would use, and where they come from.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &ShowArgs, ui: Ui) -> anyhow::Result<Exit> {
    let server = Server::resolve(&args.server)?;
    let folder = Folder::find().map(|folder| folder.path().display().to_string());
    let key = server.key.as_ref();
    if ui.json {
        output::json(&json!({
            "ok": true,
            "context": server.context,
            "url": server.url.value,
            "url_source": server.url.source.to_string(),
            "key_hint": key.map(|key| hint(&key.value)),
            "key_source": key.map(|key| key.source.to_string()),
            "config_dir": folder,
        }))?;
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["SETTING", "VALUE", "FROM"]).elastic(&[1]);
    let mut row = |name: &str, value: String, from: String| {
        table.row(vec![name.into(), value, from]);
    };
    row("url", server.url.value.clone(), server.url.source.to_string());
    match key {
        Some(key) => row("api key", hint(&key.value), key.source.to_string()),
        None => row("api key", "none".into(), String::new()),
    }
    row("context", server.context.unwrap_or_else(|| "none".into()), String::new());
    row("folder", folder.unwrap_or_else(|| "none".into()), String::new());
    output::line(&ui.table(&table))?;
    Ok(Exit::Success)
}
