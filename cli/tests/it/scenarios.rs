//! `axp scenarios`, `why` and `trace`: what they ask, print and end with.

use serde_json::{Value, json};

use super::canned::{Canned, answers, stream};
use super::{axp, json as document, stdout};

const ID: &str = "01976f00-0000-7000-8000-000000000001";

fn bundle(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("scenario.json");
    let bundle = json!({"scenario_id": "demo.v1", "workflow": {"steps": [
        {"step_id": "check", "assigned_to": "checker"}]}});
    std::fs::write(&path, bundle.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn event(seq: u32, name: &str, status: &str) -> Value {
    json!({"intent_id": ID, "seq": seq, "event_type": format!("intent.{name}"), "status": status,
        "at": "2026-01-01T00:00:00Z", "details": {}})
}

#[tokio::test]
async fn a_bundle_that_is_not_valid_has_an_exit_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let verdict = |valid: bool, errors: Value| {
        let verdict = json!({"ok": true, "valid": valid, "errors": errors, "warnings": ["w"]});
        answers([("POST /v1/scenarios/validate", verdict)])
    };
    let good = Canned::start(verdict(true, json!([]))).await;
    let validated = axp(&good.url, &["scenarios", "validate", &bundle(&folder)]).await;
    assert_eq!(stdout(&validated), "warning: w\nvalid\n");
    assert_eq!(good.writes()[0].body["scenario_id"], "demo.v1");
    let bad = Canned::start(verdict(false, json!(["steps.0: no"]))).await;
    let validated = axp(&bad.url, &["scenarios", "validate", &bundle(&folder)]).await;
    assert_eq!(validated.status.code(), Some(13));
    assert_eq!(stdout(&validated), "error: steps.0: no\nwarning: w\nnot valid\n");
}

#[tokio::test]
async fn what_is_no_json_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.json");
    std::fs::write(&path, "{\n  \"a\": oops}").unwrap();
    let validated =
        axp("http://127.0.0.1:1", &["scenarios", "validate", path.to_str().unwrap()]).await;
    assert_eq!(validated.status.code(), Some(2), "{validated:?}");
    let stderr = String::from_utf8(validated.stderr).unwrap();
    assert!(stderr.contains("broken.json") && stderr.contains("line 2"), "{stderr}");
}

#[tokio::test]
async fn the_end_of_a_watched_scenario_is_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = bundle(&folder);
    let ends = [("completed", 0), ("failed", 8), ("canceled", 11), ("timed_out", 12)];
    for (end, code) in ends {
        let events = [event(1, "created", "CREATED"), event(2, end, &end.to_uppercase())];
        let server = Canned::start(answers([
            (
                "POST /v1/scenarios/apply",
                json!({"ok": true, "intent_id": ID, "status": "DELIVERED",
                    "agents": [{"role": "checker", "address": "agent://a/b/checker", "created": true}]}),
            ),
            (&format!("GET /v1/intents/{ID}/events/stream"), stream(&events)),
        ]))
        .await;
        let apply = ["scenarios", "apply", &file, "--watch", "--idempotency-key", "k-1"];
        let applied = axp(&server.url, &apply).await;
        assert_eq!(applied.status.code(), Some(code), "{applied:?}");
        assert_eq!(
            stdout(&applied),
            format!(
                "{ID}  DELIVERED\n  checker  agent://a/b/checker  made\n   1  \
                 2026-01-01T00:00:00Z  CREATED      intent.created\n   2  \
                 2026-01-01T00:00:00Z  {:<11}  intent.{end}\n",
                end.to_uppercase()
            )
        );
        assert_eq!(server.writes()[0].idempotency_key.as_deref(), Some("k-1"));
    }
}

