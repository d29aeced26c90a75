//! What holds for every request: credentials, ids, error bodies, leniency.

use serde_json::json;

use crate::harness::{KEY, World, seed_key};

#[tokio::test(flavor = "multi_thread")]
async fn health_is_open_to_everybody() {
    let world = World::new().await;
    for path in ["/health", "/v1/health"] {
        let health = world.bare("GET", path).header("X-Trace-Id", "trace-1").send().await;
        assert_eq!(health.header("x-trace-id"), Some("trace-1"));
        let body = health.ok();
        assert_eq!(body["service"], "axme-gateway");
        assert!(body["deployment_profile"].is_string() && body["storage"].is_string());
        assert!(body["registered_users"].is_u64() && body["version"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_a_key_in_either_header() {
    let world = World::new().await;
    let path = "/v1/capabilities";
    let bearer = format!("Bearer {KEY}");
    world.request("GET", path).send().await.ok();
    world.bare("GET", path).header("Authorization", &bearer).send().await.ok();
    // A session token next to a key is none of a machine route's business.
    let jwt = "Bearer eyJhbGciOiJub25lIn0.e30.c2ln";
    world.request("GET", path).header("Authorization", jwt).send().await.ok();

    let missing = world.bare("GET", path).send().await;
    assert_eq!(missing.refusal(401), "missing_platform_api_key");
    assert_eq!(missing.json()["error"]["details"], json!({ "header": "x-api-key" }));
    let only_jwt = world.bare("GET", path).header("Authorization", jwt).send().await;
    assert_eq!(only_jwt.refusal(401), "missing_platform_api_key");
    for unknown in ["nonsense-key", "key-of-acme-prod2"] {
        let answer = world.bare("GET", path).header("x-api-key", unknown).send().await;
        assert_eq!(answer.refusal(401), "invalid_platform_api_key");
        assert!(!answer.text().contains("expired"));
    }
    let empty = world.bare("GET", path).header("x-api-key", "").send().await;
    assert_eq!(empty.refusal(401), "missing_platform_api_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_named_and_traced() {
    let world = World::new().await;
    let given = world
        .request("GET", "/v1/capabilities")
        .header("x-request-id", "req-7")
        .header("x-trace-id", "my-trace")
        .send()
        .await;
    assert_eq!(
        (given.header("x-request-id"), given.header("x-trace-id")),
        (Some("req-7"), Some("my-trace"))
    );
    let made = world.bare("GET", "/nowhere").send().await;
    assert_eq!(made.header("x-request-id").unwrap().len(), 36);
    assert_eq!(made.header("x-trace-id").unwrap().len(), 32);

    // W3C context goes on to the node, and into the submission.
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let body = json!({ "intent_type": "intent.ask.v1", "to_agent": "bob" });
    let submitted = world
        .request("POST", "/v1/intents")
        .header("traceparent", &parent)
        .json(&body)
        .send()
        .await;
    assert_eq!(submitted.header("x-trace-id"), Some(trace));
    let id = submitted.ok()["intent_id"].as_str().unwrap().parse().unwrap();
    let stored = world.cluster.shared.state().intents[&id].submission.traceparent.clone();
    assert!(
        stored.starts_with(&format!("00-{trace}-")) && !stored.contains("00f067aa0ba902b7"),
        "{stored}"
    );
    let sent = world.cluster.nodes[0].faults.last_traceparent.lock().unwrap().clone();
    assert_eq!(sent, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_routes_and_methods_have_bodies() {
    let world = World::new().await;
    for path in ["/", "/nowhere", "/v1/intent", "/v1/intents/a/b/c/d"] {
        assert_eq!(world.request("GET", path).send().await.refusal(404), "not_found");
    }
    for (method, path) in
        [("PUT", "/v1/intents"), ("DELETE", "/v1/capabilities"), ("POST", "/health")]
    {
        let answer = world.request(method, path).send().await;
        assert_eq!(answer.refusal(405), "method_not_allowed");
        assert!(answer.header("allow").is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_queries_that_cannot_be_read_are_refused() {
    let world = World::new().await;
    for path in ["/v1/intents/%ff", "/v1/agents/%ff/intents/stream", "/v1/service-accounts/%ff"] {
        assert_eq!(world.request("GET", path).send().await.refusal(400), "bad_request", "{path}");
    }
    let limit = world.request("GET", "/v1/intents?limit=ten").send().await;
    assert_eq!(limit.refusal(422), "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_told_apart() {
    let world = World::new().await;
    let submit = |body: &str| world.request("POST", "/v1/intents").body(body);
    assert_eq!(submit("{\"intent_type\":").send().await.refusal(400), "bad_request");
    assert_eq!(submit("{\"a\":1}}").send().await.refusal(400), "bad_request");
    assert_eq!(submit("[1]").send().await.refusal(422), "validation_error");
    let wrong = submit(r#"{"intent_type":5,"payload":"x","correlation_id":"no"}"#).send().await;
    assert_eq!(wrong.refusal(422), "validation_error");
    let errors = wrong.json()["error"]["details"]["errors"].clone();
    let location = |index: usize| errors[index]["loc"].clone();
    assert_eq!(location(0), json!(["body", "intent_type"]));
    assert_eq!(errors.as_array().unwrap().len(), 4, "{errors}");
    assert!(errors[0]["msg"].is_string() && errors[0]["type"].is_string());
    let type_error = submit(r#"{"intent_type":"Nope","to_agent":"bob"}"#).send().await;
    assert_eq!(type_error.refusal(422), "validation_error");
    let address = submit(r#"{"intent_type":"a.b.v1","to_agent":"a b"}"#).send().await;
    assert_eq!(address.refusal(422), "invalid_agent_address");
    let past = r#"{"intent_type":"a.b.v1","to_agent":"bob","deadline_at":"2001-01-01T00:00:00Z"}"#;
    assert_eq!(submit(past).send().await.refusal(422), "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_a_largest_size() {
    let world = World::new().await;
    let body = |size: usize| {
        let frame = r#"{"intent_type":"a.b.v1","to_agent":"bob","payload":{"x":""}}"#;
        frame.replace("\"\"", &format!("\"{}\"", "x".repeat(size - frame.len())))
    };
    world.request("POST", "/v1/intents").body(body(131_072)).send().await.ok();
    let large = world.request("POST", "/v1/intents").body(body(131_073)).send().await;
    assert_eq!(large.refusal(413), "payload_too_large");
    for size in [600_000, 5_000_000] {
        let huge = world.request("POST", "/v1/intents").body(body(size)).send().await;
        assert_eq!(huge.refusal(413), "payload_too_large", "{size} bytes");
    }
    // A body in many pieces is put together.
    let mut pieces = world.request("POST", "/v1/intents").header("transfer-encoding", "chunked");
    for byte in br#"{"intent_type":"a.b.v1","to_agent":"bob"}"# {
        pieces = pieces.chunk(&[*byte]);
    }
    pieces.chunk(b"").send().await.ok();
    // Told apart before it is sent, where the client waits to be asked for it.
    let announced = world.request("POST", "/v1/intents").header("content-length", "99999999");
    assert_eq!(announced.send().await.refusal(413), "payload_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_must_arrive_in_time() {
    let world = World::with(1, |config| config.http.body_timeout_ms = 50).await;
    let answer = world.request("POST", "/v1/intents").header("content-length", "10").send().await;
    assert_eq!(answer.refusal(400), "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_bodies_are_fine_whatever_their_type() {
    let world = World::new().await;
    let id = world.submit("bob").await;
    let path = format!("/v1/intents/{id}/resume");
    let json = "application/json";
    let bodyless = world.request("POST", &path).header("Content-Type", json).send().await;
    assert_eq!(bodyless.ok()["applied"], true);
    let empty = world.request("POST", &path).header("Content-Type", json).body("{}").send().await;
    assert_eq!(empty.ok()["applied"], true);
    let get = world.request("GET", &format!("/v1/intents/{id}")).header("Content-Type", json);
    get.send().await.ok();
    let plain = r#"{"intent_type":"a.b.v1","to_agent":"bob"}"#;
    world
        .request("POST", "/v1/intents")
        .header("Content-Type", "text/plain")
        .body(plain)
        .send()
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_checked() {
    let world = World::new().await;
    seed_key(&world.cluster, "other", "prod", "key-of-other-prod").await;
    let id = world.submit("bob").await;
    let path = |owner: &str| format!("/v1/intents/{id}/resume?owner_agent={owner}");
    let same = world.request("POST", &path("bob")).header("x-owner-agent", "agent://acme/prod/bob");
    same.send().await.ok();
    let differs = world.request("POST", &path("bob")).header("x-owner-agent", "agent://alice");
    assert_eq!(differs.send().await.refusal(400), "bad_request");
    let foreign = world.request("POST", &path("agent://other/prod/default"));
    assert_eq!(foreign.send().await.refusal(403), "invalid_actor_scope");

    // Who acts is who the event names.
    let resolve = format!("/v1/intents/{id}/resolve?owner_agent=bob");
    let body = json!({ "status": "CANCELED", "reason": "enough" });
    let resolved = world.post(&resolve, &body).await;
    assert_eq!(resolved["event"]["actor"], "agent://acme/prod/bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_is_served_and_true() {
    let world = World::new().await;
    let document = world.bare("GET", "/openapi.json").send().await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    let document = document.json();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path
                .replace("{intent_id}", "01890000-0000-7000-8000-000000000000")
                .replace("{address}", "nobody")
                .replace("{service_account_id}", "sa_none")
                .replace("{key_id}", "sak_none");
            let path =
                if path.ends_with("/stream") { format!("{path}?wait_seconds=1") } else { path };
            let answer = world.request(&method.to_uppercase(), &path).send().await;
            let unrouted =
                answer.status == 405 || answer.text().contains("\"detail\":\"not found\"");
            assert!(!unrouted, "{method} {path}: {}", answer.text());
        }
    }
}
