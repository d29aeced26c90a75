//! Intents over HTTP: create, read, list, end.

use axp_proto::log::{EventType, Status};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{World, seed_key};

fn is_instant(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_is_created_and_read() {
    let world = World::new().await;
    let correlation = Uuid::new_v4().to_string();
    let body = json!({
        "intent_type": "intent.approval.v1", "correlation_id": correlation,
        "to_agent": "agent://acme/prod/checker", "from_agent": "agent://ignored/any/way",
        "payload": { "b": 1, "a": { "x": [1, 2.50] } }, "reply_to": "agent://acme/prod/me",
        "deadline_at": "2099-01-01T00:00:00+01:00", "max_delivery_attempts": 5, "unknown": true,
    });
    let created = world.post("/v1/intents", &body).await;
    assert_eq!(created["status"], "DELIVERED");
    assert!(is_instant(&created["created_at"]));
    assert_eq!(created["correlation_id"], correlation.as_str());
    let id = created["intent_id"].as_str().unwrap();
    assert_eq!(Uuid::try_parse(id).unwrap().get_version_num(), 7);

    let answer = world.request("GET", &format!("/v1/intents/{id}")).send().await;
    // The payload comes out as it went in, number spelling included.
    assert!(
        answer.text().contains(r#""payload":{"a":{"x":[1,2.5]},"b":1}"#)
            || answer.text().contains(r#""payload":{"b":1,"a":{"x":[1,2.5]}}"#)
    );
    let got = answer.ok();
    let intent = &got["intent"];
    for (name, expected) in [
        ("intent_id", id),
        ("intent_type", "intent.approval.v1"),
        ("status", "DELIVERED"),
        ("lifecycle_status", "DELIVERED"),
        ("correlation_id", correlation.as_str()),
        ("from_agent", "agent://acme/prod/default"),
        ("to_agent", "agent://acme/prod/checker"),
    ] {
        assert_eq!(intent[name], expected, "{name}");
        assert_eq!(got[name], expected, "{name} is mirrored");
    }
    assert_eq!(got["payload"], body["payload"]);
    assert_eq!(intent["legacy_status"], "accepted");
    assert_eq!(intent["deadline_at"], "2098-12-31T23:00:00.000Z");
    assert_eq!(intent["due_at"], intent["deadline_at"]);
    assert_eq!(
        (&intent["reply_to"], &intent["max_delivery_attempts"]),
        (&json!("agent://acme/prod/me"), &json!(5))
    );
    assert!(is_instant(&intent["created_at"]) && is_instant(&intent["updated_at"]));
    assert!(got.get("result").is_none() && intent.get("error").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn payload_bytes_are_kept() {
    let world = World::new().await;
    let body = r#"{"intent_type":"a.b.v1","to_agent":"bob","payload":{ "z":1.0, "big":123456789012345678901234567890, "a":"\u0041" }}"#;
    let created = world.request("POST", "/v1/intents").body(body).send().await.ok();
    let id = created["intent_id"].as_str().unwrap();
    let got = world.request("GET", &format!("/v1/intents/{id}")).send().await;
    let kept = r#""payload":{ "z":1.0, "big":123456789012345678901234567890, "a":"\u0041" }"#;
    assert_eq!(got.text().matches(kept).count(), 2, "{}", got.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_needs_little() {
    let world = World::new().await;
    let created = world
        .post(
            "/v1/intents",
            &json!({ "intent_type": "a.b.v1", "to_agent": "bob", "correlation_id": "" }),
        )
        .await;
    assert!(Uuid::try_parse(created["correlation_id"].as_str().unwrap()).is_ok());
    assert_eq!(created["to_agent"], "agent://acme/prod/bob");
    let id = created["intent_id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/intents/{id}")).await["payload"], json!({}));

    let events = world.get(&format!("/v1/intents/{id}/events")).await;
    let events = events["events"].as_array().unwrap();
    let seqs: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3]);
    let first = &events[0];
    assert_eq!(
        (&first["event_type"], &first["status"]),
        (&json!("intent.created"), &json!("CREATED"))
    );
    assert_eq!((&first["intent_id"], &first["details"]), (&json!(id), &json!({})));
    assert!(is_instant(&first["at"]));

    for (since, left) in [("0", 3), ("1", 2), ("3", 0), ("99", 0), ("", 3)] {
        let page = world.get(&format!("/v1/intents/{id}/events?since={since}")).await;
        assert_eq!(page["events"].as_array().unwrap().len(), left, "since={since}");
    }
    let bad = world.request("GET", &format!("/v1/intents/{id}/events?since=x")).send().await;
    assert_eq!(bad.refusal(422), "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_histories_are_read_in_pages() {
    let world = World::new().await;
    let id = world.submit("bob").await;
    world.cluster.shared.change(|state| {
        for _ in 0..2_500 {
            state.append(&id, EventType::Reminder, Status::Waiting, b"");
        }
    });
    let events = world.get(&format!("/v1/intents/{id}/events")).await;
    let seqs =
        events["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap());
    assert!(seqs.eq(1..=2_503));
}

#[tokio::test(flavor = "multi_thread")]
async fn intents_are_nobody_elses() {
    let world = World::new().await;
    seed_key(&world.cluster, "other", "prod", "key-of-other-prod").await;
    let id = world.submit("bob").await;
    let foreign = |method: &str, path: &str| {
        let path = path.replace("ID", &id);
        world.bare(method, &path).header("x-api-key", "key-of-other-prod").body("{\"x\":1}")
    };
    for (method, path) in [
        ("GET", "/v1/intents/ID"),
        ("GET", "/v1/intents/ID/events"),
        ("GET", "/v1/intents/ID/events/stream?wait_seconds=1"),
        ("POST", "/v1/intents/ID/resume"),
    ] {
        assert_eq!(foreign(method, path).send().await.refusal(404), "not_found", "{path}");
    }
    let cancel =
        foreign("POST", "/v1/intents/ID/resolve").body(r#"{"status":"CANCELED","reason":"x"}"#);
    assert_eq!(cancel.send().await.refusal(404), "not_found");
    let listed = foreign("GET", "/v1/intents").send().await.ok();
    assert_eq!(listed["intents"], json!([]));
    for unknown in
        ["01890000-0000-7000-8000-000000000000", "nonsense", "00000000-0000-4000-8000-000000000000"]
    {
        let answer = world.request("GET", &format!("/v1/intents/{unknown}")).send().await;
        assert_eq!(answer.refusal(404), "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_organizations_take_nothing_from_others() {
    let world = World::new().await;
    seed_key(&world.cluster, "other", "prod", "key-of-other-prod").await;
    for address in ["agent://other/prod/default", "agent://other/prod/unregistered"] {
        let body = json!({ "intent_type": "a.b.v1", "to_agent": address });
        let refused = world.request("POST", "/v1/intents").json(&body).send().await;
        assert_eq!(refused.refusal(403), "receiver_org_closed");
    }
    for address in ["agent://conformance/receiver", "agent://nowhere/at/all", "agent://alice"] {
        let body = json!({ "intent_type": "a.b.v1", "to_agent": address });
        assert_eq!(world.post("/v1/intents", &body).await["to_agent"], address);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_make_repeats_harmless() {
    let world = World::new().await;
    let submit = |key: &str, body: &str| {
        world.request("POST", "/v1/intents").header("Idempotency-Key", key).body(body)
    };
    let body = r#"{"intent_type":"a.b.v1","to_agent":"bob","payload":{"a":1,"b":2}}"#;
    let first = submit("k1", body).send().await.ok();
    let reordered = r#"{"payload":{"b":2,"a":1.0}, "to_agent":"bob","intent_type":"a.b.v1"}"#;
    let again = submit("k1", reordered).send().await.ok();
    assert_eq!(first, again);
    assert_eq!(world.cluster.shared.state().intents.len(), 1);

    let mutated =
        submit("k1", r#"{"intent_type":"a.b.v1","to_agent":"bob","payload":{"a":2}}"#).send().await;
    assert_eq!(mutated.refusal(409), "idempotency_conflict");
    assert_eq!(mutated.json()["detail"], "idempotency key reused with different payload");
    assert_ne!(submit("k2", body).send().await.ok()["intent_id"], first["intent_id"]);
    assert_eq!(submit(&"k".repeat(300), body).send().await.refusal(422), "validation_error");

    // What was answered is answered again, though the intent has moved on.
    let id = first["intent_id"].as_str().unwrap();
    let resolve = || {
        let path = format!("/v1/intents/{id}/resolve");
        let body = json!({ "status": "COMPLETED", "result": { "x": 1 } });
        world.request("POST", &path).header("Idempotency-Key", "end").json(&body)
    };
    let ended = resolve().send().await.ok();
    assert_eq!(resolve().send().await.ok()["event"], ended["event"]);
    assert_eq!(submit("k1", body).send().await.ok()["status"], "DELIVERED");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_merged_over_shards() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(world.submit(if number % 2 == 0 { "even" } else { "odd" }).await);
    }
    let listed = world.get("/v1/intents?limit=5").await;
    let rows = listed["intents"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for name in ["intent_id", "status", "created_at", "updated_at", "to_agent"] {
        assert!(rows[0][name].is_string(), "{name}");
    }
    assert_eq!(world.get("/v1/intents").await["intents"].as_array().unwrap().len(), 20);
    let even = world.get("/v1/intents?to_agent=even&status=DELIVERED,WAITING").await;
    assert_eq!(even["intents"].as_array().unwrap().len(), 10);
    assert_eq!(world.get("/v1/intents?status=COMPLETED").await["intents"], json!([]));
    // Agents that poll see what is for them.
    assert_eq!(world.get("/v1/intents?status=pending").await["intents"], json!([]));
    let own = world.submit("default").await;
    let pending = world.get("/v1/intents?status=pending").await;
    assert_eq!(pending["intents"][0]["intent_id"], own.as_str());
    assert_eq!(
        world.get("/v1/intents?status=active").await["intents"].as_array().unwrap().len(),
        21
    );
    let bad = world.request("GET", "/v1/intents?status=DONE").send().await;
    assert_eq!(bad.refusal(422), "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_end_intents_once() {
    let world = World::new().await;
    let id = world.submit("bob").await;
    let path = format!("/v1/intents/{id}/resolve");
    let stale = json!({ "status": "COMPLETED", "result": {}, "expected_policy_generation": 7 });
    let stale = world.post(&path, &stale).await;
    assert_eq!(
        (&stale["applied"], &stale["reason"]),
        (&json!(false), &json!("stale_policy_generation"))
    );
    assert_eq!(stale["policy_generation"], 0);

    let body = json!({ "status": "COMPLETED", "result": { "verdict": "fine" } });
    let resolved = world.post(&path, &body).await;
    assert_eq!(resolved["applied"], true);
    let event = &resolved["event"];
    assert_eq!(
        (&event["event_type"], &event["status"]),
        (&json!("intent.completed"), &json!("COMPLETED"))
    );
    assert_eq!(
        (&event["seq"], &event["details"]["result"]["verdict"]),
        (&json!(4), &json!("fine"))
    );
    assert_eq!(resolved["intent"]["status"], "COMPLETED");
    assert_eq!(resolved["intent"]["legacy_status"], "done");
    assert_eq!(resolved["intent"]["result"], json!({ "verdict": "fine" }));
    let delivery = json!({ "delivered": false, "reason": "reply_to_not_set" });
    assert_eq!(resolved["completion_delivery"], delivery);
    assert_eq!(world.get(&format!("/v1/intents/{id}")).await["result"]["verdict"], "fine");

    let again = world.request("POST", &path).json(&body).send().await;
    assert_eq!(again.refusal(409), "invalid_state");
    let late =
        world.request("POST", &format!("/v1/intents/{id}/resume")).body("{\"x\":1}").send().await;
    assert_eq!(late.refusal(409), "invalid_state");

    let failed = world.submit("bob").await;
    let body = json!({ "status": "FAILED", "error": { "code": "boom" } });
    let resolved = world.post(&format!("/v1/intents/{failed}/resolve"), &body).await;
    assert_eq!(resolved["intent"]["error"], json!({ "code": "boom" }));
    let canceled = world.submit("bob").await;
    let body = json!({ "status": "CANCELED", "reason": "canceled via axme cli", "actor": "agent://me/too" });
    let resolved = world.post(&format!("/v1/intents/{canceled}/resolve"), &body).await;
    assert_eq!(
        (&resolved["event"]["event_type"], &resolved["event"]["actor"]),
        (&json!("intent.canceled"), &json!("agent://me/too"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_has_three_meanings() {
    let world = World::new().await;
    // An agent's result, as the product page sends it.
    let id = world.submit("bob").await;
    let path = format!("/v1/intents/{id}/resume");
    let body = json!({ "action": "complete", "passed": true, "reason": "all good" });
    let resumed = world.post(&path, &body).await;
    assert_eq!((&resumed["applied"], &resumed["status"]), (&json!(true), &json!("COMPLETED")));
    assert_eq!(resumed["intent"]["result"], json!({ "passed": true, "reason": "all good" }));
    assert!(resumed["policy_generation"].is_u64() && resumed["intent_id"] == id.as_str());
    assert_eq!(resumed["event"]["event_type"], "intent.completed");

    let failed = world.submit("bob").await;
    let body = json!({ "action": "fail", "why": "no" });
    let resumed = world.post(&format!("/v1/intents/{failed}/resume"), &body).await;
    assert_eq!(
        (&resumed["status"], &resumed["intent"]["error"]),
        (&json!("FAILED"), &json!({ "why": "no" }))
    );

    // A control body must not end it.
    let controlled = world.submit("bob").await;
    let path = format!("/v1/intents/{controlled}/resume");
    let body = json!({ "approve_current_step": true, "reason": "go on" });
    let resumed = world.post(&path, &body).await;
    assert_eq!((&resumed["applied"], &resumed["status"]), (&json!(true), &json!("DELIVERED")));
    assert!(resumed["event"].is_null(), "it did not wait, so nothing happened");
    let odd = world.request("POST", &path).body(r#"{"action":"dance"}"#).send().await;
    assert_eq!(odd.refusal(422), "validation_error");
    let no_task =
        world.request("POST", &path).body(r#"{"task_result":{"outcome":"approved"}}"#).send().await;
    assert_eq!(no_task.refusal(409), "invalid_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_answer_simple_tasks() {
    let world = World::new().await;
    let ask = async || {
        let task = json!({ "title": "Approve?", "allowed_outcomes": ["approved", "rejected"] });
        let body = json!({ "intent_type": "a.b.v1", "to_agent": "agent_core", "human_task": task });
        let created = world.post("/v1/intents", &body).await;
        assert_eq!(created["status"], "WAITING");
        created["intent_id"].as_str().unwrap().to_owned()
    };
    let id = ask().await;
    let got = world.get(&format!("/v1/intents/{id}")).await;
    assert_eq!(got["intent"]["waiting_reason"], "WAITING_FOR_HUMAN");
    assert_eq!(got["intent"]["human_task"]["title"], "Approve?");
    let events = world.get(&format!("/v1/intents/{id}/events")).await;
    let assigned = &events["events"][3];
    assert_eq!(assigned["event_type"], "intent.human_task_assigned");
    assert_eq!(assigned["human_task"]["title"], "Approve?");

    let path = format!("/v1/intents/{id}/resume");
    let maybe =
        world.request("POST", &path).body(r#"{"task_result":{"outcome":"maybe"}}"#).send().await;
    assert_eq!(maybe.refusal(422), "validation_error");
    let answered = world
        .post(&path, &json!({ "task_result": { "outcome": "approved", "comment": "ok" } }))
        .await;
    assert_eq!(
        (&answered["status"], &answered["intent"]["result"]["comment"]),
        (&json!("COMPLETED"), &json!("ok"))
    );
    let rejected = ask().await;
    let path = format!("/v1/intents/{rejected}/resume");
    let answered = world.post(&path, &json!({ "task_result": { "outcome": "rejected" } })).await;
    assert_eq!(answered["status"], "FAILED");

    // A control resume lets a waiting intent go on.
    let waiting = ask().await;
    let resumed = world.post(&format!("/v1/intents/{waiting}/resume"), &json!({})).await;
    assert_eq!((&resumed["applied"], &resumed["status"]), (&json!(true), &json!("IN_PROGRESS")));
}
