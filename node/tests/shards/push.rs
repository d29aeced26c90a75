//! Pushes to callbacks, against receivers that behave and receivers that do not.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use axp_node::config::Config;
use axp_node::push::letter::signature;
use axp_proto::control;
use axp_proto::ids::IntentId;
use axp_proto::log::{
    DeliveryMode, EventType, Parcel, ParcelState, PublishEvent, ReplayEvent, Status, Submission,
};
use axp_proto::node::execute_request::Command;
use axp_proto::node::query_request::Query;
use axp_proto::node::redeliver_request::Subject;
use axp_proto::node::{
    Agent, GetPublished, ListDeadLetters, ServiceAccount, SigningSecret, WebhookSubscription,
    query_response, redeliver_response,
};
use axp_proto::shard_map::group_of;
use bytes::Bytes;
use prost::Message;

use crate::cluster::{Cluster, PATIENCE, SHARD_GROUPS};
use crate::receiver::{Answer, Receiver};
use crate::{accepted, events, finish, new_id, request, submission};

const SECRET: &str = "a-secret-of-the-agent";

/// Looks until there is something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Quick retries to receivers on this machine.
fn quick(config: &mut Config) {
    config.push.attempt_timeout_ms = 1000;
    config.push.retry_ms = vec![20, 40];
    config.push.allow_private_targets = true;
}

fn agent_address(name: &str) -> String {
    format!("agent://acme/prod/{name}")
}

/// Registers an agent with a callback.
async fn register(cluster: &Cluster, name: &str, callback_url: &str) {
    let (id, address) = (format!("sa_{name}"), agent_address(name));
    let account = ServiceAccount {
        service_account_id: id.clone(),
        status: "active".into(),
        agent_address: address.clone(),
        delivery_mode: DeliveryMode::Http.into(),
        callback_url: callback_url.to_owned(),
        ..ServiceAccount::default()
    };
    let agent = Agent {
        address: address.clone(),
        service_account_id: id.clone(),
        status: "active".into(),
        ..Agent::default()
    };
    let secret = SigningSecret { current: SECRET.into(), ..SigningSecret::default() };
    cluster
        .put_rows(vec![
            (control::agent(&address), agent.encode_to_vec()),
            (control::service_account(&id), account.encode_to_vec()),
            (control::signing_secret(&id), secret.encode_to_vec()),
        ])
        .await;
}

async fn subscribe(cluster: &Cluster, id: &str, callback_url: &str) {
    let subscription = WebhookSubscription {
        subscription_id: id.to_owned(),
        workspace_id: "w".into(),
        callback_url: callback_url.to_owned(),
        event_types: vec!["intent.*".into(), "invite.accepted".into()],
        active: true,
        secret: Some(SigningSecret { current: SECRET.into(), ..SigningSecret::default() }),
        ..WebhookSubscription::default()
    };
    cluster.put_rows(vec![(control::webhook(id), subscription.encode_to_vec())]).await;
}

async fn submit_to(cluster: &Cluster, name: &str) -> IntentId {
    let id = new_id(5);
    let submission = Submission {
        to_agent: agent_address(name),
        delivery_mode: DeliveryMode::Http.into(),
        ..submission()
    };
    let stored = accepted(cluster.execute(request(id, Command::Submit(submission))).await);
    assert_eq!(stored.intent.unwrap().state.unwrap().status(), Status::Submitted);
    id
}

fn group(id: IntentId) -> u32 {
    group_of(id.slot(), SHARD_GROUPS).into()
}

