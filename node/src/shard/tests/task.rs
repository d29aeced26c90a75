//! Rows of open tasks follow their intents.

use axp_proto::log::{Holder, TaskRules};

use super::*;
use crate::intent::{TaskResult, Transfer};

fn task() -> Submission {
    Submission {
        delivery_mode: DeliveryMode::Unspecified.into(),
        human_task_json: Bytes::from_static(br#"{"title":"T"}"#),
        task: Some(TaskRules { assignees: vec!["ann".into()], ..TaskRules::default() }),
        ..submission()
    }
}

async fn run(replica: &mut Replica, number: u64, command: Command) {
    let append = propose(replica, number, &command).unwrap();
    replica.apply(vec![vec![Append { kind: Some(Kind::Intent(append)) }]]).await;
}

fn open(replica: &Replica, workspace: &str, assignee: &str) -> Vec<u64> {
    let found = replica.reader.open_tasks(workspace, None, assignee, 10).unwrap();
    (0..9).filter(|&number| found.iter().any(|(_, intent)| intent.id == id(number))).collect()
}

#[tokio::test]
async fn a_task_is_listed_while_it_is_open() {
    let mut replica = Replica::new();
    run(&mut replica, 1, Command::Submit(Arc::new(task()))).await;
    run(&mut replica, 2, Command::Submit(Arc::new(submission()))).await;
    let everybodys = Submission { task: None, ..task() };
    run(&mut replica, 3, Command::Submit(Arc::new(everybodys))).await;
    assert_eq!(open(&replica, "w", ""), [1, 3]);
    assert_eq!(open(&replica, "w", "agent://acme/prod/ann"), [1, 3]);
    assert_eq!(open(&replica, "w", "agent://acme/prod/bob"), [3]);
    assert_eq!(open(&replica, "w2", ""), [] as [u64; 0]);
    let newest = replica.reader.open_tasks("w", None, "", 1).unwrap();
    assert_eq!(newest[0].1.id, id(3));
    let next = replica.reader.open_tasks("w", Some(id(3)), "", 9).unwrap();
    assert_eq!(next.iter().map(|it| it.1.id).collect::<Vec<_>>(), [id(1)]);

    let mailbox = MailboxKey { workspace_id: "w2".into(), address: "agent://acme/b/bob".into() };
    let to = Holder { mailbox: Some(mailbox), org_id: "o".into(), ..Holder::default() };
    run(&mut replica, 1, Command::Transfer(Transfer { to, ..Transfer::default() })).await;
    assert_eq!(open(&replica, "w2", "agent://acme/b/bob"), [1], "it is there for who got it");
    assert_eq!(open(&replica, "w", "agent://acme/prod/ann"), [3]);
    for number in [1, 3] {
        let answer = TaskResult { outcome: "approved".into(), ..TaskResult::default() };
        run(&mut replica, number, Command::TaskResult(answer)).await;
    }
    assert_eq!((open(&replica, "w", ""), open(&replica, "w2", "")), (vec![], vec![]));
    assert!(!replica.rows().iter().any(|(key, _)| key.starts_with(b"b")), "no row is left");
}
