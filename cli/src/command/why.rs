//! `axp why`: what an intent waits for, since when, and the command that makes it go on.

use clap::Args;
use serde_json::{Value, json};

use crate::api::{Api, intent_path};
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::history;
use crate::next_move::NextMove;
use crate::output::{self, Style, Ui, status_style};

/// Say what an intent waits for, since when, who can release it, and with which command.
#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    intent_id: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: WhyArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = Api::new(&args.server)?;
    let path = intent_path(&args.intent_id);
    let answer = api.get(&path).await?;
    let events = api.get(&format!("{path}/events?since=0")).await?;
    let events = events["events"].as_array().cloned().unwrap_or_default();
    let step = open_step(&api, &args.intent_id, &events).await?;
    let next = NextMove::of(&answer["intent"], &events, step.as_ref());
    if ui.json {
        output::json(&json!({"ok": true, "intent_id": args.intent_id, "next": next}))?;
    } else {
        output::line(&describe(&args.intent_id, &next, ui).join("\n"))?;
    }
    Ok(Exit::Success)
}

/// The intent of the step that was begun last, if it is still open.
async fn open_step(api: &Api, id: &str, events: &[Value]) -> anyhow::Result<Option<Value>> {
    let Some(last) = history::children(id, events).pop() else { return Ok(None) };
    let step = api.get(&intent_path(&last)).await?["intent"].take();
    let status = step["status"].as_str().unwrap_or_default();
    Ok(Exit::of_outcome(status).is_none().then_some(step))
}

fn describe(intent_id: &str, next: &NextMove, ui: Ui) -> Vec<String> {
    let status = ui.paint(status_style(&next.status), &next.status);
    let mut lines = vec![format!("{intent_id}  {status}")];
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("{name:<9} {value}"));
        }
    };
    fact("waits for", &next.waits_for);
    fact("since", &next.since.as_deref().map(|at| ui.when(at)).unwrap_or_default());
    fact("until", &next.due_at.as_deref().map(|at| ui.when(at)).unwrap_or_default());
    fact("who", &next.who.join(", "));
    for release in &next.commands {
        lines.push(format!("\n  {}", ui.paint(Style::Bold, &release.command)));
        lines.push(format!("      {}", release.effect));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gets_whole_commands_and_instants() {
        let intent = json!({"intent_id": "7", "status": "WAITING",
            "waiting_reason": "WAITING_FOR_HUMAN", "due_at": "2030-01-01T00:00:00Z",
            "assignees": ["ops@acme"], "human_task": {"title": "Deploy?",
            "allowed_outcomes": ["approved"]}});
        let events = [json!({"at": "2026-01-01T00:00:00Z", "status": "WAITING",
            "waiting_reason": "WAITING_FOR_HUMAN"})];
        let ui = Ui { json: false, width: None, color: false };
        let next = NextMove::of(&intent, &events, None);
        assert_eq!(
            describe("7", &next, ui).join("\n"),
            "7  WAITING\n\
             waits for a person to answer \"Deploy?\" (approval)\n\
             since     2026-01-01T00:00:00Z\n\
             until     2030-01-01T00:00:00Z\n\
             who       ops@acme\n\
             \n  axp tasks approve 7\n      answers approved\n\
             \n  axp intents cancel 7\n      ends it"
        );
    }
}
