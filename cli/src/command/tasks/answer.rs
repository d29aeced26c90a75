//! Answers to tasks: `approve`, `reject`, `confirm`, `complete`, `assign`, `submit`.
//!
//! The task is read first: it knows its own word for the wish, the types of its form's fields, and
//! what is missing. In a terminal that is asked for; elsewhere the server says it.

mod build;

use clap::Args;
use serde_json::{Value, json};

use self::build::Draft;
pub(super) use self::build::Wish;
use crate::api::{Api, intent_path};
use crate::config::ServerArgs;
use crate::exit::{Exit, Usage};
use crate::output::{self, Ui, status_style};
use crate::task::Task;
use crate::{input, next_move};

#[derive(Debug, Args)]
#[command(after_help = "\
In a terminal, what the task needs and is not given is asked for.")]
pub(super) struct AnswerArgs {
    /// The intent that waits, as `axp tasks list` shows it.
    intent_id: String,
    #[command(flatten)]
    content: ContentArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// Assign work to somebody.
#[derive(Debug, Args)]
pub(super) struct AssignArgs {
    intent_id: String,
    /// Who is to do it; the field `assignee` of the answer.
    #[arg(long, value_name = "WHO")]
    to: Option<String>,
    #[command(flatten)]
    content: ContentArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// Answer with any outcome that the task allows.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  axp tasks submit ID --outcome changes_requested --comment 'the diagram is missing'
  axp tasks submit ID --outcome submitted --data size=m --data count=3
  axp tasks submit ID --outcome submitted --data-json @answers.json")]
pub(super) struct SubmitArgs {
    intent_id: String,
    /// One of the task's outcomes; in a terminal they are offered.
    #[arg(long)]
    outcome: Option<String>,
    #[command(flatten)]
    content: ContentArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Default, Args)]
pub(super) struct ContentArgs {
    /// Why.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// A field of the form; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = input::pair)]
    data: Vec<(String, String)>,
    /// Fields as a JSON object; `@FILE` reads a file, `-` stdin.
    #[arg(long, value_name = "JSON")]
    data_json: Option<String>,
    /// What proves it: a link, a number, a name; may be repeated.
    #[arg(long, value_name = "TEXT")]
    evidence: Vec<String>,
}

pub(super) async fn run(wish: Wish, args: AnswerArgs, ui: Ui) -> anyhow::Result<Exit> {
    let AnswerArgs { intent_id, content, server } = args;
    send(&intent_id, &wish, content, &server, ui).await
}

pub(super) async fn assign(args: AssignArgs, ui: Ui) -> anyhow::Result<Exit> {
    let AssignArgs { intent_id, to, mut content, server } = args;
    content.data.extend(to.map(|to| ("assignee".to_owned(), to)));
    send(&intent_id, &Wish::Assign, content, &server, ui).await
}

pub(super) async fn submit(args: SubmitArgs, ui: Ui) -> anyhow::Result<Exit> {
    let SubmitArgs { intent_id, outcome, content, server } = args;
    send(&intent_id, &Wish::Outcome(outcome), content, &server, ui).await
}

async fn send(
    intent_id: &str,
    wish: &Wish,
    content: ContentArgs,
    server: &ServerArgs,
    ui: Ui,
) -> anyhow::Result<Exit> {
    let api = Api::new(server)?;
    let known = api.get(&intent_path(intent_id)).await?;
    let Some(task) = Task::of(&known["intent"]) else {
        let status = known["intent"]["status"].as_str().unwrap_or_default();
        return refuse(intent_id, status, ui);
    };
    let outcome = outcome(wish, task, ui)?;
    let mut draft = Draft::new(task, outcome, content)?;
    if ui.can_ask() {
        complete(&mut draft, task)?;
    }
    let body = json!({"task_result": draft.into_result()});
    let answer = api.post(&format!("{}/resume", intent_path(intent_id)), &[], &body).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let status = answer["status"].as_str().unwrap_or_default();
    let outcome = body["task_result"]["outcome"].as_str().unwrap_or_default();
    output::line(&format!("{intent_id}  {outcome}  {}", ui.paint(status_style(status), status)))?;
    Ok(Exit::Success)
}

/// Nothing is sent: there is no task that the answer could be for.
fn refuse(intent_id: &str, status: &str, ui: Ui) -> anyhow::Result<Exit> {
    let message = format!("{intent_id} waits for no person: it is {status}");
    let hint = format!("{}: axp why {intent_id}", next_move::QUESTION);
    if ui.json {
        output::note(
            &json!({"ok": false, "exit_code": Exit::Refused as u8, "message": message, "hint": hint}).to_string(),
        );
    } else {
        output::note(&format!("axp: {message}\n  {hint}"));
    }
    Ok(Exit::Refused)
}

fn outcome(wish: &Wish, task: Task<'_>, ui: Ui) -> anyhow::Result<String> {
    let outcomes = task.outcomes();
    if let Wish::Outcome(None) = wish
        && ui.can_ask()
    {
        let choices: Vec<_> = outcomes.iter().map(|outcome| (*outcome).to_owned()).collect();
        output::note(task.text("title"));
        return input::ask_choice("Outcome?", &choices);
    }
    wish.outcome(&outcomes).ok_or_else(|| {
        Usage(format!(
            "this task takes --outcome {}: axp tasks submit ID --outcome ...",
            outcomes.join(" or ")
        ))
        .into()
    })
}

/// Asks for what the task needs and the arguments did not give.
fn complete(draft: &mut Draft, task: Task<'_>) -> anyhow::Result<()> {
    if draft.misses_comment(task) {
        draft.comment = Some(input::ask_something("Comment:")?);
    }
    if draft.misses_evidence(task) {
        draft.set_evidence(vec![input::ask_something("Evidence (a link, a number, a name):")?]);
    }
    for field in draft.missing_fields(task) {
        let about = if field.about.is_empty() { &field.name } else { &field.about };
        let value = match (&field.kind[..], field.choices.is_empty()) {
            (_, false) => input::ask_choice(about, &field.choices)?,
            ("boolean", _) => input::ask_choice(about, &["true".to_owned(), "false".to_owned()])?,
            _ => input::ask_something(&format!("{about}:"))?,
        };
        draft.set(&field, &value)?;
    }
    Ok(())
}

impl ContentArgs {
    fn fields(&self) -> anyhow::Result<serde_json::Map<String, Value>> {
        let json = self.data_json.as_deref().map(|json| input::object(json, "--data-json"));
        Ok(json.transpose()?.unwrap_or_default())
    }
}
