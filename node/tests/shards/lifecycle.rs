//! Waiting, reminding, escalating, attempts, controls and polling on real nodes, over crashes.

use std::collections::HashSet;

use axp_proto::log::{EventType, Holder, Member, TaskRules};
use axp_proto::node::{DeliveryResult, TaskResult, UpdateControls};
use futures_util::StreamExt as _;
use futures_util::stream;

use super::*;

const BOSS: &str = "agent://acme/prod/boss";

fn task() -> Submission {
    let mailbox = MailboxKey { workspace_id: "w".into(), address: BOSS.into() };
    Submission {
        delivery_mode: DeliveryMode::Unspecified.into(),
        human_task_json: Bytes::from_static(br#"{"title":"Approve"}"#),
        task: Some(TaskRules {
            allowed_outcomes: vec!["approved".into(), "rejected".into()],
            ..TaskRules::default()
        }),
        remind_after_seconds: Some(1),
        escalate_to: BOSS.into(),
        escalation: Some(Holder {
            mailbox: Some(mailbox),
            org_id: "o".into(),
            mode: DeliveryMode::Inbox.into(),
        }),
        ..submission()
    }
}

fn answer(id: IntentId, outcome: &str) -> ExecuteRequest {
    let answer_json = Bytes::from(format!("{{\"outcome\":\"{outcome}\"}}"));
    let outcome = outcome.to_owned();
    request(id, Command::TaskResult(TaskResult { outcome, answer_json, ..TaskResult::default() }))
}

async fn view(cluster: &Cluster, id: IntentId) -> axp_proto::node::IntentView {
    let get = GetIntent { intent_id: id.to_bytes() };
    let group = group_of(id.slot(), SHARD_GROUPS).into();
    match cluster.query(group, Query::GetIntent(get)).await {
        query_response::Outcome::Intent(intent) => intent,
        other => panic!("no intent: {other:?}"),
    }
}

/// Waits until the intent has an event of that type.
async fn wait_event(cluster: &Cluster, id: IntentId, kind: EventType) -> Vec<Event> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = events(cluster, id).await;
        if events.iter().any(|event| event.r#type() == kind) {
            return events;
        }
        assert!(Instant::now() < deadline, "{kind:?} does not come: {events:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reminders_and_escalation_survive_the_leader() {
    let mut cluster = Cluster::start(3).await;
    let id = new_id(5);
    let group = group_of(id.slot(), SHARD_GROUPS);
    accepted(cluster.execute(request(id, Command::Submit(task()))).await);
    let leader = cluster.leader(group.0).await;
    cluster.crash(leader).await;
    wait_event(&cluster, id, EventType::Reminder).await;
    cluster.restart(leader).await;
    let leader = cluster.leader(group.0).await;
    cluster.crash(leader).await;
    let events = wait_event(&cluster, id, EventType::Escalated).await;
    let types: Vec<_> = events.iter().map(Event::r#type).collect();
    assert_eq!(
        types[2..],
        [
            EventType::Waiting,
            EventType::HumanTaskAssigned,
            EventType::Reminder,
            EventType::Escalated,
            EventType::Transfer
        ],
        "each fires once"
    );
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
    let (waiting, reminder, escalated) = (&events[2], &events[4], &events[5]);
    assert!(reminder.at_ms >= waiting.at_ms + 1_000, "never early");
    assert!(escalated.at_ms >= waiting.at_ms + 2_000, "never early");
    assert_eq!(view(&cluster, id).await.state.unwrap().remind_count, 1);

    // Two people decide at the same instant: one of them does.
    let (yes, no) = tokio::join!(
        cluster.execute(answer(id, "approved")),
        cluster.execute(answer(id, "rejected"))
    );
    let decided = [&yes, &no].into_iter().filter(|it| matches!(it, Outcome::Accepted(_))).count();
    assert_eq!(decided, 1, "{yes:?} {no:?}");
    let refused = [&yes, &no].into_iter().find(|it| !matches!(it, Outcome::Accepted(_)));
    assert_eq!(rejected(refused.unwrap()), "invalid_state");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_over_a_restart() {
    let mut cluster = Cluster::start(1).await;
    let id = new_id(5);
    let pushed = Submission { delivery_mode: DeliveryMode::Http.into(), ..submission() };
    accepted(cluster.execute(request(id, Command::Submit(pushed))).await);
    let failed = |attempt| {
        let error = "connection refused".to_owned();
        let result = DeliveryResult { attempt, delivered: false, error };
        // The cluster itself says so: nobody's scope.
        ExecuteRequest {
            scope: Some(Scope::default()),
            ..request(id, Command::DeliveryResult(result))
        }
    };
    assert_eq!(accepted(cluster.execute(failed(1)).await).event, None);
    cluster.crash(0).await;
    cluster.restart(0).await;
    accepted(cluster.execute(failed(1)).await);
    assert_eq!(view(&cluster, id).await.state.unwrap().delivery_attempt, 1, "told again");
    assert_eq!(events(&cluster, id).await.len(), 2);
    accepted(cluster.execute(failed(2)).await);
    let ended = accepted(cluster.execute(failed(3)).await).event.unwrap();
    assert_eq!((ended.r#type(), ended.status()), (EventType::DeliveryFailed, Status::Failed));
    let details = std::str::from_utf8(&ended.details_json).unwrap();
    assert!(details.contains(r#""delivery_attempt":"3""#), "{details}");
    wait_backlog(&cluster, &[]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_changes_of_a_generation_is_applied() {
    let mut cluster = Cluster::start(1).await;
    let id = new_id(5);
    accepted(cluster.execute(submit(id)).await);
    let change = |number: usize, expected| {
        let json = Bytes::from(number.to_string());
        let patch = vec![Member { name: format!("writer_{number}"), json }];
        let update = UpdateControls {
            patch,
            expected_policy_generation: Some(expected),
            ..UpdateControls::default()
        };
        request(id, Command::UpdateControls(update))
    };
    let outcomes: Vec<_> = stream::iter((0..8).map(|number| cluster.execute(change(number, 0))))
        .buffer_unordered(8)
        .map(accepted)
        .collect()
        .await;
    let applied = outcomes.iter().filter(|accepted| !accepted.stale_policy_generation).count();
    assert_eq!(applied, 1);
    cluster.crash(0).await;
    cluster.restart(0).await;
    let state = view(&cluster, id).await.state.unwrap();
    assert_eq!((state.policy_generation, state.controls.len(), state.last_seq), (1, 1, 3));
    assert!(accepted(cluster.execute(change(9, 0)).await).stale_policy_generation);
    accepted(cluster.execute(change(9, 1)).await);
    accepted(cluster.execute(finish(id)).await);
    let seqs: Vec<_> = events(&cluster, id).await.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4], "changes without events leave no gap");
    cluster.stop().await;
}

/// A poller: takes the oldest, finishes it, until nothing is left of `total`.
async fn poll(cluster: &Cluster, total: usize) -> HashSet<Bytes> {
    let mut finished = HashSet::new();
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        let page = MailboxBacklog { mailbox: Some(mailbox()), since: 0, limit: 5 };
        let answer = cluster.query(mailbox_group(), Query::MailboxBacklog(page)).await;
        let query_response::Outcome::Deliveries(page) = answer else { panic!("no page") };
        for entry in &page.entries {
            let id = entry.delivery.as_ref().unwrap().intent_id.clone();
            if let Outcome::Accepted(_) =
                cluster.execute(finish(IntentId::from_slice(&id).unwrap())).await
            {
                finished.insert(id);
            }
        }
        let list =
            ListIntents { statuses: vec![Status::Completed.into()], ..ListIntents::default() };
        let mut completed = 0;
        for group in 1..=u32::from(SHARD_GROUPS) {
            let list = Query::ListIntents(list.clone());
            if let query_response::Outcome::Intents(list) = cluster.query(group, list).await {
                completed += list.intents.len();
            }
        }
        if completed == total {
            return finished;
        }
        assert!(Instant::now() < deadline, "{completed} of {total} are finished");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_pollers_finish_everything_while_a_leader_is_killed() {
    let mut cluster = Cluster::start(3).await;
    let ids: Vec<_> = (0..12).map(|number| new_id(number * 330)).collect();
    for id in &ids[..6] {
        accepted(cluster.execute(submit(*id)).await);
    }
    let leader = cluster.leader(mailbox_group() as u16).await;
    cluster.crash(leader).await;
    let more = async {
        for id in &ids[6..] {
            accepted(cluster.execute(submit(*id)).await);
        }
    };
    let (a, b, c, ()) =
        tokio::join!(poll(&cluster, 12), poll(&cluster, 12), poll(&cluster, 12), more);
    let all: HashSet<_> = a.union(&b).chain(&c).cloned().collect();
    assert!(all.len() <= 12);
    // Each has one end. A poller whose answer was lost may not know that it was the one.
    for id in &ids {
        let ends = events(&cluster, *id).await;
        assert_eq!(ends.iter().filter(|event| event.status().is_terminal()).count(), 1);
    }
    wait_backlog(&cluster, &[]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_timers_at_once_fire_once_each_and_not_early() {
    const TIMERS: u64 = 400;
    let cluster = Cluster::start(1).await;
    let deadline = now_ms() + 15_000;
    let ids: Vec<_> = (0..TIMERS).map(|_| new_id(5)).collect();
    let submits = ids.iter().map(|id| {
        let submission = Submission { deadline_at_ms: Some(deadline), ..submission() };
        cluster.execute(request(*id, Command::Submit(submission)))
    });
    stream::iter(submits).buffer_unordered(64).map(accepted).collect::<Vec<_>>().await;
    assert!(now_ms() < deadline, "this machine is too slow for the test");
    let group = group_of(ids[0].slot(), SHARD_GROUPS).into();
    let started = Instant::now();
    loop {
        let list =
            ListIntents { statuses: vec![Status::Delivered.into()], ..ListIntents::default() };
        let answer = cluster.query(group, Query::ListIntents(list)).await;
        let query_response::Outcome::Intents(list) = answer else { panic!("no list") };
        if list.intents.is_empty() {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{} did not fire", list.intents.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for id in &ids {
        let events = events(&cluster, *id).await;
        assert_eq!(events.len(), 4, "one end");
        assert_eq!(events[3].r#type(), EventType::TimedOut);
        assert!(events[3].at_ms >= deadline, "{} ms early", deadline - events[3].at_ms);
    }
    cluster.stop().await;
}
