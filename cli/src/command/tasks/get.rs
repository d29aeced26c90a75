//! `axp tasks get`.

use clap::Args;
use serde_json::Value;

use crate::api::{Api, intent_path};
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Style, Ui, status_style};
use crate::task::Task;

/// Show a task: what is asked, what an answer needs, and the commands that give one.
#[derive(Debug, Args)]
pub(super) struct GetArgs {
    intent_id: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: GetArgs, ui: Ui) -> anyhow::Result<Exit> {
    let answer = Api::new(&args.server)?.get(&intent_path(&args.intent_id)).await?;
    if ui.json {
        output::json(&answer)?;
    } else {
        output::line(&describe(&answer["intent"], ui).join("\n"))?;
    }
    Ok(Exit::Success)
}

fn describe(intent: &Value, ui: Ui) -> Vec<String> {
    let text = |field: &str| intent[field].as_str().unwrap_or_default();
    let status = ui.paint(status_style(text("status")), text("status"));
    let mut lines = vec![format!("{}  {}  {status}", text("intent_id"), text("intent_type"))];
    let Some(task) = Task::of(intent) else {
        lines.push("It waits for no person. `axp why` says what it waits for.".into());
        return lines;
    };
    lines.push(format!("\n{}", ui.paint(Style::Bold, task.text("title"))));
    if !task.text("description").is_empty() {
        lines.push(task.text("description").to_owned());
    }
    lines.push(String::new());
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{name:<10} {value}"));
        }
    };
    fact("type", task.kind().to_owned());
    fact("from", text("from_agent").to_owned());
    fact("due", ui.when(text("due_at")));
    fact("assignees", task.list("assignees").join(", "));
    if intent["payload"].as_object().is_some_and(|payload| !payload.is_empty()) {
        fact("payload", intent["payload"].to_string());
    }
    for field in task.fields() {
        let required = if field.required { ", required" } else { "" };
        let choices = field.choices.join("|");
        let kind = if choices.is_empty() { field.kind } else { choices };
        fact("field", format!("{} ({kind}{required})  {}", field.name, field.about));
    }
    if text("status") == "WAITING" {
        lines.push("\nTo answer:".into());
        lines.extend(task.commands(text("intent_id")).iter().map(|line| format!("  {line}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_an_answer_needs_is_there() {
        let intent = json!({
            "intent_id": "7", "intent_type": "human.v1", "status": "WAITING",
            "from_agent": "agent://acme/prod/dev", "payload": {"version": "2.1"},
            "due_at": "2030-01-01T00:00:00Z",
            "human_task": {"title": "Size it", "description": "How big?", "task_type": "form",
                "assignees": ["ops"], "form_schema": {"required": ["size"], "properties":
                {"size": {"enum": ["s", "m"], "title": "Size"}}}},
        });
        let ui = Ui { json: false, width: None, color: false };
        assert_eq!(
            describe(&intent, ui).join("\n"),
            "7  human.v1  WAITING\n\nSize it\nHow big?\n\n\
             type       form\n\
             from       agent://acme/prod/dev\n\
             due        2030-01-01T00:00:00Z\n\
             assignees  ops\n\
             payload    {\"version\":\"2.1\"}\n\
             field      size (s|m, required)  Size\n\n\
             To answer:\n  axp tasks submit 7 --outcome submitted --data size=...\n  \
             axp tasks reject 7"
        );
    }
}
