//! Service accounts, keys and agents: decided in the gateway, committed by compare-and-set.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::client::Request;
use crate::fake::FakeCluster;
use crate::harness::{KEY, PATIENCE, World, eventually, gateway, seed_key};

impl World {
    async fn create_account(&self, name: &str) -> Value {
        let body = json!({
            "org_id": self.seeded.org_id, "workspace_id": self.seeded.workspace_id, "name": name,
        });
        self.post("/v1/service-accounts", &body).await["service_account"].clone()
    }

    async fn create_key(&self, account: &Value) -> Value {
        let id = account["service_account_id"].as_str().unwrap();
        self.post(&format!("/v1/service-accounts/{id}/keys"), &json!({})).await["key"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_come_with_an_address() {
    let world = World::new().await;
    let account = world.create_account("Compliance Checker").await;
    for name in
        ["org_id", "workspace_id", "status", "created_by_actor_id", "created_at", "updated_at"]
    {
        assert!(account[name].is_string(), "{name}");
    }
    assert!(account["service_account_id"].as_str().unwrap().starts_with("sa_"));
    assert_eq!(account["agent_address"], "agent://acme/prod/compliance-checker");
    assert_eq!((&account["status"], &account["description"]), (&json!("active"), &Value::Null));
    let by_address = world.create_account("agent://demo/other/reviewer").await;
    assert_eq!(by_address["agent_address"], "agent://acme/prod/reviewer");
    assert_eq!(by_address["name"], "agent://demo/other/reviewer");
    let collision = world.create_account("compliance checker").await;
    assert_eq!(collision["agent_address"], "agent://acme/prod/compliance-checker-2");

    let id = account["service_account_id"].as_str().unwrap();
    let mut got = world.get(&format!("/v1/service-accounts/{id}")).await;
    // One that is asked for shows its keys as well.
    assert_eq!(got["service_account"].as_object_mut().unwrap().remove("keys"), Some(json!([])));
    assert_eq!(got["service_account"], account);
    let path = format!("/v1/service-accounts?org_id={}&workspace_id=", world.seeded.org_id);
    let listed = world.get(&path).await;
    assert_eq!(listed["service_accounts"].as_array().unwrap().len(), 4);

    let agents = world.get("/v1/agents?org_id=&workspace_id=&limit=2").await;
    let agents = agents["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 2);
    for name in ["address", "service_account_id", "service_account_name", "status", "created_at"] {
        assert!(agents[0][name].is_string(), "{name}");
    }
    for address in ["reviewer", "acme/prod/reviewer", "agent://acme/prod/reviewer"] {
        let agent = world.get(&format!("/v1/agents/{address}")).await["agent"].clone();
        assert_eq!(agent["address"], "agent://acme/prod/reviewer");
        assert_eq!(agent["service_account_id"], by_address["service_account_id"]);
    }
    let unknown = world.request("GET", "/v1/agents/acme/prod/nobody").send().await;
    assert_eq!(unknown.refusal(404), "agent_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_once() {
    let world = World::new().await;
    let account = world.create_account("worker").await;
    let again = world
        .request("POST", "/v1/service-accounts")
        .json(&json!({ "name": "worker" }))
        .send()
        .await;
    assert_eq!(again.refusal(409), "already_exists");
    assert_eq!(again.json()["service_account"], account);
    for (body, code) in [
        (json!({}), "validation_error"),
        (json!({ "name": "x" }), "validation_error"),
        (json!({ "name": "pusher", "delivery_mode": "http" }), "validation_error"),
        (json!({ "name": "pusher", "delivery_mode": "pigeon" }), "validation_error"),
    ] {
        let answer = world.request("POST", "/v1/service-accounts").json(&body).send().await;
        assert_eq!(answer.refusal(422), code, "{body}");
    }
    let elsewhere = json!({ "name": "worker2", "workspace_id": "another" });
    let answer = world.request("POST", "/v1/service-accounts").json(&elsewhere).send().await;
    assert_eq!(answer.refusal(403), "invalid_actor_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_modes_are_resolved_for_the_shard() {
    let world = World::new().await;
    let body = json!({ "name": "pusher", "delivery_mode": "http", "callback_url": "http://example.com/cb" });
    world.post("/v1/service-accounts", &body).await;
    let id = world.submit("pusher").await.parse().unwrap();
    let submission = world.cluster.shared.state().intents[&id].submission.clone();
    assert_eq!(submission.delivery_mode(), axp_proto::log::DeliveryMode::Http);
    assert_eq!(submission.target_workspace_id, world.seeded.workspace_id);
    let id = world.submit("unregistered").await.parse().unwrap();
    let submission = world.cluster.shared.state().intents[&id].submission.clone();
    assert_eq!(submission.delivery_mode(), axp_proto::log::DeliveryMode::Unspecified);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_work_until_they_are_revoked() {
    let world = World::new().await;
    let account = world.create_account("worker").await;
    let key = world.create_key(&account).await;
    let token = key["token"].as_str().unwrap();
    let id = account["service_account_id"].as_str().unwrap();
    assert!(token.starts_with(&format!("axme_{id}_")) && token.len() >= 12, "{token}");
    assert!(
        key["key_hint"].as_str().unwrap().len() >= 4
            && !token.starts_with(key["key_hint"].as_str().unwrap())
    );
    assert_eq!((&key["status"], &key["expires_at"]), (&json!("active"), &Value::Null));
    // Nothing that is stored holds the token.
    let stored = world.cluster.shared.state().history.clone();
    assert!(
        stored.iter().all(|row| !row.value.windows(token.len()).any(|at| at == token.as_bytes()))
    );

    let keys = || async {
        world.request("GET", &format!("/v1/service-accounts/{id}")).send().await.ok()["service_account"]
            ["keys"]
            .clone()
    };
    let listed = keys().await;
    assert_eq!(listed[0]["key_id"], key["key_id"]);
    assert_eq!(listed[0]["key_hint"], key["key_hint"]);
    assert_eq!(listed[0]["token"], Value::Null);

    let use_it = || world.bare("GET", "/v1/agents/worker").header("x-api-key", token);
    use_it().send().await.ok();
    let path = format!("/v1/service-accounts/{id}/keys/{}/revoke", key["key_id"].as_str().unwrap());
    let revoked =
        world.request("POST", &path).header("Content-Type", "application/json").send().await.ok();
    assert_eq!(revoked["key"]["status"], "revoked");
    assert!(revoked["key"]["revoked_at"].is_string());
    let refused = use_it().send().await;
    assert_eq!(refused.refusal(401), "invalid_platform_api_key");
    assert_eq!(world.post(&path, &json!({})).await, revoked);
    assert_eq!(keys().await[0]["status"], "revoked");
    let unknown = format!("/v1/service-accounts/{id}/keys/sak_none/revoke");
    assert_eq!(world.request("POST", &unknown).send().await.refusal(404), "not_found");
    let past = json!({ "expires_at": "2001-01-01T00:00:00Z" });
    let answer =
        world.request("POST", &format!("/v1/service-accounts/{id}/keys")).json(&past).send().await;
    assert_eq!(answer.refusal(422), "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_is_gone_with_its_keys() {
    let world = World::new().await;
    let account = world.create_account("worker").await;
    let token = world.create_key(&account).await["token"].as_str().unwrap().to_owned();
    let path = format!("/v1/service-accounts/{}", account["service_account_id"].as_str().unwrap());
    let deleted = world.request("DELETE", &path).send().await.ok();
    assert_eq!(deleted["deleted"], true);
    assert_eq!(world.request("DELETE", &path).send().await.ok(), deleted);
    let refused = world.bare("GET", "/v1/capabilities").header("x-api-key", &token).send().await;
    assert_eq!(refused.refusal(401), "invalid_platform_api_key");
    assert_eq!(world.request("GET", &path).send().await.refusal(404), "not_found");
    assert_eq!(
        world.request("GET", "/v1/agents/worker").send().await.refusal(404),
        "agent_not_found"
    );
    let keys = world.request("POST", &format!("{path}/keys")).body("{}").send().await;
    assert_eq!(keys.refusal(404), "not_found");
    // Name and address are free again.
    let next = world.create_account("worker").await;
    assert_eq!(next["agent_address"], "agent://acme/prod/worker");
    assert_ne!(next["service_account_id"], account["service_account_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tenants_are_kept_out() {
    let world = World::new().await;
    seed_key(&world.cluster, "other", "prod", "key-of-other-prod").await;
    let account = world.create_account("worker").await;
    let id = account["service_account_id"].as_str().unwrap();
    let foreign = |method: &str, path: &str| {
        world.bare(method, &path.replace("ID", id)).header("x-api-key", "key-of-other-prod")
    };
    for (method, path) in [
        ("GET", "/v1/service-accounts/ID"),
        ("DELETE", "/v1/service-accounts/ID"),
        ("POST", "/v1/service-accounts/ID/keys"),
        ("POST", "/v1/service-accounts/ID/keys/x/revoke"),
    ] {
        assert_eq!(
            foreign(method, path).send().await.refusal(403),
            "invalid_actor_scope",
            "{path}"
        );
    }
    let path = format!("/v1/service-accounts?org_id={}", world.seeded.org_id);
    assert_eq!(foreign("GET", &path).send().await.refusal(403), "invalid_actor_scope");
    let path = format!("/v1/agents?workspace_id={}", world.seeded.workspace_id);
    assert_eq!(foreign("GET", &path).send().await.refusal(403), "invalid_actor_scope");
    let agent = foreign("GET", "/v1/agents/acme/prod/worker").send().await;
    assert_eq!(agent.refusal(404), "agent_not_found");
    let own = foreign("GET", "/v1/agents").send().await;
    assert!(!own.text().contains("acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_decided_again() {
    let world = World::new().await;
    world.cluster.nodes[0].faults.conflicts.store(3, Ordering::SeqCst);
    world.create_account("worker").await;

    let names = (0..12).map(|_| "same name");
    let requests: Vec<Request> = names
        .map(|name| world.request("POST", "/v1/service-accounts").json(&json!({ "name": name })))
        .collect();
    let answers = futures_util::future::join_all(requests.iter().map(Request::send)).await;
    let created = answers.iter().filter(|answer| answer.status == 200).count();
    let taken = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((created, taken), (1, 11));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_commit_is_no_conflict() {
    let world = World::new().await;
    world.cluster.nodes[0].faults.lose_answers.store(1, Ordering::SeqCst);
    let account = world.create_account("worker").await;
    let id = account["service_account_id"].as_str().unwrap();
    for key in [None, Some("k1")] {
        world.cluster.nodes[0].faults.lose_answers.store(1, Ordering::SeqCst);
        let request = world.request("POST", &format!("/v1/service-accounts/{id}/keys")).body("{}");
        let request = key.iter().fold(request, |it, key| it.header("Idempotency-Key", key));
        let token = request.send().await.ok()["key"]["token"].as_str().unwrap().to_owned();
        world.bare("GET", "/v1/capabilities").header("x-api-key", &token).send().await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_writes_are_idempotent_by_key() {
    let world = World::new().await;
    let create = |body: &Value| {
        world.request("POST", "/v1/service-accounts").header("Idempotency-Key", "k1").json(body)
    };
    let first = create(&json!({ "name": "worker" })).send().await.ok();
    assert_eq!(create(&json!({ "name": "worker" })).send().await.ok(), first);
    let mutated = create(&json!({ "name": "another" })).send().await;
    assert_eq!(mutated.refusal(409), "idempotency_conflict");

    let id = first["service_account"]["service_account_id"].as_str().unwrap();
    let path = format!("/v1/service-accounts/{id}/keys");
    let key = || world.request("POST", &path).header("Idempotency-Key", "k1").body("{}");
    let made = key().send().await.ok();
    let again = key().send().await.ok();
    assert_eq!(again["key"]["key_id"], made["key"]["key_id"]);
    // The secret was told once.
    assert!(made["key"]["token"].is_string() && again["key"].get("token").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_read_through_any_gateway() {
    let world = World::with(2, |_| {}).await;
    // The second gateway hears of changes from a node that is kept behind.
    let revision = world.cluster.shared.state().revision;
    let second = gateway(&world.cluster, |config| config.cluster.freshness_interval_ms = 100).await;
    world.cluster.each(|faults| faults.watch_until.store(revision, Ordering::SeqCst));
    let created = {
        let request =
            world.request("POST", "/v1/service-accounts").json(&json!({ "name": "worker" }));
        tokio::spawn(async move { request.send().await })
    };
    eventually("the commit", || world.cluster.shared.state().revision > revision).await;
    let asked = world.cluster.sum(|it| &it.revisions_asked);
    let at_second =
        Request::new(second.http_address(), "GET", "/v1/agents/worker").header("x-api-key", KEY);
    let waiting = tokio::spawn(async move { at_second.send().await });
    eventually("the question", || world.cluster.sum(|it| &it.revisions_asked) > asked).await;
    assert!(
        !waiting.is_finished() && !created.is_finished(),
        "neither answers from a cache that is behind"
    );
    world.cluster.each(|faults| faults.watch_until.store(0, Ordering::SeqCst));
    world.cluster.shared.change(|_| {});
    created.await.unwrap().ok();
    waiting.await.unwrap().ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_asks_little() {
    let world = World::new().await;
    let before = world.cluster.sum(|it| &it.revisions_asked);
    let requests: Vec<Request> = (0..200)
        .map(|number| {
            world.bare("GET", "/v1/capabilities").header("x-api-key", &format!("unknown-{number}"))
        })
        .collect();
    let started = std::time::Instant::now();
    let answers = futures_util::future::join_all(requests.iter().map(Request::send)).await;
    assert!(answers.iter().all(|answer| answer.status == 401));
    let asked = world.cluster.sum(|it| &it.revisions_asked) - before;
    let most = 3 + started.elapsed().as_millis() / 10;
    assert!(u128::from(asked) <= most, "{asked} questions, at most {most} expected");
}

#[tokio::test(flavor = "multi_thread")]
async fn seeding_is_idempotent_and_may_race() {
    let cluster = FakeCluster::start(1);
    let seeds = (0..6).map(|_| seed_key(&cluster, "Acme Inc", "Prod", KEY));
    let seeded = futures_util::future::join_all(seeds).await;
    assert!(seeded.iter().all(|one| one.service_account_id == seeded[0].service_account_id));
    assert_eq!(seeded[0].agent_address, "agent://acme-inc/prod/default");
    let organizations =
        cluster.shared.state().rows.keys().filter(|key| key.starts_with("org/")).count();
    assert_eq!(organizations, 1);

    // Without a key one is made each time, for the same account.
    let request = axp_gateway::seed::SeedRequest {
        org: "acme inc".to_owned(),
        workspace: "prod".to_owned(),
        api_key: None,
    };
    let made = axp_gateway::seed::ensure(&cluster.addresses(), &request, PATIENCE).await.unwrap();
    assert_eq!(made.service_account_id, seeded[0].service_account_id);
    assert!(made.api_key.starts_with("axme_sa_"));
    let taken = axp_gateway::seed::SeedRequest {
        workspace: "other".to_owned(),
        api_key: Some(KEY.to_owned()),
        ..request
    };
    let error =
        axp_gateway::seed::ensure(&cluster.addresses(), &taken, PATIENCE).await.unwrap_err();
    assert!(matches!(error, axp_gateway::seed::SeedError::KeyTaken));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_seeds_from_its_configuration() {
    let cluster = FakeCluster::start(1);
    let gateway = gateway(&cluster, |config| {
        "acme".clone_into(&mut config.seed.organization);
        "prod".clone_into(&mut config.seed.workspace);
        KEY.clone_into(&mut config.seed.api_key);
    })
    .await;
    let ready = Request::new(gateway.admin_address().unwrap(), "GET", "/readyz");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while ready.send().await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "the seed is committed");
    }
    let request = Request::new(gateway.http_address(), "GET", "/v1/agents/default");
    request.header("x-api-key", KEY).send().await.ok();
}
