//! The rest of the user commands: what they ask, print and end with.

use serde_json::{Value, json};

use super::canned::{Canned, answers};
use super::{axp, stdout};

#[tokio::test]
async fn an_intent_is_canceled_and_answered_for() {
    let server = Canned::start(answers([
        ("POST /v1/intents/7/resolve", json!({"ok": true, "intent": {"status": "CANCELED"}})),
        ("POST /v1/intents/7/resume", json!({"ok": true, "status": "COMPLETED"})),
    ]))
    .await;
    let canceled = axp(&server.url, &["intents", "cancel", "7", "--reason", "too late"]).await;
    assert_eq!(stdout(&canceled), "7  CANCELED\n");
    let resumed = axp(&server.url, &["intents", "resume", "7", "--data", "passed=yes"]).await;
    assert_eq!(stdout(&resumed), "7  COMPLETED\n");
    axp(&server.url, &["intents", "resume", "7", "--fail"]).await;
    let bodies: Vec<Value> = server.writes().into_iter().map(|asked| asked.body).collect();
    assert_eq!(
        bodies,
        [
            json!({"status": "CANCELED", "reason": "too late"}),
            json!({"action": "complete", "passed": "yes"}),
            json!({"action": "fail"}),
        ]
    );
}

#[tokio::test]
async fn a_cleanup_counts_first_and_never_goes_on_unasked() {
    let answer = json!({"ok": true, "would_cancel": 2, "canceled": 2, "intent_ids": ["a", "b"]});
    let server = Canned::start(answers([("POST /v1/intents/bulk-cancel", answer)])).await;
    let cleanup = ["intents", "cleanup", "--older-than", "36h", "--status", "WAITING,DELIVERED"];
    let counted = axp(&server.url, &[&cleanup[..], &["--dry-run"]].concat()).await;
    assert_eq!(stdout(&counted), "a\nb\n");
    let refused = axp(&server.url, &cleanup).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(server.writes().iter().all(|asked| asked.body["dry_run"] == true));
    let done = axp(&server.url, &[&cleanup[..], &["--yes"]].concat()).await;
    assert!(done.status.success(), "{done:?}");
    let last = server.writes().pop().unwrap().body;
    assert_eq!(last["dry_run"], false);
    assert_eq!(last["older_than_hours"], 36.0);
    assert_eq!(last["status_filter"], json!(["WAITING", "DELIVERED"]));
}

#[tokio::test]
async fn an_agent_is_registered_given_keys_and_deleted() {
    let account = json!({"service_account_id": "sa_1", "agent_address": "agent://a/b/c",
        "keys": [{"key_id": "sak_1", "key_hint": "ab..", "status": "active"}]});
    let server = Canned::start(answers([
        ("POST /v1/service-accounts", json!({"ok": true, "service_account": account})),
        ("GET /v1/service-accounts/sa_1", json!({"ok": true, "service_account": account})),
        ("GET /v1/agents/c", json!({"ok": true, "agent": {"service_account_id": "sa_1"}})),
        (
            "POST /v1/service-accounts/sa_1/keys",
            json!({"ok": true, "key": {"key_id": "sak_1", "token": "secret"}}),
        ),
        ("POST /v1/service-accounts/sa_1/keys/sak_1/revoke", json!({"ok": true, "key": {}})),
        ("DELETE /v1/service-accounts/sa_1", json!({"ok": true, "deleted": true})),
    ]))
    .await;
    let register = ["agents", "register", "c", "--with-key", "--delivery-mode", "poll"];
    let registered = axp(&server.url, &register).await;
    assert_eq!(stdout(&registered), "agent://a/b/c  sa_1\nAPI key, shown once: secret\n");
    assert_eq!(server.writes()[0].body, json!({"name": "c", "delivery_mode": "poll"}));
    let listed = axp(&server.url, &["agents", "keys", "list", "c"]).await;
    assert!(stdout(&listed).contains("sak_1  ab..  active"), "{listed:?}");
    let created = axp(&server.url, &["agents", "keys", "create", "sa_1"]).await;
    assert!(stdout(&created).contains("secret"), "{created:?}");
    let revoke = ["agents", "keys", "revoke", "c", "sak_1"];
    assert_eq!(axp(&server.url, &revoke).await.status.code(), Some(2));
    assert!(axp(&server.url, &[&revoke[..], &["-y"]].concat()).await.status.success());
    assert_eq!(axp(&server.url, &["agents", "delete", "c"]).await.status.code(), Some(2));
    let deleted = axp(&server.url, &["agents", "delete", "c", "--yes"]).await;
    assert_eq!(stdout(&deleted), "sa_1  deleted\n");
}

