//! The push queue over a real store: what is refused changes nothing, and no row outlives its parcel.

use axp_proto::log::push_append::Kind as PushKind;
use axp_proto::log::{
    Parcel, ParcelChange, ParcelState, PublishEvent, PushAppend, QueuePush, ReplayEvent,
    WithdrawPush,
};

use super::*;

const AGENT: &str = "agent://acme/prod/checker";

fn append(kind: PushKind) -> Vec<Append> {
    vec![Append { kind: Some(Kind::Push(PushAppend { kind: Some(kind) })) }]
}

fn queue(number: u64, at_ms: i64) -> PushKind {
    PushKind::Queue(QueuePush {
        intent_id: id(number).to_bytes(),
        workspace_id: "w".into(),
        address: AGENT.into(),
        at_ms,
        again: false,
    })
}

fn event(number: u64, subscriptions: &[&str]) -> PublishEvent {
    PublishEvent {
        event_id: id(number).to_bytes(),
        workspace_id: "w".into(),
        at_ms: NOW,
        forget_at_ms: NOW + 100,
        subscription_ids: subscriptions.iter().map(|&it| it.to_owned()).collect(),
        ..PublishEvent::default()
    }
}

fn change(parcel: Parcel, expected_version: u32, removed: bool) -> PushKind {
    PushKind::Parcel(ParcelChange { parcel: Some(parcel), expected_version, removed })
}

impl Replica {
    fn delivery(&self, number: u64) -> Option<Parcel> {
        self.reader.intent_parcel(id(number).as_bytes()).unwrap()
    }

    fn due(&self, receiver: &str, floor_ms: i64, now_ms: i64) -> Vec<i64> {
        let due = self.reader.due_parcels(receiver, floor_ms, now_ms, 10).unwrap();
        due.parcels.iter().map(|parcel| parcel.due_at_ms).collect()
    }
}

#[tokio::test]
async fn a_parcel_changes_only_for_who_saw_its_last_state() {
    let mut replica = Replica::new();
    replica.apply(vec![append(queue(1, NOW))]).await;
    let parcel = replica.delivery(1).unwrap();
    assert_eq!((parcel.version, parcel.state()), (1, ParcelState::Queued));
    let receiver = format!("a/w/{AGENT}");
    assert_eq!(replica.reader.receivers().unwrap(), [(receiver.clone(), NOW)]);
    assert_eq!(replica.due(&receiver, 0, NOW), [NOW]);
    assert!(replica.due(&receiver, NOW + 1, NOW + 2).is_empty(), "not before the floor");

    // Two leaders want to begin an attempt: the second one saw an older state.
    let claim = |term| Parcel {
        state: ParcelState::Claimed.into(),
        attempt: 1,
        due_at_ms: NOW + 50,
        term,
        ..parcel.clone()
    };
    replica
        .apply(vec![append(change(claim(2), 1, false)), append(change(claim(1), 1, false))])
        .await;
    let claimed = replica.delivery(1).unwrap();
    assert_eq!((claimed.version, claimed.term), (2, 2));
    assert!(replica.due(&receiver, 0, NOW + 49).is_empty());
    assert_eq!(replica.due(&receiver, 0, NOW + 50), [NOW + 50], "an attempt that is not heard of");
    assert_eq!(replica.reader.parcel_counts().unwrap(), (1, 0));

    let dead = Parcel {
        state: ParcelState::Dead.into(),
        changed_at_ms: NOW + 9,
        forget_at_ms: NOW + 100,
        ..claimed.clone()
    };
    replica.apply(vec![append(change(dead, 2, false))]).await;
    assert_eq!(replica.reader.parcel_counts().unwrap(), (0, 1));
    assert!(replica.reader.receivers().unwrap().is_empty());
    assert_eq!(replica.reader.dead_parcels("w", 5).unwrap().len(), 1);
    assert!(replica.reader.dead_parcels("other", 5).unwrap().is_empty());
    assert_eq!(replica.reader.forgettable_pushes(NOW + 99, 5).unwrap(), [] as [Vec<u8>; 0]);
    assert_eq!(replica.reader.forgettable_pushes(NOW + 100, 5).unwrap().len(), 1);

    // Again: from the beginning, but numbers of attempts are not used twice.
    replica.apply(vec![append(queue(1, NOW + 200))]).await;
    let again = replica.delivery(1).unwrap();
    assert_eq!((again.version, again.attempt, again.failures), (4, 1, 0));
    replica.apply(vec![append(change(again.clone(), 3, true))]).await;
    assert_eq!(replica.delivery(1), Some(again.clone()), "seen too long ago");
    replica.apply(vec![append(change(again, 4, true))]).await;
    assert_eq!(replica.delivery(1), None);
    replica.assert_no_parcels();
}

