//! Apply, over a real store: what is refused changes nothing, and how entries are batched does not
//! matter.

mod inbox;
mod push;
mod snapshot;
mod task;

use std::ops::ControlFlow;
use std::sync::Arc;

use axp_proto::ids::{GroupId, IntentId, Slot};
use axp_proto::log::append::Kind;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::mailbox_change::Kind as ChangeKind;
use axp_proto::log::{
    Append, Delivery, DeliveryMode, Deposit, Effect, Entry, IdempotencyClaim, IntentAppend,
    KeysForgotten, MailboxAppend, MailboxChange, MailboxEntry, MailboxKey, OutboxDone,
    RecordAppend, RecordChange, RecordHome, SourceBatch, Status, Submission, TimerKind,
};
use axp_proto::node::{ListRecords, RecordName};
use axp_proto::shard_map::{group_of, mailbox_slot};
use axp_raft_store::{LogId, Payload, StateMachine, StateReader, Store, StoreConfig};
use bytes::Bytes;
use futures_util::stream;
use openraft::storage::RaftStateMachine;
use openraft::vote::RaftLeaderId;
use proptest::prelude::*;
use prost::Message;

use super::apply::ShardApplier;
use super::read::ShardReader;
use crate::intent::{AgentResult, Command, Expected, Verdict, decide};

const GROUPS: u16 = 4;
const NOW: i64 = 1_700_000_000_000;

/// One replica of shard 1, driven without Raft.
struct Replica {
    _dir: tempfile::TempDir,
    _store: Arc<Store>,
    machine: StateMachine,
    raw: StateReader,
    reader: ShardReader,
    index: u64,
}

impl Replica {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::new(dir.path())).unwrap();
        let applier = Arc::new(ShardApplier::new(GroupId(1), GROUPS));
        let group = store.open_group(GroupId(1), applier).unwrap();
        Self {
            _dir: dir,
            _store: store,
            machine: group.machine,
            reader: ShardReader::new(group.reader.clone()),
            raw: group.reader,
            index: 0,
        }
    }

    /// Applies each inner list as one Raft entry, all of them in one call.
    async fn apply(&mut self, entries: Vec<Vec<Append>>) {
        let entries = entries.into_iter().map(|appends| {
            self.index += 1;
            let payload = Payload(Entry { appends }.encode_to_vec().into());
            let leader = openraft::impls::leader_id_adv::LeaderId::new(1, 1);
            let log_id = LogId::new(leader.to_committed(), self.index);
            let entry =
                openraft::Entry { log_id, payload: openraft::EntryPayload::Normal(payload) };
            Ok((entry, None))
        });
        let entries: Vec<_> = entries.collect();
        self.machine.apply(stream::iter(entries)).await.unwrap();
    }

    fn rows(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        self.raw
            .scan(b"", b"", &mut |key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })
            .unwrap();
        rows
    }
}

fn id(number: u64) -> IntentId {
    IntentId::new(NOW.unsigned_abs() + number, Slot::new(3).unwrap(), number)
}

fn submission() -> Submission {
    Submission {
        org_id: "o".into(),
        workspace_id: "w".into(),
        to_agent: "agent://acme/prod/checker".into(),
        target_org_id: "o".into(),
        target_workspace_id: "w".into(),
        delivery_mode: DeliveryMode::Stream.into(),
        deadline_at_ms: Some(NOW + 1000),
        ..Submission::default()
    }
}

/// What an actor would propose for this command, given what the replica holds.
fn propose(replica: &Replica, number: u64, command: &Command) -> Option<IntentAppend> {
    propose_at(replica, number, command, NOW)
}

fn propose_at(
    replica: &Replica,
    number: u64,
    command: &Command,
    now_ms: i64,
) -> Option<IntentAppend> {
    let intent = replica.reader.intent(id(number)).unwrap();
    let Ok(Verdict::Append(decision)) = decide(id(number), intent.as_ref(), command, now_ms) else {
        return None;
    };
    Some(IntentAppend {
        intent_id: id(number).to_bytes(),
        expected_seq: intent.as_ref().map_or(0, |intent| intent.state.last_seq),
        expected_changes: intent.map_or(0, |intent| intent.state.changes),
        submission: decision.submission.as_deref().cloned(),
        events: decision.events,
        effects: decision.effects,
        timers: decision.timers,
        changes: decision.changes,
        idempotency: None,
    })
}

fn submit() -> Command {
    Command::Submit(Arc::new(submission()))
}

