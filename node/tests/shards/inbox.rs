//! Inboxes on real nodes: outcomes reach `reply_to`, owners act, and of two who decide at the same
//! instant one gets through; also while the leader of the mailbox's shard is killed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axp_proto::ids::IntentId;
use axp_proto::inbox::completion_id;
use axp_proto::log::{
    Decided, DeliveryMode, MailboxKey, Submission, ThreadEntry, ThreadEventType, ThreadStatus,
};
use axp_proto::node::execute_request::Command;
use axp_proto::node::inbox_request::Action;
use axp_proto::node::inbox_response::Outcome;
use axp_proto::node::query_request::Query;
use axp_proto::node::{
    GetThread, InboxRequest, ListThreads, ThreadChangesAfter, ThreadDecide, ThreadDelegate,
    ThreadReply, ThreadView, query_response,
};
use axp_proto::shard_map::{group_of, mailbox_slot};
use bytes::Bytes;

use super::cluster::{Cluster, PATIENCE, SHARD_GROUPS};
use super::{AGENT, accepted, finish, mailbox, new_id, request, scope, submission, submit};

/// Whoever gets the outcomes.
fn initiator() -> MailboxKey {
    MailboxKey { workspace_id: "w".into(), address: "agent://acme/prod/initiator".into() }
}

fn group(mailbox: &MailboxKey) -> u32 {
    group_of(mailbox_slot(mailbox), SHARD_GROUPS).into()
}

fn submit_with_reply(id: IntentId) -> axp_proto::node::ExecuteRequest {
    let submission = Submission {
        reply_to: initiator().address,
        reply_to_address: initiator().address,
        reply_to_workspace_id: initiator().workspace_id,
        ..submission()
    };
    request(id, Command::Submit(submission))
}

fn act(mailbox: &MailboxKey, id: IntentId, action: Action) -> InboxRequest {
    InboxRequest {
        group: group(mailbox),
        scope: Some(scope()),
        mailbox: Some(mailbox.clone()),
        thread_id: id.to_bytes(),
        action_id: Bytes::copy_from_slice(&rand::random::<[u8; 16]>()),
        action: Some(action),
        ..InboxRequest::default()
    }
}

fn reply(mailbox: &MailboxKey, id: IntentId, message: &str) -> InboxRequest {
    act(mailbox, id, Action::Reply(ThreadReply { message: message.to_owned() }))
}

fn decide(mailbox: &MailboxKey, id: IntentId, decision: Decided) -> InboxRequest {
    let (decision, comment) = (decision.into(), String::new());
    act(mailbox, id, Action::Decide(ThreadDecide { decision, comment }))
}

fn done(outcome: Outcome) -> ThreadView {
    match outcome {
        Outcome::Done(done) => done.thread.expect("a thread"),
        other => panic!("not done: {other:?}"),
    }
}

async fn list(cluster: &Cluster, mailbox: &MailboxKey) -> Vec<ThreadView> {
    let list = ListThreads { mailbox: Some(mailbox.clone()), ..ListThreads::default() };
    match cluster.query(group(mailbox), Query::ListThreads(list)).await {
        query_response::Outcome::Threads(list) => list.threads,
        other => panic!("no threads: {other:?}"),
    }
}

/// Follows the changes with small pages, from the beginning.
async fn follow(cluster: &Cluster, mailbox: &MailboxKey) -> Vec<Bytes> {
    let (mut since, mut seen) = (0, Vec::new());
    loop {
        let after = ThreadChangesAfter { mailbox: Some(mailbox.clone()), since, limit: 3 };
        let query = Query::ThreadChanges(after);
        let query_response::Outcome::Threads(list) = cluster.query(group(mailbox), query).await
        else {
            panic!("no changes")
        };
        for view in list.threads {
            since = view.thread.unwrap().number;
            seen.push(view.thread_id);
        }
        if !list.has_more {
            return seen;
        }
    }
}

/// The thread, once it has the event.
async fn awaited(
    cluster: &Cluster,
    mailbox: &MailboxKey,
    id: IntentId,
    event: &Bytes,
) -> ThreadView {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let get = GetThread {
            mailbox: Some(mailbox.clone()),
            thread_id: id.to_bytes(),
            await_event_id: event.clone(),
            await_ms: 2000,
        };
        let answer = cluster.query(group(mailbox), Query::GetThread(get)).await;
        if let query_response::Outcome::Thread(view) = answer
            && timeline(&view).iter().any(|entry| entry.event_id == *event)
        {
            return view;
        }
        assert!(Instant::now() < deadline, "{id} never arrived");
    }
}

