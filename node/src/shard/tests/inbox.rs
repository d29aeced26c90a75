//! Threads in the state: seen in deliveries, stored once they are used, listed in one order.

use axp_proto::log::{
    InboxMessage, ThreadChange, ThreadEvent, ThreadEventType, ThreadOrigin, ThreadStatus,
};
use axp_proto::node::ThreadList;

use super::*;

fn numbers(list: &ThreadList) -> Vec<u32> {
    list.threads.iter().map(|view| view.thread.as_ref().unwrap().number).collect()
}

fn change(number: u32, thread: u64, status: ThreadStatus, event: u8) -> MailboxChange {
    let event_id = Bytes::copy_from_slice(&[event; 16]);
    let message = InboxMessage { message_id: event_id.clone(), ..InboxMessage::default() };
    let event = ThreadEvent {
        r#type: ThreadEventType::ReplySent.into(),
        event_id,
        status: status.into(),
        message: Some(message),
        at_ms: NOW + i64::from(event),
        ..ThreadEvent::default()
    };
    let thread_id = id(thread).to_bytes();
    let change = ThreadChange { thread_id, number, origin: None, events: vec![event] };
    MailboxChange { mailbox: Some(mailbox()), kind: Some(ChangeKind::Thread(change)) }
}

fn new_thread(number: u32, thread: u64) -> MailboxChange {
    let origin = ThreadOrigin { from_agent: "agent://bob".into(), ..ThreadOrigin::default() };
    let thread_id = id(thread).to_bytes();
    let change = ThreadChange { thread_id, number, origin: Some(origin), events: vec![] };
    MailboxChange { mailbox: Some(mailbox()), kind: Some(ChangeKind::Thread(change)) }
}

fn withdraw(number: u64) -> MailboxChange {
    let kind = Some(ChangeKind::Withdraw(id(number).to_bytes()));
    MailboxChange { mailbox: Some(mailbox()), kind }
}

fn all(replica: &Replica) -> Vec<u32> {
    numbers(&replica.reader.threads(&mailbox(), ThreadStatus::Unspecified, 100).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_shows_a_thread_until_it_is_used() {
    let mut replica = Replica::new();
    let deposits = vec![deposit(2, 1, Status::Delivered), deposit(4, 2, Status::Delivered)];
    replica.apply(vec![vec![step(0, 0, deposits)]]).await;
    assert_eq!(all(&replica), [4, 2]);
    assert!(!replica.reader.inbox_is_used(&mailbox()).unwrap(), "nothing is stored of them");
    let seen = replica.reader.thread(&mailbox(), id(1).as_bytes()).unwrap().unwrap();
    assert_eq!(seen.status(), ThreadStatus::Pending);

    let used = change(6, 1, ThreadStatus::Active, 1);
    replica.apply(vec![vec![step(1, 2, vec![used])]]).await;
    assert_eq!(all(&replica), [6, 4], "the one that changed last comes first, once");
    let view = replica.reader.thread_view(&mailbox(), id(1).as_bytes()).unwrap().unwrap();
    assert_eq!(view.messages.len(), 1);
    assert_eq!(view.thread.unwrap().timeline[0], seen.timeline[0], "it is the same thread");

    replica.apply(vec![vec![step(2, 3, vec![withdraw(1), withdraw(2)])]]).await;
    assert_eq!(all(&replica), [6], "only what was used stays");
    assert_eq!(replica.reader.mailbox_head(&mailbox()).unwrap(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_move_between_statuses() {
    let mut replica = Replica::new();
    let changes = vec![
        new_thread(2, 1),
        deposit(4, 2, Status::Delivered),
        change(6, 1, ThreadStatus::Active, 1),
        change(8, 2, ThreadStatus::Done, 2),
    ];
    replica.apply(vec![vec![step(0, 0, changes)]]).await;
    let of = |status| numbers(&replica.reader.threads(&mailbox(), status, 100).unwrap());
    assert_eq!(of(ThreadStatus::Pending), [0_u32; 0]);
    assert_eq!(of(ThreadStatus::Active), [6]);
    assert_eq!(of(ThreadStatus::Done), [8]);
    let limited = replica.reader.threads(&mailbox(), ThreadStatus::Unspecified, 1).unwrap();
    assert_eq!((numbers(&limited), limited.has_more), (vec![8], true));
    let other = MailboxKey { address: "agent://acme/prod/checke".into(), ..mailbox() };
    let list = replica.reader.threads(&other, ThreadStatus::Unspecified, 9).unwrap();
    assert!(list.threads.is_empty(), "an address that begins alike is another inbox");
}

#[test]
fn a_change_of_nothing_stops_the_replica() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut replica = Replica::new();
        let append = step(0, 0, vec![change(2, 1, ThreadStatus::Active, 1)]);
        replica.index += 1;
        let payload = Payload(Entry { appends: vec![append] }.encode_to_vec().into());
        let leader = openraft::impls::leader_id_adv::LeaderId::new(1, 1);
        let log_id = LogId::new(leader.to_committed(), replica.index);
        let payload = openraft::EntryPayload::Normal(payload);
        let entry = Ok((openraft::Entry { log_id, payload }, None));
        assert!(replica.machine.apply(stream::iter([entry])).await.is_err());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whoever follows the changes page by page, while the inbox goes on, sees the last state of
    /// each thread, each page once and in order.
    #[test]
    fn pages_of_changes_lose_nothing(
        steps in prop::collection::vec((1_u64..6, 0_u8..4), 1..24),
        limit in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut replica = Replica::new();
            let (mut taken, mut since, mut followed) = (0, 0, std::collections::BTreeMap::new());
            let mut follow = |replica: &Replica| {
                let list = replica.reader.thread_changes(&mailbox(), since, limit).unwrap();
                assert_eq!(list.has_more, {
                    let rest = replica.reader.thread_changes(&mailbox(), since, 100).unwrap();
                    rest.threads.len() > list.threads.len()
                });
                for view in list.threads {
                    let number = view.thread.unwrap().number;
                    assert!(number > since, "ascending");
                    since = number;
                    followed.insert(view.thread_id, number);
                }
                list.has_more
            };
            for (at, (thread, what)) in steps.into_iter().enumerate() {
                let head = replica.reader.mailbox_head(&mailbox()).unwrap();
                let place = replica.reader.mailbox_place(&mailbox(), id(thread).as_bytes()).unwrap();
                let known = replica.reader.thread(&mailbox(), id(thread).as_bytes()).unwrap();
                let event = u8::try_from(at).unwrap() + 1;
                let next = match (what, known) {
                    (0, _) if place == 0 => deposit(head + 2, thread, Status::Delivered),
                    (1, Some(_)) => change(head + 2, thread, ThreadStatus::Active, event),
                    (2, Some(_)) => change(head + 2, thread, ThreadStatus::Done, event),
                    (3, None) => new_thread(head + 2, thread),
                    _ => continue,
                };
                replica.apply(vec![vec![step(taken, taken, vec![next])]]).await;
                taken += 1;
                follow(&replica);
            }
            while follow(&replica) {}
            let now = replica.reader.threads(&mailbox(), ThreadStatus::Unspecified, 100).unwrap();
            let now: std::collections::BTreeMap<_, _> = now
                .threads
                .into_iter()
                .map(|view| (view.thread_id, view.thread.unwrap().number))
                .collect();
            assert_eq!(followed, now);
        });
    }
}
