//! Intents on real nodes in one process, over their gRPC ports: what a gateway relies on.

#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test")]

mod cluster;
mod inbox;
mod lifecycle;
mod push;
mod receiver;
mod records;
mod tasks;

use std::time::{Duration, Instant};

use axp_proto::ids::{IntentId, Slot};
use axp_proto::log::{DeliveryMode, Event, MailboxKey, Status, Submission};
use axp_proto::node::execute_request::Command;
use axp_proto::node::execute_response::Outcome;
use axp_proto::node::open::Target;
use axp_proto::node::query_request::Query;
use axp_proto::node::shard_client::ShardClient;
use axp_proto::node::subscribe_request::Kind as Ask;
use axp_proto::node::subscribe_response::Kind as Answer;
use axp_proto::node::{
    Accepted, AgentResult, Credit, ExecuteRequest, GetIntent, GetThread, IdempotencyKey,
    ListEvents, ListIntents, MailboxBacklog, Open, Scope, SubscribeRequest, WatchIntent,
    WatchMailbox, ended, query_response,
};
use axp_proto::shard_map::{group_of, mailbox_slot};
use bytes::Bytes;
use cluster::{Cluster, PATIENCE, SHARD_GROUPS};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const AGENT: &str = "agent://acme/prod/checker";

fn scope() -> Scope {
    Scope {
        org_id: "o".into(),
        workspace_id: "w".into(),
        identity: "sa".into(),
        actor: "agent://acme/prod/sender".into(),
    }
}

fn now_ms() -> i64 {
    axp_node::clock::Clock::system().now_ms()
}

fn new_id(slot: u16) -> IntentId {
    IntentId::new(now_ms().unsigned_abs(), Slot::new(slot).unwrap(), rand::random())
}

fn mailbox() -> MailboxKey {
    MailboxKey { workspace_id: "w".into(), address: AGENT.into() }
}

fn mailbox_group() -> u32 {
    group_of(mailbox_slot(&mailbox()), SHARD_GROUPS).into()
}

fn submission() -> Submission {
    Submission {
        org_id: "o".into(),
        workspace_id: "w".into(),
        intent_type: "intent.check.v1".into(),
        from_agent: "agent://acme/prod/sender".into(),
        to_agent: AGENT.into(),
        payload_json: Bytes::from_static(b"{\"n\":1}"),
        delivery_mode: DeliveryMode::Stream.into(),
        target_org_id: "o".into(),
        target_workspace_id: "w".into(),
        ..Submission::default()
    }
}

fn request(id: IntentId, command: Command) -> ExecuteRequest {
    ExecuteRequest {
        intent_id: id.to_bytes(),
        scope: Some(scope()),
        command: Some(command),
        ..ExecuteRequest::default()
    }
}

fn submit(id: IntentId) -> ExecuteRequest {
    request(id, Command::Submit(submission()))
}

fn finish(id: IntentId) -> ExecuteRequest {
    let outcome_json = Bytes::from_static(b"{\"passed\":true}");
    request(id, Command::AgentResult(AgentResult { outcome_json, ..AgentResult::default() }))
}

fn accepted(outcome: Outcome) -> Accepted {
    match outcome {
        Outcome::Accepted(accepted) => accepted,
        other => panic!("not accepted: {other:?}"),
    }
}

fn rejected(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Rejection(rejection) => &rejection.code,
        other => panic!("not rejected: {other:?}"),
    }
}

async fn events(cluster: &Cluster, id: IntentId) -> Vec<Event> {
    let list = ListEvents { intent_id: id.to_bytes(), ..ListEvents::default() };
    let group = group_of(id.slot(), SHARD_GROUPS).into();
    match cluster.query(group, Query::ListEvents(list)).await {
        query_response::Outcome::Events(list) => list.events,
        other => panic!("no events: {other:?}"),
    }
}

async fn backlog(cluster: &Cluster) -> Vec<Bytes> {
    let backlog = MailboxBacklog { mailbox: Some(mailbox()), ..MailboxBacklog::default() };
    match cluster.query(mailbox_group(), Query::MailboxBacklog(backlog)).await {
        query_response::Outcome::Deliveries(list) => {
            list.entries.into_iter().map(|entry| entry.delivery.unwrap().intent_id).collect()
        }
        other => panic!("no backlog: {other:?}"),
    }
}

