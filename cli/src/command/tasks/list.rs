//! `axp tasks list`.

use clap::Args;
use serde_json::Value;

use crate::api::{Api, query};
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Table, Ui};
use crate::task::Task;

/// List what waits for people: tasks of the key's owner, or of its workspace.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// At most this many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on where the page before ended.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: ListArgs, ui: Ui) -> anyhow::Result<Exit> {
    let query = query(&[("limit", Some(args.limit.to_string())), ("cursor", args.cursor)]);
    let answer = Api::new(&args.server)?.get(&format!("/v1/me/tasks{query}")).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let table = table(&answer, ui);
    if table.is_empty() && ui.width.is_some() {
        output::note("nothing waits for a person");
        return Ok(Exit::Success);
    }
    output::line(&ui.table(&table))?;
    if let Some(cursor) = answer["next_cursor"].as_str() {
        output::note(&format!("more: axp tasks list --cursor {cursor}"));
    }
    Ok(Exit::Success)
}

fn table(answer: &Value, ui: Ui) -> Table {
    let header = ["INTENT", "TYPE", "ASSIGNED", "DUE", "TITLE"];
    let mut table = Table::new(&header).elastic(&[4]);
    for task in answer["tasks"].as_array().into_iter().flatten() {
        let text = |field: &str| task[field].as_str().unwrap_or_default();
        let human = Task::of(task);
        let kind = human.map(Task::kind).unwrap_or_default();
        let title = human.map(|human| human.text("title")).unwrap_or_default();
        let cells = [
            text("intent_id"),
            kind,
            &ui.when(text("assigned_at")),
            &ui.when(text("due_at")),
            title,
        ];
        table.row(cells.map(str::to_owned).into());
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_whole_in_eighty_columns() {
        let answer = json!({"tasks": [{
            "intent_id": "01976f00-0000-7000-8000-000000000001",
            "assigned_at": "2020-01-01T00:00:00Z",
            "human_task": {"title": "Approve the deployment of version 2.1 to production"},
        }]});
        let ui = Ui { json: false, width: Some(80), color: false };
        let shown = ui.table(&table(&answer, ui));
        assert!(shown.contains("01976f00-0000-7000-8000-000000000001  approval  "), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        let piped = Ui { width: None, ..ui };
        let shown = piped.table(&table(&answer, piped));
        assert_eq!(
            shown.lines().last().unwrap(),
            "01976f00-0000-7000-8000-000000000001  approval  2020-01-01T00:00:00Z       \
             Approve the deployment of version 2.1 to production"
        );
    }
}
