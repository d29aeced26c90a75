//! The public gRPC API through `axp dev`, with the generated client.

use std::collections::BTreeMap;
use std::time::Duration;

use axp_proto::v1;
use axp_proto::v1::agents_client::AgentsClient;
use axp_proto::v1::intents_client::IntentsClient;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};

use super::server::Server;

const PATIENCE: Duration = Duration::from_secs(20);

async fn channel(server: &Server) -> Channel {
    Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap()
}

fn with_key<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    request
}

fn object(name: &str, value: &str) -> Option<Struct> {
    let value = Value { kind: Some(Kind::StringValue(value.to_owned())) };
    Some(Struct { fields: BTreeMap::from([(name.to_owned(), value)]) })
}

fn intent_to(agent: &str) -> v1::SubmitRequest {
    v1::SubmitRequest {
        intent_type: "compliance.check.v1".to_owned(),
        to_agent: agent.to_owned(),
        payload: object("subject", "order 7"),
        ..v1::SubmitRequest::default()
    }
}

/// The next message of a stream that must not have ended.
async fn next<T>(stream: &mut Streaming<T>) -> T {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await;
    message.expect("a message in time").unwrap().expect("the stream goes on")
}

/// Cancels an intent, for tests of other commands.
pub(crate) async fn cancel(server: &Server, id: &str) {
    let request = v1::ResolveRequest {
        intent_id: id.to_owned(),
        status: "CANCELED".to_owned(),
        reason: "a test".to_owned(),
        ..v1::ResolveRequest::default()
    };
    let mut intents = IntentsClient::new(channel(server).await);
    intents.resolve(with_key(&server.key, request)).await.unwrap();
}

#[tokio::test]
async fn an_intent_is_submitted_watched_and_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let mut intents = IntentsClient::new(channel(&server).await);
    let submitted = intents.submit(with_key(&server.key, intent_to("checker"))).await.unwrap();
    let id = submitted.into_inner().intent_id;

    let watch = v1::WatchRequest { intent_id: id.clone(), since: 1 };
    let mut events = intents.watch(with_key(&server.key, watch)).await.unwrap().into_inner();
    assert_eq!(next(&mut events).await.seq, 2, "since is exclusive");
    let delivered = next(&mut events).await;
    assert_eq!((delivered.seq, &delivered.event_type[..]), (3, "intent.delivered"));

    let resolution = v1::ResolveRequest {
        intent_id: id.clone(),
        status: "COMPLETED".to_owned(),
        result: object("verdict", "fine"),
        ..v1::ResolveRequest::default()
    };
    let resolved = intents.resolve(with_key(&server.key, resolution.clone())).await.unwrap();
    let ended = next(&mut events).await;
    assert_eq!(Some(&ended), resolved.get_ref().event.as_ref());
    assert_eq!((&ended.event_type[..], &ended.status[..]), ("intent.completed", "COMPLETED"));
    let end = tokio::time::timeout(PATIENCE, events.message()).await.unwrap().unwrap();
    assert_eq!(end, None, "the stream ends after the terminal event");

    let get = v1::GetRequest { intent_id: id };
    let shown = intents.get(with_key(&server.key, get)).await.unwrap().into_inner();
    assert_eq!(shown.payload, object("subject", "order 7"));
    assert_eq!(shown.result, object("verdict", "fine"));
    let again = intents.resolve(with_key(&server.key, resolution)).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "{again:?}");
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn an_agent_listens_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--nodes", "3"]).await;
    let channel = channel(&server).await;
    let mut intents = IntentsClient::new(channel.clone());
    let listen = v1::ListenRequest { address: "checker".to_owned(), since: 0 };
    let mut agents = AgentsClient::new(channel);
    let mut deliveries = agents.listen(with_key(&server.key, listen)).await.unwrap().into_inner();
    let mut cursor = 0;
    for _ in 0..5 {
        let submitted = intents.submit(with_key(&server.key, intent_to("checker"))).await.unwrap();
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.intent_id, submitted.get_ref().intent_id);
        assert!(delivery.cursor > cursor);
        cursor = delivery.cursor;
        let result = v1::ResumeRequest {
            intent_id: delivery.intent_id,
            result: object("passed", "yes"),
            fail: false,
        };
        let resumed = intents.resume(with_key(&server.key, result)).await.unwrap().into_inner();
        assert_eq!(resumed.intent.unwrap().status, "COMPLETED");
    }
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn refusals_have_the_status_of_their_code() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let mut intents = IntentsClient::new(channel(&server).await);
    let code = |status: &tonic::Status| {
        let code = status.metadata().get("axp-error-code").map(|code| code.to_str().unwrap());
        (status.code(), code.unwrap_or_default().to_owned())
    };
    let unknown = v1::GetRequest { intent_id: "0190a000-0000-7000-8000-000000000000".to_owned() };
    let refused =
        intents.get(with_key("axme_sa_nobody_000000", unknown.clone())).await.unwrap_err();
    assert_eq!(code(&refused), (Code::Unauthenticated, "invalid_platform_api_key".to_owned()));
    let refused = intents.get(with_key(&server.key, unknown)).await.unwrap_err();
    assert_eq!(code(&refused), (Code::NotFound, "not_found".to_owned()));
    let nameless = v1::SubmitRequest { intent_type: "x".to_owned(), ..intent_to("checker") };
    let refused = intents.submit(with_key(&server.key, nameless)).await.unwrap_err();
    assert_eq!(code(&refused), (Code::InvalidArgument, "validation_error".to_owned()));

    let keyed = |payload: &str| {
        let mut request = with_key(&server.key, intent_to("checker"));
        request.get_mut().payload = object("subject", payload);
        request.metadata_mut().insert("idempotency-key", "once".parse().unwrap());
        request
    };
    let first = intents.submit(keyed("a")).await.unwrap().into_inner();
    let again = intents.submit(keyed("a")).await.unwrap().into_inner();
    assert_eq!(first.intent_id, again.intent_id);
    let refused = intents.submit(keyed("b")).await.unwrap_err();
    assert_eq!(code(&refused).1, "idempotency_conflict");
    assert!(server.stop().await.success());
}
