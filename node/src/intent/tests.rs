//! Given events, when command, then outcome. No runtime, no clock.

use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::{IntentId, Slot};
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{
    DeliveryMode, EventType, Holder, MailboxKey, Status, Submission, TimerKind, WaitingReason,
};
use bytes::Bytes;

use super::*;

mod delivery;
pub(crate) mod histories;
mod human;
mod links;
mod policy;
mod workflow;

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
    intent.observe(decision);
    assert!(intent.is_consistent(), "{intent:?}");
    intent
}

/// Decides a command that is to change the intent, and folds it.
#[track_caller]
fn run(intent: &mut Intent, command: &Command, now_ms: i64) -> Decision {
    match decide(id(), Some(intent), command, now_ms) {
        Ok(Verdict::Append(decision)) => {
            *intent = append(Some(intent.clone()), &decision);
            decision
        }
        other => panic!("{command:?} does not append: {other:?}"),
    }
}

/// The code with which a command is refused.
#[track_caller]
fn refused(intent: &Intent, command: &Command, now_ms: i64) -> ErrorCode {
    decide(id(), Some(intent), command, now_ms).unwrap_err().code
}

fn unchanged(intent: &Intent, command: &Command, now_ms: i64) -> bool {
    decide(id(), Some(intent), command, now_ms) == Ok(Verdict::Unchanged)
}

fn holder(name: &str, mode: DeliveryMode) -> Holder {
    let mailbox =
        MailboxKey { workspace_id: "w".into(), address: format!("agent://acme/prod/{name}") };
    Holder { mailbox: Some(mailbox), org_id: "o".into(), mode: mode.into() }
}

/// Addresses that the decision deposits with and withdraws from.
fn moves(decision: &Decision) -> (Vec<String>, Vec<String>) {
    let (mut deposits, mut withdrawals) = (Vec::new(), Vec::new());
    for effect in &decision.effects {
        match effect.kind.as_ref().unwrap() {
            EffectKind::Deposit(it) => deposits.push(it.mailbox.clone().unwrap().address),
            EffectKind::Withdraw(it) => withdrawals.push(it.mailbox.clone().unwrap().address),
            EffectKind::QueuePush(_)
            | EffectKind::WithdrawPush(_)
            | EffectKind::Inbox(_)
            | EffectKind::QueueMail(_) => {}
            EffectKind::StepStart(_) | EffectKind::StepStop(_) | EffectKind::StepEnded(_) => {}
            EffectKind::PublishEvent(_) => panic!("the core publishes nothing"),
        }
    }
    (deposits, withdrawals)
}

fn submitted(submission: Submission) -> (Intent, Decision) {
    let command = Command::Submit(Arc::new(submission));
    let Verdict::Append(decision) = decide(id(), None, &command, NOW).unwrap() else {
        panic!("a first submit appends");
    };
    (append(None, &decision), decision)
}

