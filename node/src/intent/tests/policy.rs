//! Controls, policy and who may.

use axp_proto::log::{Grant, Member};

use super::*;

const DELEGATE: &str = "agent://acme/ops/delegate";

pub(super) fn member(name: &str, json: &str) -> Member {
    Member { name: name.to_owned(), json: Bytes::copy_from_slice(json.as_bytes()) }
}

pub(super) fn controls(patch: &[(&str, &str)], expected: Option<u32>) -> Command {
    Command::UpdateControls(UpdateControls {
        patch: patch.iter().map(|(name, json)| member(name, json)).collect(),
        actor: "agent://acme/prod/sender".into(),
        reason: "slow".into(),
        expected: Expected(expected),
    })
}

fn grant(allow: &[&str], envelope: &[(&str, &str)]) -> UpdatePolicy {
    let allow = allow.iter().map(|&right| right.to_owned()).collect();
    UpdatePolicy {
        grants: vec![Grant { grantee: DELEGATE.to_owned(), allow }],
        envelope: envelope.iter().map(|(name, json)| member(name, json)).collect(),
        ..UpdatePolicy::default()
    }
}

#[test]
fn each_change_counts_and_makes_no_event() {
    let (mut intent, _) = submitted(submission());
    let decision = run(&mut intent, &controls(&[("last_retry_attempt", "1")], Some(0)), NOW);
    assert!(decision.events.is_empty());
    assert_eq!((intent.state.policy_generation, intent.state.changes), (1, 1));
    assert_eq!(intent.state.last_seq, 3);
    let stale = decide(id(), Some(&intent), &controls(&[("x", "1")], Some(0)), NOW);
    assert_eq!(stale, Ok(Verdict::StaleGeneration));
    assert!(unchanged(&intent, &controls(&[("last_retry_attempt", "1")], Some(1)), NOW));
    run(&mut intent, &Command::UpdatePolicy(grant(&["resume"], &[])), NOW);
    assert_eq!(intent.state.policy_generation, 2);
    run(&mut intent, &Command::UpdatePolicy(grant(&[], &[])), NOW);
    assert!(intent.state.policy.as_ref().unwrap().grants.is_empty(), "revoked");
    run(&mut intent, &complete(), NOW);
    for command in [controls(&[("x", "1")], None), Command::UpdatePolicy(grant(&["resume"], &[]))] {
        assert_eq!(refused(&intent, &command, NOW), ErrorCode::InvalidState);
    }
}

#[test]
fn controls_stay_in_the_envelope() {
    let (mut intent, _) = submitted(submission());
    let envelope = [("execution_timeout_seconds", "60")];
    run(&mut intent, &Command::UpdatePolicy(grant(&["update_controls"], &envelope)), NOW);
    let beyond = controls(&[("timeout_seconds", "61")], None);
    assert_eq!(refused(&intent, &beyond, NOW), ErrorCode::ValidationError);
    run(&mut intent, &controls(&[("timeout_seconds", "60")], None), NOW);
    let tighter = grant(&["update_controls"], &[("execution_timeout_seconds", "59")]);
    assert_eq!(refused(&intent, &Command::UpdatePolicy(tighter), NOW), ErrorCode::ValidationError);
}

#[test]
fn a_timeout_counts_from_when_it_was_set() {
    let (mut intent, _) = submitted(submission());
    run(&mut intent, &controls(&[("timeout_seconds", "60")], None), NOW + 500);
    assert_eq!(intent.timer(TimerKind::Execution), Some(NOW + 60_500));
    run(&mut intent, &controls(&[("note", "1")], None), NOW + 700);
    assert_eq!(intent.timer(TimerKind::Execution), Some(NOW + 60_500), "it was not touched");
    let mut other = intent.clone();
    run(&mut other, &controls(&[("timeout_seconds", "")], None), NOW + 900);
    assert_eq!(other.timer(TimerKind::Execution), None);
    run(&mut intent, &Command::Expire(TimerKind::Execution), NOW + 60_500);
    assert_eq!(intent.state.status(), Status::TimedOut);
}

fn caller<'a>(workspace_id: &'a str, address: &'a str, asserted: bool) -> Caller<'a> {
    Caller { org_id: "o", workspace_id, address, asserted }
}

#[test]
fn controls_are_for_the_parties_and_for_whom_they_trust() {
    let (mut intent, _) = submitted(submission());
    let command = controls(&[("x", "1")], None);
    let may = |intent: &Intent, caller: Caller<'_>, command: &Command, now_ms| {
        authorise(intent, &caller, command, now_ms).map_err(|rejection| rejection.code)
    };
    for good in [
        caller("w", "agent://acme/prod/sender", true),
        caller("w", "agent://acme/prod/checker", true),
        caller("w", "agent://acme/prod/key-of-the-workspace", false),
    ] {
        assert_eq!(may(&intent, good, &command, NOW), Ok(()), "{good:?}");
    }
    let stranger = caller("w", "agent://acme/prod/stranger", true);
    assert_eq!(may(&intent, stranger, &command, NOW), Err(ErrorCode::PolicyDenied));
    assert_eq!(may(&intent, stranger, &complete(), NOW), Ok(()), "resuming is for the workspace");
    let delegate = caller("ops", DELEGATE, true);
    assert_eq!(may(&intent, delegate, &command, NOW), Err(ErrorCode::NotFound));

    let envelope = [("ttl_seconds", "10")];
    run(&mut intent, &Command::UpdatePolicy(grant(&["update_controls"], &envelope)), NOW);
    assert_eq!(may(&intent, delegate, &command, NOW + 9_999), Ok(()));
    assert!(may_read(&intent, &delegate, NOW));
    assert_eq!(may(&intent, delegate, &complete(), NOW), Err(ErrorCode::PolicyDenied));
    assert_eq!(may(&intent, delegate, &command, NOW + 10_000), Err(ErrorCode::NotFound));
    let foreign = Caller { org_id: "other", ..delegate };
    assert_eq!(may(&intent, foreign, &command, NOW), Err(ErrorCode::NotFound));

    let update = UpdatePolicy {
        expires_at_ms: Some(NOW + 5),
        ..grant(&["resume"], &[("expires_at", "\"x\"")])
    };
    run(&mut intent, &Command::UpdatePolicy(update), NOW);
    assert_eq!(may(&intent, delegate, &complete(), NOW + 4), Ok(()));
    assert_eq!(may(&intent, delegate, &complete(), NOW + 5), Err(ErrorCode::NotFound));
}

#[test]
fn who_got_it_sees_it() {
    let (mut intent, _) = submitted(submission());
    let ops = caller("ops", DELEGATE, false);
    assert!(!may_read(&intent, &ops, NOW));
    let mailbox = MailboxKey { workspace_id: "ops".into(), address: DELEGATE.into() };
    let to = Holder { mailbox: Some(mailbox), org_id: "o".into(), ..Holder::default() };
    let transfer = Transfer { to, actor: "a".into(), reason: String::new() };
    run(&mut intent, &Command::Transfer(transfer), NOW);
    assert!(may_read(&intent, &ops, NOW));
    assert_eq!(authorise(&intent, &ops, &complete(), NOW), Ok(()));
}
