//! Given a thread, when its owner acts or something arrives, then events and effects.

use axp_proto::error_code::ErrorCode;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{
    Decided, Delivery, Effect, InboxMessage, InboxPost, MailboxKey, Status, Thread, ThreadEvent,
    ThreadEventType, ThreadStatus, Withdraw,
};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_700_000_000_000;

fn mailbox(address: &str) -> MailboxKey {
    MailboxKey { workspace_id: "w".into(), address: address.into() }
}

fn owner() -> MailboxKey {
    mailbox("agent://alice")
}

fn thread_id() -> Bytes {
    Bytes::from_static(&[7; 16])
}

fn delivery() -> Delivery {
    Delivery {
        intent_id: thread_id(),
        intent_type: "intent.ask.v1".into(),
        from_agent: "agent://bob".into(),
        to_agent: "agent://alice".into(),
        at_ms: NOW,
        ..Delivery::default()
    }
}

fn thread() -> Thread {
    create(&thread_id(), &owner(), origin_of(&owner(), &delivery()), 2)
}

fn request(action: Action, id: u8) -> Request {
    Request {
        owner: owner(),
        thread_id: thread_id(),
        action_id: Bytes::copy_from_slice(&[id; 16]),
        actor: "agent://alice".into(),
        action,
    }
}

fn reply(id: u8) -> Request {
    request(Action::Reply { message: "hello".into() }, id)
}

fn approve(id: u8) -> Request {
    let (decision, comment) = (Decided::Approved, "fine".to_owned());
    request(Action::Conclude { decision, comment }, id)
}

fn delegate(to: Option<&str>, id: u8) -> Request {
    request(Action::Delegate { to: to.map(mailbox), note: "please".into() }, id)
}

fn delete(both: bool, message_ids: Vec<Bytes>, last: usize, id: u8) -> Request {
    request(Action::Delete { both, message_ids, last }, id)
}

/// Decides and folds, as a step does.
fn act(thread: &mut Thread, request: &Request) -> Decision {
    let Verdict::Append(decision) = decide(Some(thread), request, NOW + 1).unwrap() else {
        panic!("unchanged: {request:?}");
    };
    for event in &decision.events {
        fold(thread, event);
    }
    decision
}

fn refused(thread: &Thread, request: &Request) -> ErrorCode {
    decide(Some(thread), request, NOW).unwrap_err().code
}

fn posts(effects: &[Effect]) -> Vec<&InboxPost> {
    effects
        .iter()
        .map(|effect| match &effect.kind {
            Some(EffectKind::Inbox(post)) => post,
            other => panic!("not a post: {other:?}"),
        })
        .collect()
}

/// Takes a post as the inbox that it goes to.
fn take(thread: Option<Thread>, post: &InboxPost) -> Option<Thread> {
    let Some(arrival) = arrive(thread.as_ref(), post) else { return thread };
    let key = post.mailbox.clone().unwrap();
    let begin = || create(&post.thread_id, &key, arrival.origin.clone().unwrap(), 4);
    let mut thread = thread.unwrap_or_else(begin);
    for event in &arrival.events {
        fold(&mut thread, event);
    }
    Some(thread)
}

