//! Users and nicks: records of two homes that become one change.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::harness::{KEY, World, gateway, seed_key};

impl World {
    async fn register(&self, nick: &str) -> Value {
        self.post("/v1/users/register-nick", &json!({ "nick": nick, "email": "a@b.example" })).await
    }

    async fn is_free(&self, nick: &str) -> bool {
        let path = format!("/v1/users/check-nick?nick={}", nick.replace('@', "%40"));
        self.get(&path).await["available"].as_bool().unwrap()
    }

    async fn refuse(&self, path: &str, body: &Value, status: u16) -> String {
        self.request("POST", path).json(body).send().await.refusal(status)
    }

    async fn profile(&self, owner: &Value) -> Value {
        self.get(&format!("/v1/users/profile?owner_agent={}", owner.as_str().unwrap())).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_registered_renamed_and_described() {
    let world = World::new().await;
    let check = world.get("/v1/users/check-nick?nick=@Ada.Lovelace").await;
    assert_eq!(
        check,
        json!({
            "ok": true, "nick": "@Ada.Lovelace", "normalized_nick": "ada.lovelace",
            "public_address": "ada.lovelace@ax", "available": true,
        })
    );
    let user = world.register("@Ada.Lovelace").await;
    assert_eq!(
        (&user["nick"], &user["public_address"]),
        (&json!("@Ada.Lovelace"), &json!("ada.lovelace@ax"))
    );
    assert_eq!(user["owner_agent"], format!("agent://user/{}", user["user_id"].as_str().unwrap()));
    assert_eq!((&user["email"], &user["phone"]), (&json!("a@b.example"), &Value::Null));
    assert!(!world.is_free("@ada.lovelace").await);
    assert_eq!(
        world.refuse("/v1/users/register-nick", &json!({ "nick": "ADA.lovelace" }), 409).await,
        "already_exists"
    );

    let owner = &user["owner_agent"];
    let renamed = json!({ "owner_agent": owner, "nick": "@countess", "phone": "12345" });
    let renamed = world.post("/v1/users/rename-nick", &renamed).await;
    assert_eq!((&renamed["nick"], &renamed["phone"]), (&json!("@countess"), &json!("12345")));
    assert!(renamed["renamed_at"].is_string());
    assert!(world.is_free("@Ada.Lovelace").await && !world.is_free("countess").await);
    let update = json!({ "owner_agent": owner, "display_name": "Ada", "email": "" });
    let profile = world.post("/v1/users/profile/update", &update).await;
    assert_eq!(profile, world.profile(owner).await);
    assert_eq!(
        (&profile["display_name"], &profile["email"]),
        (&json!("Ada"), &json!("a@b.example"))
    );
    assert_eq!(profile["normalized_nick"], "countess");
    let resolved = world.get("/v1/users/resolve-nick?nick=Countess").await;
    assert_eq!((&resolved["resolved"], &resolved["owner_agent"]), (&json!(true), owner));
    let nobody = world.get("/v1/users/resolve-nick?nick=nobody").await;
    assert_eq!((&nobody["resolved"], &nobody["owner_agent"]), (&json!(false), &Value::Null));
    // The nick that was given up goes to somebody else.
    world.register("ada.lovelace").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_nicks_and_unknown_users_are_refused() {
    let world = World::new().await;
    for query in ["", "?nick=", "?nick=ab", "?nick=@a%20b"] {
        let answer = world.request("GET", &format!("/v1/users/check-nick{query}")).send().await;
        assert_eq!(answer.refusal(422), "validation_error", "{query}");
    }
    for body in [json!({}), json!({ "nick": "a!" }), json!({ "nick": "abc", "phone": "1" })] {
        let code = world.refuse("/v1/users/register-nick", &body, 422).await;
        assert_eq!(code, "validation_error", "{body}");
    }
    let nobody = "agent://user/6f2c1a34-8f0e-4c3a-9d55-0123456789ab";
    for owner in [nobody, "agent://acme/prod/somebody"] {
        let body = json!({ "owner_agent": owner, "nick": "some-nick" });
        assert_eq!(world.refuse("/v1/users/rename-nick", &body, 404).await, "not_found");
        assert_eq!(world.refuse("/v1/users/profile/update", &body, 404).await, "not_found");
        let path = format!("/v1/users/profile?owner_agent={owner}");
        assert_eq!(world.request("GET", &path).send().await.refusal(404), "not_found");
    }
    assert_eq!(
        world.request("GET", "/v1/users/profile").send().await.refusal(422),
        "validation_error"
    );
    assert!(world.is_free("some-nick").await, "what was refused takes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_nobody_elses() {
    let world = World::new().await;
    seed_key(&world.cluster, "rival", "prod", "key-of-rival").await;
    let user = world.register("@ada").await;
    let owner = user["owner_agent"].as_str().unwrap();
    let rival =
        |method: &str, path: &str| world.bare(method, path).header("x-api-key", "key-of-rival");
    let profile = format!("/v1/users/profile?owner_agent={owner}");
    assert_eq!(rival("GET", &profile).send().await.refusal(404), "not_found");
    let body = json!({ "owner_agent": owner, "nick": "@mine", "display_name": "x" });
    for path in ["/v1/users/rename-nick", "/v1/users/profile/update"] {
        assert_eq!(rival("POST", path).json(&body).send().await.refusal(404), "not_found");
    }
    // The nick is one for the whole server; how to reach its user is not told outside.
    let taken =
        rival("POST", "/v1/users/register-nick").json(&json!({ "nick": "ada" })).send().await;
    assert_eq!(taken.refusal(409), "already_exists");
    let resolved = rival("GET", "/v1/users/resolve-nick?nick=ada").send().await.ok();
    assert_eq!((&resolved["owner_agent"], &resolved["email"]), (&json!(owner), &Value::Null));
    assert_eq!(world.get("/v1/users/resolve-nick?nick=ada").await["email"], "a@b.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gets_a_nick() {
    let world = World::new().await;
    let second = gateway(&world.cluster, |_| {}).await;
    let race = (0..8).map(|number| {
        let address =
            if number % 2 == 0 { world.gateway.http_address() } else { second.http_address() };
        let request = crate::client::Request::new(address, "POST", "/v1/users/register-nick");
        let request = request.header("x-api-key", KEY).json(&json!({ "nick": "@wanted" }));
        async move { request.send().await }
    });
    let answers = futures_util::future::join_all(race).await;
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(winners.len(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 || answer.refusal(409) == "already_exists")
    );
    let resolved = world.get("/v1/users/resolve-nick?nick=wanted").await;
    assert_eq!(resolved["owner_agent"], winners[0].json()["owner_agent"]);
    // The losers left nothing: one user, one nick.
    let records = world.cluster.shared.state().records.rows.clone();
    let of = |table: &str| records.keys().filter(|key| key[2] == table).count();
    assert_eq!((of("user"), of("nick")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_makes_one_user() {
    let world = World::new().await;
    let register = |nick: &str| {
        world
            .request("POST", "/v1/users/register-nick")
            .header("idempotency-key", "once")
            .json(&json!({ "nick": nick }))
    };
    // An answer that is lost on the way is asked for again by the gateway, and by the client.
    world.cluster.each(|faults| faults.lose_answers.store(2, Ordering::SeqCst));
    let first = register("@ada").send().await.ok();
    assert_eq!(register("@ada").send().await.ok(), first);
    assert_eq!(register("@other").send().await.refusal(409), "idempotency_conflict");
    assert!(world.is_free("@other").await);
}

/// Cuts the gateway off after each number of commits, as a crash does, and lets the client come
/// again: with its key it gets its user, and the nick is never anybody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_was_cut_off_goes_on() {
    let world = World::with(1, |config| config.cluster.request_timeout_ms = 300).await;
    for commits in 0..6 {
        let nick = format!("@cut-{commits}");
        let register = world
            .request("POST", "/v1/users/register-nick")
            .header("idempotency-key", &nick)
            .json(&json!({ "nick": nick }));
        world.cluster.nodes[0].faults.hang_commits_after(commits);
        let cut = register.send().await;
        world.cluster.nodes[0].faults.hang_commits_after(u32::MAX);
        assert!(cut.status == 200 || cut.refusal(503) == "unavailable", "{}", cut.text());
        let user = register.send().await.ok();
        assert_eq!(user["nick"], nick.as_str());
        let resolved = world.get(&format!("/v1/users/resolve-nick?nick={nick}")).await;
        assert_eq!(resolved["owner_agent"], user["owner_agent"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_was_cut_off_holds_up_nobody_for_ever() {
    let world = World::with(1, |config| config.cluster.request_timeout_ms = 300).await;
    let user = world.register("@old").await;
    let rename = world
        .request("POST", "/v1/users/rename-nick")
        .json(&json!({ "owner_agent": user["owner_agent"], "nick": "@new" }));
    // After the nick was claimed, before the user has it.
    world.cluster.nodes[0].faults.hang_commits_after(2);
    assert_eq!(rename.send().await.refusal(503), "unavailable");
    world.cluster.nodes[0].faults.hang_commits_after(u32::MAX);
    assert_eq!(world.profile(&user["owner_agent"]).await["nick"], "@old");
    let other = json!({ "nick": "@new" });
    assert_eq!(world.refuse("/v1/users/register-nick", &other, 409).await, "already_exists");
    // Nobody came back for it: as if ten seconds had passed.
    world.cluster.shared.change(|state| {
        for (key, record) in &mut state.records.rows {
            if key[2] == "user" {
                use prost::Message as _;
                let mut user = axp_proto::node::User::decode(record.value.clone()).unwrap();
                user.pending.as_mut().unwrap().since_ms -= 10_001;
                record.value = user.encode_to_vec().into();
            }
        }
    });
    let taken = world.post("/v1/users/register-nick", &other).await;
    assert_eq!(world.profile(&taken["owner_agent"]).await["nick"], "@new");
    assert_eq!(world.profile(&user["owner_agent"]).await["nick"], "@old");
    assert_eq!(rename.send().await.refusal(409), "already_exists");
}
