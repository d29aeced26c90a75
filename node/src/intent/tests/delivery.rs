//! Attempts to deliver, other roads, other hands.

use super::*;

fn pushed() -> Intent {
    let mode = DeliveryMode::Http.into();
    submitted(Submission { delivery_mode: mode, ..submission() }).0
}

fn attempt(attempt: u32, delivered: bool) -> Command {
    let error = if delivered { String::new() } else { "answered 500".to_owned() };
    Command::DeliveryResult(DeliveryResult { attempt, delivered, error })
}

#[test]
fn a_push_that_arrives_delivers_once() {
    let mut intent = pushed();
    let decision = run(&mut intent, &attempt(1, false), NOW + 1);
    assert!(decision.events.is_empty() && decision.effects.is_empty());
    assert_eq!((intent.state.delivery_attempt, intent.state.changes), (1, 1));
    let decision = run(&mut intent, &attempt(2, true), NOW + 2);
    assert_eq!(types(&decision), [EventType::Delivered]);
    assert_eq!(decision.events[0].details_json, r#"{"delivery_attempt":"2"}"#);
    assert_eq!(intent.state.status(), Status::Delivered);
    // The new leader's push of the same attempt, and the old one's late answer.
    assert!(unchanged(&intent, &attempt(2, true), NOW + 3));
    assert!(unchanged(&intent, &attempt(2, false), NOW + 3));
    // An attempt of which nobody heard the end.
    run(&mut intent, &attempt(4, true), NOW + 4);
    assert!(unchanged(&intent, &attempt(3, false), NOW + 5));
}

#[test]
fn attempts_that_are_used_up_fail_the_intent() {
    let mut intent = pushed();
    run(&mut intent, &attempt(1, false), NOW);
    run(&mut intent, &attempt(2, false), NOW);
    let decision = run(&mut intent, &attempt(3, false), NOW + 5);
    assert_eq!(types(&decision), [EventType::DeliveryFailed]);
    assert_eq!(intent.state.status(), Status::Failed);
    let details = std::str::from_utf8(&decision.events[0].details_json).unwrap();
    assert!(details.starts_with(r#"{"delivery_attempt":"3","error":{"code":"delivery_failed","#));
    assert!(details.contains("answered 500"), "{details}");
    assert_eq!(intent.state.delivery_attempt, 3);
    assert_eq!(moves(&decision).1, ["agent://acme/prod/checker"]);
    assert!(unchanged(&intent, &attempt(4, true), NOW + 6), "it has ended");
}

#[test]
fn the_initiator_or_a_control_says_how_many_attempts() {
    let mode = DeliveryMode::Http.into();
    let max_delivery_attempts = Some(1);
    let (mut intent, _) =
        submitted(Submission { delivery_mode: mode, max_delivery_attempts, ..submission() });
    let before = intent.clone();
    assert_eq!(types(&run(&mut intent, &attempt(1, false), NOW)), [EventType::DeliveryFailed]);

    let mut intent = before;
    let patch = vec![policy::member("max_retry_count", "1")];
    let update = UpdateControls { patch, ..UpdateControls::default() };
    run(&mut intent, &Command::UpdateControls(update), NOW);
    assert!(run(&mut intent, &attempt(1, false), NOW).events.is_empty());
    assert_eq!(types(&run(&mut intent, &attempt(2, false), NOW)), [EventType::DeliveryFailed]);
}

#[test]
fn a_failed_push_does_not_end_what_the_agent_works_on() {
    let mut intent = pushed();
    run(&mut intent, &Command::Acknowledge { actor: "a".into() }, NOW);
    for number in 1..5 {
        assert!(run(&mut intent, &attempt(number, false), NOW).events.is_empty());
    }
    assert_eq!(intent.state.status(), Status::Acknowledged);
}

#[test]
fn acknowledging_is_told_once() {
    let acknowledge = Command::Acknowledge { actor: "agent://acme/prod/checker".into() };
    let (mut intent, _) = submitted(submission());
    let decision = run(&mut intent, &acknowledge, NOW);
    assert_eq!(types(&decision), [EventType::Acknowledged]);
    assert_eq!(moves(&decision).0, ["agent://acme/prod/checker"], "with the status as of now");
    assert!(unchanged(&intent, &acknowledge, NOW));
    let mut pushed = pushed();
    let decision = run(&mut pushed, &acknowledge, NOW);
    assert_eq!(types(&decision), [EventType::Delivered, EventType::Acknowledged]);
    run(&mut intent, &complete(), NOW);
    assert_eq!(refused(&intent, &acknowledge, NOW), ErrorCode::InvalidState);
}

#[test]
fn another_road_delivers_what_was_to_be_pushed() {
    let mut intent = pushed();
    run(&mut intent, &attempt(1, false), NOW);
    let decision = run(&mut intent, &Command::Rebind(DeliveryMode::Stream), NOW + 1);
    assert_eq!(types(&decision), [EventType::Delivered]);
    assert_eq!(intent.holder().mode(), DeliveryMode::Stream);
    assert!(unchanged(&intent, &Command::Rebind(DeliveryMode::Stream), NOW + 2));
    // Back to pushing: nothing happens to the status, and attempts are counted anew.
    let decision = run(&mut intent, &Command::Rebind(DeliveryMode::Http), NOW + 3);
    assert!(decision.events.is_empty());
    let [deposit, push] = &decision.effects[..] else { panic!("two effects") };
    assert!(matches!(deposit.kind, Some(EffectKind::Deposit(_))), "its row says how it goes");
    let Some(EffectKind::QueuePush(push)) = &push.kind else { panic!("a push") };
    assert_eq!((&*push.address, push.again), ("agent://acme/prod/checker", true));
    assert_eq!(intent.state.delivery_attempt, 0);
    assert_eq!(intent.state.status(), Status::Delivered);
    run(&mut intent, &attempt(1, true), NOW + 4);
    assert_eq!(intent.state.delivery_attempt, 1);
}

#[test]
fn a_transfer_changes_hands_and_not_the_status() {
    let (mut intent, _) = submitted(submission());
    let to = holder("second", DeliveryMode::Stream);
    let transfer = Command::Transfer(Transfer {
        to,
        actor: "agent://acme/prod/sender".into(),
        reason: "busy".into(),
    });
    let decision = run(&mut intent, &transfer, NOW + 1);
    assert_eq!(types(&decision), [EventType::Transfer]);
    assert_eq!(
        decision.events[0].details_json,
        r#"{"reason":"busy","from_handler":"agent://acme/prod/checker","to_handler":"agent://acme/prod/second"}"#
    );
    assert_eq!(intent.state.status(), Status::Delivered);
    assert_eq!(intent.state.handler, "agent://acme/prod/second");
    let (deposits, withdrawals) = moves(&decision);
    assert_eq!(deposits, ["agent://acme/prod/second"]);
    assert_eq!(withdrawals, ["agent://acme/prod/checker"]);
    assert!(unchanged(&intent, &transfer, NOW + 2));
    let decision = run(&mut intent, &complete(), NOW + 3);
    // One mailbox holds it; the other is told since its owner may have used the thread.
    assert_eq!(moves(&decision).1, ["agent://acme/prod/second", "agent://acme/prod/checker"]);
}

#[test]
fn a_transfer_to_a_stream_delivers_what_was_to_be_pushed() {
    let mut intent = pushed();
    run(&mut intent, &attempt(1, false), NOW);
    let to = holder("second", DeliveryMode::Stream);
    let transfer = Transfer { to, actor: "a".into(), reason: String::new() };
    let decision = run(&mut intent, &Command::Transfer(transfer), NOW + 1);
    assert_eq!(types(&decision), [EventType::Transfer, EventType::Delivered]);
    assert_eq!(intent.state.delivery_attempt, 0, "the next one is reached anew");
}
