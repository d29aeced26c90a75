//! `axp scenarios apply`.

use clap::Args;
use serde_json::Value;

use crate::api::Api;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Style, Ui, status_style};
use crate::watch::{self, Step, Watch};
use crate::{input, next_move};

/// Run a scenario: make its agents, compile its workflow, create its intent.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  axp scenarios apply scenario.json --watch
  axp scenarios apply scenario.json --idempotency-key deploy-42   again is the same intent

With --watch the exit code says how it ended: 0 COMPLETED, 8 FAILED, 11 CANCELED, 12 TIMED_OUT.
Ctrl-C stops watching (130); the intent goes on.")]
pub(super) struct ApplyArgs {
    /// The bundle, a JSON file; `-` is stdin.
    file: String,
    /// Watch the intent until it ends.
    #[arg(long, short)]
    watch: bool,
    /// Applying again with the same key and bundle answers with the first intent.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: ApplyArgs, ui: Ui) -> anyhow::Result<Exit> {
    let bundle = Value::Object(input::object_file(&args.file, "the bundle")?);
    let api = Api::new(&args.server)?;
    let key = args.idempotency_key.as_deref().map(|key| ("idempotency-key", key));
    let headers: Vec<_> = key.into_iter().collect();
    let answer = api.post("/v1/scenarios/apply", &headers, &bundle).await?;
    let intent_id = answer["intent_id"].as_str().unwrap_or_default();
    match (ui.json, args.watch) {
        (true, false) => output::json(&answer)?,
        (true, true) => output::json_line(&answer)?,
        (false, _) => describe(&answer, ui)?,
    }
    if args.watch {
        let title = text(&bundle, "scenario_id").to_owned();
        let watch = Watch { intent_id, since: 0, title, steps: steps(&bundle) };
        return watch::until_end(&api, watch, ui).await;
    }
    if ui.width.is_some() && !ui.json {
        output::note(&format!("follow it: axp intents watch {intent_id}"));
        output::note(&format!("{}: axp why {intent_id}", next_move::QUESTION));
    }
    Ok(Exit::Success)
}

fn describe(answer: &Value, ui: Ui) -> anyhow::Result<()> {
    let status = text(answer, "status");
    let again = if answer["idempotent"] == true { "  (applied before)" } else { "" };
    let painted = ui.paint(status_style(status), status);
    output::line(&format!("{}  {painted}{again}", text(answer, "intent_id")))?;
    for agent in answer["agents"].as_array().into_iter().flatten() {
        let made = if agent["created"] == true { "  made" } else { "" };
        let line = format!("  {}  {}{made}", text(agent, "role"), text(agent, "address"));
        output::line(&ui.paint(Style::Faint, &line))?;
        if let Some(secret) = agent["signing_secret"].as_str() {
            output::line(&format!("    signing secret, shown once: {secret}"))?;
        }
    }
    for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::note(&format!("warning: {warning}"));
    }
    Ok(())
}

/// The bundle's steps with who does them; a macro's are seen when they happen.
fn steps(bundle: &Value) -> Vec<Step> {
    let list = |part: &str| bundle[part].as_array().into_iter().flatten();
    let steps = bundle["workflow"]["steps"].as_array().into_iter().flatten();
    let step = |step: &Value| {
        let assigned = text(step, "assigned_to");
        let agent = list("agents").find(|agent| text(agent, "role") == assigned);
        let human = list("humans").find(|human| text(human, "role") == assigned);
        let name = human.map(|human| text(human, "display_name")).filter(|name| !name.is_empty());
        let who = agent.map(|agent| text(agent, "address")).or(name).unwrap_or(assigned);
        Step::new(text(step, "step_id"), who)
    };
    steps.map(step).collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
