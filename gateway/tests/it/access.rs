//! Who may send to whom: send policies, receive policies and overrides, with two organizations.

use axp_proto::v1::SubmitRequest;
use axp_proto::v1::intents_client::IntentsClient;
use serde_json::{Value, json};
use tonic::Request as GrpcRequest;

use crate::client::Request;
use crate::harness::{KEY, World, gateway, seed_key};

const OTHER_KEY: &str = "key-of-globex-prod";

/// Two organizations: acme, whose key the world has, and globex.
struct Two {
    world: World,
    globex_id: String,
}

impl Two {
    async fn new() -> Self {
        let world = World::new().await;
        let globex = seed_key(&world.cluster, "globex", "prod", OTHER_KEY).await;
        Self { world, globex_id: globex.org_id }
    }

    fn globex(&self, method: &str, path: &str) -> Request {
        self.world.bare(method, path).header("x-api-key", OTHER_KEY)
    }

    fn receive_policy(&self, method: &str) -> Request {
        self.globex(method, &format!("/v1/organizations/{}/receive-policy", self.globex_id))
    }

    async fn set_receive_policy(&self, kind: &str) -> Value {
        let body = json!({ "policy_type": kind });
        self.receive_policy("PUT").json(&body).send().await.ok()["policy"].clone()
    }

    /// From acme to an address; the refusal's code, or nothing.
    async fn send(&self, to_agent: &str) -> Option<String> {
        outcome(self.world.request("POST", "/v1/intents"), to_agent).await
    }
}

/// Submits; the code of a refusal, which has to be a 403.
async fn outcome(request: Request, to_agent: &str) -> Option<String> {
    let answer = request.json(&intent(to_agent)).send().await;
    (answer.status != 200).then(|| answer.refusal(403))
}

fn intent(to_agent: &str) -> Value {
    json!({ "intent_type": "intent.ask.v1", "to_agent": to_agent })
}

const GLOBEX: &str = "agent://globex/prod/default";

