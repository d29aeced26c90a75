//! The rest of an intent's life over HTTP: tasks, controls, policy, polling, canceling in bulk.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use axp_proto::log::{DeliveryMode, EventType, Status};
use axp_proto::node::ServiceAccount;
use prost::Message as _;
use serde_json::{Value, json};

use crate::harness::{World, eventually, seed_key};

async fn ask(world: &World, task: Value) -> String {
    let body = json!({
        "intent_type": "a.b.v1", "to_agent": "agent_core", "human_task": task,
        "remind_after_seconds": 60, "escalate_to": "boss@acme.test",
    });
    let created = world.post("/v1/intents", &body).await;
    created["intent_id"].as_str().unwrap().to_owned()
}

fn submission(world: &World, id: &str) -> axp_proto::log::Submission {
    world.cluster.shared.state().intents[&id.parse().unwrap()].submission.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_travels_with_its_rules() {
    let world = World::new().await;
    let task = json!({ "task_type": "manual_action", "assignees": ["ann@acme.test"] });
    let id = ask(&world, task).await;
    let stored = submission(&world, &id);
    let rules = stored.task.unwrap();
    assert_eq!(rules.allowed_outcomes, ["completed", "failed"]);
    assert_eq!(rules.aliases, ["approved", "rejected"]);
    assert!(rules.evidence_required && !rules.comment_required);
    assert_eq!(rules.assignees, ["ann@acme.test"]);
    let escalation = stored.escalation.unwrap();
    assert_eq!(escalation.mailbox.unwrap().address, "boss@acme.test");

    let body = json!({ "intent_type": "a.b.v1", "to_agent": "x", "escalate_to": "default" });
    let created = world.post("/v1/intents", &body).await;
    let escalation = submission(&world, created["intent_id"].as_str().unwrap()).escalation.unwrap();
    assert_eq!(escalation.mode(), DeliveryMode::Stream);
    assert_eq!(escalation.mailbox.unwrap().address, "agent://acme/prod/default");
    seed_key(&world.cluster, "other", "prod", "key-of-other-prod").await;
    let foreign = json!({
        "intent_type": "a.b.v1", "to_agent": "x", "escalate_to": "agent://other/prod/default",
    });
    let refused = world.request("POST", "/v1/intents").json(&foreign).send().await;
    assert_eq!(refused.refusal(403), "receiver_org_closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_pass_a_task_on_or_end_it() {
    let world = World::new().await;
    let task = json!({ "task_type": "delegation", "assignees": ["ann@acme.test"] });
    let id = ask(&world, task).await;
    let path = format!("/v1/intents/{id}/resume");
    let answer = json!({ "task_result": { "outcome": "delegated", "delegate_to": "bob" } });
    let passed = world.post(&path, &answer).await;
    assert_eq!((&passed["applied"], &passed["status"]), (&json!(true), &json!("WAITING")));
    assert_eq!(passed["event"]["event_type"], "intent.transfer");
    let bad = json!({ "task_result": { "outcome": 7 } });
    let bad = world.request("POST", &path).json(&bad).send().await;
    assert_eq!(bad.refusal(422), "validation_error");

    // The answer to the first attempt is lost; the second one finds the task decided, by us.
    world.cluster.each(|faults| faults.lose_answers.store(1, Ordering::SeqCst));
    let answer = json!({ "task_result": { "outcome": "delegated" } });
    let ended = world.post(&path, &answer).await;
    assert_eq!(ended["status"], "COMPLETED");
    let again = world.request("POST", &path).json(&answer).send().await;
    assert_eq!(again.refusal(409), "invalid_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn controls_are_patched_by_generation() {
    let world = World::new().await;
    let id = world.submit("bob").await;
    let path = format!("/v1/intents/{id}/controls");
    let body = json!({
        "controls_patch": { "timeout_seconds": 120, "note": { "a": [1.50] } },
        "expected_policy_generation": 0, "actor": "agent://acme/prod/me", "reason": "slow",
        "internal_scheduler": false,
    });
    let changed = world.post(&path, &body).await;
    assert_eq!((&changed["applied"], &changed["policy_generation"]), (&json!(true), &json!(1)));
    assert_eq!(changed["intent_id"], id.as_str());
    assert_eq!(changed["controls"], json!({ "note": { "a": [1.5] }, "timeout_seconds": 120 }));
    let stale = world.post(&path, &body).await;
    assert_eq!(
        (&stale["ok"], &stale["applied"], &stale["reason"], &stale["policy_generation"]),
        (&json!(true), &json!(false), &json!("stale_policy_generation"), &json!(1))
    );
    // A gateway that lost the answer is not refused by its own change.
    world.cluster.each(|faults| faults.lose_answers.store(1, Ordering::SeqCst));
    let patch = json!({ "controls_patch": { "note": null }, "expected_policy_generation": 1 });
    let own = world.post(&path, &patch).await;
    assert_eq!((&own["applied"], &own["policy_generation"]), (&json!(true), &json!(2)));
    assert_eq!(
        world.get(&format!("/v1/intents/{id}")).await["intent"]["controls"],
        own["controls"]
    );

    for bad in [
        json!({}),
        json!({ "controls_patch": 1 }),
        json!({ "controls_patch": { "timeout_seconds": "1" } }),
        json!({ "controls_patch": {}, "expected_policy_generation": -1 }),
    ] {
        let refused = world.request("POST", &path).json(&bad).send().await;
        assert_eq!(refused.refusal(422), "validation_error", "{bad}");
    }
    world.post(&format!("/v1/intents/{id}/resume"), &json!({ "action": "complete" })).await;
    let ended = world.request("POST", &path).json(&json!({ "controls_patch": { "x": 1 } }));
    assert_eq!(ended.send().await.refusal(409), "invalid_state");
    let unknown = "/v1/intents/01890000-0000-7000-8000-000000000000/controls";
    let unknown = world.request("POST", unknown).json(&json!({ "controls_patch": {} }));
    assert_eq!(unknown.send().await.refusal(404), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_grants_to_addresses() {
    let world = World::new().await;
    let id = world.submit("bob").await;
    let controls = |owner: &str| {
        let path = format!("/v1/intents/{id}/controls?owner_agent={owner}");
        world.request("POST", &path).json(&json!({ "controls_patch": { "x": 1 } }))
    };
    assert_eq!(controls("stranger").send().await.refusal(403), "policy_denied");
    assert_eq!(controls("bob").send().await.ok()["applied"], true);
    let path = format!("/v1/intents/{id}/policy");
    let body = json!({
        "grants_patch": { "delegate:stranger": { "allow": ["update_controls"] } },
        "envelope_patch": { "max_retry_count": 3, "expires_at": "2099-01-01T00:00:00Z" },
    });
    let changed = world.post(&path, &body).await;
    assert_eq!((&changed["applied"], &changed["policy_generation"]), (&json!(true), &json!(2)));
    assert_eq!(
        changed["policy"]["grants"],
        json!({ "delegate:agent://acme/prod/stranger": { "allow": ["update_controls"] } })
    );
    assert_eq!(changed["policy"]["envelope"]["expires_at"], "2099-01-01T00:00:00Z");
    assert_eq!(controls("agent://acme/prod/stranger").send().await.ok()["applied"], true);
    let revoked =
        world.post(&path, &json!({ "grants_patch": { "delegate:stranger": null } })).await;
    assert_eq!(revoked["policy"]["grants"], json!({}));
    for bad in [
        json!({ "grants_patch": { "delegate:x1": { "allow": ["everything"] } } }),
        json!({ "grants_patch": { "delegate:x1": "all" } }),
        json!({ "envelope_patch": { "expires_at": "soon" } }),
        json!({ "envelope_patch": { "ttl_seconds": 1.5 } }),
    ] {
        let refused = world.request("POST", &path).json(&bad).send().await;
        assert_eq!(refused.refusal(422), "validation_error", "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_intents_are_canceled_in_bulk() {
    let world = World::new().await;
    let mut ids = HashSet::new();
    for _ in 0..40 {
        ids.insert(world.submit("bob").await);
    }
    let ended = ids.iter().next().unwrap().clone();
    world.post(&format!("/v1/intents/{ended}/resume"), &json!({ "x": 1 })).await;
    ids.remove(&ended);
    let listed = |body: &Value| -> HashSet<String> {
        let list = body["intent_ids"].as_array().unwrap();
        list.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    let body = |dry_run: bool, hours: f64| {
        json!({ "older_than_hours": hours, "dry_run": dry_run, "reason": "old", "limit": 500,
                "status_filter": null })
    };
    let young = world.post("/v1/intents/bulk-cancel", &body(true, 1e6)).await;
    assert_eq!(young["would_cancel"], 0, "nothing is that old");
    let dry = world.post("/v1/intents/bulk-cancel", &body(true, 1.0)).await;
    assert_eq!((&dry["dry_run"], &dry["would_cancel"]), (&json!(true), &json!(39)));
    assert_eq!(listed(&dry), ids);
    let some = ids.iter().next().unwrap().clone();
    assert_eq!(world.get(&format!("/v1/intents/{some}")).await["status"], "DELIVERED");

    let request = || {
        let request = world.request("POST", "/v1/intents/bulk-cancel");
        request.header("Idempotency-Key", "k").json(&body(false, 1.0))
    };
    let real = request().send().await.ok();
    assert_eq!((&real["dry_run"], &real["canceled"]), (&json!(false), &json!(39)));
    assert_eq!(listed(&real), ids);
    let got = world.get(&format!("/v1/intents/{some}")).await;
    assert_eq!(got["status"], "CANCELED");
    assert_eq!(request().send().await.ok(), real, "the same key, the same answer");
    let again = world.post("/v1/intents/bulk-cancel", &body(false, 1.0)).await;
    assert_eq!(again["canceled"], 0);
    let other = world.request("POST", "/v1/intents/bulk-cancel").header("Idempotency-Key", "k");
    let other = other.json(&body(false, 2.0)).send().await;
    assert_eq!(other.refusal(409), "idempotency_conflict");
    assert_eq!(world.get(&format!("/v1/intents/{ended}")).await["status"], "COMPLETED");
    let bad = world.request("POST", "/v1/intents/bulk-cancel").body("{}").send().await;
    assert_eq!(bad.refusal(422), "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_pollers_lose_and_starve_nothing() {
    let world = World::new().await;
    let mut sent = Vec::new();
    for _ in 0..60 {
        sent.push(world.submit("default").await);
    }
    let rows = |body: &Value| -> Vec<String> {
        let rows = body["intents"].as_array().unwrap();
        rows.iter().map(|row| row["intent_id"].as_str().unwrap().to_owned()).collect()
    };
    // Oldest first, in pages.
    let first = world.get("/v1/intents?status=pending&limit=50").await;
    let since = first["next_since"].as_u64().unwrap();
    let rest = world.get(&format!("/v1/intents?status=pending&since={since}&limit=50")).await;
    assert!(rest["next_since"].is_null());
    assert_eq!([rows(&first), rows(&rest)].concat(), sent);
    // Pollers at the same time finish the oldest; while they do, more comes.
    let poll = async || {
        let mut finished = 0;
        loop {
            let pending = rows(&world.get("/v1/intents?status=pending&limit=7").await);
            let Some(id) = pending.first() else { return finished };
            let path = format!("/v1/intents/{id}/resume");
            let answer = world.request("POST", &path).body(r#"{"x":1}"#).send().await;
            match answer.status {
                200 => finished += 1,
                409 => {} // another poller was faster
                status => panic!("{status}: {}", answer.text()),
            }
        }
    };
    let more = async {
        for _ in 0..20 {
            world.submit("default").await;
        }
    };
    let (a, b, c, ()) = tokio::join!(poll(), poll(), poll(), more);
    let rest = poll().await;
    assert_eq!(a + b + c + rest, 80, "each was finished once");
    let intents = &world.cluster.shared.state().intents;
    assert!(intents.values().all(|intent| intent.status() == Status::Completed));
}

#[tokio::test(flavor = "multi_thread")]
async fn pollers_see_their_own_workspace() {
    let world = World::new().await;
    seed_key(&world.cluster, "other", "prod", "key-of-other-prod").await;
    world.submit("bob").await;
    let own = world.get("/v1/intents?status=pending&to_agent=bob").await;
    assert_eq!(own["intents"].as_array().unwrap().len(), 1);
    for name in ["intent_id", "status", "created_at", "updated_at", "to_agent", "from_agent"] {
        assert!(own["intents"][0][name].is_string(), "{name}");
    }
    let from = "/v1/intents?status=pending&to_agent=bob&from_agent=somebody";
    assert_eq!(world.get(from).await["intents"], json!([]));
    let foreign = "/v1/intents?status=pending&to_agent=agent://acme/prod/bob";
    let foreign = world.bare("GET", foreign).header("x-api-key", "key-of-other-prod");
    assert_eq!(foreign.send().await.refusal(403), "invalid_actor_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn reminders_are_shown() {
    let world = World::new().await;
    let id = ask(&world, json!({ "title": "Approve?" })).await;
    let details = br#"{"reminder_count":1}"#;
    world.cluster.shared.change(|state| {
        state.append(&id, EventType::Reminder, Status::Waiting, details);
    });
    let events = world.get(&format!("/v1/intents/{id}/events")).await;
    let last = events["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["event_type"], &last["status"]),
        (&json!("intent.reminder"), &json!("WAITING"))
    );
    assert_eq!(last["details"]["reminder_count"], 1);
    let got = world.get(&format!("/v1/intents/{id}")).await;
    let intent = &got["intent"];
    for name in ["remind_count", "delivery_attempt", "policy_generation"] {
        assert!(intent[name].is_u64(), "{name}");
    }
    assert_eq!((&intent["controls"], &intent["policy"]["grants"]), (&json!({}), &json!({})));
    assert_eq!(intent["escalate_to"], "boss@acme.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_intents_follow_an_agent_that_wants_pushes() {
    let world = World::new().await;
    let id = world.submit("default").await;
    let mode = |id: &str| {
        let id = id.parse::<axp_proto::ids::IntentId>().unwrap().to_bytes();
        let state = world.cluster.shared.state();
        let entries = state.mailboxes.values().flatten();
        let mut deliveries = entries.filter_map(|entry| entry.delivery.as_ref());
        deliveries.find(|delivery| delivery.intent_id == id).unwrap().mode()
    };
    assert_eq!(mode(&id), DeliveryMode::Stream);
    // As any gateway would commit it.
    world.cluster.shared.change(|state| {
        let rows = state.rows.iter();
        let (key, value) = rows
            .filter(|(key, _)| key.starts_with(axp_proto::control::SERVICE_ACCOUNT))
            .map(|(key, (_, value))| (key.clone(), value.clone()))
            .next()
            .unwrap();
        let mut account = ServiceAccount::decode(value).unwrap();
        account.set_delivery_mode(DeliveryMode::Http);
        account.updated_at_ms = i64::MAX; // just now, whatever the clock says
        state.put_row(key, account.encode_to_vec().into());
    });
    eventually("the pending intent is pushed", || mode(&id) == DeliveryMode::Http).await;
    // One that a gateway submitted which did not know yet.
    world.cluster.shared.change(|state| {
        let deliveries = state.mailboxes.values_mut().flatten();
        let deliveries = deliveries.filter_map(|entry| entry.delivery.as_mut());
        deliveries.for_each(|delivery| delivery.set_mode(DeliveryMode::Stream));
    });
    eventually("the late one as well", || mode(&id) == DeliveryMode::Http).await;
}
