//! What an append means for the push queue, decided where its shard is led and before it is
//! proposed: apply matches nothing and draws no numbers.
//!
//! The core knows nothing of pushes: an intent's events say when one is wanted and when it is not.

use std::sync::Arc;

use axp_proto::ids::{GroupId, IntentId, Slot};
use axp_proto::json::ObjectWriter;
use axp_proto::log::effect::Kind;
use axp_proto::log::{
    DeliveryMode, Effect, Event, EventType, PublishEvent, QueuePush, Submission, WithdrawPush,
};
use axp_proto::shard_map::slots_of;
use bytes::Bytes;

use super::subscribers::Subscribers;
use crate::clock::rfc3339;

/// Where lifecycle events come from, as subscribers are told.
const SOURCE: &str = "intents";

/// Names receivers for the appends of one shard.
#[derive(Debug, Clone)]
pub struct Publisher {
    subscribers: Arc<Subscribers>,
    /// Some slot of the shard: what carries it is found here by its id alone.
    slot: Slot,
    /// How long an event is remembered, to be replayed.
    keep_ms: i64,
}

impl Publisher {
    #[must_use]
    pub fn new(
        subscribers: Arc<Subscribers>,
        group: GroupId,
        shard_groups: u16,
        keep_ms: i64,
    ) -> Self {
        let slot = Slot::from_hash(slots_of(group, shard_groups).0.into());
        Self { subscribers, slot, keep_ms }
    }

    /// Whether any subscription is for such an event: what nobody hears need not be told.
    #[must_use]
    pub fn is_heard(&self, workspace_id: &str, owner_agent: &str, event_type: &str) -> bool {
        !self.subscribers.of(workspace_id, owner_agent, event_type).is_empty()
    }

    /// Makes effects ready to be proposed: each `PublishEvent` gets an id and its subscriptions, and
    /// goes when there are none. Whoever proposes effects calls this first.
    pub fn address(&self, effects: &mut Vec<Effect>, now_ms: i64) {
        effects.retain_mut(|effect| match &mut effect.kind {
            Some(Kind::PublishEvent(event)) => self.address_event(event, now_ms),
            _ => true,
        });
    }

    fn address_event(&self, event: &mut PublishEvent, now_ms: i64) -> bool {
        event.subscription_ids =
            self.subscribers.of(&event.workspace_id, &event.owner_agent, &event.event_type);
        event.event_id = self.new_id(now_ms).to_bytes();
        event.at_ms = now_ms;
        event.forget_at_ms = now_ms + self.keep_ms;
        !event.subscription_ids.is_empty()
    }

    fn new_id(&self, now_ms: i64) -> IntentId {
        IntentId::new(now_ms.unsigned_abs(), self.slot, rand::random())
    }

    /// Makes the effects of an intent's append ready, and adds what follows from its events: a push
    /// to its agent or the end of one, and events for the subscriptions of the sender's workspace.
    pub fn complete(
        &self,
        effects: &mut Vec<Effect>,
        id: IntentId,
        submission: &Submission,
        events: &[Event],
        now_ms: i64,
    ) {
        self.address(effects, now_ms);
        if events.iter().any(|event| event.r#type() == EventType::DeliveryFailed) {
            // The parcel that was given up stays, as a dead letter.
            effects.retain(|effect| !matches!(effect.kind, Some(Kind::WithdrawPush(_))));
        }
        effects.extend(self.wishes(id, submission, events, now_ms));
    }

    fn wishes(
        &self,
        id: IntentId,
        submission: &Submission,
        events: &[Event],
        now_ms: i64,
    ) -> Vec<Effect> {
        let mut wishes: Vec<_> = push(id, submission, events, now_ms).into_iter().collect();
        for event in events {
            let event_type = event.r#type().wire_name();
            let (workspace, owner) = (&submission.workspace_id, &submission.from_agent);
            let subscription_ids = self.subscribers.of(workspace, owner, event_type);
            // Nobody listens, most of the time: then there is nothing to write.
            if !subscription_ids.is_empty() {
                wishes.push(Kind::PublishEvent(PublishEvent {
                    workspace_id: workspace.clone(),
                    owner_agent: owner.clone(),
                    event_type: event_type.to_owned(),
                    source: SOURCE.to_owned(),
                    payload_json: payload(id, submission, event),
                    event_id: self.new_id(now_ms).to_bytes(),
                    at_ms: now_ms,
                    forget_at_ms: now_ms + self.keep_ms,
                    subscription_ids,
                    ..PublishEvent::default()
                }));
            }
        }
        wishes.into_iter().map(|kind| Effect { kind: Some(kind) }).collect()
    }
}

/// An intent for an agent with a callback is pushed from its first event on until it has ended.
fn push(id: IntentId, submission: &Submission, events: &[Event], now_ms: i64) -> Option<Kind> {
    if submission.delivery_mode() != DeliveryMode::Http {
        return None;
    }
    let intent_id = id.to_bytes();
    if let Some(last) = events.iter().find(|event| event.status().is_terminal()) {
        if last.r#type() == EventType::DeliveryFailed {
            return None;
        }
        return Some(Kind::WithdrawPush(WithdrawPush { intent_id }));
    }
    (events.first()?.seq == 1).then(|| {
        Kind::QueuePush(QueuePush {
            intent_id,
            workspace_id: submission.target_workspace_id.clone(),
            address: submission.to_agent.clone(),
            at_ms: now_ms,
            again: false,
        })
    })
}