async fn types(cluster: &Cluster, id: IntentId) -> Vec<EventType> {
    events(cluster, id).await.iter().map(|event| event.r#type()).collect()
}

/// Waits until an event of that type is the last one.
async fn wait_last(cluster: &Cluster, id: IntentId, wanted: EventType) -> Vec<EventType> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let types = types(cluster, id).await;
        if types.last() == Some(&wanted) {
            return types;
        }
        assert!(Instant::now() < deadline, "{id}: {types:?}, not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn dead_letters(cluster: &Cluster, id: IntentId) -> Vec<Parcel> {
    let query = Query::ListDeadLetters(ListDeadLetters { limit: 10 });
    match cluster.query(group(id), query).await {
        query_response::Outcome::DeadLetters(list) => list.parcels,
        other => panic!("no list: {other:?}"),
    }
}

const DELIVERED: [EventType; 3] = [EventType::Created, EventType::Submitted, EventType::Delivered];

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_signed_and_delivers_the_intent_once() {
    let cluster = Cluster::with(1, quick).await;
    let receiver = Receiver::start(&[Answer::Status(500), Answer::Status(204)]).await;
    register(&cluster, "good", &receiver.url).await;
    let id = submit_to(&cluster, "good").await;
    assert_eq!(wait_last(&cluster, id, EventType::Delivered).await, DELIVERED);
    let got = receiver.wait(2).await;
    for (got, attempt) in got.iter().zip(1..) {
        let body = got.json();
        assert_eq!(body["intent_id"], id.to_string());
        assert_eq!(body["payload"], serde_json::json!({ "n": 1 }));
        assert_eq!(body["delivery_attempt"], attempt);
        assert_eq!(got.headers["x-axme-delivery-attempt"], attempt.to_string());
        assert_eq!(got.headers["x-axme-signature"], signature(SECRET, &got.body));
        assert!(got.headers["x-axme-timestamp"].parse::<i64>().is_ok());
    }
    assert!(dead_letters(&cluster, id).await.is_empty());

    // Again, because somebody asks for it: the event is not repeated, the attempt has a new number.
    let subject = Subject::IntentId(id.to_bytes());
    let redeliver_response::Outcome::Queued(queued) = cluster.redeliver(group(id), subject).await
    else {
        panic!("not queued")
    };
    assert_eq!(queued.parcels.len(), 1);
    let got = receiver.wait(3).await;
    assert_eq!(got[2].json()["status"], "DELIVERED");
    accepted(cluster.execute(finish(id)).await);
    let ended = types(&cluster, id).await;
    assert_eq!(ended[3..], [EventType::Completed]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_receivers_end_in_dead_letters() {
    let cluster = Cluster::with(1, quick).await;
    for (name, answer, error) in [
        ("refuses", Answer::Status(500), "answered 500"),
        ("redirects", Answer::Redirect, "redirect (302), which is not followed"),
        ("closes", Answer::Close, "ended before an answer"),
        ("hangs", Answer::Hang, "no answer in time"),
        ("floods", Answer::EndlessHead, "ended before an answer"),
    ] {
        let receiver = Receiver::start(&[answer]).await;
        register(&cluster, name, &receiver.url).await;
        let id = submit_to(&cluster, name).await;
        wait_last(&cluster, id, EventType::DeliveryFailed).await;
        let last = events(&cluster, id).await.pop().unwrap();
        assert_eq!(last.status(), Status::Failed);
        let details: serde_json::Value = serde_json::from_slice(&last.details_json).unwrap();
        assert_eq!(details["delivery_attempt"], "3", "{name}");
        assert_eq!(receiver.got().len(), 3, "{name}");
        let dead = eventually_dead(&cluster, id).await;
        assert_eq!((dead.state(), dead.attempt), (ParcelState::Dead, 3), "{name}");
        assert!(dead.last_error.contains(error), "{name}: {}", dead.last_error);
    }
    // One that can be called by nobody, and one that answers 200 and never ends.
    register(&cluster, "nobody", "http://127.0.0.1:1/").await;
    let id = submit_to(&cluster, "nobody").await;
    wait_last(&cluster, id, EventType::DeliveryFailed).await;
    let endless = Receiver::start(&[Answer::Endless]).await;
    register(&cluster, "endless", &endless.url).await;
    let id = submit_to(&cluster, "endless").await;
    assert_eq!(wait_last(&cluster, id, EventType::Delivered).await, DELIVERED);
    cluster.stop().await;
}

async fn eventually_dead(cluster: &Cluster, id: IntentId) -> Parcel {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let dead = dead_letters(cluster, id).await;
        if let Some(parcel) = dead.into_iter().find(|parcel| parcel.intent_id == id.to_bytes()) {
            return parcel;
        }
        assert!(Instant::now() < deadline, "no dead letter of {id}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_do_not_go_to_this_machine_unless_allowed() {
    let guarded = |config: &mut Config| {
        quick(config);
        config.push.allow_private_targets = false;
    };
    let cluster = Cluster::with(1, guarded).await;
    let receiver = Receiver::start(&[Answer::Status(200)]).await;
    let by_name = receiver.url.replace("127.0.0.1", "localhost");
    let mapped = receiver.url.replace("127.0.0.1", "[::ffff:127.0.0.1]");
    for (name, url) in [("plain", &receiver.url), ("named", &by_name), ("mapped", &mapped)] {
        register(&cluster, name, url).await;
        let id = submit_to(&cluster, name).await;
        wait_last(&cluster, id, EventType::DeliveryFailed).await;
        let dead = eventually_dead(&cluster, id).await;
        assert!(dead.last_error.contains("public address"), "{name}: {}", dead.last_error);
    }
    assert_eq!(receiver.open_max(), 0, "nobody connected");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_finds_the_intent_itself_is_not_pushed_to_any_more() {
    let slow = |config: &mut Config| {
        quick(config);
        config.push.retry_ms = vec![300, 300];
    };
    let cluster = Cluster::with(1, slow).await;
    let receiver = Receiver::start(&[Answer::Status(503)]).await;
    let witness = Receiver::start(&[Answer::Status(503)]).await;
    register(&cluster, "self", &receiver.url).await;
    register(&cluster, "witness", &witness.url).await;
    let id = submit_to(&cluster, "self").await;
    receiver.wait(1).await;
    accepted(cluster.execute(finish(id)).await);
    // Begun later, its second retry is due after the other's first, however both are jittered.
    submit_to(&cluster, "witness").await;
    witness.wait(3).await;
    assert_eq!(receiver.got().len(), 1);
    // The witness may be one by now, and in the same shard.
    let dead = dead_letters(&cluster, id).await;
    assert!(dead.iter().all(|parcel| parcel.intent_id != id.to_bytes()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_holds_up_nobody_else() {
    let narrow = |config: &mut Config| {
        quick(config);
        config.push.attempt_timeout_ms = 20_000;
        config.push.connections_per_host = 3;
    };
    let cluster = Cluster::with(1, narrow).await;
    let hangs = Receiver::start(&[Answer::Hang]).await;
    let good = Receiver::start(&[Answer::Status(200)]).await;
    register(&cluster, "slow", &hangs.url).await;
    register(&cluster, "fast", &good.url).await;
    for _ in 0..20 {
        submit_to(&cluster, "slow").await;
    }
    hangs.wait(3).await;
    let began = Instant::now();
    for _ in 0..20 {
        submit_to(&cluster, "fast").await;
    }
    let got = good.wait(20).await;
    assert!(began.elapsed() < Duration::from_secs(15), "behind the slow one");
    let ids: HashSet<_> = got.iter().map(|got| got.json()["intent_id"].clone()).collect();
    assert_eq!(ids.len(), 20);
    assert_eq!(hangs.open_max(), 3, "no more connections than allowed");
    assert!(good.open_max() <= 3);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_before_the_answer_repeats_the_push_and_not_the_event() {
    let mut cluster = Cluster::with(3, quick).await;
    let receiver = Receiver::start(&[Answer::Hang, Answer::Status(200)]).await;
    register(&cluster, "survivor", &receiver.url).await;
    let id = submit_to(&cluster, "survivor").await;
    receiver.wait(1).await;
    let leader = cluster.leader(group_of(id.slot(), SHARD_GROUPS).0).await;
    cluster.crash(leader).await;
    let got = receiver.wait(2).await;
    assert_eq!(wait_last(&cluster, id, EventType::Delivered).await, DELIVERED);
    let attempts: Vec<_> = got.iter().map(|got| got.json()["delivery_attempt"].clone()).collect();
    assert_eq!(attempts, [1, 2], "a claim that nobody heard of again was used up");
    cluster.restart(leader).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_hear_of_intents_and_of_published_events() {
    let cluster = Cluster::with(1, quick).await;
    let receiver = Receiver::start(&[Answer::Status(500), Answer::Status(200)]).await;
    subscribe(&cluster, "s1", &receiver.url).await;
    // The node has the subscription once its replica has: until then nobody listens.
    let id = loop {
        let id = new_id(5);
        accepted(cluster.execute(crate::submit(id)).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
        if !receiver.got().is_empty() {
            break id;
        }
    };
    accepted(cluster.execute(finish(id)).await);
    let completed = eventually("the end is told", || {
        receiver
            .got()
            .into_iter()
            .find(|got| got.headers["x-axme-event-type"] == "intent.completed")
    })
    .await;
    let body = completed.json();
    assert_eq!(
        (&body["payload"]["intent_id"], &body["source"]),
        (&id.to_string().into(), &"intents".into())
    );
    assert_eq!(completed.headers["x-axme-signature"], signature(SECRET, &completed.body));

    let event = PublishEvent {
        workspace_id: "w".into(),
        owner_agent: agent_address("owner"),
        event_type: "invite.accepted".into(),
        source: "test".into(),
        payload_json: Bytes::from_static(b"{\"invite\":1}"),
        event_id: new_id(7).to_bytes(),
        subscription_ids: vec!["s1".into()],
        ..PublishEvent::default()
    };
    let event_id = IntentId::from_slice(&event.event_id).unwrap();
    let told = |receiver: &Receiver| {
        let got = receiver.got().into_iter();
        got.filter(|got| got.headers["x-axme-event-id"] == event_id.to_string()).count()
    };
    let first = cluster.publish(group(event_id), event.clone()).await;
    let again = cluster.publish(group(event_id), event).await;
    assert_eq!((first.parcels.len(), again.parcels.len()), (1, 1), "one event, however often");
    let state = wait_state(&cluster, event_id, ParcelState::Delivered).await;
    assert_eq!(state.attempt, 1);
    assert_eq!(told(&receiver), 1);
    let replay = ReplayEvent {
        event_id: event_id.to_bytes(),
        subscription_ids: vec!["s1".into()],
        at_ms: 0,
    };
    let replayed = cluster.redeliver(group(event_id), Subject::Event(replay)).await;
    assert!(matches!(replayed, redeliver_response::Outcome::Queued(_)), "{replayed:?}");
    eventually("the event comes again", || (told(&receiver) == 2).then_some(())).await;
    cluster.stop().await;
}

async fn wait_state(cluster: &Cluster, event_id: IntentId, wanted: ParcelState) -> Parcel {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let query = Query::GetPublished(GetPublished { event_id: event_id.to_bytes() });
        let query_response::Outcome::Published(published) =
            cluster.query(group(event_id), query).await
        else {
            panic!("no event")
        };
        let parcel = published.parcels.into_iter().next().unwrap();
        if parcel.state() == wanted {
            return parcel;
        }
        assert!(Instant::now() < deadline, "{parcel:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
