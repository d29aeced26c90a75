//! Semantic schemas: registered, changed as their mode allows, and followed by payloads.

use axp_gateway::config::SchemaMode;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::harness::{World, gateway, seed_key};

const TYPE: &str = "acme.orders.order.v1";

fn schema() -> Value {
    json!({
        "type": "object", "required": ["amount"],
        "properties": { "amount": { "type": "number", "minimum": 1 } },
    })
}

impl World {
    async fn upsert(&self, extra: Value) -> Answer {
        let mut body = json!({ "semantic_type": TYPE, "compatibility_mode": "strict", "schema_json": schema() });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        self.request("POST", "/v1/schemas").json(&body).send().await
    }

    async fn order(&self, payload: Value, extra: Value) -> Answer {
        let mut body = json!({ "intent_type": TYPE, "to_agent": "clerk", "payload": payload });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        self.request("POST", "/v1/intents").json(&body).send().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_registered_and_read() {
    let world = World::new().await;
    let created = world.upsert(json!({})).await.ok()["schema"].clone();
    assert_eq!((&created["semantic_type"], &created["active"]), (&json!(TYPE), &json!(true)));
    assert_eq!(created["schema_ref"], format!("registry://{TYPE}"));
    assert_eq!(
        (&created["scope"], &created["compatibility_mode"]),
        (&json!("tenant"), &json!("strict"))
    );
    assert_eq!(created["schema_json"], schema());
    // Of {"properties":...,"required":...,"type":"object"}: sorted, without white space.
    let canonical = r#"{"properties":{"amount":{"minimum":1,"type":"number"}},"required":["amount"],"type":"object"}"#;
    let hash: String = {
        use sha2::Digest as _;
        sha2::Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    assert_eq!(created["schema_hash"], hash.as_str());
    assert_eq!(world.get(&format!("/v1/schemas/{TYPE}")).await["schema"], created);
    // The same once more is no change.
    assert_eq!(world.upsert(json!({})).await.ok()["schema"], created);
    let unknown = world.request("GET", "/v1/schemas/acme.orders.none.v1").send().await;
    assert_eq!(unknown.refusal(404), "not_found");
    // Another owner has another one; who asks for its own gets its own.
    let other =
        json!({ "owner_agent": "agent://conformance/owner", "schema_json": { "type": "object" } });
    let other = world.upsert(other).await.ok()["schema"].clone();
    let path = format!("/v1/schemas/{TYPE}?owner_agent=agent://conformance/owner");
    assert_eq!(world.get(&path).await["schema"], other);
    assert_eq!(world.get(&format!("/v1/schemas/{TYPE}")).await["schema"], created);
    seed_key(&world.cluster, "rival", "prod", "key-of-rival").await;
    let rival = world.bare("GET", &path).header("x-api-key", "key-of-rival").send().await;
    assert_eq!(rival.refusal(404), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_what_the_mode_allows() {
    let world = World::new().await;
    let more = json!({
        "type": "object", "required": ["amount"],
        "properties": { "amount": { "type": "number", "minimum": 1 }, "note": { "type": "string" } },
    });
    let less = json!({ "type": "object", "required": ["amount", "note"] });
    world.upsert(json!({})).await.ok();
    assert_eq!(world.upsert(json!({ "schema_json": more })).await.refusal(409), "conflict");
    // A change of the mode and of the schema at once is judged by the mode that there was.
    let both = json!({ "schema_json": less, "compatibility_mode": "warn" });
    assert_eq!(world.upsert(both.clone()).await.refusal(409), "conflict");
    world.upsert(json!({ "compatibility_mode": "backward" })).await.ok();
    let grown = json!({ "compatibility_mode": "backward", "schema_json": more });
    let grown = world.upsert(grown).await.ok()["schema"].clone();
    assert_eq!(grown["schema_json"], more);
    let refused = world.upsert(both.clone()).await;
    assert_eq!(refused.refusal(409), "conflict");
    assert!(refused.text().contains("does more than add"), "{}", refused.text());
    world.upsert(json!({ "compatibility_mode": "warn", "schema_json": more })).await.ok();
    let changed = world.upsert(both).await.ok()["schema"].clone();
    assert_eq!(changed["created_at"], grown["created_at"]);
    assert_eq!(changed["schema_json"], less);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_schemas_are_refused() {
    let world = World::with(1, |config| config.schemas.per_workspace_max = 1).await;
    for (extra, field) in [
        (json!({ "semantic_type": "intent.ask.v1" }), "semantic_type"),
        (json!({ "semantic_type": "" }), "semantic_type"),
        (json!({ "schema_json": [] }), "schema_json"),
        (json!({ "schema_json": null }), "schema_json"),
        (json!({ "schema_json": { "type": "strange" } }), "schema_json"),
        (json!({ "schema_json": { "$ref": "http://169.254.169.254/" } }), "schema_json"),
        (json!({ "schema_json": { "not": { "$ref": "#" } } }), "schema_json"),
        (json!({ "compatibility_mode": "none" }), "compatibility_mode"),
        (json!({ "scope": "world" }), "scope"),
        (json!({ "active": "yes" }), "active"),
    ] {
        let answer = world.upsert(extra.clone()).await;
        assert_eq!(answer.refusal(422), "validation_error", "{extra}");
        assert_eq!(answer.json()["error"]["details"]["errors"][0]["loc"][1], field, "{extra}");
    }
    assert_eq!(world.upsert(json!({ "scope": "core" })).await.refusal(403), "policy_denied");
    world.upsert(json!({})).await.ok();
    let another = world.upsert(json!({ "semantic_type": "acme.orders.more.v1" })).await;
    assert_eq!(another.refusal(429), "quota_exceeded");
    let details = another.json()["error"]["details"].clone();
    assert_eq!((&details["used"], &details["limit"]), (&json!(1), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_follow_their_schema_or_are_warned_of_or_refused() {
    let world = World::new().await;
    world.upsert(json!({})).await.ok();
    let fine = world.order(json!({ "amount": 2 }), json!({})).await.ok();
    assert!(fine["warnings"].is_null());
    let warned = world.order(json!({ "amount": 0 }), json!({})).await.ok();
    assert_eq!(warned["warnings"][0]["code"], "schema_invalid");
    assert_eq!(warned["warnings"][0]["errors"][0]["loc"], json!(["body", "payload", "amount"]));
    assert_eq!(
        world.get(&format!("/v1/intents/{}", warned["intent_id"].as_str().unwrap())).await["payload"],
        json!({ "amount": 0 })
    );

    let enforce = json!({ "schema_mode": "enforce" });
    let refused = world.order(json!({ "amount": "5" }), enforce.clone()).await;
    assert_eq!(refused.refusal(422), "schema_invalid");
    let errors = refused.json()["error"]["details"]["errors"].clone();
    assert_eq!((&errors[0]["type"], &errors[0]["loc"][2]), (&json!("type"), &json!("amount")));
    // The type of a payload can be told apart from that of the intent.
    let other =
        json!({ "intent_type": "intent.ask.v1", "semantic_type": TYPE, "schema_mode": "enforce" });
    assert_eq!(world.order(json!({}), other).await.refusal(422), "schema_invalid");
    world
        .order(json!({}), json!({ "intent_type": "intent.ask.v1", "schema_mode": "enforce" }))
        .await
        .ok();
    for bad in [json!({ "schema_mode": "maybe" }), json!({ "semantic_type": "x" })] {
        assert_eq!(world.order(json!({}), bad).await.refusal(422), "validation_error");
    }
    // What is not active is not looked at.
    world.upsert(json!({ "active": false })).await.ok();
    world.order(json!({}), enforce).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_asks_for_more_and_never_for_less() {
    let world = World::with(1, |config| config.schemas.mode = SchemaMode::Enforce).await;
    world.upsert(json!({})).await.ok();
    let less = world.order(json!({}), json!({ "schema_mode": "none" })).await;
    assert_eq!(less.refusal(422), "schema_invalid");
    let lenient = gateway(&world.cluster, |config| config.schemas.mode = SchemaMode::None).await;
    let order = crate::client::Request::new(lenient.http_address(), "POST", "/v1/intents")
        .header("x-api-key", crate::harness::KEY)
        .json(&json!({ "intent_type": TYPE, "to_agent": "clerk", "payload": {} }));
    assert!(order.send().await.ok()["warnings"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receivers_schema_comes_before_the_senders() {
    let world = World::new().await;
    world.upsert(json!({})).await.ok();
    let receiver = json!({ "owner_agent": "agent://acme/prod/clerk", "schema_json": { "required": ["other"] } });
    world.upsert(receiver).await.ok();
    let enforce = json!({ "schema_mode": "enforce" });
    world.order(json!({ "other": 1 }), enforce.clone()).await.ok();
    assert_eq!(world.order(json!({ "amount": 1 }), enforce).await.refusal(422), "schema_invalid");
    let elsewhere = json!({ "schema_mode": "enforce", "to_agent": "agent://acme/prod/other" });
    world.order(json!({ "amount": 1 }), elsewhere).await.ok();
}
