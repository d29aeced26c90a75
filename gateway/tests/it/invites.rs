//! Invites: accepted once, whoever races, and over when their time is.

use serde_json::{Value, json};

use crate::harness::{World, seed_key};

const OWNER: &str = "agent://conformance/owner";

impl World {
    async fn invite(&self, extra: Value) -> Value {
        let mut body = json!({ "owner_agent": OWNER });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        self.post("/v1/invites/create", &body).await
    }

    fn accept(&self, invite: &Value, nick: &str) -> crate::client::Request {
        let path = format!("/v1/invites/{}/accept", invite["token"].as_str().unwrap());
        self.request("POST", &path).json(&json!({ "nick": nick, "display_name": "Invited" }))
    }

    async fn read(&self, invite: &Value) -> Value {
        self.get(&format!("/v1/invites/{}", invite["token"].as_str().unwrap())).await
    }

    /// Moves the end of all invites into the past.
    fn expire_invites(&self) {
        use prost::Message as _;
        self.cluster.shared.change(|state| {
            let records = state.records.rows.iter_mut();
            for (_, record) in records.filter(|(key, _)| key[2] == "invite") {
                let mut invite = axp_proto::node::Invite::decode(record.value.clone()).unwrap();
                invite.expires_at_ms = 1;
                record.value = invite.encode_to_vec().into();
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_makes_a_user() {
    let world = World::new().await;
    let invite = world.invite(json!({ "recipient_hint": "Partner A", "ttl_seconds": 3600 })).await;
    let token = invite["token"].as_str().unwrap();
    assert!((12..=64).contains(&token.len()));
    let url = invite["invite_url"].as_str().unwrap();
    assert!(url.starts_with("http") && url.ends_with(&format!("/invites/{token}")), "{url}");
    assert_eq!(
        (&invite["status"], &invite["recipient_hint"]),
        (&json!("pending"), &json!("Partner A"))
    );
    let pending = world.read(&invite).await;
    assert_eq!((&pending["status"], &pending["nick"]), (&json!("pending"), &Value::Null));

    let accepted = world.accept(&invite, "@Invite.Conformance.User").send().await.ok();
    assert_eq!(
        (&accepted["nick"], &accepted["status"]),
        (&json!("@Invite.Conformance.User"), &json!("accepted"))
    );
    assert_eq!(accepted["public_address"], "invite.conformance.user@ax");
    assert_eq!(accepted["invite_owner_agent"], OWNER);
    assert_eq!(accepted["registry_bind_status"], "disabled");
    let events: Vec<_> = {
        let state = world.cluster.shared.state();
        state.published.values().map(|(event, _)| event.clone()).collect()
    };
    assert_eq!(events.len(), 1, "subscribers hear of it once");
    assert_eq!((&*events[0].event_type, &*events[0].owner_agent), ("invite.accepted", OWNER));
    let read = world.read(&invite).await;
    assert_eq!(
        (&read["status"], &read["accepted_owner_agent"]),
        (&json!("accepted"), &accepted["owner_agent"])
    );
    assert_eq!(
        (&read["nick"], &read["accepted_at"]),
        (&accepted["nick"], &accepted["accepted_at"])
    );
    let owner = accepted["owner_agent"].as_str().unwrap();
    let profile = world.get(&format!("/v1/users/profile?owner_agent={owner}")).await;
    assert_eq!(
        (&profile["user_id"], &profile["display_name"]),
        (&accepted["user_id"], &json!("Invited"))
    );
    assert_eq!(world.accept(&invite, "@another").send().await.refusal(409), "invalid_state");
    let plain = world.invite(json!({})).await;
    let accepted = world.accept(&plain, "@another").send().await.ok();
    assert_eq!(accepted["registry_bind_status"], "skipped_no_hint");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_accepted_once_however_many_race() {
    let world = World::new().await;
    let invite = world.invite(json!({})).await;
    let race = (0..6).map(|number| {
        let request = world.accept(&invite, &format!("@racer-{}", number % 3));
        async move { request.send().await }
    });
    let answers = futures_util::future::join_all(race).await;
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert!(
        answers.iter().filter(|answer| answer.status != 200).all(|answer| answer.status == 409)
    );
    let read = world.read(&invite).await;
    assert_eq!(read["nick"], winners[0].json()["nick"]);
    for number in 0..3 {
        let nick = format!("@racer-{number}");
        let check = world.get(&format!("/v1/users/check-nick?nick={nick}")).await;
        assert_eq!(check["available"], json!(nick) != read["nick"], "{nick}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_nick_leaves_the_invite_open() {
    let world = World::new().await;
    world.post("/v1/users/register-nick", &json!({ "nick": "@taken" })).await;
    let invite = world.invite(json!({})).await;
    assert_eq!(world.accept(&invite, "@Taken").send().await.refusal(409), "already_exists");
    assert_eq!(world.read(&invite).await["status"], "pending");
    world.accept(&invite, "@free").send().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_ends_with_its_time() {
    let world = World::new().await;
    let invite = world.invite(json!({})).await;
    world.expire_invites();
    let read = world.read(&invite).await;
    assert_eq!((&read["status"], &read["accepted_at"]), (&json!("expired"), &Value::Null));
    assert_eq!(world.accept(&invite, "@late").send().await.refusal(409), "invalid_state");
    let used = world.invite(json!({})).await;
    world.accept(&used, "@in-time").send().await.ok();
    world.expire_invites();
    assert_eq!(world.read(&used).await["status"], "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_with_a_key_are_one_request() {
    let world = World::new().await;
    let create = world
        .request("POST", "/v1/invites/create")
        .header("idempotency-key", "once")
        .json(&json!({ "owner_agent": OWNER }));
    let invite = create.send().await.ok();
    assert_eq!(create.send().await.ok(), invite);
    let accept = world.accept(&invite, "@once").header("idempotency-key", "once");
    let accepted = accept.send().await.ok();
    assert_eq!(accept.send().await.ok(), accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_invites_are_refused() {
    let world = World::new().await;
    seed_key(&world.cluster, "rival", "prod", "key-of-rival").await;
    // So that this gateway has heard of it.
    world.bare("GET", "/v1/agents").header("x-api-key", "key-of-rival").send().await.ok();
    for body in [
        json!({}),
        json!({ "owner_agent": OWNER, "ttl_seconds": 59 }),
        json!({ "owner_agent": OWNER, "ttl_seconds": 1_209_601 }),
        json!({ "owner_agent": OWNER, "recipient_hint": "x".repeat(256) }),
    ] {
        let answer = world.request("POST", "/v1/invites/create").json(&body).send().await;
        assert_eq!(answer.refusal(422), "validation_error", "{body}");
    }
    let foreign = json!({ "owner_agent": "agent://rival/prod/boss" });
    let answer = world.request("POST", "/v1/invites/create").json(&foreign).send().await;
    assert_eq!(answer.refusal(403), "invalid_actor_scope");
    for token in ["unknown-token-x", "0123456789abcdef", "a%00b"] {
        let answer = world.request("GET", &format!("/v1/invites/{token}")).send().await;
        assert_eq!(answer.refusal(404), "not_found", "{token}");
        let path = format!("/v1/invites/{token}/accept");
        let answer = world.request("POST", &path).json(&json!({ "nick": "abc" })).send().await;
        assert_eq!(answer.refusal(404), "not_found", "{token}");
    }
    let invite = world.invite(json!({})).await;
    let path = format!("/v1/invites/{}/accept", invite["token"].as_str().unwrap());
    let answer = world.request("POST", &path).json(&json!({ "nick": "!" })).send().await;
    assert_eq!(answer.refusal(422), "validation_error");
}
