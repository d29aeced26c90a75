//! Leaving in order.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axp_proto::v1::WatchRequest;
use axp_proto::v1::intents_client::IntentsClient;
use serde_json::json;

use crate::harness::{KEY, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_a_hint_and_requests_finish() {
    let world = World::with(1, |config| {
        config.cluster.attempt_timeout_ms = 500;
        config.server.drain_timeout_ms = 20_000;
    })
    .await;
    let id = world.submit("bob").await;
    let path = format!("/v1/intents/{id}/events/stream");
    let mut live = world.request("GET", &path).open().await;
    live.until("id: 3\n").await;
    let mut batch = world.request("GET", &format!("{path}?since=3&wait_seconds=60")).open().await;
    let address = format!("http://{}", world.gateway.grpc_address());
    let mut client = IntentsClient::connect(address).await.unwrap();
    let mut watch = tonic::Request::new(WatchRequest { intent_id: id, since: 3 });
    watch.metadata_mut().insert("x-api-key", KEY.parse().unwrap());
    let mut watched = client.watch(watch).await.unwrap().into_inner();
    // A command whose first attempt hangs and whose second comes after the signal.
    world.cluster.nodes[0].faults.hang.store(1, Ordering::SeqCst);
    let before = world.cluster.sum(|it| &it.executed);
    let body = json!({ "intent_type": "a.b.v1", "to_agent": "bob" });
    let slow = world.request("POST", "/v1/intents").json(&body);
    let slow = tokio::spawn(async move { slow.send().await });
    eventually("the command is under way", || world.cluster.sum(|it| &it.executed) > before).await;

    let started = Instant::now();
    let World { gateway, cluster, .. } = world;
    let stopping = tokio::spawn(gateway.shutdown());
    assert!(live.until("retry: ").await.ends_with("retry: 1000\n\n"));
    assert_eq!(live.chunk().await, None);
    let end = "event: stream.timeout\ndata: {\"ok\":true,\"next_seq\":3}\n\n";
    assert_eq!(batch.until("\n\n").await, end);
    assert_eq!(watched.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    slow.await.unwrap().ok();
    drop((watched, client));
    tokio::time::timeout(Duration::from_secs(15), stopping).await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(15));
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_is_cut_off() {
    let world = World::with(1, |config| {
        config.cluster.attempt_timeout_ms = 60_000;
        config.cluster.request_timeout_ms = 60_000;
        config.server.drain_timeout_ms = 200;
    })
    .await;
    world.cluster.nodes[0].faults.hang.store(1, Ordering::SeqCst);
    let body = json!({ "intent_type": "a.b.v1", "to_agent": "bob" });
    let request = world.request("POST", "/v1/intents").json(&body);
    let hanging = tokio::spawn(async move { request.send().await });
    eventually("the command is under way", || world.cluster.sum(|it| &it.executed) == 1).await;
    let World { gateway, .. } = world;
    tokio::time::timeout(Duration::from_secs(10), gateway.shutdown()).await.expect("it ends");
    assert!(hanging.await.is_err(), "the connection was closed without an answer");
}