fn kinds(thread: &Thread) -> Vec<ThreadEventType> {
    thread.timeline.iter().map(axp_proto::log::ThreadEntry::r#type).collect()
}

#[test]
fn a_thread_begins_with_what_was_received() {
    let thread = thread();
    assert_eq!(kinds(&thread), [ThreadEventType::Received]);
    assert_eq!(thread.timeline[0].actor, "system");
    assert_eq!(thread.timeline[0].details_json, r#"{"intent_type":"intent.ask.v1"}"#);
    assert_eq!(thread.status(), ThreadStatus::Pending);
    assert_eq!(thread.origin.as_ref().unwrap().peer, Some(mailbox("agent://bob")));
    let again = Delivery { at_ms: NOW + 9, created_at_ms: NOW, ..delivery() };
    let again = create(&thread_id(), &owner(), origin_of(&owner(), &again), 2);
    assert_eq!(again, thread, "a delivery that is renewed shows the same thread");
    let abroad = Delivery { from_workspace_id: "v".into(), ..delivery() };
    let peer = origin_of(&owner(), &abroad).peer.unwrap();
    assert_eq!((peer.workspace_id.as_str(), peer.address.as_str()), ("v", "agent://bob"));
}

#[test]
fn a_reply_reaches_the_other_party() {
    let mut thread = thread();
    let decision = act(&mut thread, &reply(1));
    assert_eq!(thread.status(), ThreadStatus::Active);
    assert_eq!(thread.message_ids, [Bytes::from_static(&[1; 16])]);
    let [post] = posts(&decision.effects)[..] else { panic!("one post") };
    assert_eq!(post.mailbox, Some(mailbox("agent://bob")));
    let theirs = take(None, post).unwrap();
    assert_eq!(kinds(&theirs), [ThreadEventType::Received, ThreadEventType::ReplyReceived]);
    assert_eq!(theirs.status(), ThreadStatus::Pending);
    assert_eq!(theirs.message_ids, thread.message_ids);
    assert_eq!(theirs.origin.as_ref().unwrap().peer, Some(owner()), "an answer comes back");
    assert_eq!(take(Some(theirs.clone()), post), Some(theirs), "a repeat changes nothing");
}

#[test]
fn a_reply_to_oneself_stays_at_home() {
    let own = Delivery { from_agent: "agent://alice".into(), ..delivery() };
    let mut thread = create(&thread_id(), &owner(), origin_of(&owner(), &own), 2);
    assert!(act(&mut thread, &reply(1)).effects.is_empty());
}

#[test]
fn an_action_that_is_tried_again_is_done_once() {
    let mut thread = thread();
    act(&mut thread, &approve(1));
    assert_eq!(decide(Some(&thread), &approve(1), NOW), Ok(Verdict::Unchanged));
    assert_eq!(refused(&thread, &approve(2)), ErrorCode::InvalidState);
    let (decision, comment) = (Decided::Rejected, String::new());
    let reject = request(Action::Conclude { decision, comment }, 3);
    assert_eq!(refused(&thread, &reject), ErrorCode::InvalidState);
}

#[test]
fn the_contracts_order_works() {
    let mut thread = thread();
    act(&mut thread, &reply(1));
    let decision = act(&mut thread, &delegate(Some("agent://carol"), 2));
    let [post] = posts(&decision.effects)[..] else { panic!("one post") };
    let theirs = take(None, post).unwrap();
    assert_eq!(
        theirs.timeline[0].details_json,
        r#"{"intent_type":"intent.ask.v1","delegated_by":"agent://alice"}"#
    );
    assert_eq!(kinds(&theirs)[1], ThreadEventType::Delegated);
    assert_eq!(thread.status(), ThreadStatus::Active);
    act(&mut thread, &approve(3));
    assert_eq!(thread.status(), ThreadStatus::Done);
    let decision = act(&mut thread, &delete(true, Vec::new(), 10, 4));
    assert!(thread.message_ids.is_empty());
    let others: Vec<_> =
        posts(&decision.effects).iter().map(|post| post.mailbox.clone().unwrap()).collect();
    assert_eq!(others, [mailbox("agent://bob"), mailbox("agent://carol")]);
    assert_eq!(thread.timeline.len(), 5);
    act(&mut thread, &reply(5));
    assert_eq!(thread.status(), ThreadStatus::Done, "what is done stays done");
}

#[test]
fn delegating_has_rules() {
    let mut thread = thread();
    assert_eq!(refused(&thread, &delegate(Some("agent://alice"), 1)), ErrorCode::ValidationError);
    assert!(act(&mut thread, &delegate(None, 2)).effects.is_empty());
    for number in 3..19 {
        act(&mut thread, &delegate(Some(&format!("agent://d{number}")), number));
    }
    assert_eq!(refused(&thread, &delegate(Some("agent://more"), 30)), ErrorCode::ValidationError);
    act(&mut thread, &delegate(Some("agent://d3"), 31));
    act(&mut thread, &approve(32));
    assert_eq!(refused(&thread, &delegate(Some("agent://d3"), 33)), ErrorCode::InvalidState);
}

#[test]
fn messages_go_for_one_or_for_all() {
    let mut thread = thread();
    for number in 1..=4 {
        act(&mut thread, &reply(number));
    }
    let id = |number: u8| Bytes::copy_from_slice(&[number; 16]);
    let decision = act(&mut thread, &delete(false, vec![id(1), id(9)], 1, 10));
    assert!(decision.effects.is_empty());
    assert_eq!(decision.events[0].messages_deleted, [id(1), id(4)]);
    assert_eq!(thread.message_ids, [id(2), id(3)]);
    let nothing = delete(false, vec![id(1)], 0, 11);
    assert_eq!(decide(Some(&thread), &nothing, NOW), Ok(Verdict::Unchanged));

    let decision = act(&mut thread, &delete(true, vec![id(2)], 0, 12));
    let [post] = posts(&decision.effects)[..] else { panic!("one post") };
    assert_eq!(take(None, post), None, "who has no thread gets none");
    let mut theirs = super::tests::thread();
    assert_eq!(take(Some(theirs.clone()), post), Some(theirs.clone()), "nothing of it came here");
    let message = InboxMessage { message_id: id(2), ..InboxMessage::default() };
    let came = ThreadEvent { event_id: id(2), message: Some(message), ..ThreadEvent::default() };
    fold(&mut theirs, &came);
    assert!(take(Some(theirs), post).unwrap().message_ids.is_empty());
}

#[test]
fn reading_is_noted_until_something_comes() {
    let mut thread = thread();
    act(&mut thread, &request(Action::Read, 1));
    let again = request(Action::Read, 2);
    assert_eq!(decide(Some(&thread), &again, NOW), Ok(Verdict::Unchanged));
    let end = Withdraw {
        mailbox: Some(owner()),
        intent_id: thread_id(),
        ended: Status::TimedOut.into(),
        keeps_thread: true,
    };
    let event = ended(&thread, &end, NOW).unwrap();
    fold(&mut thread, &event);
    assert_eq!(thread.timeline[2].details_json, r#"{"status":"TIMED_OUT"}"#);
    assert_eq!(thread.status(), ThreadStatus::Done);
    assert_eq!(ended(&thread, &end, NOW), None);
    let moved = Withdraw { ended: 0, ..end };
    assert_eq!(ended(&super::tests::thread(), &moved, NOW), None, "it lies elsewhere now");
    act(&mut thread, &again);
    // The intent ended, and its thread can still be decided: that is noted and no more.
    act(&mut thread, &approve(3));
}

#[test]
fn an_unknown_thread_is_not_found() {
    assert_eq!(decide(None, &reply(1), NOW).unwrap_err().code, ErrorCode::NotFound);
    let (decision, comment) = (Decided::Unspecified, String::new());
    let nothing = request(Action::Conclude { decision, comment }, 3);
    assert_eq!(refused(&thread(), &nothing), ErrorCode::ValidationError);
}

#[test]
fn a_timeline_is_bounded_and_keeps_its_ends() {
    let mut thread = thread();
    for number in 0..300_u32 {
        let event = ThreadEvent {
            r#type: ThreadEventType::ReplyReceived.into(),
            event_id: Bytes::copy_from_slice(&u128::from(number).to_be_bytes()),
            ..ThreadEvent::default()
        };
        fold(&mut thread, &event);
    }
    assert_eq!(thread.timeline.len(), 128);
    assert_eq!(thread.entries_dropped, 301 - 128);
    assert_eq!(thread.timeline[0].r#type(), ThreadEventType::Received);
    let details_json = Bytes::from(vec![b' '; 100_000]);
    fold(
        &mut thread,
        &ThreadEvent { details_json: details_json.clone(), ..ThreadEvent::default() },
    );
    assert_eq!(thread.timeline.len(), 2, "a large result stays, alone with the first entry");
    assert_eq!(thread.timeline[1].details_json, details_json);
}

#[test]
fn messages_are_bounded() {
    let mut thread = thread();
    let mut dropped = Vec::new();
    for number in 0..103_u128 {
        let message_id = Bytes::copy_from_slice(&number.to_be_bytes());
        let message = Some(InboxMessage { message_id, ..InboxMessage::default() });
        let changes = fold(&mut thread, &ThreadEvent { message, ..ThreadEvent::default() });
        dropped.extend(changes.into_iter().filter(|it| matches!(it, MessageChange::Delete(_))));
    }
    assert_eq!(thread.message_ids.len(), 100);
    let first = Bytes::copy_from_slice(&0_u128.to_be_bytes());
    assert_eq!((dropped.len(), &dropped[0]), (3, &MessageChange::Delete(first)));
}

fn any_action() -> impl Strategy<Value = Action> {
    let id = (0_u8..20).prop_map(|number| Bytes::copy_from_slice(&[number; 16]));
    let address = prop_oneof![Just(None), Just(Some("agent://carol")), Just(Some("agent://bob"))];
    let decision = prop_oneof![Just(Decided::Approved), Just(Decided::Rejected)];
    prop_oneof![
        Just(Action::Reply { message: "m".into() }),
        address.prop_map(|to| Action::Delegate { to: to.map(mailbox), note: String::new() }),
        decision.prop_map(|decision| Action::Conclude { decision, comment: String::new() }),
        (any::<bool>(), prop::collection::vec(id, 0..3), 0_usize..3)
            .prop_map(|(both, message_ids, last)| Action::Delete { both, message_ids, last }),
        Just(Action::Read),
    ]
}

/// Either an action, by its id, or the end of the intent.
fn any_step() -> impl Strategy<Value = Option<(Action, u8)>> {
    prop_oneof![9 => (any_action(), 0_u8..20).prop_map(Some), 1 => Just(None)]
}

proptest! {
    /// Any history: at most one decision, done stays done, time never goes back, the first entry
    /// stays, ids are unique, messages are those that came less those that went, and replaying the
    /// events gives the same thread.
    #[test]
    fn any_history_is_sound(steps in prop::collection::vec((any_step(), -50_i64..50), 1..40)) {
        let (mut thread, mut events, mut stored) = (thread(), Vec::new(), Vec::new());
        for (step, shift) in steps {
            let before = thread.clone();
            let happened = match step {
                Some((action, id)) => match decide(Some(&thread), &request(action, id), NOW + shift) {
                    Ok(Verdict::Append(decision)) => decision.events,
                    Ok(Verdict::Unchanged) | Err(_) => Vec::new(),
                },
                None => {
                    let ended = Status::Completed.into();
                    let (mailbox, intent_id) = (Some(owner()), thread_id());
                    let end = Withdraw { mailbox, intent_id, ended, keeps_thread: true };
                    super::ended(&thread, &end, NOW + shift).into_iter().collect()
                }
            };
            for event in happened {
                for change in fold(&mut thread, &event) {
                    match change {
                        MessageChange::Put(message) => stored.push(message.message_id),
                        MessageChange::Delete(id) => stored.retain(|known| *known != id),
                    }
                }
                events.push(event);
            }
            prop_assert!(thread.updated_at_ms >= before.updated_at_ms);
            prop_assert!(before.status() != ThreadStatus::Done || thread.status() == ThreadStatus::Done);
            prop_assert!(before.decision() == Decided::Unspecified || thread.decision == before.decision);
            prop_assert_eq!(&stored, &thread.message_ids);
        }
        let decisions = events.iter().filter(|event| {
            matches!(event.r#type(), ThreadEventType::Approved | ThreadEventType::Rejected)
        });
        prop_assert!(decisions.count() <= 1);
        let mut ids: Vec<_> = thread.timeline.iter().map(|entry| entry.event_id.clone()).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), thread.timeline.len());
        let mut replayed = super::tests::thread();
        events.iter().for_each(|event| { fold(&mut replayed, event); });
        prop_assert_eq!(replayed, thread);
    }
}
