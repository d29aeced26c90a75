//! Webhook subscriptions, events, signing secrets and dead letters, as clients see them.

use std::sync::atomic::Ordering;

use axp_proto::log::ParcelState;
use axp_proto::node::{SigningSecret, WebhookSubscription};
use serde_json::{Value, json};

use crate::harness::{World, seed_key};

const SUBSCRIPTIONS: &str = "/v1/webhooks/subscriptions";
const EVENTS: &str = "/v1/webhooks/events";

fn subscription(callback: &str) -> Value {
    json!({ "callback_url": callback, "event_types": ["inbox.thread_created", "intent.*"] })
}

fn event() -> Value {
    json!({ "event_type": "inbox.thread_created", "source": "test", "payload": { "n": 1 } })
}

impl World {
    fn row<M: prost::Message + Default>(&self, key: &str) -> M {
        let state = self.cluster.shared.state();
        M::decode(state.rows[key].1.clone()).unwrap()
    }

    async fn subscribe(&self, callback: &str) -> Value {
        self.post(SUBSCRIPTIONS, &subscription(callback)).await["subscription"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_made_changed_and_revoked() {
    let world = World::new().await;
    let made = world.subscribe("https://integrator.example/hook").await;
    let names = [
        "subscription_id",
        "owner_agent",
        "callback_url",
        "event_types",
        "active",
        "description",
        "created_at",
        "updated_at",
        "revoked_at",
        "secret_hint",
    ];
    for name in names {
        assert!(made.get(name).is_some(), "{name} is there, null or not");
    }
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(made["secret_hint"], format!("****{}", &secret[secret.len() - 4..]));
    let id = made["subscription_id"].as_str().unwrap();

    // The same callback is the same subscription; a new secret follows the old one.
    let mut change = subscription("https://integrator.example/hook");
    change["secret"] = json!("0123456789abcdef");
    change["active"] = json!(false);
    let changed = world.post(SUBSCRIPTIONS, &change).await["subscription"].clone();
    assert_eq!((&changed["subscription_id"], &changed["active"]), (&json!(id), &json!(false)));
    assert_eq!((changed.get("secret"), &changed["secret_hint"]), (None, &json!("****cdef")));
    let row: WebhookSubscription = world.row(&axp_proto::control::webhook(id));
    let kept = row.secret.unwrap();
    assert_eq!((kept.current.as_str(), kept.previous.as_str()), ("0123456789abcdef", secret));
    assert!(kept.previous_until_ms > kept.changed_at_ms);

    let count = |list: &Value| list["subscriptions"].as_array().unwrap().len();
    assert_eq!(count(&world.get(SUBSCRIPTIONS).await), 0, "inactive ones are not listed");
    let all = format!("{SUBSCRIPTIONS}?include_inactive=true");
    assert_eq!(count(&world.get(&all).await), 1);
    assert_eq!(count(&world.get(&format!("{all}&owner_agent=agent://other")).await), 0);

    // Another owner of the same workspace may revoke it, and twice is no error.
    let path = format!("{SUBSCRIPTIONS}/{id}?owner_agent=agent://conformance/owner");
    let revoked = world.request("DELETE", &path).send().await.ok();
    assert_eq!(
        (&revoked["subscription_id"], revoked["revoked_at"].is_string()),
        (&json!(id), true)
    );
    assert_eq!(world.request("DELETE", &path).send().await.ok(), revoked);
    let listed = world.get(&all).await["subscriptions"][0].clone();
    assert_eq!((&listed["active"], &listed["revoked_at"]), (&json!(false), &revoked["revoked_at"]));
    // Subscribing again brings it back.
    let back = world.subscribe("https://integrator.example/hook").await;
    assert_eq!((&back["subscription_id"], &back["revoked_at"]), (&json!(id), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_subscriptions_are_refused() {
    let world = World::new().await;
    for body in [
        json!({}),
        json!({ "callback_url": "https://a.example/", "event_types": [] }),
        json!({ "callback_url": "https://a.example/", "event_types": ["nothing.happened"] }),
        json!({ "callback_url": "ftp://a.example/x", "event_types": ["intent.*"] }),
        json!({ "callback_url": "https://u:p@a.example/", "event_types": ["intent.*"] }),
        json!({ "callback_url": "https://a.example/", "event_types": ["intent.*"], "secret": "short" }),
    ] {
        let refused = world.request("POST", SUBSCRIPTIONS).json(&body).send().await;
        assert_eq!(refused.refusal(422), "validation_error", "{body}");
    }
    let unknown = world.request("DELETE", &format!("{SUBSCRIPTIONS}/nothing")).send().await;
    assert_eq!(unknown.refusal(404), "not_found");
    let made = world.subscribe("https://a.example/hook").await;
    let path = format!("{SUBSCRIPTIONS}/{}", made["subscription_id"].as_str().unwrap());
    seed_key(&world.cluster, "other", "prod", "key-of-the-other").await;
    let foreign = world.bare("DELETE", &path).header("x-api-key", "key-of-the-other");
    assert_eq!(foreign.send().await.refusal(404), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_published_counted_and_replayed() {
    let world = World::new().await;
    world.subscribe("https://a.example/1").await;
    let owned = format!("{SUBSCRIPTIONS}?owner_agent=agent://someone/else");
    world.post(&owned, &subscription("https://a.example/2")).await;
    let published =
        world.post(&format!("{EVENTS}?owner_agent=agent://conformance/owner"), &event()).await;
    assert_eq!(published["owner_agent"], "agent://conformance/owner");
    let numbers = |body: &Value| {
        ["queued_deliveries", "processed_deliveries", "delivered", "pending", "dead_lettered"]
            .map(|name| body[name].as_u64().unwrap())
    };
    assert_eq!(numbers(&published), [1, 0, 0, 1, 0], "another owner's subscription is not for it");
    assert!(published["accepted_at"].is_string());
    let id = published["event_id"].as_str().unwrap();
    let path = format!("{EVENTS}/{id}");
    assert_eq!(world.get(&path).await["event_id"], published["event_id"]);

    world.subscribe("https://a.example/3").await;
    let replayed = world.request("POST", &format!("{path}/replay")).send().await.ok();
    assert_eq!(numbers(&replayed), [2, 0, 0, 2, 0], "whoever wants it now");
    assert!(replayed["replayed_at"].is_string() && replayed["event_id"] == published["event_id"]);

    let nothing = format!("{EVENTS}/0198a5d0-0000-7000-8000-000000000000/replay");
    assert_eq!(world.request("POST", &nothing).send().await.refusal(404), "not_found");
    for (name, value) in
        [("event_type", json!("intent.completed")), ("source", json!("x")), ("payload", json!(1))]
    {
        let mut body = event();
        body[name] = value;
        let refused = world.request("POST", EVENTS).json(&body).send().await;
        assert_eq!(refused.refusal(422), "validation_error", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_publishes_once() {
    let world = World::new().await;
    world.subscribe("https://a.example/1").await;
    let publish = |body: Value| {
        let request = world.request("POST", EVENTS).header("idempotency-key", "k1");
        async move { request.json(&body).send().await }
    };
    world.cluster.nodes[0].faults.lose_answers.store(1, Ordering::SeqCst);
    let first = publish(event()).await.ok();
    assert_eq!(publish(event()).await.ok()["event_id"], first["event_id"]);
    assert_eq!(world.cluster.shared.state().published.len(), 1);
    let mut other = event();
    other["payload"] = json!({ "n": 2 });
    assert_eq!(publish(other).await.refusal(409), "idempotency_conflict");

    let path = format!("{EVENTS}/{}/replay", first["event_id"].as_str().unwrap());
    let request = world.request("POST", &path).header("idempotency-key", "k2");
    let replay = || request.send();
    let (once, twice) = (replay().await.ok(), replay().await.ok());
    assert_eq!(once, twice);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_agent_gets_a_secret_once_and_another_on_demand() {
    let world = World::new().await;
    let body = json!({
        "name": "pushed", "delivery_mode": "http", "callback_url": "https://agent.example/hook",
    });
    let create = world.request("POST", "/v1/service-accounts").header("idempotency-key", "k");
    let made = create.clone().json(&body).send().await.ok()["service_account"].clone();
    let secret = made["signing_secret"].as_str().unwrap().to_owned();
    let again = create.json(&body).send().await.ok();
    assert_eq!(again["service_account"].get("signing_secret"), None, "told once");
    let id = made["service_account_id"].as_str().unwrap();
    let path = format!("/v1/service-accounts/{id}");
    assert_eq!(world.get(&path).await["service_account"].get("signing_secret"), None);
    let row = || world.row::<SigningSecret>(&axp_proto::control::signing_secret(id));
    assert_eq!(row().current, secret);

    let rotate = format!("{path}/signing-secret/rotate");
    let rotated = world.post(&rotate, &json!({ "overlap_seconds": 60 })).await;
    assert_ne!(rotated["signing_secret"], secret);
    assert!(rotated["previous_valid_until"].is_string());
    let kept = row();
    assert_eq!((json!(kept.current), kept.previous), (rotated["signing_secret"].clone(), secret));
    assert_eq!(kept.previous_until_ms - kept.changed_at_ms, 60_000);
    let too_long = world.request("POST", &rotate).json(&json!({ "overlap_seconds": 9_999_999 }));
    assert_eq!(too_long.send().await.refusal(422), "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_changes_how_it_wants_deliveries() {
    let world = World::new().await;
    let made = world.post("/v1/service-accounts", &json!({ "name": "worker" })).await;
    let id = made["service_account"]["service_account_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/service-accounts/{id}");
    let patch = |body: Value| {
        let request = world.request("PATCH", &path);
        async move { request.json(&body).send().await }
    };
    assert_eq!(patch(json!({ "delivery_mode": "http" })).await.refusal(422), "validation_error");
    let rotate = world.request("POST", &format!("{path}/signing-secret/rotate"));
    assert_eq!(rotate.json(&json!({})).send().await.refusal(409), "invalid_state");
    let http = json!({ "delivery_mode": "http", "callback_url": "https://agent.example/hook" });
    let pushed = patch(http.clone()).await.ok()["service_account"].clone();
    assert!(pushed["signing_secret"].is_string());
    assert_eq!(pushed["delivery_mode"], "http");
    let again = patch(http).await.ok()["service_account"].clone();
    assert_eq!(again.get("signing_secret"), None);
    let named = patch(json!({ "display_name": "Worker", "delivery_mode": "stream" })).await.ok();
    let named = &named["service_account"];
    assert_eq!(
        (&named["display_name"], &named["delivery_mode"]),
        (&json!("Worker"), &json!("stream"))
    );
    let unknown = world.request("PATCH", "/v1/service-accounts/sa_nobody").json(&json!({}));
    assert_eq!(unknown.send().await.refusal(404), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_and_intents_redelivered() {
    let world = World::new().await;
    world.subscribe("https://a.example/1").await;
    for _ in 0..3 {
        world.post(EVENTS, &event()).await;
    }
    world.cluster.shared.change(|state| {
        for (number, (_, parcels)) in (1..).zip(state.published.values_mut().take(2)) {
            parcels[0].set_state(ParcelState::Dead);
            parcels[0].changed_at_ms += number;
            parcels[0].last_error = "answered 500".to_owned();
        }
    });
    let listed = world.get("/v1/push/dead-letters").await["dead_letters"].clone();
    let listed = listed.as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["kind"]), (2, &json!("subscription")));
    assert!(listed[0]["dead_lettered_at"].as_str() > listed[1]["dead_lettered_at"].as_str());
    assert_eq!(listed[0]["last_error"], "answered 500");
    let one = world.get("/v1/push/dead-letters?limit=1").await["dead_letters"].clone();
    assert_eq!(one.as_array().unwrap()[..], listed[..1]);

    let id = world.submit("worker").await;
    let path = format!("/v1/intents/{id}/redeliver");
    let again = world.request("POST", &path).header("idempotency-key", "k").send().await.ok();
    assert_eq!((&again["intent_id"], &again["attempts"]), (&json!(id), &json!(3)));
    let repeat = world.request("POST", &path).header("idempotency-key", "k").send().await.ok();
    assert_eq!(repeat, again);
    assert_eq!(world.cluster.shared.state().redelivered.len(), 1, "once for one key");
    let unknown = world.request("POST", "/v1/intents/nothing/redeliver").send().await;
    assert_eq!(unknown.refusal(404), "not_found");
}