/// Waits until an inbox has a thread about an intent.
async fn wait_thread(cluster: &Cluster, mailbox: &MailboxKey, id: IntentId) {
    let deadline = Instant::now() + PATIENCE;
    let group = group_of(mailbox_slot(mailbox), SHARD_GROUPS).into();
    loop {
        let (mailbox, thread_id) = (Some(mailbox.clone()), id.to_bytes());
        let get = GetThread { mailbox, thread_id, ..GetThread::default() };
        let answer = cluster.query(group, Query::GetThread(get)).await;
        if matches!(answer, query_response::Outcome::Thread(_)) {
            return;
        }
        assert!(Instant::now() < deadline, "{id} has no thread");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the mailbox holds exactly these intents.
async fn wait_backlog(cluster: &Cluster, wanted: &[IntentId]) {
    let wanted: Vec<_> = wanted.iter().map(|id| id.to_bytes()).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut found = backlog(cluster).await;
        found.sort();
        let mut wanted = wanted.clone();
        wanted.sort();
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "the mailbox holds {found:?}, not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_travels_on_one_node_and_survives_a_restart() {
    let mut cluster = Cluster::start(1).await;
    let id = new_id(5);
    let first = accepted(cluster.execute(submit(id)).await);
    assert_eq!(first.intent.unwrap().state.unwrap().status(), Status::Delivered);
    // A gateway that lost the answer asks again.
    let again = accepted(cluster.execute(submit(id)).await);
    assert_eq!(again.event, None);
    wait_backlog(&cluster, &[id]).await;

    cluster.crash(0).await;
    cluster.restart(0).await;
    wait_backlog(&cluster, &[id]).await;
    accepted(cluster.execute(finish(id)).await);
    assert_eq!(rejected(&cluster.execute(finish(id)).await), "invalid_state");
    wait_backlog(&cluster, &[]).await;
    let seqs: Vec<_> = events(&cluster, id).await.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tenants_see_nothing() {
    let cluster = Cluster::start(1).await;
    let id = new_id(5);
    accepted(cluster.execute(submit(id)).await);
    let mut foreign = finish(id);
    foreign.scope = Some(Scope { workspace_id: "other".into(), ..scope() });
    assert_eq!(rejected(&cluster.execute(foreign).await), "not_found");
    let unknown = finish(new_id(6));
    assert_eq!(rejected(&cluster.execute(unknown).await), "not_found");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_makes_one_intent() {
    let cluster = Cluster::start(1).await;
    let with_key = |id, fingerprint: &'static [u8; 32]| ExecuteRequest {
        idempotency: Some(IdempotencyKey {
            key_hash: Bytes::from_static(&[9; 32]),
            fingerprint: Bytes::from_static(fingerprint),
        }),
        ..submit(id)
    };
    // Both go to the same group, as a gateway sees to it, and race each other there.
    let (a, b) = (new_id(5), new_id(5));
    let (first, second) = tokio::join!(
        cluster.execute(with_key(a, &[1; 32])),
        cluster.execute(with_key(b, &[1; 32]))
    );
    let (first, second) = (accepted(first), accepted(second));
    assert_ne!(first.replayed, second.replayed);
    let id = |accepted: &Accepted| accepted.intent.as_ref().unwrap().intent_id.clone();
    assert_eq!(id(&first), id(&second));
    assert_eq!(first.event, second.event);
    let mutated = cluster.execute(with_key(new_id(5), &[2; 32])).await;
    assert_eq!(rejected(&mutated), "idempotency_conflict");
    let group = group_of(Slot::new(5).unwrap(), SHARD_GROUPS).into();
    let list = ListIntents { limit: 10, ..ListIntents::default() };
    let query_response::Outcome::Intents(list) =
        cluster.query(group, Query::ListIntents(list)).await
    else {
        panic!("no list")
    };
    assert_eq!(list.intents.len(), 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_survives_the_leader() {
    let mut cluster = Cluster::start(3).await;
    let id = new_id(5);
    let group = group_of(id.slot(), SHARD_GROUPS);
    let deadline = now_ms() + 1500;
    let submission = Submission { deadline_at_ms: Some(deadline), ..submission() };
    accepted(cluster.execute(request(id, Command::Submit(submission))).await);
    let leader = cluster.leader(group.0).await;
    cluster.crash(leader).await;
    let started = Instant::now();
    let terminal = loop {
        let get = GetIntent { intent_id: id.to_bytes() };
        let query_response::Outcome::Intent(intent) =
            cluster.query(group.into(), Query::GetIntent(get)).await
        else {
            panic!("the intent is lost")
        };
        if let Some(event) = intent.terminal_event {
            break event;
        }
        assert!(started.elapsed() < PATIENCE, "the timer never fired");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(terminal.status(), Status::TimedOut);
    assert!(terminal.at_ms >= deadline, "{} ms early", deadline - terminal.at_ms);
    wait_backlog(&cluster, &[]).await;
    cluster.stop().await;
}

/// A subscription, as a gateway holds it.
struct Watch {
    ask: mpsc::Sender<SubscribeRequest>,
    answers: tonic::Streaming<axp_proto::node::SubscribeResponse>,
}

impl Watch {
    async fn open(cluster: &Cluster, index: usize, open: Open) -> Self {
        let (ask, asked) = mpsc::channel(16);
        let kind = Some(Ask::Open(open));
        ask.send(SubscribeRequest { subscription_id: 7, kind }).await.unwrap();
        let mut shard = ShardClient::new(cluster.channel(index));
        let answers = shard.subscribe(ReceiverStream::new(asked)).await.unwrap().into_inner();
        Self { ask, answers }
    }

    async fn next(&mut self) -> Answer {
        let answer = tokio::time::timeout(PATIENCE, self.answers.message()).await;
        answer.expect("an answer in time").unwrap().expect("an answer").kind.unwrap()
    }

    async fn credit(&self, items: u32) {
        let kind = Some(Ask::Credit(Credit { items }));
        self.ask.send(SubscribeRequest { subscription_id: 7, kind }).await.unwrap();
    }
}

fn watch_intent(id: IntentId, since: u32, window: u32) -> Open {
    Open {
        group: group_of(id.slot(), SHARD_GROUPS).into(),
        scope: Some(scope()),
        window,
        target: Some(Target::Intent(WatchIntent { intent_id: id.to_bytes(), since })),
    }
}

fn seqs(answer: &Answer) -> Vec<u32> {
    match answer {
        Answer::Events(list) => list.events.iter().map(|event| event.seq).collect(),
        other => panic!("no events: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_gapless_bounded_and_ends() {
    let cluster = Cluster::start(1).await;
    let id = new_id(5);
    accepted(cluster.execute(submit(id)).await);
    let mut watch = Watch::open(&cluster, 0, watch_intent(id, 0, 2)).await;
    assert_eq!(seqs(&watch.next().await), [1, 2], "no more than the window");
    watch.credit(2).await;
    assert_eq!(seqs(&watch.next().await), [3]);
    assert!(matches!(watch.next().await, Answer::CaughtUp(_)));
    accepted(cluster.execute(finish(id)).await);
    assert_eq!(seqs(&watch.next().await), [4]);
    let Answer::Ended(end) = watch.next().await else { panic!("not ended") };
    assert!(matches!(end.reason, Some(ended::Reason::Complete(_))));

    // Beyond the end there is nothing to wait for.
    let mut late = Watch::open(&cluster, 0, watch_intent(id, 9, 8)).await;
    let Answer::Ended(end) = late.next().await else { panic!("not ended") };
    assert!(matches!(end.reason, Some(ended::Reason::Complete(_))));
    let mut unknown = Watch::open(&cluster, 0, watch_intent(new_id(5), 0, 8)).await;
    let Answer::Ended(end) = unknown.next().await else { panic!("not ended") };
    assert!(matches!(end.reason, Some(ended::Reason::Rejection(_))));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_reach_the_mailbox_while_its_leader_is_killed() {
    let mut cluster = Cluster::start(3).await;
    let mailbox_leader = cluster.leader(mailbox_group() as u16).await;
    let mut sent = Vec::new();
    for slot in [5, 1500, 3000] {
        let id = new_id(slot);
        accepted(cluster.execute(submit(id)).await);
        sent.push(id);
    }
    cluster.crash(mailbox_leader).await;
    for slot in [6, 1501, 3001] {
        let id = new_id(slot);
        accepted(cluster.execute(submit(id)).await);
        sent.push(id);
    }
    wait_backlog(&cluster, &sent).await;
    cluster.restart(mailbox_leader).await;

    let leader = cluster.leader(mailbox_group() as u16).await;
    let target = Target::Mailbox(WatchMailbox { mailbox: Some(mailbox()), since: 0 });
    let open =
        Open { group: mailbox_group(), scope: Some(scope()), window: 100, target: Some(target) };
    let mut watch = Watch::open(&cluster, leader, open).await;
    let Answer::Deliveries(list) = watch.next().await else { panic!("no deliveries") };
    let cursors: Vec<_> = list.entries.iter().map(|entry| entry.cursor).collect();
    assert_eq!(cursors, [2, 4, 6, 8, 10, 12]);
    for id in &sent {
        accepted(cluster.execute(finish(*id)).await);
    }
    wait_backlog(&cluster, &[]).await;
    cluster.stop().await;
}