fn complete() -> Command {
    Command::AgentResult(AgentResult {
        failed: false,
        outcome_json: Bytes::from_static(b"{}"),
        actor: "a".into(),
        expected: Expected::default(),
        ..AgentResult::default()
    })
}

fn intent(append: IntentAppend) -> Append {
    Append { kind: Some(Kind::Intent(append)) }
}

fn mailbox() -> MailboxKey {
    MailboxKey { workspace_id: "w".into(), address: "agent://acme/prod/checker".into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_append_changes_nothing() {
    let mut replica = Replica::new();
    let append = propose(&replica, 1, &submit()).unwrap();
    replica.apply(vec![vec![intent(append.clone())]]).await;
    let stored = replica.reader.intent(id(1)).unwrap().unwrap();
    assert_eq!(stored.state.status(), Status::Delivered);
    assert_eq!(replica.reader.events(id(1), 1, 10).unwrap().len(), 2);
    assert_eq!(replica.reader.events(id(1), 3, 10).unwrap(), []);
    let before = replica.rows();
    replica.apply(vec![vec![intent(append)]]).await;
    assert_eq!(replica.rows(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_makes_one_intent_until_it_is_forgotten() {
    let mut replica = Replica::new();
    let claim = IdempotencyClaim {
        key_hash: Bytes::from_static(&[7; 32]),
        fingerprint: Bytes::from_static(&[1; 32]),
        forget_at_ms: NOW + 5,
    };
    let submit_with_key = |replica: &Replica, number| {
        let append = propose(replica, number, &submit()).unwrap();
        intent(IntentAppend { idempotency: Some(claim.clone()), ..append })
    };
    let (first, second) = (submit_with_key(&replica, 1), submit_with_key(&replica, 2));
    replica.apply(vec![vec![first, second]]).await;
    assert!(replica.reader.intent(id(2)).unwrap().is_none());
    let record = replica.reader.key_record(&[7; 32]).unwrap().unwrap();
    assert_eq!((record.intent_id, record.seq), (id(1).to_bytes(), 3));

    assert!(replica.reader.forgettable_keys(NOW + 4).unwrap().is_empty());
    let key_hashes = replica.reader.forgettable_keys(NOW + 5).unwrap();
    let forgotten = Append { kind: Some(Kind::KeysForgotten(KeysForgotten { key_hashes })) };
    let again = submit_with_key(&replica, 2);
    replica.apply(vec![vec![forgotten], vec![again]]).await;
    assert!(replica.reader.intent(id(2)).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_are_numbered_densely_and_go_when_they_are_taken() {
    let mut replica = Replica::new();
    let target = group_of(mailbox_slot(&mailbox()), GROUPS);
    for number in 1..=3 {
        let append = propose(&replica, number, &submit()).unwrap();
        replica.apply(vec![vec![intent(append)]]).await;
    }
    let effects = replica.reader.effects(target, 0, 10, usize::MAX).unwrap();
    assert_eq!(effects.iter().map(|effect| effect.number).collect::<Vec<_>>(), [1, 2, 3]);
    let done = OutboxDone { target_group: target.into(), last_effect: 2 };
    let done = Append { kind: Some(Kind::OutboxDone(done)) };
    replica.apply(vec![vec![done.clone()], vec![done]]).await;
    let effects = replica.reader.effects(target, 0, 10, usize::MAX).unwrap();
    assert_eq!(effects.iter().map(|effect| effect.number).collect::<Vec<_>>(), [3]);
    assert_eq!(replica.reader.outbox_range(target).unwrap(), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_clears_timers_and_the_list_follows() {
    let mut replica = Replica::new();
    let append = propose(&replica, 1, &submit()).unwrap();
    replica.apply(vec![vec![intent(append)]]).await;
    assert_eq!(replica.reader.due_timers(0, NOW, 9).unwrap(), (vec![], Some(NOW + 1000)));
    let (due, _) = replica.reader.due_timers(0, NOW + 1000, 9).unwrap();
    assert_eq!(due, [(NOW + 1000, id(1), TimerKind::Deadline)]);
    let later = replica.reader.due_timers(NOW + 1001, NOW + 5000, 9).unwrap();
    assert_eq!(later, (vec![], None));
    let append = propose(&replica, 1, &complete()).unwrap();
    replica.apply(vec![vec![intent(append)]]).await;
    assert_eq!(replica.reader.due_timers(0, i64::MAX, 9).unwrap(), (vec![], None));
    let rows = replica.reader.list("w", 10, |_| true).unwrap();
    assert_eq!(rows[0].summary.as_ref().unwrap().status(), Status::Completed);
    assert!(replica.reader.list("other", 10, |_| true).unwrap().is_empty());
}

fn deposit(cursor: u32, number: u64, status: Status) -> MailboxChange {
    let delivery =
        Delivery { intent_id: id(number).to_bytes(), status: status.into(), ..Delivery::default() };
    let entry = MailboxEntry { cursor, delivery: Some(delivery) };
    MailboxChange { mailbox: Some(mailbox()), kind: Some(ChangeKind::Deposit(entry)) }
}

fn step(expected_step: u64, after: u64, changes: Vec<MailboxChange>) -> Append {
    let last_effect = after + changes.len() as u64;
    let source = SourceBatch { source_group: 2, after_effect: after, last_effect, changes };
    let append = MailboxAppend { expected_step, sources: vec![source], ..MailboxAppend::default() };
    Append { kind: Some(Kind::Mailbox(append)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_takes_each_effect_once_and_in_order() {
    let mut replica = Replica::new();
    let cursors = |replica: &Replica| {
        let entries = replica.reader.deliveries(&mailbox(), 0, 10).unwrap();
        entries.into_iter().map(|entry| entry.cursor).collect::<Vec<_>>()
    };
    let first =
        step(0, 0, vec![deposit(2, 1, Status::Delivered), deposit(4, 2, Status::Delivered)]);
    // The same batch again, one with a gap, and one decided before the step before it.
    let gap = step(1, 5, vec![deposit(6, 3, Status::Delivered)]);
    let stale = step(0, 2, vec![deposit(6, 3, Status::Delivered)]);
    replica.apply(vec![vec![first.clone(), first, gap], vec![stale]]).await;
    assert_eq!(cursors(&replica), [2, 4]);
    assert_eq!(replica.reader.taken(GroupId(2)).unwrap(), 2);

    let withdraw = MailboxChange {
        mailbox: Some(mailbox()),
        kind: Some(ChangeKind::Withdraw(id(2).to_bytes())),
    };
    let update = deposit(2, 1, Status::InProgress);
    replica.apply(vec![vec![step(1, 2, vec![update, withdraw])]]).await;
    let entries = replica.reader.deliveries(&mailbox(), 0, 10).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].delivery.as_ref().unwrap().status(), Status::InProgress);
    assert_eq!(replica.reader.mailbox_place(&mailbox(), id(2).as_bytes()).unwrap(), 0);
    assert_eq!(replica.reader.mailbox_head(&mailbox()).unwrap(), 4, "places are not given twice");
}

fn home() -> RecordHome {
    RecordHome { workspace_id: "w".into(), name: "h".into() }
}

fn records(changes: Vec<RecordChange>) -> Append {
    Append { kind: Some(Kind::Records(RecordAppend { home: Some(home()), changes })) }
}

fn record(id: &str, expected_revision: u64, value: &'static [u8]) -> RecordChange {
    RecordChange {
        table: "t".into(),
        id: id.into(),
        expected_revision,
        value: Bytes::from_static(value),
        ..RecordChange::default()
    }
}

/// Ids, revisions and values of the table.
fn listed(replica: &Replica) -> Vec<(String, u64, Bytes)> {
    let list = ListRecords { table: "t".into(), ..ListRecords::default() };
    let rows = replica.reader.list_records(&home(), &list, 100, usize::MAX).unwrap();
    let rows = rows.into_iter().map(|row| (row.name.unwrap().id, row.record.unwrap()));
    rows.map(|(id, record)| (id, record.revision, record.value)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_change_all_or_not_at_all() {
    let mut replica = Replica::new();
    let both = records(vec![record("a", 0, b"1"), record("b", 0, b"1")]);
    // The same again, and one that knows a but not b.
    let half = records(vec![record("a", 1, b"2"), record("b", 0, b"2")]);
    replica.apply(vec![vec![both.clone(), both], vec![half]]).await;
    let value = |text: &'static [u8]| Bytes::from_static(text);
    let first = [("a".to_owned(), 1, value(b"1")), ("b".to_owned(), 1, value(b"1"))];
    assert_eq!(listed(&replica), first);

    // Made again after a deletion it has a new revision: who knew the old one is refused.
    let gone = RecordChange { deleted: true, ..record("a", 1, b"") };
    replica.apply(vec![vec![records(vec![gone])], vec![records(vec![record("a", 0, b"3")])]]).await;
    replica.apply(vec![vec![records(vec![record("a", 1, b"4")])]]).await;
    assert_eq!(listed(&replica)[0], ("a".to_owned(), 3, value(b"3")));
    let names = ["b", "c"].map(|id| RecordName { table: "t".into(), id: id.into() });
    let found = replica.reader.records(&home(), names.to_vec()).unwrap();
    assert_eq!(found[0].record.as_ref().unwrap().revision, 1);
    assert_eq!(found[1].record, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_records_go_on_after_an_id() {
    let mut replica = Replica::new();
    let ids = ["a", "a/1", "a/2", "a0", "b"];
    replica.apply(vec![vec![records(ids.map(|id| record(id, 0, b"x")).to_vec())]]).await;
    let ids = |id_prefix: &str, after_id: &str, most| {
        let list = ListRecords {
            table: "t".into(),
            id_prefix: id_prefix.into(),
            after_id: after_id.into(),
            ..ListRecords::default()
        };
        let rows = replica.reader.list_records(&home(), &list, most, usize::MAX).unwrap();
        rows.into_iter().map(|row| row.name.unwrap().id).collect::<Vec<_>>()
    };
    assert_eq!(ids("a/", "", 10), ["a/1", "a/2"]);
    assert_eq!(ids("", "a", 2), ["a/1", "a/2"]);
    assert_eq!(ids("", "a/2", 10), ["a0", "b"]);
    assert_eq!(ids("", "b", 10), [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_expire_unless_they_got_another_term() {
    let mut replica = Replica::new();
    let until = |at, change| RecordChange { expire_at_ms: Some(at), ..change };
    let three = ["a", "b", "c"].map(|id| until(NOW, record(id, 0, b"x")));
    replica.apply(vec![vec![records(three.to_vec())]]).await;
    assert!(replica.reader.expired_records(NOW - 1).unwrap().is_empty());
    let expired = replica.reader.expired_records(NOW).unwrap();
    assert_eq!(expired.len(), 3);
    // b is kept for longer and c for ever, just before.
    let longer = vec![until(NOW + 1, record("b", 1, b"y")), record("c", 1, b"y")];
    replica.apply(vec![vec![records(longer)], expired]).await;
    let left: Vec<_> = listed(&replica).into_iter().map(|(id, _, _)| id).collect();
    assert_eq!(left, ["b", "c"]);
    assert!(replica.reader.expired_records(NOW).unwrap().is_empty());
    assert_eq!(replica.reader.expired_records(i64::MAX).unwrap().len(), 1);
}

#[test]
fn effects_without_a_kind_are_not_skipped() {
    // An effect that this version does not know must stop the replica, never be dropped.
    let unknown = Effect { kind: None };
    let known = Effect { kind: Some(EffectKind::Deposit(Deposit::default())) };
    assert_ne!(unknown, known);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut replica = Replica::new();
        let mut append = propose(&replica, 1, &submit()).unwrap();
        append.effects = vec![unknown];
        replica.index += 1;
        let payload = Payload(Entry { appends: vec![intent(append)] }.encode_to_vec().into());
        let leader = openraft::impls::leader_id_adv::LeaderId::new(1, 1);
        let log_id = LogId::new(leader.to_committed(), replica.index);
        let payload = openraft::EntryPayload::Normal(payload);
        let entry = Ok((openraft::Entry { log_id, payload }, None));
        assert!(replica.machine.apply(stream::iter([entry])).await.is_err());
        assert!(replica.rows().is_empty());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Two replicas that got the same entries in different portions hold the same rows.
    #[test]
    fn batching_does_not_matter(
        steps in prop::collection::vec((1_u64..4, any::<bool>(), any::<bool>()), 1..16),
        cuts in prop::collection::vec(1_usize..5, 1..8),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (mut one_by_one, mut portions) = (Replica::new(), Replica::new());
            let mut entries = Vec::new();
            for (number, ends, twice) in steps {
                let command = if ends { complete() } else { submit() };
                let Some(append) = propose(&one_by_one, number, &command) else { continue };
                let entry = vec![intent(append); 1 + usize::from(twice)];
                one_by_one.apply(vec![entry.clone()]).await;
                entries.push(entry);
            }
            let mut cuts = cuts.into_iter().cycle();
            while !entries.is_empty() {
                let rest = entries.split_off(cuts.next().unwrap().min(entries.len()));
                portions.apply(std::mem::replace(&mut entries, rest)).await;
            }
            assert_eq!(one_by_one.rows(), portions.rows());
        });
    }
}