#[tokio::test(flavor = "multi_thread")]
async fn organizations_open_up_to_others() {
    let two = Two::new().await;
    let unset = two.receive_policy("GET").send().await.ok()["policy"].clone();
    assert_eq!((&unset["policy_type"], &unset["entries"]), (&json!("closed"), &json!([])));
    assert_eq!(unset["org_id"], two.globex_id.as_str());
    assert!(unset["policy_id"].as_str().unwrap().starts_with("orp_"));
    assert_eq!(two.send(GLOBEX).await.as_deref(), Some("receiver_org_closed"));

    assert_eq!(two.set_receive_policy("open").await["policy_type"], "open");
    assert_eq!(two.send(GLOBEX).await, None);
    // Also what nobody registered there, and what goes there as an outcome or an escalation.
    assert_eq!(two.send("agent://globex/prod/unregistered").await, None);
    let mut body = intent("bob");
    body["reply_to"] = json!(GLOBEX);
    body["escalate_to"] = json!(GLOBEX);
    let id = two.world.post("/v1/intents", &body).await["intent_id"].clone();
    assert!(id.is_string());

    two.set_receive_policy("allowlist").await;
    let refused = "sender_not_in_receive_allowlist";
    assert_eq!(two.send(GLOBEX).await.as_deref(), Some(refused));
    let entries = format!("/v1/organizations/{}/receive-policy/entries", two.globex_id);
    let add =
        |pattern: &str| two.globex("POST", &entries).json(&json!({ "sender_pattern": pattern }));
    add("agent://zeta/*").send().await.ok();
    assert_eq!(two.send(GLOBEX).await.as_deref(), Some(refused));
    let added = add("agent://acme/prod/*").send().await.ok();
    assert_eq!(added["policy"]["entries"].as_array().unwrap().len(), 2);
    assert_eq!(two.send(GLOBEX).await, None);
    let again = add("acme/prod/*").send().await.ok();
    assert_eq!(again["entry"], added["entry"], "the same pattern is one entry");
    let path = format!("{entries}/{}", added["entry"]["entry_id"].as_str().unwrap());
    two.globex("DELETE", &path).send().await.ok();
    assert_eq!(two.globex("DELETE", &path).send().await.refusal(404), "not_found");
    assert_eq!(two.send(GLOBEX).await.as_deref(), Some(refused));
    two.set_receive_policy("closed").await;
    for to_agent in [GLOBEX, "agent://globex/prod/unregistered"] {
        assert_eq!(two.send(to_agent).await.as_deref(), Some("receiver_org_closed"));
    }
    // Nobody's addresses are nobody's to close, and an organization is open to itself.
    assert_eq!(two.send("agent://conformance/receiver").await, None);
    assert_eq!(outcome(two.globex("POST", "/v1/intents"), "carol").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_comes_before_the_organization() {
    let two = Two::new().await;
    let path = "/v1/agents/globex/prod/default/receive-override";
    let unset = two.globex("GET", path).send().await.ok()["override"].clone();
    assert_eq!(
        (&unset["override_type"], &unset["entries"]),
        (&json!("use_org_default"), &json!([]))
    );
    assert_eq!(unset["address"], GLOBEX);
    assert!(unset["address_id"].as_str().unwrap().starts_with("addr_"));
    let set = async |kind: &str| {
        let body = json!({ "override_type": kind });
        two.globex("PUT", path).json(&body).send().await.ok()["override"].clone()
    };
    set("open").await;
    assert_eq!(two.send(GLOBEX).await, None);
    assert_eq!(
        two.send("agent://globex/prod/other").await.as_deref(),
        Some("receiver_org_closed"),
        "others of the organization are as closed as before"
    );
    two.set_receive_policy("open").await;
    set("closed").await;
    assert_eq!(two.send(GLOBEX).await.as_deref(), Some("receiver_agent_closed"));
    set("allowlist").await;
    assert_eq!(two.send(GLOBEX).await.as_deref(), Some("sender_not_in_receive_allowlist"));
    let entry = json!({ "sender_pattern": two.world.seeded.agent_address });
    two.globex("POST", &format!("{path}/entries")).json(&entry).send().await.ok();
    assert_eq!(two.send(GLOBEX).await, None);
    assert_eq!(set("use_org_default").await["entries"], json!([]), "it is given up as a whole");
    assert_eq!(two.send(GLOBEX).await, None);
    two.set_receive_policy("closed").await;
    assert_eq!(two.send(GLOBEX).await.as_deref(), Some("receiver_org_closed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_policy_lets_in_whom_it_names() {
    let two = Two::new().await;
    let world = &two.world;
    world.post("/v1/service-accounts", &json!({ "name": "guarded" })).await;
    let path = "/v1/agents/guarded/policy";
    let unset = world.get(path).await["policy"].clone();
    assert_eq!(unset, json!({ "policy_type": "open", "entries": [] }));
    let set = async |kind: &str| {
        let body = json!({ "policy_type": kind });
        world.request("PUT", path).json(&body).send().await.ok()["policy"].clone()
    };
    assert_eq!(two.send("guarded").await, None);
    set("allowlist").await;
    assert_eq!(two.send("guarded").await.as_deref(), Some("policy_denied"));
    // Wherever an intent gets to a new agent.
    for body in [
        json!({ "intent_type": "a.b.v1", "to_agent": "bob", "reply_to": "guarded" }),
        json!({ "intent_type": "a.b.v1", "to_agent": "bob", "escalate_to": "guarded" }),
    ] {
        let refused = world.request("POST", "/v1/intents").json(&body).send().await;
        assert_eq!(refused.refusal(403), "policy_denied", "{body}");
    }
    let thread = world.submit("bob").await;
    let delegate = world.request("POST", &format!("/v1/inbox/{thread}/delegate?owner_agent=bob"));
    let delegate = delegate.json(&json!({ "delegate_to": "guarded" }));
    assert_eq!(delegate.send().await.refusal(403), "policy_denied");
    let address = format!("http://{}", world.gateway.grpc_address());
    let mut grpc = IntentsClient::connect(address).await.unwrap();
    let submit = || {
        let message = SubmitRequest {
            intent_type: "intent.ask.v1".to_owned(),
            to_agent: "guarded".to_owned(),
            ..SubmitRequest::default()
        };
        let mut request = GrpcRequest::new(message);
        request.metadata_mut().insert("x-api-key", KEY.parse().unwrap());
        request
    };
    let refused = grpc.submit(submit()).await.unwrap_err();
    assert_eq!(refused.metadata().get("axp-error-code").unwrap(), "policy_denied");

    let entries = format!("{path}/entries");
    let add =
        |pattern: &str| world.request("POST", &entries).json(&json!({ "sender_pattern": pattern }));
    let added = add("default").send().await.ok();
    assert_eq!(added["entry"]["sender_pattern"], world.seeded.agent_address.as_str());
    assert_eq!(two.send("guarded").await, None);
    grpc.submit(submit()).await.unwrap();
    set("denylist").await;
    assert_eq!(two.send("guarded").await.as_deref(), Some("policy_denied"));
    for bad in ["a*", "*/x", "acme*", "a b", "", "agent://acme/*/x"] {
        assert_eq!(add(bad).send().await.status, 422, "{bad}");
    }
    let wrong = world.request("PUT", path).json(&json!({ "policy_type": "closed" })).send().await;
    assert_eq!(wrong.refusal(422), "validation_error");
    assert_eq!(two.globex("GET", "/v1/agents/acme/prod/guarded/policy").send().await.status, 404);

    // Whoever gets the address of a deleted agent starts anew.
    let account = world.get("/v1/agents/guarded").await["agent"]["service_account_id"].clone();
    let path = format!("/v1/service-accounts/{}", account.as_str().unwrap());
    world.request("DELETE", &path).send().await.ok();
    world.post("/v1/service-accounts", &json!({ "name": "guarded" })).await;
    assert_eq!(world.get("/v1/agents/guarded/policy").await["policy"], unset);
    assert_eq!(two.send("guarded").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_an_address_is_one_policy() {
    let world = World::new().await;
    let second = gateway(&world.cluster, |_| {}).await;
    let at_second = |method: &str, path: &str| {
        Request::new(second.http_address(), method, path).header("x-api-key", KEY)
    };
    for (kind, suffix, member) in
        [("allowlist", "policy", "policy_type"), ("closed", "receive-override", "override_type")]
    {
        for (count, address) in [
            "default",
            "acme/prod/default",
            "agent://acme/prod/default",
            "agent:/acme/prod/default",
            "agent%3A%2F%2Facme%2Fprod%2Fdefault",
            "acme%2Fprod%2Fdefault",
        ]
        .into_iter()
        .enumerate()
        {
            let path = format!("/v1/agents/{address}/{suffix}");
            let set = world.request("PUT", &path).json(&json!({ member: kind })).send().await;
            set.ok();
            let entry = json!({ "sender_pattern": format!("agent://x/{count}") });
            let added =
                world.request("POST", &format!("{path}/entries")).json(&entry).send().await.ok();
            let entries = |answer: &Value| {
                let policy = if suffix == "policy" { "policy" } else { "override" };
                answer[policy]["entries"].as_array().unwrap().len()
            };
            assert_eq!(entries(&added), count + 1, "{address}");
            // Another gateway reads what was written here.
            let read = at_second("GET", &path).send().await.ok();
            assert_eq!(entries(&read), count + 1, "{address}");
        }
        let last = world.get(&format!("/v1/agents/default/{suffix}")).await;
        let policy = if suffix == "policy" { &last["policy"] } else { &last["override"] };
        let id = policy["entries"][0]["entry_id"].as_str().unwrap();
        let path = format!("/v1/agents/agent://acme/prod/default/{suffix}/entries/{id}");
        assert_eq!(world.request("DELETE", &path).send().await.ok()["entry_id"], id);
        for method in ["PUT", "POST", "DELETE"] {
            let path = format!("/v1/agents/default/{suffix}/nonsense");
            assert_eq!(world.request(method, &path).body("{}").send().await.status, 405);
        }
    }
    assert_eq!(
        world.request("GET", "/v1/agents/nobody/policy").send().await.refusal(404),
        "agent_not_found"
    );
    let foreign = "/v1/organizations/11111111-1111-4111-8111-111111111111/receive-policy";
    assert_eq!(world.request("GET", foreign).send().await.refusal(403), "invalid_actor_scope");
}
