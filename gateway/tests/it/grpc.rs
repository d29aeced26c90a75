//! The gRPC API in front of the same fake nodes.

use axp_proto::v1::agents_client::AgentsClient;
use axp_proto::v1::intents_client::IntentsClient;
use axp_proto::v1::{
    AcknowledgeRequest, AnswerRequest, BulkCancelRequest, GetRequest, ListRequest, ListenRequest,
    PendingRequest, ResolveRequest, ResumeRequest, SubmitRequest, UpdateControlsRequest,
    UpdatePolicyRequest, WatchRequest,
};
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::harness::{KEY, World, seed_key};

async fn channel(world: &World) -> Channel {
    let address = format!("http://{}", world.gateway.grpc_address());
    Channel::from_shared(address).unwrap().connect().await.unwrap()
}

fn with_key<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-api-key", KEY.parse().unwrap());
    request
}

fn object(name: &str, number: f64) -> Struct {
    let value = Value { kind: Some(Kind::NumberValue(number)) };
    Struct { fields: [(name.to_owned(), value)].into() }
}

fn code(status: &Status) -> &str {
    status.metadata().get("axp-error-code").unwrap().to_str().unwrap()
}

fn submit(to_agent: &str) -> SubmitRequest {
    SubmitRequest {
        intent_type: "intent.ask.v1".to_owned(),
        to_agent: to_agent.to_owned(),
        payload: Some(object("n", 1.0)),
        ..SubmitRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_lives_over_grpc() {
    let world = World::new().await;
    let mut client = IntentsClient::new(channel(&world).await);
    let submitted = client.submit(with_key(submit("bob"))).await.unwrap().into_inner();
    assert_eq!(submitted.status, "DELIVERED");
    let id = submitted.intent_id;

    let watch = WatchRequest { intent_id: id.clone(), since: 1 };
    let mut events = client.watch(with_key(watch)).await.unwrap().into_inner();
    assert_eq!(events.message().await.unwrap().unwrap().seq, 2);
    assert_eq!(events.message().await.unwrap().unwrap().event_type, "intent.delivered");

    let resume =
        ResumeRequest { intent_id: id.clone(), result: Some(object("x", 2.5)), fail: false };
    let resumed = client.resume(with_key(resume)).await.unwrap().into_inner();
    assert_eq!(resumed.intent.unwrap().result, Some(object("x", 2.5)));
    let last = events.message().await.unwrap().unwrap();
    assert_eq!((last.seq, last.status.as_str()), (4, "COMPLETED"));
    assert!(events.message().await.unwrap().is_none(), "the stream ends with the intent");

    let got =
        client.get(with_key(GetRequest { intent_id: id.clone() })).await.unwrap().into_inner();
    assert_eq!((got.status.as_str(), got.payload), ("COMPLETED", Some(object("n", 1.0))));
    assert_eq!(got.to_agent, "agent://acme/prod/bob");
    // What one protocol wrote the other reads, byte for byte.
    assert_eq!(
        world.get(&format!("/v1/intents/{id}")).await["payload"],
        serde_json::json!({ "n": 1 })
    );

    let list = ListRequest { statuses: vec!["COMPLETED".to_owned()], ..ListRequest::default() };
    let listed = client.list(with_key(list)).await.unwrap().into_inner();
    assert_eq!(listed.intents.len(), 1);

    let resolve = ResolveRequest {
        intent_id: id,
        status: "CANCELED".to_owned(),
        reason: "late".to_owned(),
        ..ResolveRequest::default()
    };
    let refused = client.resolve(with_key(resolve)).await.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::FailedPrecondition, "invalid_state"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_their_code() {
    let world = World::new().await;
    let mut client = IntentsClient::new(channel(&world).await);
    let anonymous = client.submit(submit("bob")).await.unwrap_err();
    assert_eq!(
        (anonymous.code(), code(&anonymous)),
        (Code::Unauthenticated, "missing_platform_api_key")
    );
    let mut wrong = Request::new(submit("bob"));
    wrong.metadata_mut().insert("authorization", "Bearer nonsense-key".parse().unwrap());
    let wrong = client.submit(wrong).await.unwrap_err();
    assert_eq!(code(&wrong), "invalid_platform_api_key");
    let mut bearer = Request::new(submit("bob"));
    bearer.metadata_mut().insert("authorization", format!("Bearer {KEY}").parse().unwrap());
    client.submit(bearer).await.unwrap();
    let invalid = client.submit(with_key(SubmitRequest::default())).await.unwrap_err();
    assert_eq!((invalid.code(), code(&invalid)), (Code::InvalidArgument, "validation_error"));
    let unknown = GetRequest { intent_id: "01890000-0000-7000-8000-000000000000".to_owned() };
    let unknown = client.get(with_key(unknown)).await.unwrap_err();
    assert_eq!((unknown.code(), code(&unknown)), (Code::NotFound, "not_found"));
    let beyond = WatchRequest { intent_id: world.submit("bob").await, since: u32::MAX };
    client.watch(with_key(beyond)).await.unwrap();
    let watch = WatchRequest { intent_id: "nonsense".to_owned(), since: 0 };
    let refused = client.watch(with_key(watch)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_means_the_same_in_both_protocols() {
    let world = World::new().await;
    let mut client = IntentsClient::new(channel(&world).await);
    let keyed = || {
        let mut request = with_key(submit("bob"));
        request.metadata_mut().insert("idempotency-key", "k1".parse().unwrap());
        request
    };
    let first = client.submit(keyed()).await.unwrap().into_inner().intent_id;
    assert_eq!(client.submit(keyed()).await.unwrap().into_inner().intent_id, first);
    let body = r#"{"intent_type":"intent.ask.v1","to_agent":"bob","payload":{"n":1}}"#;
    let http = world.request("POST", "/v1/intents").header("Idempotency-Key", "k1").body(body);
    assert_eq!(http.send().await.ok()["intent_id"], first.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_listen_over_grpc() {
    let world = World::new().await;
    seed_key(&world.cluster, "other", "prod", "key-of-other-prod").await;
    let mut client = AgentsClient::new(channel(&world).await);
    let first = world.submit("checker").await;
    let listen = ListenRequest { address: "agent://acme/prod/checker".to_owned(), since: 0 };
    let mut deliveries = client.listen(with_key(listen.clone())).await.unwrap().into_inner();
    let delivery = deliveries.message().await.unwrap().unwrap();
    assert_eq!((delivery.cursor, delivery.intent_id), (2, first));
    let second = world.submit("checker").await;
    let delivery = deliveries.message().await.unwrap().unwrap();
    assert_eq!((delivery.cursor, delivery.intent_id), (4, second));
    let mut foreign = Request::new(listen);
    foreign.metadata_mut().insert("x-api-key", "key-of-other-prod".parse().unwrap());
    let refused = client.listen(foreign).await.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::PermissionDenied, "invalid_actor_scope"));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_are_served() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let world = World::new().await;
    let channel = channel(&world).await;
    let check = HealthCheckRequest { service: "axp.v1.Intents".to_owned() };
    let health = HealthClient::new(channel.clone()).check(check).await.unwrap().into_inner();
    assert_eq!(health.status, 1);

    let list = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let answers =
        ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::once(list)).await;
    let answer = answers.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list of services")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(
        names.contains(&"axp.v1.Intents".to_owned()) && names.contains(&"axp.v1.Agents".to_owned())
    );
    assert!(names.iter().all(|name| !name.starts_with("axp.node")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_the_lifecycle_is_there_as_well() {
    let world = World::new().await;
    let mut client = IntentsClient::new(channel(&world).await);
    let id = world.submit("default").await;
    let pending = client.pending(with_key(PendingRequest::default())).await.unwrap().into_inner();
    assert_eq!((pending.deliveries[0].intent_id.as_str(), pending.next_since), (&*id, None));
    let acknowledge = AcknowledgeRequest { intent_id: id.clone() };
    let acknowledged = client.acknowledge(with_key(acknowledge)).await.unwrap().into_inner();
    assert_eq!(acknowledged.event.unwrap().event_type, "intent.acknowledged");

    let update = UpdateControlsRequest {
        intent_id: id.clone(),
        controls_patch: Some(object("timeout_seconds", 60.0)),
        expected_policy_generation: Some(0),
        ..UpdateControlsRequest::default()
    };
    let changed = client.update_controls(with_key(update.clone())).await.unwrap().into_inner();
    let intent = changed.intent.unwrap();
    assert_eq!((changed.applied, intent.policy_generation), (true, 1));
    assert_eq!(intent.controls, Some(object("timeout_seconds", 60.0)));
    assert!(!client.update_controls(with_key(update)).await.unwrap().into_inner().applied);
    let update = UpdatePolicyRequest {
        intent_id: id.clone(),
        envelope_patch: Some(object("max_retry_count", 3.0)),
        ..UpdatePolicyRequest::default()
    };
    let changed = client.update_policy(with_key(update)).await.unwrap().into_inner();
    let envelope = Value { kind: Some(Kind::StructValue(object("max_retry_count", 3.0))) };
    assert_eq!(changed.intent.unwrap().policy.unwrap().fields["envelope"], envelope);

    let cancel = BulkCancelRequest { older_than_hours: 1.0, ..BulkCancelRequest::default() };
    let canceled = client.bulk_cancel(with_key(cancel)).await.unwrap().into_inner();
    assert_eq!(canceled.intent_ids, [id]);

    let outcome = Value { kind: Some(Kind::StringValue("approved".to_owned())) };
    let task_result = Struct { fields: [("outcome".to_owned(), outcome)].into() };
    let task = SubmitRequest {
        remind_after_seconds: 60,
        human_task: Some(Struct::default()),
        ..submit("agent_core")
    };
    let asked = client.submit(with_key(task)).await.unwrap().into_inner();
    assert_eq!(asked.status, "WAITING");
    let nothing = AnswerRequest { intent_id: asked.intent_id.clone(), task_result: None };
    let refused = client.answer(with_key(nothing)).await.unwrap_err();
    assert_eq!(code(&refused), "validation_error");
    let answer = AnswerRequest { intent_id: asked.intent_id, task_result: Some(task_result) };
    let answered = client.answer(with_key(answer)).await.unwrap().into_inner();
    assert_eq!(answered.event.unwrap().status, "COMPLETED");
}