#[tokio::test]
async fn a_raw_request_ends_by_its_status() {
    let mut given = answers([("PUT /v1/x", json!({"ok": true}))]);
    given.insert("GET /v1/broken".into(), (503, json!({"ok": false})));
    let server = Canned::start(given).await;
    let raw = ["raw", "PUT", "/v1/x?y=1", "--data", r#"{"a":1}"#, "-H", "Idempotency-Key: k"];
    let put = axp(&server.url, &raw).await;
    assert_eq!(stdout(&put), "{\n  \"ok\": true\n}\n");
    let asked = server.writes().pop().unwrap();
    assert_eq!((asked.line.as_str(), asked.body), ("PUT /v1/x?y=1", json!({"a": 1})));
    assert_eq!(asked.idempotency_key.as_deref(), Some("k"));
    let code = |output: std::process::Output| output.status.code();
    assert_eq!(code(axp(&server.url, &["raw", "GET", "/v1/broken"]).await), Some(7));
    assert_eq!(code(axp(&server.url, &["raw", "GET", "/v1/none"]).await), Some(5));
    assert_eq!(code(axp(&server.url, &["raw", "GET", "v1"]).await), Some(2));
}

#[tokio::test]
async fn a_doctor_finds_what_is_wrong() {
    let health = json!({"ok": true, "service": "axme-gateway", "version": "0.1.0"});
    let well = Canned::start(answers([
        ("GET /health", health.clone()),
        ("GET /v1/intents", json!({"ok": true, "intents": []})),
        ("GET /v1/agents/axp-doctor/intents/stream", "".into()),
    ]))
    .await;
    let healthy = axp(&well.url, &["doctor"]).await;
    assert_eq!(healthy.status.code(), Some(0), "{healthy:?}");
    assert!(stdout(&healthy).contains("ok   clock    as the server's"), "{healthy:?}");
    let mut refusing = answers([("GET /health", health)]);
    refusing.insert("GET /v1/intents".into(), (401, json!({"ok": false, "detail": "unknown"})));
    let refusing = Canned::start(refusing).await;
    let unwell = axp(&refusing.url, &["doctor"]).await;
    assert_eq!(unwell.status.code(), Some(14), "{unwell:?}");
    assert!(stdout(&unwell).contains("fix: the server does not know it"), "{unwell:?}");
    let nobody = axp("http://127.0.0.1:1", &["doctor", "--json"]).await;
    assert_eq!(nobody.status.code(), Some(14));
    let report: Value = serde_json::from_slice(&nobody.stdout).unwrap();
    let last = report["checks"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["check"], &last["ok"]), (&json!("reach"), &json!(false)));
}

#[tokio::test]
async fn status_tells_the_server_and_whether_the_key_works() {
    let health = json!({"ok": true, "service": "axme-gateway", "version": "9.9.9"});
    let mut given = answers([("GET /health", health)]);
    given.insert("GET /v1/intents".into(), (401, json!({"ok": false, "detail": "unknown"})));
    let server = Canned::start(given).await;
    let shown = axp(&server.url, &["status"]).await;
    assert_eq!(shown.status.code(), Some(4), "{shown:?}");
    assert!(stdout(&shown).contains("axme-gateway 9.9.9"), "{shown:?}");
}

#[tokio::test]
async fn every_shell_gets_a_completion() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = axp("http://127.0.0.1:1", &["completion", shell]).await;
        assert!(script.status.success(), "{script:?}");
        assert!(stdout(&script).contains("list-templates"), "{shell}");
    }
}
