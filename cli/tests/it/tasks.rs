//! `axp tasks`: which answer is sent, and what happens when there is none to send.

use serde_json::{Value, json};

use super::canned::{Canned, answers};
use super::{axp, stdout};

fn waiting(task: &Value) -> super::canned::Answers {
    answers([
        (
            "GET /v1/intents/7",
            json!({"ok": true, "intent": {"intent_id": "7", "status": "WAITING",
                "waiting_reason": "WAITING_FOR_HUMAN", "human_task": task}}),
        ),
        (
            "POST /v1/intents/7/resume",
            json!({"ok": true, "applied": true, "intent_id": "7", "status": "COMPLETED"}),
        ),
    ])
}

/// Runs it and says what was sent.
async fn sent(task: &Value, arguments: &[&str]) -> Value {
    let server = Canned::start(waiting(task)).await;
    let answered = axp(&server.url, &[&["tasks"], arguments].concat()).await;
    assert!(answered.status.success(), "{answered:?}");
    let writes = server.writes();
    assert_eq!(writes.len(), 1);
    writes[0].body["task_result"].clone()
}

#[tokio::test]
async fn every_verb_sends_the_tasks_own_outcome() {
    let plain = json!({"title": "Deploy?"});
    assert_eq!(sent(&plain, &["approve", "7"]).await, json!({"outcome": "approved"}));
    assert_eq!(
        sent(&plain, &["reject", "7", "--comment", "no"]).await,
        json!({"outcome": "rejected", "comment": "no"})
    );
    let confirmation = json!({"task_type": "confirmation"});
    assert_eq!(sent(&confirmation, &["confirm", "7"]).await["outcome"], "confirmed");
    assert_eq!(sent(&confirmation, &["reject", "7"]).await["outcome"], "denied");
    let action = json!({"task_type": "manual_action"});
    assert_eq!(
        sent(&action, &["complete", "7", "--evidence", "photo"]).await,
        json!({"outcome": "completed", "data": {"evidence": "photo"}})
    );
    let assignment = json!({"task_type": "assignment"});
    assert_eq!(
        sent(&assignment, &["assign", "7", "--to", "ann"]).await,
        json!({"outcome": "assigned", "data": {"assignee": "ann"}})
    );
    let form = json!({"task_type": "form", "form_schema": {"properties": {
        "count": {"type": "integer"}, "fast": {"type": "boolean"}}}});
    let fields =
        ["submit", "7", "--outcome", "submitted", "--data", "count=3", "--data", "fast=yes"];
    assert_eq!(
        sent(&form, &[&fields[..], &["--data-json", r#"{"note":[1]}"#]].concat()).await,
        json!({"outcome": "submitted", "data": {"count": 3, "fast": true, "note": [1]}})
    );
}

#[tokio::test]
async fn without_a_terminal_nothing_is_asked_and_nothing_is_guessed() {
    let task = json!({"allowed_outcomes": ["shipped", "lost"]});
    let server = Canned::start(waiting(&task)).await;
    for arguments in [&["submit", "7"][..], &["approve", "7"]] {
        let refused = axp(&server.url, &[&["tasks"], arguments].concat()).await;
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let stderr = String::from_utf8(refused.stderr).unwrap();
        assert!(stderr.contains("--outcome shipped or lost"), "{stderr}");
    }
    assert!(server.writes().is_empty());
}

#[tokio::test]
async fn an_intent_that_waits_for_nobody_takes_no_answer() {
    let done = json!({"ok": true, "intent": {"intent_id": "7", "status": "COMPLETED"}});
    let server = Canned::start(answers([("GET /v1/intents/7", done)])).await;
    let refused = axp(&server.url, &["tasks", "approve", "7"]).await;
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    assert!(String::from_utf8(refused.stderr).unwrap().contains("axp why 7"));
    assert!(server.writes().is_empty());
}

#[tokio::test]
async fn the_servers_verdict_is_shown_whole() {
    let mut answers = waiting(&json!({"required_comment": true}));
    let refusal = json!({"ok": false, "detail": "a comment is required",
        "error": {"code": "validation_error", "message": "a comment is required",
        "details": {"errors": [{"loc": ["body", "task_result", "comment"], "msg": "is missing"}]}}});
    answers.insert("POST /v1/intents/7/resume".into(), (422, refusal));
    let server = Canned::start(answers).await;
    let refused = axp(&server.url, &["tasks", "approve", "7"]).await;
    assert_eq!(refused.status.code(), Some(6));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap(),
        "axp: the server answered 422 validation_error: a comment is required\n  \
         - task_result.comment: is missing\n  request id: req-7\n"
    );
    let refused = axp(&server.url, &["tasks", "approve", "7", "--json"]).await;
    let line: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!((&line["exit_code"], &line["code"]), (&json!(6), &json!("validation_error")));
}

#[tokio::test]
async fn tasks_are_listed_with_what_they_ask() {
    let tasks = json!({"ok": true, "tasks": [{"intent_id": "7", "intent_type": "x.v1",
        "status": "WAITING", "assigned_at": "2026-01-01T00:00:00Z", "due_at": null,
        "human_task": {"title": "Deploy?", "task_type": "approval"}}]});
    let server = Canned::start(answers([("GET /v1/me/tasks", tasks)])).await;
    let listed = axp(&server.url, &["tasks", "list", "--limit", "9"]).await;
    assert_eq!(
        stdout(&listed),
        "INTENT  TYPE      ASSIGNED              DUE  TITLE\n\
         7       approval  2026-01-01T00:00:00Z       Deploy?\n"
    );
    assert_eq!(server.asked(), ["GET /v1/me/tasks?limit=9"]);
}