fn payload(id: IntentId, submission: &Submission, event: &Event) -> Bytes {
    let mut json = ObjectWriter::default()
        .string("intent_id", &id.to_string())
        .raw("seq", event.seq.to_string().as_bytes())
        .string("event_type", event.r#type().wire_name())
        .string("status", event.status().wire_name())
        .string("at", &rfc3339(event.at_ms))
        .string("intent_type", &submission.intent_type)
        .string("from_agent", &submission.from_agent)
        .string("to_agent", &submission.to_agent)
        .string("correlation_id", &submission.correlation_id)
        .string_if("actor", &event.actor);
    if let Some(reason) = event.waiting_reason().wire_name() {
        json = json.string("waiting_reason", reason);
    }
    json.raw("details", &event.details_json).finish()
}

#[cfg(test)]
mod tests {
    use axp_proto::log::Status;
    use axp_proto::node::{Row, WebhookSubscription};
    use prost::Message;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn publisher(event_types: &[&str]) -> Publisher {
        let subscribers = Subscribers::default();
        let subscription = WebhookSubscription {
            workspace_id: "w".to_owned(),
            event_types: event_types.iter().map(|&name| name.to_owned()).collect(),
            active: true,
            ..WebhookSubscription::default()
        };
        let key = axp_proto::control::webhook("s1");
        let value = subscription.encode_to_vec().into();
        subscribers.apply(&Row { key, revision: 1, value, deleted: false }).unwrap();
        Publisher::new(Arc::new(subscribers), GroupId(2), 4, 1000)
    }

    fn submission(mode: DeliveryMode) -> Submission {
        Submission {
            workspace_id: "w".to_owned(),
            target_workspace_id: "w2".to_owned(),
            to_agent: "agent://a".to_owned(),
            delivery_mode: mode.into(),
            ..Submission::default()
        }
    }

    fn id() -> IntentId {
        IntentId::new(1, Slot::from_hash(1024), 7)
    }

    fn event(seq: u32, kind: EventType, status: Status) -> Event {
        Event { seq, r#type: kind.into(), status: status.into(), ..Event::default() }
    }

    fn kinds(publisher: &Publisher, mode: DeliveryMode, events: &[Event]) -> Vec<Kind> {
        let wishes = publisher.wishes(id(), &submission(mode), events, NOW);
        wishes.into_iter().filter_map(|effect| effect.kind).collect()
    }

    #[test]
    fn a_push_lasts_from_the_first_event_to_the_last() {
        let publisher = publisher(&[]);
        let first = [
            event(1, EventType::Created, Status::Created),
            event(2, EventType::Submitted, Status::Submitted),
        ];
        let [Kind::QueuePush(queue)] = &kinds(&publisher, DeliveryMode::Http, &first)[..] else {
            panic!("one push");
        };
        assert_eq!(
            (&*queue.workspace_id, &*queue.address, queue.again),
            ("w2", "agent://a", false)
        );
        let middle = [event(3, EventType::Delivered, Status::Delivered)];
        assert_eq!(kinds(&publisher, DeliveryMode::Http, &middle), []);
        let last = [event(4, EventType::Completed, Status::Completed)];
        let ended = kinds(&publisher, DeliveryMode::Http, &last);
        assert!(matches!(ended[..], [Kind::WithdrawPush(_)]), "{ended:?}");
        let failed = [event(4, EventType::DeliveryFailed, Status::Failed)];
        let mut effects = ended.into_iter().map(|kind| Effect { kind: Some(kind) }).collect();
        let submission = submission(DeliveryMode::Http);
        publisher.complete(&mut effects, id(), &submission, &failed, NOW);
        assert_eq!(effects, [], "a dead letter is not withdrawn");
        for events in [&first[..], &middle, &last] {
            assert_eq!(kinds(&publisher, DeliveryMode::Stream, events), []);
        }
    }

    #[test]
    fn events_are_published_to_who_wants_them() {
        let publisher = publisher(&["intent.completed"]);
        let events = [
            event(3, EventType::InProgress, Status::InProgress),
            event(4, EventType::Completed, Status::Completed),
        ];
        let [Kind::PublishEvent(published)] = &kinds(&publisher, DeliveryMode::Stream, &events)[..]
        else {
            panic!("one event");
        };
        assert_eq!(published.event_type, "intent.completed");
        assert_eq!(published.subscription_ids, ["s1"]);
        assert_eq!(published.forget_at_ms, NOW + 1000);
        let event_id = IntentId::from_slice(&published.event_id).unwrap();
        assert_eq!(axp_proto::shard_map::group_of(event_id.slot(), 4), GroupId(2));
        let payload: serde_json::Value = serde_json::from_slice(&published.payload_json).unwrap();
        assert_eq!((&payload["seq"], &payload["status"]), (&4.into(), &"COMPLETED".into()));
        assert_eq!(payload["details"], serde_json::json!({}));
    }

    #[test]
    fn an_event_without_subscribers_is_dropped() {
        let publisher = publisher(&["invite.accepted"]);
        let wish = |event_type: &str| Effect {
            kind: Some(Kind::PublishEvent(PublishEvent {
                workspace_id: "w".to_owned(),
                event_type: event_type.to_owned(),
                ..PublishEvent::default()
            })),
        };
        let deposit = Effect { kind: Some(Kind::Deposit(axp_proto::log::Deposit::default())) };
        let mut effects =
            vec![wish("inbox.thread_created"), deposit.clone(), wish("invite.accepted")];
        publisher.address(&mut effects, NOW);
        assert!(publisher.is_heard("w", "", "invite.accepted"));
        assert!(!publisher.is_heard("w", "", "inbox.thread_created"));
        assert_eq!((effects.len(), &effects[0]), (2, &deposit));
        let Some(Kind::PublishEvent(event)) = &effects[1].kind else { panic!("the event") };
        assert_eq!((event.at_ms, &event.subscription_ids[..]), (NOW, &["s1".to_owned()][..]));
    }
}
