//! What clients see when nodes misbehave: mostly nothing, else an honest 503.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake::SHARD_GROUPS;
use crate::harness::{World, gateway, group};

fn create() -> serde_json::Value {
    json!({ "intent_type": "intent.ask.v1", "to_agent": "bob" })
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_lead_to_the_leader() {
    let world = World::with(3, |_| {}).await;
    for leader in 0..3 {
        (0..=u32::from(SHARD_GROUPS))
            .for_each(|group| world.cluster.shared.move_leader(group, leader));
        for _ in 0..8 {
            world.post("/v1/intents", &create()).await;
        }
    }
    assert_eq!(world.cluster.shared.state().intents.len(), 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_once_learned_is_asked_first() {
    let world = World::with(3, |_| {}).await;
    (1..=u32::from(SHARD_GROUPS)).for_each(|group| world.cluster.shared.move_leader(group, 2));
    for _ in 0..40 {
        world.post("/v1/intents", &create()).await; // every group was met by now
    }
    let before = world.cluster.sum(|it| &it.executed);
    for _ in 0..40 {
        world.post("/v1/intents", &create()).await;
    }
    assert_eq!(world.cluster.sum(|it| &it.executed) - before, 40, "no detours");
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_on_the_way_is_retried() {
    let world = World::with(3, |config| config.cluster.attempt_timeout_ms = 200).await;
    world.cluster.nodes[0].faults.unavailable.store(2, Ordering::SeqCst);
    world.post("/v1/intents", &create()).await;
    world.cluster.nodes[0].faults.hang.store(1, Ordering::SeqCst);
    world.post("/v1/intents", &create()).await;
    assert_eq!(world.cluster.shared.state().intents.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_no_second_intent() {
    let world = World::new().await;
    world.cluster.nodes[0].faults.lose_answers.store(2, Ordering::SeqCst);
    let id = world.submit("bob").await;
    assert_eq!(world.cluster.sum(|it| &it.executed), 3);
    let state = world.cluster.shared.state();
    assert_eq!(state.intents.keys().map(ToString::to_string).collect::<Vec<_>>(), [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_an_ending_is_found_out() {
    let world = World::new().await;
    let id = world.submit("bob").await;
    world.cluster.nodes[0].faults.lose_answers.store(1, Ordering::SeqCst);
    let body = json!({ "status": "COMPLETED", "result": { "x": 1 } });
    let resolved = world.post(&format!("/v1/intents/{id}/resolve"), &body).await;
    assert_eq!((&resolved["applied"], &resolved["event"]["seq"]), (&json!(true), &json!(4)));

    // Somebody else's ending is not taken for our own, however equal.
    let other = world.submit("bob").await;
    let path = format!("/v1/intents/{other}/resolve");
    world.post(&path, &body).await;
    world.cluster.nodes[0].faults.lose_answers.store(1, Ordering::SeqCst);
    let refused = world.request("POST", &path).json(&body).send().await;
    assert_eq!(refused.refusal(409), "invalid_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_election_is_waited_for() {
    let world = World::with(3, |_| {}).await;
    // Nobody leads: the hints name a node that does not exist.
    (1..=u32::from(SHARD_GROUPS)).for_each(|group| world.cluster.shared.move_leader(group, 9));
    let request = world.request("POST", "/v1/intents").json(&create());
    let waiting = tokio::spawn(async move { request.send().await });
    tokio::time::timeout(Duration::from_secs(10), async {
        while world.cluster.sum(|it| &it.executed) < 6 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("the gateway keeps asking");
    (1..=u32::from(SHARD_GROUPS)).for_each(|group| world.cluster.shared.move_leader(group, 1));
    waiting.await.unwrap().ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_leader_the_answer_is_an_honest_503() {
    let world = World::with(3, |config| config.cluster.request_timeout_ms = 500).await;
    let id = world.submit("bob").await;
    (0..=u32::from(SHARD_GROUPS)).for_each(|group| world.cluster.shared.move_leader(group, 9));
    let started = Instant::now();
    let paths = [
        ("POST", "/v1/intents".to_owned()),
        ("GET", "/v1/intents".to_owned()),
        ("GET", format!("/v1/intents/{id}")),
        ("GET", format!("/v1/intents/{id}/events/stream?wait_seconds=15")),
        ("GET", "/v1/service-accounts".to_owned()),
    ];
    for (method, path) in paths {
        let answer = world.request(method, &path).json(&create()).send().await;
        assert_eq!(answer.refusal(503), "unavailable", "{path}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_node_too() {
    let world = World::with(1, |config| {
        config.cluster.request_timeout_ms = 500;
        config.cluster.connect_timeout_ms = 200;
    })
    .await;
    world.cluster.nodes[0].kill();
    let answer = world.request("POST", "/v1/intents").json(&create()).send().await;
    assert_eq!(answer.refusal(503), "unavailable");
    // Health is the gateway's own; the cached key still names its caller.
    world.bare("GET", "/health").send().await.ok();
    world.request("GET", "/v1/capabilities").send().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_shard_is_told_at_once() {
    let world = World::new().await;
    world.cluster.nodes[0].faults.exhausted.store(1, Ordering::SeqCst);
    let started = Instant::now();
    let answer = world.request("POST", "/v1/intents").json(&create()).send().await;
    assert_eq!(answer.refusal(503), "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_gateway_serves_any_request() {
    let world = World::with(3, |_| {}).await;
    let second = gateway(&world.cluster, |_| {}).await;
    let id = world.submit("bob").await;
    let at_second = |method: &str, path: &str| {
        crate::client::Request::new(second.http_address(), method, path)
            .header("x-api-key", crate::harness::KEY)
    };
    let stream = at_second("GET", &format!("/v1/intents/{id}/events/stream")).open().await;
    let body = json!({ "status": "COMPLETED" });
    world.post(&format!("/v1/intents/{id}/resolve"), &body).await;
    let got = at_second("GET", &format!("/v1/intents/{id}")).send().await.ok();
    assert_eq!(got["status"], "COMPLETED");
    assert!(stream.rest().await.text().contains("event: intent.completed\n"));

    // The same idempotency key through both: one intent.
    let keyed =
        |request: crate::client::Request| request.header("Idempotency-Key", "both").json(&create());
    let first = keyed(world.request("POST", "/v1/intents"));
    let other = keyed(at_second("POST", "/v1/intents"));
    let (first, other) = tokio::join!(first.send(), other.send());
    assert_eq!(first.ok()["intent_id"], other.ok()["intent_id"]);
    assert!(group(&id) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hears_nothing_is_not_followed() {
    for deaf in 0..2 {
        let world = World::with(2, |config| config.cluster.freshness_interval_ms = 50).await;
        let revision = world.cluster.shared.state().revision;
        world.cluster.nodes[deaf].faults.watch_until.store(revision, Ordering::SeqCst);
        // Answers wait for the cache to have the change, whichever node it was following.
        world.post("/v1/service-accounts", &json!({ "name": "worker" })).await;
        world.get("/v1/agents/worker").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_data_is_followed_elsewhere() {
    for dead in 0..2 {
        let world = World::with(2, |_| {}).await;
        world.cluster.shared.move_leader(0, 1 - dead);
        world.cluster.nodes[dead].kill();
        world.post("/v1/service-accounts", &json!({ "name": "worker" })).await;
        world.get("/v1/agents/worker").await;
    }
}
