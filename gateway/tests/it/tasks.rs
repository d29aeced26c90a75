//! Human tasks over HTTP: forms, lists, and the pages on which people answer by a link.

use axp_proto::ids::IntentId;
use axp_proto::log::{EventType, Status, TaskLink, TaskLinkState};
use axp_proto::task::LinkToken;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::harness::World;

async fn ask(world: &World, task: Value) -> String {
    let body = json!({
        "intent_type": "a.b.v1", "to_agent": "agent_core", "human_task": task, "payload": { "n": 1 },
    });
    let created = world.post("/v1/intents", &body).await;
    created["intent_id"].as_str().unwrap().to_owned()
}

async fn answer(world: &World, id: &str, answer: Value) -> Answer {
    let request = world.request("POST", &format!("/v1/intents/{id}/resume"));
    request.json(&json!({ "task_result": answer })).send().await
}

fn form() -> Value {
    json!({
        "title": "Budget", "form_schema": {
            "type": "object", "required": ["approved", "amount"], "additionalProperties": false,
            "properties": {
                "approved": { "type": "boolean" }, "amount": { "type": "integer", "minimum": 1 },
                "note": { "type": "string" },
            },
        },
        "allowed_outcomes": ["approved", "rejected"],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_held_to_its_schema() {
    let world = World::new().await;
    let id = ask(&world, form()).await;
    // All values of the official command line are strings, and it sends no `approved`.
    let bad = answer(&world, &id, json!({ "outcome": "approved", "amount": "0", "x": "y" })).await;
    assert_eq!(bad.refusal(422), "validation_error");
    let detail = bad.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("amount: ") && detail.contains("x: is not a field"), "{detail}");
    let missing = answer(&world, &id, json!({ "outcome": "approved" })).await;
    assert_eq!(missing.json()["detail"], "amount: is required");
    let got = world.get(&format!("/v1/intents/{id}")).await;
    assert_eq!(got["status"], "WAITING", "the task stays open");
    let done = answer(&world, &id, json!({ "outcome": "approved", "amount": "42" })).await.ok();
    let result = json!({ "outcome": "approved", "amount": 42, "approved": true });
    assert_eq!(done["intent"]["result"], result);

    let nested = ask(&world, form()).await;
    let given = json!({ "outcome": "approved", "data": { "amount": 7, "approved": true } });
    let done = answer(&world, &nested, given.clone()).await.ok();
    assert_eq!(done["intent"]["result"], given);
    let refused = ask(&world, form()).await;
    let done = answer(&world, &refused, json!({ "outcome": "rejected" })).await.ok();
    assert_eq!(done["status"], "FAILED", "who says no need not fill in the form");

    let bad = json!({
        "intent_type": "a.b.v1", "to_agent": "agent_core",
        "human_task": { "form_schema": { "type": "strange" } },
    });
    let bad = world.request("POST", "/v1/intents").json(&bad).send().await;
    assert_eq!(bad.refusal(422), "validation_error");
    assert!(bad.json()["detail"].as_str().unwrap().starts_with("form_schema: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_answer_is_the_same_answer() {
    let world = World::new().await;
    let id = ask(&world, form()).await;
    let path = format!("/v1/intents/{id}/resume");
    let body = json!({ "task_result": { "outcome": "approved", "amount": 1 } });
    let send = async || {
        let request = world.request("POST", &path).header("idempotency-key", "k1");
        request.json(&body).send().await
    };
    let first = send().await.ok();
    let again = send().await.ok();
    assert_eq!(first["event"]["seq"], again["event"]["seq"]);
    let without = world.request("POST", &path).json(&body).send().await;
    assert_eq!(without.refusal(409), "invalid_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_tasks_are_listed_in_pages() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(ask(&world, json!({ "title": format!("T{number}") })).await);
    }
    let anns = ask(&world, json!({ "title": "Ann's", "assignees": ["ann"] })).await;
    ids.push(anns.clone());
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/me/tasks?limit=2&cursor={cursor}")).await;
        for task in page["tasks"].as_array().unwrap() {
            found.push(task["intent_id"].as_str().unwrap().to_owned());
            assert_eq!(task["status"], "WAITING");
            assert_eq!(task["outcomes"], json!(["approved", "rejected"]));
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    found.sort();
    ids.sort();
    assert_eq!(found, ids);
    let bobs = world.get("/v1/me/tasks?owner_agent=agent://acme/prod/bob").await;
    assert_eq!(bobs["tasks"].as_array().unwrap().len(), 5);
    let own = world.get("/v1/me/tasks?owner_agent=agent://acme/prod/ann").await;
    assert_eq!(own["tasks"].as_array().unwrap().len(), 6);
    answer(&world, &anns, json!({ "outcome": "approved" })).await.ok();
    let left = world.get("/v1/me/tasks").await;
    assert_eq!(left["tasks"].as_array().unwrap().len(), 5);
    let bad = world.request("GET", "/v1/me/tasks?cursor=x").send().await;
    assert_eq!(bad.refusal(422), "validation_error");
}

/// Makes a link as a node does before it sends a mail.
fn link(world: &World, id: &str) -> String {
    let intent_id: IntentId = id.parse().unwrap();
    let token = LinkToken { intent_id, secret: [3; 32] };
    let link = TaskLink {
        hash: token.hash(),
        recipient: "ann@acme.test".to_owned(),
        task: 0,
        expires_at_ms: i64::MAX / 2,
        state: TaskLinkState::Open.into(),
    };
    world.cluster.shared.change(|state| state.links.insert(token.hash(), (intent_id, link)));
    format!("/t/{token}")
}

fn seen(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"seen\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

async fn send(world: &World, path: &str, body: &str) -> Answer {
    let request = world.bare("POST", path);
    request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_the_task_and_a_form_decides_it() {
    let world = World::new().await;
    let id = ask(&world, form()).await;
    let path = link(&world, &id);
    for _ in 0..2 {
        let shown = world.bare("GET", &format!("{path}?outcome=approved")).send().await;
        assert_eq!(shown.status, 200);
        assert_eq!(shown.header("cache-control"), Some("no-store"));
        assert_eq!(shown.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(shown.header("x-frame-options"), Some("DENY"));
        assert!(shown.header("content-security-policy").unwrap().contains("default-src 'none'"));
    }
    let shown = world.bare("GET", &path).send().await;
    let page = shown.text().to_owned();
    assert!(page.contains("Budget") && page.contains("field.amount"), "{page}");
    assert_eq!(world.get(&format!("/v1/intents/{id}")).await["status"], "WAITING");
    let seen = seen(&page);

    let bad = send(&world, &path, &format!("outcome=approved&seen={seen}&field.amount=none")).await;
    assert_eq!(bad.status, 422);
    assert!(bad.text().contains("value=\"none\""), "what was typed is kept");
    let enter = send(&world, &path, &format!("outcome=&seen={seen}&field.amount=1")).await;
    assert_eq!(enter.status, 422);
    let other = send(&world, &path, "outcome=approved&seen=other&field.amount=1").await;
    assert_eq!(other.status, 409);

    let body = format!("outcome=approved&seen={seen}&via=approved&field.amount=5&comment=fine");
    let done = send(&world, &path, &body).await;
    assert_eq!((done.status, done.header("location")), (303, Some(path.as_str())));
    let again = send(&world, &path, &body).await;
    assert_eq!(again.status, 303, "a form that is sent twice decides once");
    let over = world.bare("GET", &path).send().await;
    assert_eq!(over.status, 410);
    assert!(over.text().contains("Your answer was recorded: Approved"), "{}", over.text());
    let got = world.get(&format!("/v1/intents/{id}")).await;
    let result = json!({ "approved": true, "amount": 5 });
    assert_eq!((&got["status"], &got["result"]["data"]), (&json!("COMPLETED"), &result));
    assert_eq!(got["result"]["comment"], "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_over_says_why_and_an_unknown_one_nothing() {
    let world = World::new().await;
    let id = ask(&world, json!({ "title": "T" })).await;
    let path = link(&world, &id);
    world.cluster.shared.change(|state| {
        state.append(&id, EventType::Canceled, Status::Canceled, b"{}");
    });
    let over = world.bare("GET", &path).send().await;
    assert_eq!(over.status, 410);
    assert!(over.text().contains("cancelled"));
    let unknown = LinkToken { intent_id: id.parse().unwrap(), secret: [9; 32] };
    for path in [format!("/t/{unknown}"), "/t/nonsense".to_owned(), "/t/%3Cb%3E".to_owned()] {
        for method in ["GET", "POST"] {
            let answer = world.bare(method, &path).send().await;
            assert_eq!(answer.status, 404, "{method} {path}");
            assert!(answer.text().contains("not known") && !answer.text().contains("<b>"));
        }
    }
    let large = send(&world, &path, &"x".repeat(70_000)).await;
    assert_eq!(large.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_limited_by_link_and_address() {
    let world = World::with(1, |config| {
        config.rate_limit.enabled = true;
        config.rate_limit.requests_per_minute = 3;
    })
    .await;
    let mut statuses = Vec::new();
    for number in 0..5 {
        statuses.push(world.bare("GET", &format!("/t/{number}")).send().await.status);
    }
    assert_eq!(statuses, [404, 404, 404, 429, 429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_behind_a_trusted_proxy_are_told_apart() {
    let world = World::with(1, |config| {
        config.rate_limit.enabled = true;
        config.rate_limit.requests_per_minute = 2;
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut statuses = Vec::new();
    for (number, person) in
        ["198.51.100.1", "198.51.100.1", "198.51.100.1", "198.51.100.2"].iter().enumerate()
    {
        let request = world.bare("GET", &format!("/t/{number}")).header("x-forwarded-for", person);
        statuses.push(request.send().await.status);
    }
    assert_eq!(statuses, [404, 404, 429, 404]);
}
