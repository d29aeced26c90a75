//! Waiting for a person: the decision, reminders, escalation, delegation.

use axp_proto::log::{HolderKind, TaskRules};

use super::*;
use crate::intent::TaskAudit;

pub(super) fn task() -> Submission {
    Submission {
        delivery_mode: DeliveryMode::Unspecified.into(),
        human_task_json: Bytes::from_static(br#"{"title":"Approve"}"#),
        task: Some(TaskRules {
            allowed_outcomes: vec!["approved".into(), "rejected".into()],
            assignees: vec!["ann@acme.test".into()],
            ..TaskRules::default()
        }),
        ..submission()
    }
}

pub(super) fn answer(outcome: &str) -> TaskResult {
    let json = format!(r#"{{"outcome":"{outcome}"}}"#);
    TaskResult {
        outcome: outcome.to_owned(),
        answer_json: Bytes::from(json),
        actor: "ann@acme.test".into(),
        ..TaskResult::default()
    }
}

fn due(intent: &Intent, kind: TimerKind) -> Option<i64> {
    intent.timer(kind).map(|due| due - NOW)
}

#[test]
fn one_decision_ends_it() {
    for (outcome, status, details) in [
        (
            "approved",
            Status::Completed,
            r#"{"result":{"outcome":"approved"},"task_result":{"outcome":"approved"}}"#,
        ),
        (
            "rejected",
            Status::Failed,
            r#"{"error":{"outcome":"rejected"},"task_result":{"outcome":"rejected"}}"#,
        ),
    ] {
        let (mut intent, _) = submitted(task());
        let decision = run(&mut intent, &Command::TaskResult(answer(outcome)), NOW + 1);
        assert_eq!(intent.state.status(), status);
        assert_eq!(decision.events[0].details_json, details);
        assert_eq!(decision.events[0].actor, "ann@acme.test");
        let second = refused(&intent, &Command::TaskResult(answer("approved")), NOW + 2);
        assert_eq!(second, ErrorCode::InvalidState);
    }
}

#[test]
fn an_answer_keeps_to_the_rules_of_the_task() {
    let rules = TaskRules {
        allowed_outcomes: vec!["completed".into(), "failed".into()],
        comment_required: true,
        evidence_required: true,
        ..TaskRules::default()
    };
    let (mut intent, _) = submitted(Submission { task: Some(rules), ..task() });
    let refused = |answer| refused(&intent, &Command::TaskResult(answer), NOW);
    assert_eq!(refused(answer("approved")), ErrorCode::ValidationError);
    assert_eq!(refused(answer("completed")), ErrorCode::ValidationError);
    let blank = TaskResult { comment: " ".into(), has_evidence: true, ..answer("completed") };
    assert_eq!(refused(blank), ErrorCode::ValidationError);
    let bare = TaskResult { comment: "done".into(), ..answer("completed") };
    assert_eq!(refused(bare), ErrorCode::ValidationError);
    // What went wrong needs no proof.
    let failed = TaskResult { comment: "broken".into(), ..answer("failed") };
    run(&mut intent, &Command::TaskResult(failed), NOW);
}

#[test]
fn nobody_decides_what_waits_for_nobody() {
    let (intent, _) = submitted(submission());
    let answer = Command::TaskResult(answer("approved"));
    assert_eq!(refused(&intent, &answer, NOW), ErrorCode::InvalidState);
}

#[test]
fn an_answer_to_another_task_is_refused() {
    let (mut intent, _) = submitted(task());
    let other = TaskResult { expected_task: Some(1), ..answer("approved") };
    assert_eq!(refused(&intent, &Command::TaskResult(other), NOW), ErrorCode::InvalidState);
    let this = TaskResult { expected_task: Some(0), ..answer("approved") };
    run(&mut intent, &Command::TaskResult(this), NOW);
}

#[test]
fn the_deciding_event_says_who_how_from_where_and_about_what() {
    let audit =
        TaskAudit { channel: "cli".into(), from: "192.0.2.7".into(), task_sha256: "ab12".into() };
    let expected = concat!(
        r#""decided":{"by":"ann@acme.test","channel":"cli","from":"192.0.2.7","#,
        r#""task_sha256":"ab12","task_number":0}"#
    );
    let to = Some(Box::new(holder("bob", DeliveryMode::Inbox)));
    for delegate_to in [None, to] {
        let (mut intent, _) = submitted(task());
        let audit = Some(audit.clone());
        let audited = TaskResult { audit, delegate_to, ..answer("approved") };
        let decision = run(&mut intent, &Command::TaskResult(audited), NOW);
        let details = String::from_utf8(decision.events[0].details_json.to_vec()).unwrap();
        assert!(details.contains(expected), "{details}");
    }
}

#[test]
fn who_acts_in_a_name_must_be_asked() {
    let (intent, _) = submitted(task());
    let ask = |address, asserted| {
        let caller = Caller { org_id: "o", workspace_id: "w", address, asserted };
        let answer = Command::TaskResult(answer("approved"));
        authorise(&intent, &caller, &answer, NOW).map_err(|refusal| refusal.code)
    };
    assert_eq!(ask("ann@acme.test", true), Ok(()));
    assert_eq!(ask("agent://acme/prod/mallory", true), Err(ErrorCode::PolicyDenied));
    assert_eq!(ask("agent://acme/prod/key", false), Ok(()), "a key acts for its workspace");
}

#[test]
fn reminders_are_counted_and_then_somebody_else_is_asked() {
    let (mut intent, _) = submitted(Submission {
        remind_after_seconds: Some(10),
        remind_interval_seconds: Some(5),
        max_reminders: Some(2),
        escalate_to: "agent://acme/prod/boss".into(),
        escalation: Some(holder("boss", DeliveryMode::Inbox)),
        ..task()
    });
    let remind = Command::Expire(TimerKind::Reminder);
    assert_eq!(due(&intent, TimerKind::Reminder), Some(10_000));
    assert!(unchanged(&intent, &remind, NOW + 9_999), "never early");
    let decision = run(&mut intent, &remind, NOW + 10_007);
    assert_eq!(types(&decision), [EventType::Reminder]);
    assert_eq!(decision.events[0].details_json, r#"{"reminder_count":1}"#);
    assert_eq!(decision.events[0].status(), Status::Waiting);
    assert_eq!(decision.events[0].waiting_reason(), WaitingReason::Human);
    assert!(decision.events[0].pending_with.is_some());
    assert_eq!(due(&intent, TimerKind::Reminder), Some(15_000), "lateness does not add up");
    assert!(unchanged(&intent, &remind, NOW + 10_008), "it fires once");
    run(&mut intent, &remind, NOW + 15_000);
    assert_eq!(intent.state.remind_count, 2);
    assert_eq!(due(&intent, TimerKind::Reminder), None);
    assert_eq!(due(&intent, TimerKind::Escalation), Some(20_000));

    let decision = run(&mut intent, &Command::Expire(TimerKind::Escalation), NOW + 20_000);
    assert_eq!(types(&decision), [EventType::Escalated, EventType::Transfer]);
    assert_eq!(decision.events[0].details_json, r#"{"escalated_to":"agent://acme/prod/boss"}"#);
    assert_eq!(moves(&decision), (vec!["agent://acme/prod/boss".to_owned()], Vec::new()));
    assert_eq!(intent.state.assignees, ["ann@acme.test", "agent://acme/prod/boss"]);
    assert_eq!(intent.state.pending_with.as_ref().unwrap().kind(), HolderKind::Human);
    assert_eq!(intent.state.status(), Status::Waiting);
    assert!(intent.state.timers.is_empty(), "it goes on waiting");
    let decision = run(&mut intent, &Command::TaskResult(answer("approved")), NOW + 30_000);
    assert_eq!(moves(&decision).1, ["agent://acme/prod/boss", "agent://acme/prod/checker"]);
}

#[test]
fn one_reminder_fires_for_all_that_were_missed() {
    let (mut intent, _) = submitted(Submission {
        remind_after_seconds: Some(10),
        remind_interval_seconds: Some(5),
        max_reminders: Some(9),
        ..task()
    });
    run(&mut intent, &Command::Expire(TimerKind::Reminder), NOW + 100_000);
    assert_eq!(due(&intent, TimerKind::Reminder), Some(105_000));
}

#[test]
fn reminders_have_defaults_and_end_with_the_wait() {
    let (mut intent, _) = submitted(Submission { remind_after_seconds: Some(10), ..task() });
    run(&mut intent, &Command::Expire(TimerKind::Reminder), NOW + 10_000);
    assert!(intent.state.timers.is_empty(), "one reminder, and nobody to escalate to");

    let interval = Submission { remind_interval_seconds: Some(10), ..task() };
    let (mut intent, _) = submitted(interval);
    for count in 1..=3 {
        run(&mut intent, &Command::Expire(TimerKind::Reminder), NOW + 10_000 * count);
    }
    assert!(intent.state.timers.is_empty());

    let (mut intent, _) = submitted(Submission { remind_after_seconds: Some(10), ..task() });
    let actor = "a".to_owned();
    let (reason, expected) = (String::new(), Expected::default());
    run(&mut intent, &Command::ControlResume { reason, actor, expected }, NOW);
    assert!(intent.state.timers.is_empty());
    // With an agent that works first nobody waits yet.
    let agent = Submission { remind_after_seconds: Some(10), ..submission() };
    assert!(submitted(agent).0.state.timers.is_empty());
}

#[test]
fn a_delegated_task_is_for_somebody_else_to_decide() {
    let (mut intent, _) = submitted(Submission {
        remind_after_seconds: Some(10),
        task: Some(TaskRules {
            allowed_outcomes: vec!["delegated".into(), "approved".into()],
            ..TaskRules::default()
        }),
        ..task()
    });
    run(&mut intent, &Command::Expire(TimerKind::Reminder), NOW + 10_000);
    let to = holder("bob", DeliveryMode::Inbox);
    let delegated = TaskResult { delegate_to: Some(Box::new(to)), ..answer("delegated") };
    let decision = run(&mut intent, &Command::TaskResult(delegated), NOW + 11_000);
    assert_eq!(types(&decision), [EventType::Transfer]);
    assert_eq!(intent.state.status(), Status::Waiting);
    assert_eq!(intent.state.assignees, ["agent://acme/prod/bob"]);
    assert_eq!(intent.state.remind_count, 0);
    assert_eq!(due(&intent, TimerKind::Reminder), Some(21_000), "he is reminded from now on");
    assert_eq!(moves(&decision).0, ["agent://acme/prod/bob"]);
    run(&mut intent, &Command::TaskResult(answer("approved")), NOW + 12_000);
    assert_eq!(intent.state.status(), Status::Completed);
}