fn complete() -> Command {
    Command::AgentResult(AgentResult {
        failed: false,
        outcome_json: Bytes::from_static(br#"{"passed":true}"#),
        actor: "agent://acme/prod/checker".into(),
        expected: Expected::default(),
        ..AgentResult::default()
    })
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
    // It lies in no mailbox, so the person's inbox is told of it.
    let [effect] = &decision.effects[..] else { panic!("one effect") };
    let Some(EffectKind::Inbox(post)) = &effect.kind else { panic!("a post") };
    assert_eq!(post.mailbox, Some(intent.mailbox()));
    assert!(post.origin.is_some() && post.event.is_none());
    let to_agent = "agent://agent_core".into();
    let human_task_json = Bytes::from_static(b"{}");
    let delivery_mode = DeliveryMode::Unspecified.into();
    let (_, decision) =
        submitted(Submission { delivery_mode, human_task_json, to_agent, ..submission() });
    assert!(decision.effects.is_empty(), "the runtime reads no inbox");
}

#[test]
fn every_end_is_told_to_reply_to() {
    let asks = |mode: DeliveryMode, human_task_json: &'static [u8]| Submission {
        reply_to: "initiator".into(),
        reply_to_address: "agent://acme/prod/initiator".into(),
        reply_to_workspace_id: "w".into(),
        deadline_at_ms: Some(NOW + 10),
        delivery_mode: mode.into(),
        human_task_json: Bytes::from_static(human_task_json),
        ..submission()
    };
    let ends = [
        (complete(), r#"{"result":{"passed":true}}"#),
        (Command::Expire(TimerKind::Deadline), ""),
        (
            Command::Resolve(Resolve {
                status: Status::Canceled,
                reason: "no".into(),
                actor: "a".into(),
                ..Resolve::default()
            }),
            r#"{"reason":"no"}"#,
        ),
    ];
    for (mode, task) in [
        (DeliveryMode::Stream, &b""[..]),
        (DeliveryMode::Http, b""),
        (DeliveryMode::Internal, b""),
        (DeliveryMode::Unspecified, b"{}"),
    ] {
        for (command, details) in &ends {
            let (intent, _) = submitted(asks(mode, task));
            let Ok(Verdict::Append(decision)) = decide(id(), Some(&intent), command, NOW + 10)
            else {
                panic!("it ends");
            };
            let Some(EffectKind::Inbox(post)) = &decision.effects[0].kind else {
                panic!("the outcome goes first")
            };
            assert_eq!(post.mailbox.as_ref().unwrap().address, "agent://acme/prod/initiator");
            let event = post.event.as_ref().unwrap();
            let status = decision.events[0].status().wire_name();
            let text = std::str::from_utf8(&event.details_json).unwrap();
            assert!(text.contains(&format!(r#""status":"{status}""#)), "{text}");
            assert!(text.contains(details.trim_matches(['{', '}'])), "{text}");
            let withdrawn = matches!(
                decision.effects.get(1).map(|effect| &effect.kind),
                Some(Some(EffectKind::Withdraw(withdraw))) if withdraw.ended().is_terminal()
            );
            assert_eq!(withdrawn, mode != DeliveryMode::Internal);
        }
    }
}

#[test]
fn threads_of_registered_agents_cost_nothing() {
    for (mode, keeps) in [
        (DeliveryMode::Stream, false),
        (DeliveryMode::Poll, false),
        (DeliveryMode::Http, false),
        (DeliveryMode::Inbox, true),
        (DeliveryMode::Unspecified, true),
    ] {
        let (_, decision) = submitted(Submission { delivery_mode: mode.into(), ..submission() });
        let [effect] = &decision.effects[..] else { panic!("a deposit and no more") };
        let Some(EffectKind::Deposit(deposit)) = &effect.kind else { panic!("a deposit") };
        let delivery = deposit.delivery.as_ref().unwrap();
        assert_eq!(delivery.keeps_thread, keeps);
        assert!(delivery.from_workspace_id.is_empty());
    }
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

#[test]
fn a_request_that_ended_it_is_known_again() {
    let resolve = |request_id: &'static str| {
        Command::Resolve(Resolve {
            status: Status::Completed,
            request_id: request_id.into(),
            ..Resolve::default()
        })
    };
    let result = |request_id: &'static str| {
        Command::AgentResult(AgentResult {
            request_id: request_id.into(),
            ..AgentResult::default()
        })
    };
    for [mine, another, unknown] in
        [["mine", "another", ""].map(resolve), ["mine", "another", ""].map(result)]
    {
        let (mut intent, _) = submitted(submission());
        run(&mut intent, &mine, NOW);
        assert!(unchanged(&intent, &mine, NOW));
        assert_eq!(refused(&intent, &another, NOW), ErrorCode::InvalidState);
        assert_eq!(refused(&intent, &unknown, NOW), ErrorCode::InvalidState);
    }
}
