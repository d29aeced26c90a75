//! Given events, when command, then outcome. No runtime, no clock.

use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::{IntentId, Slot};
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{DeliveryMode, EventType, Status, Submission, TimerKind, WaitingReason};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_700_000_000_000;

fn id() -> IntentId {
    IntentId::new(NOW.unsigned_abs(), Slot::new(9).unwrap(), 1)
}

fn submission() -> Submission {
    Submission {
        org_id: "o".into(),
        workspace_id: "w".into(),
        intent_type: "intent.check.v1".into(),
        from_agent: "agent://acme/prod/sender".into(),
        to_agent: "agent://acme/prod/checker".into(),
        payload_json: Bytes::from_static(b"{}"),
        delivery_mode: DeliveryMode::Stream.into(),
        target_org_id: "o".into(),
        target_workspace_id: "w".into(),
        ..Submission::default()
    }
}

/// Folds a decision the way apply does.
fn append(intent: Option<Intent>, decision: &Decision) -> Intent {
    let mut intent = intent
        .unwrap_or_else(|| Intent::new(id(), Arc::clone(decision.submission.as_ref().unwrap())));
    for event in &decision.events {
        intent.evolve(event);
    }
    for timer in &decision.timers {
        intent.change_timer(timer);
    }
    assert!(intent.is_consistent(), "{intent:?}");
    intent
}

fn submitted(submission: Submission) -> (Intent, Decision) {
    let command = Command::Submit(Arc::new(submission));
    let Verdict::Append(decision) = decide(id(), None, &command, NOW).unwrap() else {
        panic!("a first submit appends");
    };
    (append(None, &decision), decision)
}

