//! Human tasks on real nodes: one decision each, whoever races, and mail that carries links.

use std::collections::HashSet;
use std::path::PathBuf;

use axp_proto::log::TaskRules;
use axp_proto::node::{GetLinkedTask, ListTasks, TaskResult};
use axp_proto::task::LinkToken;
use futures_util::StreamExt as _;
use futures_util::stream;
use tonic::transport::Channel;

use super::*;

const RACES: usize = 10_000;
const RACES_AT_ONCE: usize = 128;

fn task(notify_email: &str) -> Submission {
    Submission {
        delivery_mode: DeliveryMode::Unspecified.into(),
        human_task_json: Bytes::from_static(br#"{"title":"Approve"}"#),
        task: Some(TaskRules {
            allowed_outcomes: vec!["approved".into(), "rejected".into()],
            notify_email: notify_email.to_owned(),
            ..TaskRules::default()
        }),
        ..submission()
    }
}

fn result(outcome: &str) -> TaskResult {
    TaskResult {
        outcome: outcome.to_owned(),
        answer_json: format!("{{\"outcome\":\"{outcome}\"}}").into(),
        expected_task: Some(0),
        ..TaskResult::default()
    }
}

/// Two people decide one task at the same time; whether one of them did, and only one.
async fn race(shard: &ShardClient<Channel>, number: usize) -> Result<Status, String> {
    let id = new_id((number % 4096) as u16);
    let execute = async |command| {
        let group = group_of(id.slot(), SHARD_GROUPS).into();
        let request = ExecuteRequest { group, ..request(id, command) };
        let answer = shard.clone().execute(request).await.map_err(|error| error.to_string())?;
        answer.into_inner().outcome.ok_or_else(|| "no outcome".to_owned())
    };
    let submitted = execute(Command::Submit(task(""))).await?;
    let Outcome::Accepted(_) = &submitted else { return Err(format!("{submitted:?}")) };
    let decide = async |outcome| execute(Command::TaskResult(result(outcome))).await;
    let both = tokio::try_join!(decide("approved"), decide("rejected"))?;
    match &both {
        (Outcome::Accepted(done), Outcome::Rejection(refused))
        | (Outcome::Rejection(refused), Outcome::Accepted(done))
            if refused.code == "invalid_state" =>
        {
            let event = done.event.as_ref().unwrap();
            let view = done.intent.as_ref().unwrap();
            if view.state.as_ref().unwrap().terminal_seq != event.seq {
                return Err(format!("another event ended it: {done:?}"));
            }
            Ok(event.status())
        }
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_deciders_one_decides() {
    let cluster = Cluster::start(1).await;
    for group in 1..=SHARD_GROUPS {
        cluster.leader(group).await;
    }
    let shard = ShardClient::new(cluster.channel(0));
    let races = stream::iter(0..RACES).map(|number| race(&shard, number));
    let ended: Vec<_> = races.buffer_unordered(RACES_AT_ONCE).collect().await;
    let wrong: Vec<_> = ended.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{} of {RACES}: {:?}", wrong.len(), wrong.first());
    let approved = ended.iter().filter(|it| **it == Ok(Status::Completed)).count();
    assert!(0 < approved && approved < RACES, "it was a race: {approved} of {RACES} approved");
    cluster.stop().await;
}

/// Waits for mails in the outbox folders of the nodes.
async fn mails(cluster: &Cluster, count: usize) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut found: Vec<PathBuf> = Vec::new();
        for folder in cluster.data_dirs() {
            let Ok(entries) = std::fs::read_dir(folder.join("mail-outbox")) else { continue };
            found.extend(entries.map(|it| it.unwrap().path()));
        }
        found.retain(|path| path.extension().is_some_and(|it| it == "eml"));
        if found.len() >= count {
            return found.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        }
        assert!(Instant::now() < deadline, "{} of {count} mails", found.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The link of a mail, out of quoted-printable lines.
fn token(mail: &str) -> LinkToken {
    let text = mail.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=");
    let (_, rest) = text.split_once("/t/").unwrap_or_else(|| panic!("no link: {mail}"));
    rest[..64].parse().unwrap()
}

fn by_link(token: &LinkToken, outcome: &str) -> ExecuteRequest {
    let answer = TaskResult { link_hash: token.hash(), ..result(outcome) };
    let nobody = Scope::default();
    let request = request(token.intent_id, Command::TaskResult(answer));
    ExecuteRequest { scope: Some(nobody), ..request }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_carries_a_link_that_decides_once_over_a_crash() {
    let mut cluster = Cluster::start(3).await;
    let id = new_id(5);
    let group = group_of(id.slot(), SHARD_GROUPS);
    accepted(cluster.execute(request(id, Command::Submit(task("ann@acme.test")))).await);
    let mail = mails(&cluster, 1).await.remove(0);
    assert!(mail.contains("To: ann@acme.test") && mail.contains("Approve"), "{mail}");
    let token = token(&mail);
    assert_eq!(token.intent_id, id);
    let leader = cluster.leader(group.0).await;
    cluster.crash(leader).await;

    let get = GetLinkedTask { intent_id: id.to_bytes(), link_hash: token.hash() };
    let found = cluster.query(group.into(), Query::GetLinkedTask(get)).await;
    let query_response::Outcome::LinkedTask(found) = found else { panic!("{found:?}") };
    assert_eq!(found.link.unwrap().recipient, "ann@acme.test");
    let unknown = GetLinkedTask { intent_id: id.to_bytes(), link_hash: vec![1; 32].into() };
    let unknown = cluster.query(group.into(), Query::GetLinkedTask(unknown)).await;
    assert!(matches!(unknown, query_response::Outcome::Rejection(_)), "{unknown:?}");

    // The link and a key race for one decision.
    let (link, key) = tokio::join!(
        cluster.execute(by_link(&token, "approved")),
        cluster.execute(request(id, Command::TaskResult(result("rejected"))))
    );
    let decided = [&link, &key].into_iter().filter(|it| matches!(it, Outcome::Accepted(_)));
    assert_eq!(decided.count(), 1, "{link:?} {key:?}");
    assert_eq!(rejected(&cluster.execute(by_link(&token, "approved")).await), "invalid_state");
    let list = Query::ListTasks(ListTasks::default());
    let listed = cluster.query(group.into(), list).await;
    let query_response::Outcome::Tasks(listed) = listed else { panic!("{listed:?}") };
    assert_eq!(listed.tasks, []);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_is_asked_gets_a_link_of_their_own() {
    let cluster = Cluster::start(1).await;
    let id = new_id(7);
    let mut submission = task("team@acme.test");
    let rules = submission.task.as_mut().unwrap();
    rules.assignees = vec!["ann@acme.test".into(), "agent://acme/prod/x".into()];
    accepted(cluster.execute(request(id, Command::Submit(submission))).await);
    let mails = mails(&cluster, 2).await;
    let tokens: HashSet<String> = mails.iter().map(|mail| token(mail).to_string()).collect();
    assert_eq!(tokens.len(), 2);
    let anns = mails.iter().find(|mail| mail.contains("To: ann@acme.test")).unwrap();
    let done = accepted(cluster.execute(by_link(&token(anns), "approved")).await);
    assert_eq!(done.event.unwrap().actor, "ann@acme.test");
    cluster.stop().await;
}
