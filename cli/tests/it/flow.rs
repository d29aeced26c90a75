//! The whole way against a real server: apply a scenario, answer it from another process, watch it
//! end.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::server::Server;
use super::{command, json as document, stdout, within_a_minute};

fn bundle(folder: &tempfile::TempDir) -> String {
    let bundle = json!({
        "scenario_id": "flow.v1",
        "agents": [{"role": "checker", "address": "checker", "create_if_missing": true}],
        "humans": [{"role": "operator", "display_name": "Operator"}],
        "workflow": {"steps": [
            {"step_id": "check", "assigned_to": "checker", "tool_id": "tool.agent.task.v1"},
            {"step_id": "sign_off", "assigned_to": "operator",
                "tool_id": "tool.approval.human_signoff",
                "human_task": {"title": "Deploy?", "task_type": "approval",
                    "allowed_outcomes": ["approved", "rejected"]}},
        ]},
        "intent": {"type": "intent.flow.v1", "payload": {"n": 1}},
    });
    let path = folder.path().join("scenario.json");
    std::fs::write(&path, bundle.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Applies with `--watch --json`, does what each event asks for with `axp`, and says how it ended.
async fn play(server: &Server, file: &str, verb: &str) -> (Option<i32>, Vec<Value>) {
    let apply = ["scenarios", "apply", file, "--watch", "--json", "--api-key", &server.key];
    let mut watch = command(&server.url, &apply);
    let mut process = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let first = within_a_minute(lines.next_line()).await.unwrap().unwrap();
    let applied: Value = serde_json::from_str(&first).unwrap();
    let id = applied["intent_id"].as_str().unwrap().to_owned();
    let mut events = Vec::new();
    while let Some(line) = within_a_minute(lines.next_line()).await.unwrap() {
        let event: Value = serde_json::from_str(&line).unwrap();
        if let Some(step) = event["details"]["step_intent_id"].as_str() {
            let why = server.axp(&["why", &id]).await;
            assert!(stdout(&why).contains(&format!("axp intents resume {step}")), "{why:?}");
            let resumed = server.axp(&["intents", "resume", step, "--data", "passed=yes"]).await;
            assert!(resumed.status.success(), "{resumed:?}");
        }
        if event["event_type"] == "intent.human_task_assigned" {
            let why = server.axp(&["why", &id]).await;
            assert!(stdout(&why).contains(&format!("axp tasks approve {id}")), "{why:?}");
            let answered = server.axp(&["tasks", verb, &id]).await;
            assert!(answered.status.success(), "{answered:?}");
        }
        events.push(event);
    }
    (within_a_minute(process.wait()).await.unwrap().code(), events)
}

#[tokio::test]
async fn a_scenario_is_answered_from_another_process_and_its_end_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]).await;
    let file = bundle(&folder);
    let validated = server.axp(&["scenarios", "validate", &file]).await;
    assert_eq!(validated.status.code(), Some(0), "{validated:?}");

    let (code, events) = play(&server, &file, "approve").await;
    assert_eq!(code, Some(0), "{events:#?}");
    assert_eq!(events.last().unwrap()["status"], "COMPLETED");
    let (code, events) = play(&server, &file, "reject").await;
    assert_eq!(code, Some(8), "{events:#?}");

    let id = events[0]["intent_id"].as_str().unwrap();
    let trace = document(&server.axp(&["trace", id, "--json"]).await);
    assert_eq!(trace["steps"].as_array().unwrap().len(), 1, "{trace}");
    let traced = server.axp(&["trace", id]).await;
    assert!(stdout(&traced).contains("check  "), "{traced:?}");
    let late = server.axp(&["tasks", "approve", id]).await;
    assert_eq!(late.status.code(), Some(6), "{late:?}");
    let templates = server.axp(&["scenarios", "list-templates"]).await;
    assert!(templates.status.success(), "{templates:?}");
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_server_registers_itself_and_is_found_without_exports() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]).await;
    let bare = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_axp"));
        command.args(arguments).env_clear().env("AXP_CONFIG_DIR", data.join("config"));
        within_a_minute(command.kill_on_drop(true).output()).await.unwrap()
    };
    assert!(stdout(&bare(&["status"]).await).contains("context dev"));
    assert!(bare(&["intents", "list"]).await.status.success());
    let doctor = bare(&["doctor"]).await;
    assert_eq!(doctor.status.code(), Some(0), "{doctor:?}");
    let key = document(&bare(&["agents", "register", "worker", "--with-key", "--json"]).await);
    let listed = document(&bare(&["agents", "keys", "list", "worker", "--json"]).await);
    assert_eq!(listed["keys"][0]["key_id"], key["key"]["key_id"]);
    assert!(server.stop().await.success());
}