impl Replica {
    fn assert_no_parcels(&self) {
        let is_push = |key: &Vec<u8>| matches!(key[0], b'g' | b'j' | b'u');
        let left: Vec<_> = self.rows().into_iter().filter(|(key, _)| is_push(key)).collect();
        // Counters stay, and are 0.
        assert!(left.iter().all(|(_, value)| *value == [0; 8]), "{left:?}");
    }
}

#[tokio::test]
async fn an_event_is_stored_once_replayed_and_forgotten_as_a_whole() {
    let mut replica = Replica::new();
    let publish = PushKind::Publish(event(7, &["s1", "s2"]));
    replica.apply(vec![append(publish.clone()), append(publish)]).await;
    let event_id = id(7).to_bytes();
    let states = |replica: &Replica| {
        let parcels = replica.reader.event_parcels(&event_id).unwrap();
        parcels
            .iter()
            .map(|it| (it.subscription_id.clone(), it.state(), it.version))
            .collect::<Vec<_>>()
    };
    let queued = |id: &str, version| (id.to_owned(), ParcelState::Queued, version);
    assert_eq!(states(&replica), [queued("s1", 1), queued("s2", 1)]);

    let first = replica.reader.event_parcels(&event_id).unwrap().remove(0);
    let delivered = Parcel { state: ParcelState::Delivered.into(), ..first };
    replica.apply(vec![append(change(delivered, 1, false))]).await;
    assert_eq!(replica.reader.parcel_counts().unwrap(), (1, 0));

    let replay = |number: u64| {
        let subscription_ids = vec!["s1".to_owned(), "s3".to_owned()];
        PushKind::Replay(ReplayEvent {
            event_id: id(number).to_bytes(),
            subscription_ids,
            at_ms: NOW,
        })
    };
    replica.apply(vec![append(replay(7)), append(replay(8))]).await;
    assert_eq!(states(&replica), [queued("s1", 3), queued("s2", 1), queued("s3", 1)]);

    replica.apply(vec![append(PushKind::ForgetEvent(event_id.clone()))]).await;
    assert!(replica.reader.published(&event_id).unwrap().is_none());
    replica.assert_no_parcels();
}

#[tokio::test]
async fn effects_of_an_intent_queue_and_withdraw() {
    let mut replica = Replica::new();
    let submit = Command::Submit(Arc::new(submission()));
    let mut first = propose(&replica, 1, &submit).unwrap();
    let effect = |kind| Effect { kind: Some(kind) };
    let PushKind::Queue(push) = queue(1, NOW) else { unreachable!() };
    first.effects.push(effect(EffectKind::QueuePush(push)));
    first.effects.push(effect(EffectKind::PublishEvent(event(2, &["s1"]))));
    replica.apply(vec![vec![Append { kind: Some(Kind::Intent(first)) }]]).await;
    assert!(replica.delivery(1).is_some());
    let names: Vec<_> = replica.reader.receivers().unwrap().into_iter().map(|it| it.0).collect();
    assert_eq!(names, [format!("a/w/{AGENT}"), "s/s1".to_owned()]);
    let mailboxes: u64 =
        (1..=GROUPS).map(|group| replica.reader.outbox_range(GroupId(group)).unwrap().1).sum();
    assert_eq!(mailboxes, 1, "pushes do not go by the outbox");

    let done = Command::AgentResult(AgentResult {
        outcome_json: Bytes::from_static(b"{}"),
        actor: AGENT.into(),
        ..AgentResult::default()
    });
    let mut last = propose(&replica, 1, &done).unwrap();
    let withdraw = WithdrawPush { intent_id: id(1).to_bytes() };
    last.effects.push(effect(EffectKind::WithdrawPush(withdraw)));
    let late = IntentAppend { expected_seq: 1, ..last.clone() };
    replica.apply(vec![vec![Append { kind: Some(Kind::Intent(late)) }]]).await;
    assert!(replica.delivery(1).is_some(), "a refused append withdraws nothing");
    replica.apply(vec![vec![Append { kind: Some(Kind::Intent(last)) }]]).await;
    assert!(replica.delivery(1).is_none());
}
