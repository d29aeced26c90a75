//! Scenario bundles: what is tolerated, what is refused and in which words, and what reaches the node.

use axp_proto::log::step::Kind;
use axp_proto::log::{DeliveryMode, Status, Submission, WaitKind};
use serde_json::{Value, json};

use crate::harness::World;

fn bundle(steps: &Value) -> Value {
    json!({
        "scenario_id": "a-test.case.v1",
        "agents": [{ "role": "checker", "address": "checker-agent", "create_if_missing": true }],
        "humans": [{ "role": "boss", "contact": "boss@acme.test" }, { "role": "anyone" }],
        "workflow": { "steps": steps },
        "intent": { "type": "", "payload": { "amount": 1.50 }, "max_delivery_attempts": 3 },
    })
}

async fn errors(world: &World, bundle: &Value) -> Vec<String> {
    let said = world.post("/v1/scenarios/validate", bundle).await;
    let errors: Vec<String> = serde_json::from_value(said["errors"].clone()).unwrap();
    assert_eq!(said["valid"], errors.is_empty(), "{said}");
    errors
}

async fn apply(world: &World, bundle: &Value) -> (Value, Submission) {
    let applied = world.post("/v1/scenarios/apply", bundle).await;
    let id = applied["intent_id"].as_str().unwrap().parse().unwrap();
    let submission = world.cluster.shared.state().intents[&id].submission.clone();
    (applied, submission)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_becomes_one_intent_with_its_workflow() {
    let world = World::new().await;
    let steps = json!([
        { "step_id": "check", "tool_id": "", "assigned_to": "checker", "step_deadline_seconds": 60,
          "retry": { "max_retries": 2 }, "on_failure": "tell" },
        { "step_id": "sign_off", "tool_id": "tool.approval.human_signoff", "assigned_to": "boss",
          "requires_approval": null, "human_task": { "assignees": ["boss", "ann@acme.test"] } },
        { "step_id": "pause", "runtime_type": "delay", "runtime_config": { "delay_seconds": 5 } },
        { "step_id": "tell", "tool_id": "tool.notification.notify_owner" },
    ]);
    let (applied, submission) = apply(&world, &bundle(&steps)).await;
    let address = "agent://acme/prod/checker-agent";
    assert_eq!(applied["agents"][0]["created"], true);
    assert_eq!(applied["agents_provisioned"], json!([address]));
    assert_eq!(applied["idempotent"], false);
    let known = world.get("/v1/agents/checker-agent").await;
    assert_eq!(known["agent"]["service_account_name"], "checker-agent", "the CLI looks for it");

    assert_eq!(submission.intent_type, "a-test.case.v1");
    assert_eq!(submission.payload_json, r#"{"amount":1.5}"#);
    assert_eq!(submission.to_agent, "agent://agent_core");
    assert_eq!(submission.delivery_mode(), DeliveryMode::Internal);
    let workflow = submission.workflow.unwrap();
    assert_eq!(applied["compile_id"], workflow.compile_id);
    let steps = &workflow.steps;
    let Some(Kind::Agent(agent)) = &steps[0].kind else { panic!("{:?}", steps[0]) };
    let holder = agent.holder.clone().unwrap();
    assert_eq!(holder.mode(), DeliveryMode::Stream);
    assert_eq!(holder.mailbox.unwrap().address, address);
    assert_eq!((steps[0].max_retries, steps[0].retry_delay_seconds), (2, 30));
    assert_eq!((steps[0].on_success, steps[0].on_failure), (Some(1), Some(3)));
    let Some(Kind::Human(human)) = &steps[1].kind else { panic!("{:?}", steps[1]) };
    assert_eq!(human.who.clone().unwrap().r#ref, "boss@acme.test");
    let rules = human.task.clone().unwrap();
    assert_eq!(rules.assignees, ["boss@acme.test", "ann@acme.test"]);
    let task: Value = serde_json::from_slice(&human.human_task_json).unwrap();
    assert_eq!(task["title"], "Sign off");
    let Some(Kind::Wait(wait)) = &steps[2].kind else { panic!("{:?}", steps[2]) };
    assert_eq!((wait.kind(), wait.seconds), (WaitKind::Delay, 5));
    let Some(Kind::Notify(notify)) = &steps[3].kind else { panic!("{:?}", steps[3]) };
    let owner = notify.to.clone().unwrap().mailbox.unwrap().address;
    assert_eq!(owner, "agent://acme/prod/default");
    assert_eq!(steps[3].on_success, None);

    let again = world
        .post(
            "/v1/scenarios/apply",
            &bundle(&json!([{ "step_id": "a", "assigned_to": "checker" }])),
        )
        .await;
    assert_eq!(again["agents_provisioned"], json!([]), "it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_official_clients_send_is_tolerated() {
    let world = World::new().await;
    // The product page: no intent, no tool. The CLI: empty strings. A person without contact.
    let page = json!({
        "scenario_id": "compliance.check.v1",
        "agents": [{ "role": "checker", "address": "unknown-agent" }],
        "workflow": { "entry_step": "check", "steps": [{ "step_id": "check", "assigned_to": "checker" }] },
    });
    let said = world.post("/v1/scenarios/validate", &page).await;
    assert_eq!(said["errors"], json!([]));
    assert!(said["warnings"][0].as_str().unwrap().contains("agents[0].address"), "{said}");
    let (applied, submission) = apply(&world, &page).await;
    assert_eq!(submission.intent_type, "compliance.check.v1");
    assert_eq!(submission.payload_json, "{}");
    assert_eq!(applied["agents"][0]["created"], false);
    let anyone = bundle(&json!([{ "step_id": "x", "tool_id": "", "assigned_to": "anyone" }]));
    let (_, submission) = apply(&world, &anyone).await;
    let Some(Kind::Human(human)) = &submission.workflow.unwrap().steps[0].kind else { panic!() };
    assert_eq!(human.who.clone().unwrap().r#ref, "anyone");
    assert!(human.task.clone().unwrap().assignees.is_empty());
    // Apply names what has no name; validate does not.
    let nameless = json!({ "scenario_id": "", "workflow": { "macro_id": "macro.approval.v1" } });
    assert_eq!(errors(&world, &nameless).await.len(), 1);
    let (applied, _) = apply(&world, &nameless).await;
    assert!(applied["scenario_id"].as_str().unwrap().starts_with("scenario."));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_place_and_the_fix() {
    let world = World::new().await;
    for (steps, path) in [
        (json!([{ "step_id": "a" }]), "workflow.steps[0]: "),
        (json!([{ "assigned_to": "checker" }]), "workflow.steps[0].step_id: "),
        (
            json!([{ "step_id": "a", "assigned_to": "checker", "on_success": "b" }]),
            "workflow.steps[0].on_success: ",
        ),
        (
            json!([{ "step_id": "a", "assigned_to": "checker" }, { "step_id": "a", "assigned_to": "boss" }]),
            "workflow.steps[1].step_id: ",
        ),
        (json!([{ "step_id": "a", "runtime_type": "magic" }]), "workflow.steps[0].runtime_type: "),
        (
            json!([{ "step_id": "a", "runtime_type": "delay" }]),
            "workflow.steps[0].runtime_config.seconds: ",
        ),
        (
            json!([{ "step_id": "a", "runtime_type": "notification", "on_success": "a" }]),
            "workflow.steps[0]: ",
        ),
        (
            json!([{ "step_id": "a", "assigned_to": "boss", "human_task": { "allowed_outcomes": [] } }]),
            "workflow.steps[0].human_task.allowed_outcomes: ",
        ),
        (
            json!([{ "step_id": "a", "assigned_to": "no such name" }]),
            "workflow.steps[0].assigned_to: ",
        ),
        (
            json!([{ "step_id": "a", "assigned_to": "checker", "retry": { "max_retries": 101 } }]),
            "workflow.steps[0].retry.max_retries: ",
        ),
    ] {
        let bundle = bundle(&steps);
        let errors = errors(&world, &bundle).await;
        assert!(errors.iter().any(|error| error.starts_with(path)), "{path}: {errors:?}");
        let refused = world.request("POST", "/v1/scenarios/apply").json(&bundle).send().await;
        assert!(refused.json()["detail"].as_str().unwrap().contains(path.trim_end_matches(": ")));
        assert_eq!(refused.refusal(422), "validation_error");
    }
    let zeros = json!([{ "step_id": "a", "assigned_to": "checker", "step_deadline_seconds": 0 }]);
    assert_eq!(
        errors(&world, &bundle(&zeros)).await,
        [] as [&str; 0],
        "a client that knows no absence"
    );
    let nothing = json!({ "scenario_id": "a.b", "intent": { "type": "a.b" } });
    assert!(errors(&world, &nothing).await[0].starts_with("workflow.steps: "));
    for body in ["[]", "no json", "7"] {
        for path in ["/v1/scenarios/validate", "/v1/scenarios/apply"] {
            let refused = world.request("POST", path).body(body).send().await;
            assert_eq!(refused.refusal(422), "validation_error", "{body}");
        }
    }
    assert!(world.cluster.shared.state().intents.is_empty(), "nothing was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_applies_once_wherever_it_is() {
    let world = World::new().await;
    let mut body = bundle(&json!([{ "step_id": "a", "assigned_to": "checker" }]));
    body["idempotency_key"] = json!("k1");
    let first = world.post("/v1/scenarios/apply", &body).await;
    let again = world.request("POST", "/v1/scenarios/apply").header("idempotency-key", "other");
    let again = again.json(&body).send().await.ok();
    assert_eq!(first["intent_id"], again["intent_id"]);
    assert_eq!((&first["idempotent"], &again["idempotent"]), (&json!(false), &json!(true)));
    body["title"] = json!("another");
    let refused = world.request("POST", "/v1/scenarios/apply").json(&body).send().await;
    assert_eq!(refused.refusal(409), "idempotency_conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn macros_are_listed_and_expanded() {
    let world = World::new().await;
    let listed = world.get("/v1/tool-registry/macros").await;
    for each in listed["macros"].as_array().unwrap() {
        let macro_id = each["macro_id"].as_str().unwrap();
        let told = world.get(&format!("/v1/tool-registry/macros/{macro_id}")).await;
        let mut parameters = json!({});
        for parameter in told["macro"]["parameters"].as_array().unwrap() {
            if parameter["required"] == true {
                parameters[parameter["name"].as_str().unwrap()] = json!("boss");
            }
        }
        if macro_id.contains("review") {
            parameters["worker"] = json!("checker");
        }
        let mut bundle = bundle(&json!([]));
        bundle["workflow"] = json!({ "macro_id": macro_id, "parameters": parameters });
        assert_eq!(errors(&world, &bundle).await, [] as [&str; 0], "{macro_id}");
    }
    let unknown = world.request("GET", "/v1/tool-registry/macros/none").send().await;
    assert_eq!(unknown.refusal(404), "not_found");
    let mut bundle = bundle(&json!([{ "step_id": "approval", "human_task": { "title": "Mine" } }]));
    bundle["workflow"]["macro_id"] = json!("macro.none");
    assert!(errors(&world, &bundle).await[0].starts_with("workflow.macro_id: "));
    bundle["workflow"]["macro_id"] = json!("macro.approval.v1");
    bundle["workflow"]["parameters"] = json!({ "approver": "boss", "deadline_seconds": 60 });
    let (_, submission) = apply(&world, &bundle).await;
    let step = &submission.workflow.unwrap().steps[0];
    assert_eq!(step.deadline_seconds, Some(60));
    let Some(Kind::Human(human)) = &step.kind else { panic!("{step:?}") };
    let task: Value = serde_json::from_slice(&human.human_task_json).unwrap();
    assert_eq!(task["title"], "Mine", "what the bundle says is laid over the macro");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_scenario_shows_its_step() {
    let world = World::new().await;
    let steps =
        json!([{ "step_id": "sign", "assigned_to": "boss", "human_task": { "title": "Sign" } }]);
    let (applied, _) = apply(&world, &bundle(&steps)).await;
    let id = applied["intent_id"].as_str().unwrap();
    world.cluster.shared.change(|state| {
        let intent = state.intents.get_mut(&id.parse().unwrap()).unwrap();
        intent.workflow = Some(axp_proto::log::WorkflowState {
            entered: 1,
            attempt: 1,
            ..axp_proto::log::WorkflowState::default()
        });
        state.append(id, axp_proto::log::EventType::Waiting, Status::Waiting, b"{}");
    });
    let intent = world.get(&format!("/v1/intents/{id}")).await["intent"].clone();
    assert_eq!(intent["human_task"]["title"], "Sign");
    assert_eq!(
        (&intent["scenario_id"], &intent["step_id"]),
        (&json!("a-test.case.v1"), &json!("sign"))
    );
}