fn timeline(view: &ThreadView) -> &[ThreadEntry] {
    &view.thread.as_ref().unwrap().timeline
}

fn kinds(view: &ThreadView) -> Vec<ThreadEventType> {
    timeline(view).iter().map(ThreadEntry::r#type).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_come_change_and_stay() {
    let mut cluster = Cluster::start(1).await;
    let (used, unused) = (new_id(5), new_id(1500));
    for id in [used, unused] {
        accepted(cluster.execute(submit(id)).await);
        super::wait_thread(&cluster, &mailbox(), id).await;
    }
    assert_eq!(list(&cluster, &mailbox()).await.len(), 2);
    let replied = done(cluster.inbox(reply(&mailbox(), used, "hello")).await);
    assert_eq!(replied.thread.as_ref().unwrap().status(), ThreadStatus::Active);
    assert_eq!(replied.messages[0].content, "hello");

    // The sender gets it, through the outbox of the mailbox's shard.
    let sender = MailboxKey { address: "agent://acme/prod/sender".into(), ..mailbox() };
    let sent = timeline(&replied)[1].event_id.clone();
    let theirs = awaited(&cluster, &sender, used, &sent).await;
    assert_eq!(kinds(&theirs), [ThreadEventType::Received, ThreadEventType::ReplyReceived]);
    assert_eq!(theirs.messages[0].content, "hello");

    let carol = MailboxKey { address: "agent://carol".into(), ..mailbox() };
    let delegate = ThreadDelegate { delegate_to: Some(carol.clone()), note: "you".into() };
    let delegated = done(cluster.inbox(act(&mailbox(), used, Action::Delegate(delegate))).await);
    let event = timeline(&delegated)[2].event_id.clone();
    let theirs = awaited(&cluster, &carol, used, &event).await;
    assert_eq!(theirs.thread.unwrap().origin.unwrap().delegated_by, AGENT);

    // The agent is registered for its stream: what nobody used goes with the intent.
    for id in [used, unused] {
        accepted(cluster.execute(finish(id)).await);
    }
    super::wait_backlog(&cluster, &[]).await;
    cluster.crash(0).await;
    cluster.restart(0).await;
    let threads = list(&cluster, &mailbox()).await;
    assert_eq!(threads.len(), 1);
    assert_eq!(threads[0].thread.as_ref().unwrap().status(), ThreadStatus::Done);
    assert_eq!(kinds(&threads[0]).last(), Some(&ThreadEventType::Ended));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unregistered_address_keeps_its_threads() {
    let cluster = Cluster::start(1).await;
    let submit = |slot, human_task_json: &'static [u8]| {
        let delivery_mode = DeliveryMode::Unspecified.into();
        let human_task_json = Bytes::from_static(human_task_json);
        let id = new_id(slot);
        let submission = Submission { delivery_mode, human_task_json, ..submission() };
        (id, request(id, Command::Submit(submission)))
    };
    // One lies in the mailbox, the other waits for a person and lies nowhere.
    for (id, submit) in [submit(5, b""), submit(1500, br#"{"title":"Approve"}"#)] {
        accepted(cluster.execute(submit).await);
        super::wait_thread(&cluster, &mailbox(), id).await;
        accepted(cluster.execute(finish(id)).await);
        let ended = axp_proto::inbox::ended_id(id.as_bytes(), &mailbox());
        let view = awaited(&cluster, &mailbox(), id, &ended).await;
        assert_eq!(kinds(&view), [ThreadEventType::Received, ThreadEventType::Ended]);
        assert_eq!(view.thread.unwrap().status(), ThreadStatus::Done);
    }
    assert_eq!(list(&cluster, &mailbox()).await.len(), 2);
    cluster.stop().await;
}

/// The delivery may go with the very step that holds the action: then there is no thread any more.
#[tokio::test(flavor = "multi_thread")]
async fn an_action_and_the_end_of_its_intent_may_meet() {
    let cluster = Cluster::start(1).await;
    for round in 0..60_u16 {
        let id = new_id(round * 68);
        accepted(cluster.execute(submit(id)).await);
        super::wait_thread(&cluster, &mailbox(), id).await;
        let (ended, written) = tokio::join!(cluster.execute(finish(id)), async {
            // Withdrawals linger for company, and then meet what came meanwhile.
            tokio::time::sleep(Duration::from_millis(u64::from(round))).await;
            cluster.inbox(reply(&mailbox(), id, "late")).await
        });
        accepted(ended);
        match written {
            Outcome::Done(_) => {
                let ended = axp_proto::inbox::ended_id(id.as_bytes(), &mailbox());
                awaited(&cluster, &mailbox(), id, &ended).await;
            }
            Outcome::Rejection(rejection) => assert_eq!(rejection.code, "not_found"),
            Outcome::NotLeader(_) => unreachable!("tried again"),
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_decisions_gets_through() {
    let cluster = Cluster::start(1).await;
    for round in 0..5_u16 {
        let id = new_id(5 + round);
        accepted(cluster.execute(submit(id)).await);
        super::wait_thread(&cluster, &mailbox(), id).await;
        let decisions = [Decided::Approved, Decided::Rejected].into_iter().cycle().take(8);
        let racing = decisions.map(|decision| cluster.inbox(decide(&mailbox(), id, decision)));
        let outcomes = futures_util::future::join_all(racing).await;
        let (accepted, refused): (Vec<_>, Vec<_>) =
            outcomes.into_iter().partition(|outcome| matches!(outcome, Outcome::Done(_)));
        assert_eq!(accepted.len(), 1, "exactly one");
        for outcome in refused {
            let Outcome::Rejection(rejection) = outcome else { panic!("{outcome:?}") };
            assert_eq!(rejection.code, "invalid_state");
        }
        // Asking once more with the id of the one that got through is no second decision.
        let view = done(accepted.into_iter().next().unwrap());
        let again = InboxRequest {
            action_id: timeline(&view)[1].event_id.clone(),
            ..decide(&mailbox(), id, view.thread.as_ref().unwrap().decision())
        };
        assert_eq!(done(cluster.inbox(again).await), view);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_the_mailboxs_leader_is_killed() {
    let mut cluster = Cluster::start(3).await;
    let mut ids = BTreeSet::new();
    let victim = cluster.leader(group(&initiator()) as u16).await;
    let mut written = Vec::new();
    for round in 0..12_u16 {
        let id = new_id(round * 340);
        accepted(cluster.execute(submit_with_reply(id)).await);
        accepted(cluster.execute(finish(id)).await);
        ids.insert(id);
        if round == 5 {
            cluster.crash(victim).await;
        }
        // Owners write meanwhile; a gateway that gets no answer tries the same action again.
        if round % 3 == 2 {
            awaited(&cluster, &initiator(), id, &completion_id(id)).await;
            let reply = reply(&initiator(), id, &format!("thanks for {id}"));
            written.push((id, reply.action_id.clone()));
            done(cluster.inbox(reply).await);
        }
    }
    cluster.restart(victim).await;
    for id in &ids {
        let view = awaited(&cluster, &initiator(), *id, &completion_id(*id)).await;
        let wrote = written.iter().find(|(written, _)| written == id);
        let mut expected = vec![ThreadEventType::Received, ThreadEventType::CompletionDelivered];
        expected.extend(wrote.map(|_| ThreadEventType::ReplySent));
        assert_eq!(kinds(&view), expected, "{id}");
        assert_eq!(view.messages.len(), expected.len() - 1);
        assert_eq!(view.thread.unwrap().status(), ThreadStatus::Done);
    }
    for (id, message_id) in &written {
        // The agent's thread about it is the reply and no more.
        let view = awaited(&cluster, &mailbox(), *id, message_id).await;
        let received =
            kinds(&view).into_iter().filter(|kind| *kind == ThreadEventType::ReplyReceived);
        assert_eq!(received.count(), 1);
    }
    let threads = list(&cluster, &initiator()).await;
    let listed: BTreeSet<_> =
        threads.iter().map(|view| IntentId::from_slice(&view.thread_id).unwrap()).collect();
    assert_eq!((threads.len(), listed), (ids.len(), ids.clone()));
    let followed = follow(&cluster, &initiator()).await;
    assert_eq!(followed.len(), ids.len());
    let mut newest_last: Vec<_> = threads.into_iter().map(|view| view.thread_id).collect();
    newest_last.reverse();
    assert_eq!(followed, newest_last);
    cluster.stop().await;
}
