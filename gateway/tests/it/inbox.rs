//! Inboxes and approvals over HTTP: whose they are, what is asked of the node, what is answered.

use std::sync::atomic::Ordering;

use axp_proto::ids::IntentId;
use axp_proto::log::{Decided, Status};
use axp_proto::node::inbox_request::Action;
use axp_proto::node::{InboxRequest, ThreadDelete};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fake::inbox::thread;
use crate::harness::{World, seed_key};

const OWNER: &str = "agent://conformance/owner";

/// Puts a thread about an intent into an inbox.
async fn with_thread(world: &World, owner: &str, number: u32) -> String {
    let id = world.submit(owner).await;
    put_thread(world, owner, &id, number);
    id
}

fn put_thread(world: &World, owner: &str, id: &str, number: u32) {
    let key = (owner.to_owned(), id.parse::<IntentId>().unwrap().to_bytes());
    let thread = thread(number, "agent://acme/prod/default", owner);
    world.cluster.shared.change(|state| state.threads.insert(key.clone(), thread.clone()));
}

fn acted(world: &World) -> Vec<InboxRequest> {
    world.cluster.shared.change(|state| state.acted.clone())
}

fn last_action(world: &World) -> Action {
    acted(world).pop().unwrap().action.unwrap()
}

fn path(id: &str, verb: &str) -> String {
    format!("/v1/inbox/{id}/{verb}?owner_agent={OWNER}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_has_the_contracts_shape() {
    let world = World::new().await;
    let id = with_thread(&world, OWNER, 2).await;
    let listed = world.get(&format!("/v1/inbox?owner_agent={OWNER}")).await;
    let keys: Vec<_> = listed.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["ok", "threads"], "the published schema is closed");
    let thread = &listed["threads"][0];
    for name in ["thread_id", "intent_id"] {
        assert_eq!(thread[name], id.as_str());
    }
    assert_eq!(thread["status"], "pending");
    assert_eq!(thread["owner_agent"], OWNER);
    assert_eq!(thread["to_agent"], OWNER);
    assert!(thread.get("messages").is_none());
    let entry = &thread["timeline"][0];
    assert!(Uuid::try_parse(entry["event_id"].as_str().unwrap()).is_ok());
    assert_eq!((&entry["event_type"], &entry["details"]), (&json!("intent_received"), &json!({})));
    let got = world.get(&format!("/v1/inbox/{id}?owner_agent={OWNER}")).await;
    assert_eq!(got["thread"]["messages"], json!([]));
    let done = world.get(&format!("/v1/inbox?owner_agent={OWNER}&status=done")).await;
    assert_eq!(done["threads"], json!([]));
    let bad = world.request("GET", &format!("/v1/inbox?owner_agent={OWNER}&status=open"));
    assert_eq!(bad.send().await.refusal(422), "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_belongs_to_its_owner() {
    let world = World::new().await;
    seed_key(&world.cluster, "globex", "prod", "key-of-globex").await;
    let id = with_thread(&world, OWNER, 2).await;
    let get = |owner: &str| world.request("GET", "/v1/inbox").header("x-owner-agent", owner);
    assert_eq!(get(OWNER).send().await.ok()["threads"].as_array().unwrap().len(), 1);
    // The own address without one; nothing is in there.
    assert_eq!(world.get("/v1/inbox").await["threads"], json!([]));
    assert_eq!(get("agent://globex/prod/default").send().await.refusal(403), "invalid_actor_scope");
    let both = world.request("GET", &format!("/v1/inbox?owner_agent={OWNER}"));
    assert_eq!(both.clone().header("x-owner-agent", OWNER).send().await.status, 200);
    assert_eq!(both.header("x-owner-agent", "bob").send().await.refusal(400), "bad_request");
    for (owner, thread) in
        [("bob", id.as_str()), (OWNER, "nonsense"), (OWNER, &Uuid::new_v4().to_string())]
    {
        for (method, verb) in
            [("GET", ""), ("POST", "/reply"), ("POST", "/approve"), ("POST", "/read")]
        {
            let request = world
                .request(method, &format!("/v1/inbox/{thread}{verb}"))
                .header("x-owner-agent", owner)
                .json(&json!({ "message": "m" }));
            assert_eq!(request.send().await.refusal(404), "not_found", "{method} {verb} {thread}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_followed_with_an_opaque_cursor() {
    let world = World::new().await;
    let changes = |query: &str| format!("/v1/inbox/changes?owner_agent={OWNER}{query}");
    let empty = world.get(&changes("")).await;
    assert_eq!(empty, json!({ "ok": true, "changes": [], "next_cursor": null, "has_more": false }));
    let mut ids = Vec::new();
    for number in [2, 4, 6] {
        ids.push(with_thread(&world, OWNER, number).await);
    }
    let first = world.get(&changes("&limit=2")).await;
    assert_eq!(first["has_more"], true);
    let cursor = first["next_cursor"].as_str().unwrap();
    assert!((3..=128).contains(&cursor.len()));
    assert_eq!(first["changes"][1]["cursor"], cursor);
    let rest = world.get(&changes(&format!("&cursor={cursor}"))).await;
    let seen: Vec<&Value> = [&first, &rest]
        .into_iter()
        .flat_map(|page| page["changes"].as_array().unwrap())
        .map(|change| &change["thread"]["thread_id"])
        .collect();
    assert_eq!(seen, ids.iter().collect::<Vec<_>>());
    let last = rest["next_cursor"].as_str().unwrap();
    let nothing = world.get(&changes(&format!("&cursor={last}"))).await;
    assert_eq!((&nothing["next_cursor"], &nothing["has_more"]), (&json!(last), &json!(false)));
    for wrong in ["x", "2.0", "1764000000:6f0c2b1e-6c1c-4d6e-9d5e-0a2f3b4c5d6e"] {
        let request = world.request("GET", &changes(&format!("&cursor={wrong}")));
        assert_eq!(request.send().await.refusal(422), "validation_error", "{wrong}");
    }
    let foreign = format!("/v1/inbox/changes?owner_agent=bob&cursor={cursor}");
    assert_eq!(world.request("GET", &foreign).send().await.refusal(422), "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_what_the_node_is_asked_for() {
    let world = World::new().await;
    seed_key(&world.cluster, "globex", "prod", "key-of-globex").await;
    let id = with_thread(&world, OWNER, 2).await;
    world.post(&path(&id, "reply"), &json!({ "message": "hello" })).await;
    let Action::Reply(reply) = last_action(&world) else { panic!("a reply") };
    assert_eq!(reply.message, "hello");
    let delegate = json!({ "delegate_to": "agent://conformance/delegate", "note": "you" });
    world.post(&path(&id, "delegate"), &delegate).await;
    let Action::Delegate(delegate) = last_action(&world) else { panic!("a delegation") };
    let to = delegate.delegate_to.unwrap();
    assert_eq!(
        (to.address.as_str(), delegate.note.as_str()),
        ("agent://conformance/delegate", "you")
    );
    assert_eq!(to.workspace_id, world.seeded.workspace_id);
    // Its owner works on the intent, so that goes with the thread.
    let events = world.get(&format!("/v1/intents/{id}/events")).await["events"].clone();
    let last = events.as_array().unwrap().last().unwrap();
    assert_eq!((&last["event_type"], &last["actor"]), (&json!("intent.transfer"), &json!(OWNER)));
    let told = json!({ "to_handler": "agent://conformance/delegate", "reason": "you" });
    assert_eq!(last["details"], told);
    world.post(&path(&id, "delegate"), &json!({})).await;
    let Action::Delegate(nobody) = last_action(&world) else { panic!("a delegation") };
    assert_eq!(nobody.delegate_to, None);
    let closed = json!({ "delegate_to": "agent://globex/prod/default" });
    let request = world.request("POST", &path(&id, "delegate")).json(&closed);
    assert_eq!(request.send().await.refusal(403), "receiver_org_closed");

    let deleted =
        world.post(&path(&id, "messages/delete"), &json!({ "mode": "both", "limit": 3 })).await;
    assert_eq!(
        last_action(&world),
        Action::DeleteMessages(ThreadDelete { both: true, message_ids: vec![], last: 3 })
    );
    let keys: Vec<_> = deleted.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert_eq!((&deleted["mode"], &deleted["deleted_count"]), (&json!("both"), &json!(1)));
    assert_eq!(deleted["message_ids"], json!([Uuid::nil().to_string()]));
    // Official clients send no body here.
    let read = world.request("POST", &path(&id, "read")).header("content-type", "application/json");
    assert_eq!(read.send().await.ok()["thread"]["thread_id"], id.as_str());
    for (verb, body) in [
        ("reply", json!({})),
        ("reply", json!({ "message": 7 })),
        ("delegate", json!({ "delegate_to": "x" })),
        ("delegate", json!({ "note": "n".repeat(2001) })),
        ("approve", json!({ "comment": "c".repeat(2001) })),
        ("messages/delete", json!({ "limit": 1 })),
    ] {
        let request = world.request("POST", &path(&id, verb)).json(&body);
        assert_eq!(request.send().await.refusal(422), "validation_error", "{verb} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_the_same_action() {
    let world = World::new().await;
    let id = with_thread(&world, OWNER, 2).await;
    put_thread(&world, "agent://bob", &id, 2);
    let send = async |owner: &str, key: Option<&str>| {
        let mut request = world
            .request("POST", &format!("/v1/inbox/{id}/reply"))
            .header("x-owner-agent", owner)
            .json(&json!({ "message": "m" }));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.send().await.ok();
        acted(&world).pop().unwrap()
    };
    let (first, again) = (send(OWNER, Some("k")).await, send(OWNER, Some("k")).await);
    assert_eq!(first, again);
    let other = send("agent://bob", Some("k")).await;
    assert_ne!(other.idempotency, first.idempotency, "another inbox is another scope");
    assert_ne!(send(OWNER, None).await.action_id, send(OWNER, None).await.action_id);

    // An answer that is lost: the same action goes to the node once more.
    let before = acted(&world).len();
    world.cluster.each(|faults| faults.lose_answers.store(1, Ordering::SeqCst));
    send(OWNER, None).await;
    let tries = acted(&world).split_off(before);
    assert_eq!(tries.len(), 2);
    assert_eq!(tries[0], tries[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn resolve_tells_that_reply_to_has_the_outcome() {
    let world = World::new().await;
    seed_key(&world.cluster, "globex", "prod", "key-of-globex").await;
    let body = json!({ "intent_type": "intent.ask.v1", "to_agent": "bob", "reply_to": "carol" });
    let id = world.post("/v1/intents", &body).await["intent_id"].as_str().unwrap().to_owned();
    let resolve = json!({ "status": "COMPLETED", "result": { "x": 1 } });
    let resolved = world.post(&format!("/v1/intents/{id}/resolve"), &resolve).await;
    let delivery = &resolved["completion_delivery"];
    assert_eq!(delivery["delivered"], true);
    assert_eq!(delivery["reply_to"], "carol", "as it was sent");
    assert_eq!(delivery["thread_id"], id.as_str());
    assert!(Uuid::try_parse(delivery["message_id"].as_str().unwrap()).is_ok());
    let completion = json!({ "type": "intent.completed", "intent_id": id, "status": "COMPLETED" });
    assert_eq!(delivery["completion"], completion);
    let listed = world.get("/v1/inbox?owner_agent=carol").await;
    assert_eq!(listed["threads"][0]["thread_id"], id.as_str());
    assert_eq!(listed["threads"][0]["from_agent"], "agent://axme.intent-protocol");

    let without = world.submit("bob").await;
    let resolved = world.post(&format!("/v1/intents/{without}/resolve"), &resolve).await;
    let none = json!({ "delivered": false, "reason": "reply_to_not_set" });
    assert_eq!(resolved["completion_delivery"], none);

    let closed = json!({
        "intent_type": "intent.ask.v1", "to_agent": "bob", "reply_to": "agent://globex/prod/default",
    });
    let request = world.request("POST", "/v1/intents").json(&closed);
    assert_eq!(request.send().await.refusal(403), "receiver_org_closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_does_not_arrive_in_time_is_pending() {
    let world = World::with(1, |config| config.cluster.attempt_timeout_ms = 200).await;
    let body = json!({ "intent_type": "intent.ask.v1", "to_agent": "bob", "reply_to": "carol" });
    let id = world.post("/v1/intents", &body).await["intent_id"].as_str().unwrap().to_owned();
    world.cluster.shared.change(|state| state.hold_outcomes = true);
    let resolve = json!({ "status": "CANCELED", "reason": "r" });
    let resolved = world.post(&format!("/v1/intents/{id}/resolve"), &resolve).await;
    assert_eq!(resolved["applied"], true);
    let delivery = &resolved["completion_delivery"];
    assert_eq!((&delivery["delivered"], &delivery["reason"]), (&json!(false), &json!("pending")));
}

/// An intent that waits for a person, with that person's thread.
async fn waiting(world: &World) -> String {
    let body = json!({
        "intent_type": "intent.approval.v1", "to_agent": OWNER, "human_task": { "title": "Approve" },
    });
    let id = world.post("/v1/intents", &body).await["intent_id"].as_str().unwrap().to_owned();
    put_thread(world, OWNER, &id, 2);
    id
}

async fn status(world: &World, id: &str) -> (Value, Value) {
    let got = world.get(&format!("/v1/intents/{id}")).await;
    (got["status"].clone(), got["intent"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn approving_answers_the_task_of_the_intent() {
    let world = World::new().await;
    let id = waiting(&world).await;
    let comment = json!({ "comment": "fine" });
    let approved = world.post(&path(&id, "approve"), &comment).await;
    assert_eq!(approved["thread"]["decision"], "approve");
    let (now, intent) = status(&world, &id).await;
    assert_eq!(now, "COMPLETED");
    assert_eq!(intent["result"], json!({ "outcome": "approved", "comment": "fine" }));
    for verb in ["approve", "reject"] {
        let again = world.request("POST", &path(&id, verb)).json(&comment);
        assert_eq!(again.send().await.refusal(409), "invalid_state");
    }

    let id = waiting(&world).await;
    world.post(&path(&id, "reject"), &json!({})).await;
    assert_eq!(status(&world, &id).await.0, "FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_between_the_two_steps_the_decision_goes_on() {
    let world = World::new().await;
    let id = waiting(&world).await;
    // The first gateway answered the task and died.
    let answer = json!({ "task_result": { "outcome": "approved" } });
    let resume = world.request("POST", &format!("/v1/intents/{id}/resume"));
    resume.header("x-owner-agent", OWNER).json(&answer).send().await.ok();
    let other = world.request("POST", &path(&id, "reject")).json(&json!({}));
    assert_eq!(other.send().await.refusal(409), "invalid_state");
    let again = world.post(&path(&id, "approve"), &json!({})).await;
    assert_eq!(again["thread"]["decision"], "approve");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ended_otherwise_cannot_be_decided() {
    let world = World::new().await;
    let id = waiting(&world).await;
    world.cluster.shared.change(|state| {
        state.append(&id, axp_proto::log::EventType::TimedOut, Status::TimedOut, b"");
    });
    let late = world.request("POST", &path(&id, "approve")).json(&json!({}));
    assert_eq!(late.send().await.refusal(409), "invalid_state");
    let late = world.request("POST", &format!("/v1/approvals/{id}/decision"));
    let late = late.json(&json!({ "decision": "approve" }));
    assert_eq!(late.send().await.refusal(409), "invalid_state");
    assert!(acted(&world).is_empty(), "nothing was noted of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sent_an_intent_decides_nothing_for_it() {
    let world = World::new().await;
    let id = waiting(&world).await;
    // The sender has a thread since somebody replied.
    let sender = "agent://acme/prod/default";
    let key = (sender.to_owned(), id.parse::<IntentId>().unwrap().to_bytes());
    let thread = thread(2, sender, OWNER);
    world.cluster.shared.change(|state| state.threads.insert(key.clone(), thread.clone()));
    world.post(&format!("/v1/inbox/{id}/approve"), &json!({})).await;
    assert_eq!(status(&world, &id).await.0, "WAITING");
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_keep_their_first_decision() {
    let world = World::new().await;
    let id = Uuid::new_v4();
    let decide = |word: &str| {
        let body = json!({ "decision": word, "comment": "c" });
        world.request("POST", &format!("/v1/approvals/{id}/decision")).json(&body)
    };
    let approval = decide("approve").send().await.ok()["approval"].clone();
    let keys: Vec<_> = approval.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 4, "the published schema is closed: {keys:?}");
    assert_eq!(approval["approval_id"], id.to_string());
    assert_eq!((&approval["decision"], &approval["comment"]), (&json!("approve"), &json!("c")));
    assert_eq!(decide("approved").send().await.ok()["approval"], approval);
    assert_eq!(decide("reject").send().await.refusal(409), "invalid_state");
    assert_eq!(decide("maybe").send().await.refusal(422), "validation_error");
    let bad = world.request("POST", "/v1/approvals/nonsense/decision");
    assert_eq!(
        bad.json(&json!({ "decision": "approve" })).send().await.refusal(422),
        "validation_error"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_of_a_waiting_intent_is_its_answer() {
    let world = World::new().await;
    let id = waiting(&world).await;
    let decide = |word: &str| {
        world
            .request("POST", &format!("/v1/approvals/{id}/decision"))
            .header("x-owner-agent", OWNER)
            .json(&json!({ "decision": word }))
    };
    assert_eq!(decide("reject").send().await.ok()["approval"]["decision"], "reject");
    assert_eq!(status(&world, &id).await.0, "FAILED");
    assert_eq!(decide("reject").send().await.ok()["approval"]["comment"], Value::Null);
    assert_eq!(decide("approve").send().await.refusal(409), "invalid_state");
    let stored = acted(&world).swap_remove(0);
    let Some(Action::Approval(stored)) = stored.action else { panic!("an approval") };
    assert_eq!(stored.decision(), Decided::Rejected);
}
