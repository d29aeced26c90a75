//! `axp context list`.

use clap::Args;
use serde_json::json;

use crate::config::{self, Contexts, Folder};
use crate::exit::Exit;
use crate::output::{self, Table, Ui};

/// List the stored servers; `*` is the one in use.
#[derive(Debug, Args)]
pub(super) struct ListArgs {}

pub(super) fn run(ListArgs {}: &ListArgs, ui: Ui) -> anyhow::Result<Exit> {
    let folder = Folder::require()?;
    let contexts = Contexts::read(&folder)?;
    let mut rows = Vec::new();
    for (name, context) in contexts.iter() {
        let key = config::key_of(&folder, name)?.map(|key| config::hint(&key));
        rows.push((contexts.current() == Some(name), name, &context.url, key));
    }
    if ui.json {
        let contexts = rows.iter().map(|(current, name, url, key)| {
            json!({"name": name, "url": url, "current": current, "key_hint": key})
        });
        output::json(&json!({"ok": true, "contexts": contexts.collect::<Vec<_>>()}))?;
        return Ok(Exit::Success);
    }
    if rows.is_empty() {
        output::note("no contexts yet: `axp login --url URL --api-key KEY` makes one");
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["", "NAME", "URL", "KEY"]).elastic(&[2]);
    for (current, name, url, key) in rows {
        let mark = if current { "*" } else { "" };
        let key = key.unwrap_or_else(|| "none".into());
        table.row(vec![mark.into(), name.into(), url.clone(), key]);
    }
    output::line(&ui.table(&table))?;
    Ok(Exit::Success)
}
