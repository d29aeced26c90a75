//! What happens at the bounds.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::client::Request;
use crate::harness::{World, eventually, seed_key};

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_limited_per_key_and_endpoint() {
    let world = World::with(1, |config| {
        config.rate_limit.enabled = true;
        config.rate_limit.requests_per_minute = 3;
    })
    .await;
    seed_key(&world.cluster, "acme", "prod", "second-key-of-acme").await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for remaining in ["2", "1", "0"] {
        let answer = world.request("GET", "/v1/capabilities").send().await;
        answer.ok();
        assert_eq!(answer.header("x-ratelimit-limit"), Some("3"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
        let reset: u64 = answer.header("x-ratelimit-reset").unwrap().parse().unwrap();
        assert!((now..now + 120).contains(&reset));
    }
    let refused = world.request("GET", "/v1/capabilities").send().await;
    assert_eq!(refused.refusal(429), "rate_limit_exceeded");
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&seconds));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    world.request("GET", "/v1/intents").send().await.ok();
    world
        .bare("GET", "/v1/capabilities")
        .header("x-api-key", "second-key-of-acme")
        .send()
        .await
        .ok();
    // Streams are bounded by their number instead.
    for _ in 0..6 {
        let path = "/v1/agents/nobody/intents/stream?wait_seconds=1";
        assert_eq!(world.request("GET", path).send().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_not_mentioned_when_off() {
    let world = World::new().await;
    let answer = world.request("GET", "/v1/capabilities").send().await;
    assert_eq!(answer.header("x-ratelimit-limit"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_workspace_are_bounded_and_freed() {
    let world = World::with(1, |config| config.limits.streams_per_workspace_max = 2).await;
    seed_key(&world.cluster, "other", "prod", "key-of-other-prod").await;
    let path = "/v1/agents/checker/intents/stream";
    let first = world.request("GET", path).open().await;
    let _second = world.request("GET", path).open().await;
    let third = world.request("GET", path).send().await;
    assert_eq!(third.refusal(429), "rate_limit_exceeded");
    assert!(third.header("retry-after").is_some());
    let other = world.bare("GET", path).header("x-api-key", "key-of-other-prod").open().await;
    assert_eq!(other.status(), 200);

    // A client that hangs up frees its place, and its subscription at the node.
    assert_eq!(world.cluster.sum(|it| &it.subscriptions), 3);
    drop(first);
    eventually("the place is free", || world.cluster.sum(|it| &it.subscriptions) == 2).await;
    let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
    while world.request("GET", path).open().await.status() != 200 {
        assert!(tokio::time::Instant::now() < deadline);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_bounded() {
    let world = World::with(1, |config| {
        config.limits.requests_max = 3;
        config.limits.requests_per_organization_max = 2;
        config.cluster.attempt_timeout_ms = 60_000;
        config.cluster.request_timeout_ms = 60_000;
    })
    .await;
    seed_key(&world.cluster, "other", "prod", "key-of-other-prod").await;
    let body = json!({ "intent_type": "a.b.v1", "to_agent": "bob" });
    world.cluster.nodes[0].faults.hang.store(2, Ordering::SeqCst);
    let mut hanging = Vec::new();
    for count in 1..=2 {
        let request = world.request("POST", "/v1/intents").json(&body);
        hanging.push(tokio::spawn(async move { request.send().await }));
        eventually("the command is under way", || world.cluster.sum(|it| &it.executed) == count)
            .await;
    }
    let refused = world.request("GET", "/v1/capabilities").send().await;
    assert_eq!(refused.refusal(503), "unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // One organization does not starve another, until there is no room at all.
    let other = |method: &str, path: &str| {
        world.bare(method, path).header("x-api-key", "key-of-other-prod")
    };
    other("GET", "/v1/capabilities").send().await.ok();
    world.cluster.nodes[0].faults.hang.store(1, Ordering::SeqCst);
    let request = other("POST", "/v1/intents").json(&body);
    hanging.push(tokio::spawn(async move { request.send().await }));
    eventually("the command is under way", || world.cluster.sum(|it| &it.executed) == 3).await;
    assert_eq!(other("GET", "/v1/capabilities").send().await.refusal(503), "unavailable");
    world.bare("GET", "/health").send().await.ok();

    // Clients that hang up free what they held.
    for task in hanging {
        task.abort();
        task.await.unwrap_err();
    }
    let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
    while world.request("GET", "/v1/capabilities").send().await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "hung up requests are freed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded() {
    let world = World::with(1, |config| config.http.connections_max = 2).await;
    let address = world.gateway.http_address();
    let health = Request::new(address, "GET", "/health");
    let first = health.open().await;
    let second = health.open().await;
    // The third is accepted and closed: no answer comes.
    let mut third = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut third, &mut byte).await;
    assert!(matches!(read, Ok(0) | Err(_)));
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_have_a_port_of_their_own() {
    let world = World::new().await;
    world.get("/v1/capabilities").await;
    let admin = |path: &str| Request::new(world.gateway.admin_address().unwrap(), "GET", path);
    assert_eq!(admin("/livez").send().await.status, 200);
    assert_eq!(admin("/readyz").send().await.status, 200);
    assert_eq!(admin("/version").send().await.json()["name"], "axp-gateway");
    let metrics = admin("/metrics").send().await;
    for name in [
        "axp_gateway_requests_total{",
        "axp_gateway_request_duration_seconds_bucket{",
        "axp_gateway_node_attempts_total{",
        "axp_gateway_control_revision",
    ] {
        assert!(metrics.text().contains(name), "{name} in\n{}", metrics.text());
    }
    assert!(metrics.text().contains("route=\"/v1/capabilities\""));
    assert_eq!(world.bare("GET", "/metrics").send().await.refusal(404), "not_found");
}