fn complete() -> Command {
    Command::AgentResult {
        failed: false,
        outcome_json: Bytes::from_static(br#"{"passed":true}"#),
        actor: "agent://acme/prod/checker".into(),
        expected: Expected::default(),
    }
}

fn types(decision: &Decision) -> Vec<EventType> {
    decision.events.iter().map(axp_proto::log::Event::r#type).collect()
}

#[test]
fn submit_to_a_stream_agent_is_delivered_at_once() {
    let (intent, decision) = submitted(submission());
    assert_eq!(types(&decision), [EventType::Created, EventType::Submitted, EventType::Delivered]);
    assert_eq!(intent.state.status(), Status::Delivered);
    let [effect] = &decision.effects[..] else { panic!("one deposit") };
    let Some(EffectKind::Deposit(deposit)) = &effect.kind else { panic!("a deposit") };
    let delivery = deposit.delivery.as_ref().unwrap();
    assert_eq!(delivery.intent_id, id().to_bytes());
    assert_eq!(delivery.status(), Status::Delivered);
    assert_eq!(delivery.intent_seq, 3);
}

#[test]
fn a_pushed_intent_is_not_delivered_before_the_push() {
    let mode = DeliveryMode::Http.into();
    let (intent, decision) = submitted(Submission { delivery_mode: mode, ..submission() });
    assert_eq!(intent.state.status(), Status::Submitted);
    assert_eq!(decision.effects.len(), 1);
}

#[test]
fn a_human_task_without_an_agent_waits() {
    let (intent, decision) = submitted(Submission {
        delivery_mode: DeliveryMode::Unspecified.into(),
        human_task_json: Bytes::from_static(br#"{"title":"Approve"}"#),
        ..submission()
    });
    assert_eq!(intent.state.waiting_reason(), WaitingReason::Human);
    assert_eq!(types(&decision)[2..], [EventType::Waiting, EventType::HumanTaskAssigned]);
    assert_eq!(decision.events[3].details_json, r#"{"human_task":{"title":"Approve"}}"#);
    assert!(decision.effects.is_empty());
}

#[test]
fn submitting_again_under_the_same_id_changes_nothing() {
    let (intent, _) = submitted(submission());
    let again = Command::Submit(Arc::new(submission()));
    assert_eq!(decide(id(), Some(&intent), &again, NOW + 5), Ok(Verdict::Unchanged));
    let other = Submission { intent_type: "intent.other.v1".into(), ..submission() };
    let rejection = decide(id(), Some(&intent), &Command::Submit(Arc::new(other)), NOW);
    assert_eq!(rejection.unwrap_err().code, ErrorCode::Conflict);
}

#[test]
fn a_result_ends_it_and_empties_the_mailbox() {
    let deadline_at_ms = Some(NOW + 1000);
    let (intent, _) = submitted(Submission { deadline_at_ms, ..submission() });
    let Ok(Verdict::Append(decision)) = decide(id(), Some(&intent), &complete(), NOW + 1) else {
        panic!("accepted");
    };
    assert!(matches!(decision.effects[0].kind, Some(EffectKind::Withdraw(_))));
    assert_eq!(decision.events[0].details_json, r#"{"result":{"passed":true}}"#);
    let intent = append(Some(intent), &decision);
    assert_eq!(intent.state.status(), Status::Completed);
    assert_eq!(intent.timer(TimerKind::Deadline), None);
    let second = decide(id(), Some(&intent), &complete(), NOW + 2);
    assert_eq!(second.unwrap_err().code, ErrorCode::InvalidState);
}

#[test]
fn a_stale_generation_is_told_and_not_applied() {
    let (intent, _) = submitted(submission());
    let command = Command::ControlResume {
        reason: String::new(),
        actor: "a".into(),
        expected: Expected(Some(7)),
    };
    assert_eq!(decide(id(), Some(&intent), &command, NOW), Ok(Verdict::StaleGeneration));
}

#[test]
fn control_resume_unblocks_and_does_not_end() {
    let (intent, _) = submitted(Submission {
        delivery_mode: DeliveryMode::Unspecified.into(),
        human_task_json: Bytes::from_static(b"{}"),
        ..submission()
    });
    let resume = || Command::ControlResume {
        reason: "go on".into(),
        actor: "a".into(),
        expected: Expected::default(),
    };
    let Ok(Verdict::Append(decision)) = decide(id(), Some(&intent), &resume(), NOW) else {
        panic!("accepted");
    };
    let intent = append(Some(intent), &decision);
    assert_eq!(intent.state.status(), Status::InProgress);
    assert_eq!(decide(id(), Some(&intent), &resume(), NOW), Ok(Verdict::Unchanged));
}

#[test]
fn a_deadline_is_never_early_and_needs_to_be_ahead() {
    let past = Submission { deadline_at_ms: Some(NOW), ..submission() };
    let rejection = decide(id(), None, &Command::Submit(Arc::new(past)), NOW).unwrap_err();
    assert_eq!(rejection.code, ErrorCode::ValidationError);

    let deadline_at_ms = Some(NOW + 1000);
    let (intent, _) = submitted(Submission { deadline_at_ms, ..submission() });
    let expire = Command::Expire(TimerKind::Deadline);
    assert_eq!(decide(id(), Some(&intent), &expire, NOW + 999), Ok(Verdict::Unchanged));
    let Ok(Verdict::Append(decision)) = decide(id(), Some(&intent), &expire, NOW + 1000) else {
        panic!("due");
    };
    assert_eq!(append(Some(intent), &decision).state.status(), Status::TimedOut);
}

#[test]
fn a_command_for_nothing_is_not_found() {
    let rejection = decide(id(), None, &complete(), NOW).unwrap_err();
    assert_eq!(rejection, Rejection::not_found());
}

fn any_command() -> impl Strategy<Value = Command> {
    let expected = prop_oneof![Just(None), Just(Some(0)), Just(Some(1))].prop_map(Expected);
    let status = prop_oneof![
        Just(Status::Completed),
        Just(Status::Failed),
        Just(Status::Canceled),
        Just(Status::Waiting)
    ];
    prop_oneof![
        Just(Command::Submit(Arc::new(Submission {
            deadline_at_ms: Some(NOW + 40),
            ..submission()
        }))),
        (status, expected.clone()).prop_map(|(status, expected)| Command::Resolve {
            status,
            outcome_json: Bytes::from_static(b"{}"),
            reason: "r".into(),
            actor: "a".into(),
            expected,
        }),
        (any::<bool>(), expected.clone()).prop_map(|(failed, expected)| Command::AgentResult {
            failed,
            outcome_json: Bytes::new(),
            actor: "a".into(),
            expected,
        }),
        expected.prop_map(|expected| Command::ControlResume {
            reason: String::new(),
            actor: "a".into(),
            expected,
        }),
        Just(Command::Expire(TimerKind::Deadline)),
    ]
}

proptest! {
    /// Any sequence of commands at any times: seq is dense, time per intent never goes back, there
    /// is at most one terminal event and nothing after it, and replaying the events gives the same
    /// intent as living through them.
    #[test]
    fn any_history_is_sound(
        mode in prop_oneof![Just(DeliveryMode::Stream), Just(DeliveryMode::Unspecified)],
        task in any::<bool>(),
        steps in prop::collection::vec((any_command(), -50_i64..50), 1..12),
    ) {
        let human_task_json = if task { Bytes::from_static(b"{}") } else { Bytes::new() };
        let (mut intent, first) = submitted(Submission {
            delivery_mode: mode.into(),
            human_task_json,
            deadline_at_ms: Some(NOW + 40),
            ..submission()
        });
        let mut events = first.events;
        let mut timers = first.timers;
        for (command, shift) in steps {
            if let Ok(Verdict::Append(decision)) = decide(id(), Some(&intent), &command, NOW + shift) {
                prop_assert!(!intent.is_terminal(), "nothing follows a terminal event");
                intent = append(Some(intent), &decision);
                events.extend(decision.events);
                timers.extend(decision.timers);
            }
        }
        prop_assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
        prop_assert!(events.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
        prop_assert!(events.iter().filter(|event| event.status().is_terminal()).count() <= 1);
        let mut replayed = Intent::new(id(), Arc::clone(&intent.submission));
        events.iter().for_each(|event| replayed.evolve(event));
        timers.iter().for_each(|timer| replayed.change_timer(timer));
        prop_assert_eq!(replayed, intent);
    }
}
