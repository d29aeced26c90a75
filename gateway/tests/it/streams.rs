//! Event streams, to the byte.

use std::time::{Duration, Instant};

use axp_proto::log::{EventType, Status};
use serde_json::Value;

use crate::harness::{World, eventually, group, seed_key};

/// The frames of a body: id, event and data.
fn frames(body: &str) -> Vec<(Option<u32>, String, Value)> {
    assert!(body.is_empty() || body.ends_with("\n\n"), "an unterminated frame: {body:?}");
    assert!(!body.contains('\r'));
    let frame = |text: &str| {
        let mut lines = text.lines().peekable();
        let id =
            lines.next_if(|line| line.starts_with("id: ")).map(|line| line[4..].parse().unwrap());
        let event = lines.next().unwrap().strip_prefix("event: ").unwrap().to_owned();
        let data = lines.next().unwrap().strip_prefix("data: ").unwrap();
        assert_eq!(lines.next(), None, "{text:?}");
        (id, event, serde_json::from_str(data).unwrap())
    };
    body.split_terminator("\n\n").filter(|text| !text.starts_with(':')).map(frame).collect()
}

fn ids(body: &str) -> Vec<Option<u32>> {
    frames(body).into_iter().map(|(id, ..)| id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_exact_and_ends() {
    let world = World::new().await;
    let id = world.submit("bob").await;
    let path = format!("/v1/intents/{id}/events/stream?since=0&wait_seconds=15");
    let started = Instant::now();
    let stream = world.request("GET", &path).send().await;
    assert!(started.elapsed() < Duration::from_secs(2), "a batch with something in it ends soon");
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("content-encoding"), None);

    let at = "2025-11-24T16:00:00.000Z";
    let first = format!(
        "id: 1\nevent: intent.created\ndata: {{\"intent_id\":\"{id}\",\"seq\":1,\
         \"event_type\":\"intent.created\",\"status\":\"CREATED\",\
         \"actor\":\"agent://acme/prod/default\",\"at\":\"{at}\",\"details\":{{}}}}\n\n"
    );
    assert!(stream.text().starts_with(&first), "{}", stream.text());
    let last = "event: stream.timeout\ndata: {\"ok\":true,\"next_seq\":3}\n\n";
    assert!(stream.text().ends_with(last), "{}", stream.text());
    assert_eq!(ids(stream.text()), [Some(1), Some(2), Some(3), None]);
    for (id, name, data) in frames(stream.text()) {
        if let Some(id) = id {
            assert_eq!((&data["seq"], &data["event_type"]), (&Value::from(id), &Value::from(name)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_new_ends_with_what_was_asked() {
    let world = World::new().await;
    let id = world.submit("bob").await;
    for since in [3, 77] {
        let path = format!("/v1/intents/{id}/events/stream?since={since}&wait_seconds=1");
        let started = Instant::now();
        let stream = world.request("GET", &path).send().await;
        let expected =
            format!("event: stream.timeout\ndata: {{\"ok\":true,\"next_seq\":{since}}}\n\n");
        assert_eq!(stream.text(), expected);
        let waited = started.elapsed();
        assert!((900..3_000).contains(&waited.as_millis()), "waited {waited:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_batch_shows_what_comes() {
    let world = World::new().await;
    let id = world.submit("bob").await;
    let path = format!("/v1/intents/{id}/events/stream?since=3&wait_seconds=30");
    let request = world.request("GET", &path);
    let waiting = tokio::spawn(async move { request.send().await });
    eventually("the subscription", || world.cluster.sum(|it| &it.subscriptions) == 1).await;
    world
        .cluster
        .shared
        .change(|state| state.append(&id, EventType::InProgress, Status::InProgress, b""));
    let stream = waiting.await.unwrap();
    assert_eq!(ids(stream.text()), [Some(4), None]);

    // A terminal event ends it without lingering.
    world.cluster.shared.change(|state| {
        state.append(&id, EventType::Completed, Status::Completed, b"{\"result\":\n{\"x\": 1}}");
    });
    let path = format!("/v1/intents/{id}/events/stream?since=4&wait_seconds=30");
    let stream = world.request("GET", &path).send().await;
    assert_eq!(ids(stream.text()), [Some(5), None]);
    assert_eq!(frames(stream.text())[0].2["details"]["result"]["x"], 1);
    // What has ended is not waited for.
    let path = format!("/v1/intents/{id}/events/stream?since=5&wait_seconds=30");
    let started = Instant::now();
    assert_eq!(ids(world.request("GET", &path).send().await.text()), [None]);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_cli_reads_inclusively() {
    let world = World::new().await;
    let id = world.submit("bob").await;
    let read = async |since: u32, client: Option<&str>| {
        let path = format!("/v1/intents/{id}/events/stream?since={since}&wait_seconds=1");
        let request = world.request("GET", &path).header("User-Agent", "Go-http-client/1.1");
        let request = client.iter().fold(request, |it, name| it.header("X-Axme-Client", name));
        request.send().await.text().to_owned()
    };
    let next = |body: &str| frames(body).last().unwrap().2["next_seq"].as_u64().unwrap();
    let start = read(1, None).await;
    assert_eq!((ids(&start), next(&start)), (vec![Some(1), Some(2), Some(3), None], 4));
    let after = read(4, Some("axme-cli/0.9")).await;
    assert_eq!((ids(&after), next(&after)), (vec![None], 4));
    let sdk = read(2, Some("axme-sdk-go/0.2.0")).await;
    assert_eq!((ids(&sdk), next(&sdk)), (vec![Some(3), None], 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_beats_and_ends_with_the_intent() {
    let world = World::with(1, |config| config.streams.heartbeat_seconds = 1).await;
    let id = world.submit("bob").await;
    let path = format!("/v1/intents/{id}/events/stream?since=1");
    let mut live = world.request("GET", &path).header("Last-Event-ID", "2").open().await;
    assert_eq!(live.status(), 200);
    let backlog = live.until("\n\n").await;
    assert_eq!(ids(&backlog), [Some(3)]);
    assert!(live.until(":\n\n").await.ends_with(":\n\n"));
    world
        .cluster
        .shared
        .change(|state| state.append(&id, EventType::InProgress, Status::InProgress, b""));
    assert!(live.until("id: 4\n").await.contains("event: intent.in_progress\n"));
    world.cluster.shared.change(|state| state.append(&id, EventType::Failed, Status::Failed, b""));
    let rest = live.rest().await;
    assert_eq!(ids(rest.text()), [Some(5)]);
    eventually("the subscription is closed", || world.cluster.sum(|it| &it.subscriptions) == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_intents_have_no_stream() {
    let world = World::new().await;
    for id in ["01890000-0000-7000-8000-000000000000", "nonsense"] {
        let path = format!("/v1/intents/{id}/events/stream?wait_seconds=5");
        assert_eq!(world.request("GET", &path).send().await.refusal(404), "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_hear_of_their_intents() {
    let world = World::new().await;
    let first = world.submit("checker").await;
    let second = world.submit("checker").await;
    world.submit("somebody-else").await;
    let started = Instant::now();
    let path = "/v1/agents/acme/prod/checker/intents/stream?since=0&wait_seconds=15";
    let stream = world.request("GET", path).send().await;
    assert!(started.elapsed() < Duration::from_secs(2));
    let frames = frames(stream.text());
    assert_eq!(ids(stream.text()), [Some(2), Some(4), None]);
    assert_eq!(frames[2].2, serde_json::json!({ "ok": true, "next_seq": 4 }));
    let (_, name, delivery) = &frames[0];
    assert_eq!(name, "intent.delivered");
    for (key, expected) in [
        ("intent_id", first.as_str()),
        ("event_type", "intent.delivered"),
        ("status", "DELIVERED"),
        ("intent_type", "intent.ask.v1"),
        ("to_agent", "agent://acme/prod/checker"),
        ("from_agent", "agent://acme/prod/default"),
    ] {
        assert_eq!(delivery[key], expected, "{key}");
    }
    assert_eq!(delivery["seq"], 2);

    // Both ways of asking for what follows skip nothing.
    for since in [2, 3] {
        let path = format!("/v1/agents/checker/intents/stream?since={since}&wait_seconds=15");
        let stream = world.request("GET", &path).send().await;
        assert_eq!(ids(stream.text()), [Some(4), None], "since={since}");
    }
    // What has ended is not shown again.
    let path = format!("/v1/intents/{first}/resolve");
    world.post(&path, &serde_json::json!({ "status": "COMPLETED" })).await;
    let path = "/v1/agents/checker/intents/stream?since=0&wait_seconds=15";
    let stream = world.request("GET", path).send().await;
    assert_eq!(ids(stream.text()), [Some(4), None]);
    assert!(stream.text().contains(&second) && !stream.text().contains(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_an_address_works_in_a_path() {
    let world = World::new().await;
    world.submit("checker").await;
    for address in [
        "checker",
        "acme/prod/checker",
        "agent://acme/prod/checker",
        "agent:/acme/prod/checker",
        "agent%3A%2F%2Facme%2Fprod%2Fchecker",
        "acme%2Fprod%2Fchecker",
    ] {
        let path = format!("/v1/agents/{address}/intents/stream?since=0&wait_seconds=1");
        assert_eq!(
            ids(world.request("GET", &path).send().await.text()),
            [Some(2), None],
            "{address}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_second_means_at_once() {
    let world = World::new().await;
    let path = "/v1/agents/nobody-yet/intents/stream?since=0&wait_seconds=1";
    world.request("GET", path).send().await; // connections to the node are made
    let started = Instant::now();
    let stream = world.request("GET", path).send().await;
    assert_eq!(stream.text(), "event: stream.timeout\ndata: {\"ok\":true,\"next_seq\":0}\n\n");
    assert!(started.elapsed() < Duration::from_millis(500), "took {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_streams_filter_and_refuse() {
    let world = World::new().await;
    seed_key(&world.cluster, "other", "prod", "key-of-other-prod").await;
    world.submit("checker").await;
    let path = |status: &str| {
        format!("/v1/agents/checker/intents/stream?since=0&wait_seconds=1&status={status}")
    };
    let none = world.request("GET", &path("CREATED")).send().await;
    // What is filtered out is passed over for good.
    assert_eq!(none.text(), "event: stream.timeout\ndata: {\"ok\":true,\"next_seq\":2}\n\n");
    let both = world.request("GET", &path("CREATED,DELIVERED")).send().await;
    assert_eq!(ids(both.text()), [Some(2), None]);
    assert_eq!(world.request("GET", &path("NOPE")).send().await.refusal(422), "validation_error");
    for address in ["other/prod/default", "other/prod/unregistered"] {
        let path = format!("/v1/agents/{address}/intents/stream?wait_seconds=1");
        assert_eq!(world.request("GET", &path).send().await.refusal(403), "invalid_actor_scope");
    }
    // The same opaque address is two mailboxes for two organizations.
    let body = serde_json::json!({ "intent_type": "a.b.v1", "to_agent": "agent://shared/box" });
    world.post("/v1/intents", &body).await;
    let path = "/v1/agents/shared/box/intents/stream?wait_seconds=1";
    assert_eq!(ids(world.request("GET", path).send().await.text()), [Some(2), None]);
    let foreign = world.bare("GET", path).header("x-api-key", "key-of-other-prod").send().await;
    assert_eq!(ids(foreign.text()), [None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_agent_stream_goes_on() {
    let world = World::new().await;
    let mut live = world.request("GET", "/v1/agents/checker/intents/stream").open().await;
    for cursor in [2, 4, 6] {
        let id = world.submit("checker").await;
        let frame = live.until("\n\n").await;
        assert!(frame.starts_with(&format!("id: {cursor}\n")) && frame.contains(&id), "{frame}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_is_bounded_dropped_and_resumes() {
    let world = World::with(1, |config| {
        config.http.write_stall_timeout_ms = 300;
        config.streams.window = 8;
    })
    .await;
    let id = world.submit("bob").await;
    let details = format!("{{\"x\":\"{}\"}}", "y".repeat(50_000));
    let count = 400;
    world.cluster.shared.change(|state| {
        for _ in 0..count {
            state.append(&id, EventType::Reminder, Status::Waiting, details.as_bytes());
        }
    });
    let path = format!("/v1/intents/{id}/events/stream");
    let stalled = world.request("GET", &path).open().await;
    eventually("the reader is dropped", || world.cluster.sum(|it| &it.subscriptions) == 0).await;
    // The node was never asked for more than the client and the window could take.
    let sent = world.cluster.sum(|it| &it.items_sent);
    assert!(sent < count, "{sent} of {count} items were sent to a client that reads nothing");

    // What it did get is a prefix, and its last id is where it goes on.
    let seen = String::from_utf8_lossy(&read_what_is_there(stalled).await).into_owned();
    let last: u32 = seen
        .match_indices("\nid: ")
        .filter_map(|(at, _)| seen[at + 5..].split_once('\n').and_then(|(id, _)| id.parse().ok()))
        .last()
        .unwrap();
    let path = format!("/v1/intents/{id}/events/stream?wait_seconds=30");
    let resumed =
        world.request("GET", &path).header("Last-Event-ID", &last.to_string()).send().await;
    let rest: Vec<u32> = ids(resumed.text()).into_iter().flatten().collect();
    assert!(rest.iter().copied().eq(last + 1..=count + 3), "gap or repeat after {last}: {rest:?}");
}

async fn read_what_is_there(mut open: crate::client::Open) -> Vec<u8> {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    // The connection was cut in the middle of something.
    open.stream.read_to_end(&mut bytes).await.ok();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moving_leader_is_not_noticed() {
    let world = World::with(3, |_| {}).await;
    let id = world.submit("bob").await;
    let group = group(&id);
    let mut live = world.request("GET", &format!("/v1/intents/{id}/events/stream")).open().await;
    let mut seen = live.until("id: 3\n").await;
    seen += &live.until("\n\n").await;
    for leader in [1, 2, 0, 2, 1] {
        world.cluster.shared.move_leader(group, leader);
        for _ in 0..3 {
            let append = |state: &mut crate::fake::State| {
                state.append(&id, EventType::Reminder, Status::Waiting, b"");
            };
            world.cluster.shared.change(append);
        }
    }
    world.cluster.shared.change(|state| state.append(&id, EventType::Failed, Status::Failed, b""));
    seen += live.rest().await.text();
    let seen: Vec<u32> = ids(&seen).into_iter().flatten().collect();
    assert!(seen.iter().copied().eq(1..=19), "gap or repeat: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_is_not_noticed() {
    let world = World::with(3, |_| {}).await;
    let id = world.submit("bob").await;
    let group = group(&id);
    let mut live = world.request("GET", &format!("/v1/intents/{id}/events/stream")).open().await;
    let mut seen = live.until("id: 3\n").await;
    seen += &live.until("\n\n").await;
    world.cluster.nodes[0].kill();
    world
        .cluster
        .shared
        .change(|state| state.append(&id, EventType::Reminder, Status::Waiting, b""));
    for group in 0..=u32::from(crate::fake::SHARD_GROUPS) {
        world.cluster.shared.move_leader(group, 1);
    }
    seen += &live.until("id: 4\n").await;
    assert_eq!(world.cluster.shared.leader(group), 1);
    world.cluster.shared.change(|state| state.append(&id, EventType::Failed, Status::Failed, b""));
    seen += live.rest().await.text();
    let seen: Vec<u32> = ids(&seen).into_iter().flatten().collect();
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}
