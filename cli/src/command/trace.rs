//! `axp trace`: what happened to an intent and its steps, on one line of time.

use clap::Args;
use serde_json::{Value, json};

use crate::api::{Api, intent_path};
use crate::clock;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::history;
use crate::output::{self, Table, Ui, duration, status_style};

/// A scenario has at most 100 steps, and a step a few tries.
const STEPS_MAX: usize = 500;

/// Show an intent's events, and those of its steps, in the order of time with what each took.
#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    intent_id: String,
    /// Leave the intents of steps out.
    #[arg(long)]
    no_steps: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// An intent with all its events.
struct Log {
    intent: Value,
    events: Vec<Value>,
}

pub(super) async fn run(args: TraceArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = Api::new(&args.server)?;
    let parent = read(&api, &args.intent_id).await?;
    let mut steps = Vec::new();
    if !args.no_steps {
        let ids = history::children(&args.intent_id, &parent.events);
        for id in ids.iter().take(STEPS_MAX) {
            steps.push(read(&api, id).await?);
        }
    }
    if ui.json {
        let document = |log: &Log| json!({"intent": log.intent, "events": log.events});
        let steps: Vec<_> = steps.iter().map(document).collect();
        let mut answer = document(&parent);
        answer["ok"] = true.into();
        answer["steps"] = steps.into();
        output::json(&answer)?;
    } else {
        output::line(&render(&parent, &steps, ui))?;
    }
    Ok(Exit::Success)
}

async fn read(api: &Api, intent_id: &str) -> anyhow::Result<Log> {
    let path = intent_path(intent_id);
    let intent = api.get(&path).await?["intent"].take();
    let mut events = api.get(&format!("{path}/events?since=0")).await?["events"].take();
    let events = events.as_array_mut().map(std::mem::take).unwrap_or_default();
    Ok(Log { intent, events })
}

fn render(parent: &Log, steps: &[Log], ui: Ui) -> String {
    let mut events: Vec<(i64, String, &Value)> = Vec::new();
    for (log, step) in std::iter::once((parent, String::new())).chain(steps.iter().map(named)) {
        let at = |event: &Value| clock::parse_rfc3339(text(event, "at")).unwrap_or_default();
        events.extend(log.events.iter().map(|event| (at(event), step.clone(), event)));
    }
    // Stable: of one instant, the parent comes first, and each log stays in its order.
    events.sort_by_key(|(at, ..)| *at);
    let began = events.first().map_or(0, |(at, ..)| *at);
    let ended = Exit::of_outcome(text(&parent.intent, "status")).is_some();
    let last = if ended { None } else { Some(clock::unix_ms()) };
    let header = ["AFTER", "TOOK", "STEP", "EVENT", "STATUS", "WHO"];
    let mut table = Table::new(&header).elastic(&[5, 2]).status(4);
    for (number, (at, step, event)) in events.iter().enumerate() {
        let next = events.get(number + 1).map(|(at, ..)| *at).or(last);
        let after = format!("+{}", duration(at - began));
        let took = next.map(|next| duration(next - at)).unwrap_or_default();
        let kind = text(event, "event_type").trim_start_matches("intent.");
        let cells = [&after, &took, step, kind, text(event, "status"), who(event)];
        table.row(cells.map(str::to_owned).into());
    }
    let status = text(&parent.intent, "status");
    let took = events.last().map_or(0, |(at, ..)| last.unwrap_or(*at) - began);
    format!(
        "{}  {}  {}  {}\n\n{}",
        text(&parent.intent, "intent_id"),
        text(&parent.intent, "intent_type"),
        ui.paint(status_style(status), status),
        duration(took),
        ui.table(&table)
    )
}

/// A step by its name, or by the end of its intent's id.
fn named(log: &Log) -> (&Log, String) {
    let names = [&log.intent["step_id"], &log.intent["payload"]["step_id"]];
    let id = text(&log.intent, "intent_id");
    let short = id.rsplit('-').next().unwrap_or_default();
    let name = names.into_iter().find_map(Value::as_str).unwrap_or(short);
    (log, name.to_owned())
}

/// Who has it after the event, else who caused it.
fn who(event: &Value) -> &str {
    let found = [text(&event["pending_with"], "ref"), text(event, "actor")];
    found.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(second: u32, name: &str, status: &str, who: &str) -> Value {
        json!({"at": format!("2026-01-01T00:00:{second:02}Z"), "status": status,
            "event_type": format!("intent.{name}"), "pending_with": {"ref": who}})
    }

    #[test]
    fn steps_are_woven_into_one_line_of_time() {
        let parent = Log {
            intent: json!({"intent_id": "7", "intent_type": "demo.v1", "status": "COMPLETED"}),
            events: vec![
                event(0, "created", "CREATED", ""),
                event(1, "delivered", "DELIVERED", "agent://acme/prod/checker"),
                event(9, "completed", "COMPLETED", ""),
            ],
        };
        let step = Log {
            intent: json!({"intent_id": "8", "step_id": "check"}),
            events: vec![
                event(1, "created", "CREATED", ""),
                event(8, "completed", "COMPLETED", ""),
            ],
        };
        let ui = Ui { json: false, width: Some(80), color: false };
        let text = render(&parent, &[step], ui);
        assert_eq!(
            text,
            "7  demo.v1  COMPLETED  9s\n\n\
             AFTER  TOOK  STEP   EVENT      STATUS     WHO\n\
             +0ms   1s           created    CREATED\n\
             +1s    0ms          delivered  DELIVERED  agent://acme/prod/checker\n\
             +1s    7s    check  created    CREATED\n\
             +8s    1s    check  completed  COMPLETED\n\
             +9s                 completed  COMPLETED"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }
}