#[tokio::test]
async fn templates_are_listed_and_shown() {
    let server = Canned::start(answers([
        (
            "GET /v1/tool-registry/macros",
            json!({"ok": true, "macros": [{"macro_id": "approval", "description": "Ask once"}]}),
        ),
        (
            "GET /v1/tool-registry/macros/approval",
            json!({"ok": true, "macro": {"macro_id": "approval", "description": "Ask once",
                "parameters": [{"name": "title", "required": true}, {"name": "n", "default": 3}]}}),
        ),
    ]))
    .await;
    let listed = axp(&server.url, &["scenarios", "list-templates"]).await;
    assert_eq!(stdout(&listed), "TEMPLATE  DESCRIPTION\napproval  Ask once\n");
    let shown = axp(&server.url, &["scenarios", "show-template", "approval"]).await;
    let shown = stdout(&shown);
    assert!(shown.contains("title      (required)") && shown.contains("n          3"), "{shown}");
    assert!(shown.contains("\"macro_id\": \"approval\""), "{shown}");
}

fn with_a_step() -> super::canned::Answers {
    let step = "01976f00-0000-7000-8000-000000000002";
    let delivered = json!({"intent_id": ID, "seq": 2, "event_type": "intent.delivered",
        "status": "DELIVERED", "at": "2026-01-01T00:00:01Z", "details": {"step_intent_id": step},
        "pending_with": {"type": "agent", "ref": "agent://a/b/checker", "name": "checker"}});
    let created = event(1, "created", "CREATED");
    answers([
        (
            &format!("GET /v1/intents/{ID}"),
            json!({"ok": true, "intent": {"intent_id": ID, "intent_type": "demo.v1",
                "status": "DELIVERED", "to_agent": "agent://a/b/agent_core",
                "pending_with": delivered["pending_with"]}}),
        ),
        (
            &format!("GET /v1/intents/{ID}/events"),
            json!({"ok": true, "events": [created, delivered]}),
        ),
        (
            &format!("GET /v1/intents/{step}"),
            json!({"ok": true, "intent": {"intent_id": step, "status": "DELIVERED",
                "step_id": "check", "to_agent": "agent://a/b/checker"}}),
        ),
        (
            &format!("GET /v1/intents/{step}/events"),
            json!({"ok": true, "events": [{"seq": 1, "event_type": "intent.created",
                "status": "CREATED", "at": "2026-01-01T00:00:01Z", "details": {}}]}),
        ),
    ])
}

#[tokio::test]
async fn why_names_the_agent_and_the_command_that_answers_for_it() {
    let server = Canned::start(with_a_step()).await;
    let why = axp(&server.url, &["why", ID]).await;
    assert!(why.status.success(), "{why:?}");
    assert_eq!(
        stdout(&why),
        format!(
            "{ID}  DELIVERED\n\
             waits for the agent to take it: it is delivered, and not acknowledged yet\n\
             since     2026-01-01T00:00:01Z\n\
             who       agent://a/b/checker\n\
             \n  axp agents listen agent://a/b/checker\n      shows what waits for the agent\n\
             \n  axp intents resume 01976f00-0000-7000-8000-000000000002 --data NAME=VALUE\n      \
             answers in the agent's place; --fail for a failure\n\
             \n  axp intents cancel {ID}\n      ends it\n"
        )
    );
    let next = document(&axp(&server.url, &["why", ID, "--json"]).await);
    assert_eq!(next["next"]["who"], json!(["agent://a/b/checker"]));
}

#[tokio::test]
async fn a_trace_follows_the_steps() {
    let server = Canned::start(with_a_step()).await;
    let traced = axp(&server.url, &["trace", ID]).await;
    let text = stdout(&traced);
    assert!(text.starts_with(&format!("{ID}  demo.v1  DELIVERED")), "{text}");
    assert!(text.contains("check  created"), "{text}");
    let trace = document(&axp(&server.url, &["trace", ID, "--json"]).await);
    assert_eq!(trace["steps"][0]["intent"]["step_id"], "check");
    let alone = document(&axp(&server.url, &["trace", ID, "--json", "--no-steps"]).await);
    assert_eq!(alone["steps"], json!([]));
}
