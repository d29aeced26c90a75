//! Workflows: steps of all kinds, what ends them, and that nothing is lost or done twice whatever is
//! told again.

use axp_proto::log::{HolderKind, Step, StepEnded, WaitKind};

use super::*;

mod histories;
mod shard;

use self::shard::*;

#[test]
fn agents_are_asked_one_after_the_other() {
    let mut shard = Shard::new(scenario(sequence(vec![agent("a"), agent("b")])));
    assert_eq!(shard.status(), Status::Delivered);
    let pending = shard.parent().state.pending_with.clone().unwrap();
    assert_eq!((&*pending.name, pending.kind()), ("a", HolderKind::Agent));
    shard.settle();
    let first = shard.child().unwrap();
    assert_eq!(first.slot(), id().slot(), "parent and step never cross shards");
    assert_eq!(shard.intents[&first].state.status(), Status::Delivered);
    shard.answer(false);
    assert_eq!(shard.parent().state.waiting_reason(), WaitingReason::Agent);
    let second = shard.intents[&shard.child().unwrap()].submission.clone();
    let payload: serde_json::Value = serde_json::from_slice(&second.payload_json).unwrap();
    assert_eq!(payload["parent_payload"], serde_json::json!({"amount": 1}));
    assert_eq!(payload["previous_results"], serde_json::json!({"s0": {"passed": true}}));
    assert_eq!(payload["parent_intent_id"], id().to_string());
    shard.answer(false);
    assert_eq!(shard.status(), Status::Completed);
    assert_eq!(
        shard.details()["result"],
        serde_json::json!({
            "s0": {"passed": true}, "s1": {"passed": true}, "last_result": {"passed": true},
        })
    );
}

#[test]
fn a_failed_step_ends_it_or_leads_elsewhere() {
    let mut shard = Shard::new(scenario(sequence(vec![agent("a")])));
    shard.settle();
    shard.answer(true);
    assert_eq!(shard.status(), Status::Failed);
    assert_eq!(
        (&shard.details()["reason"], &shard.details()["step_id"]),
        (&"step_failed".into(), &"s0".into())
    );

    let mut steps = sequence(vec![agent("a"), agent("b")]);
    steps[0].on_success = None;
    steps[0].on_failure = Some(1);
    let mut shard = Shard::new(scenario(steps));
    shard.settle();
    shard.answer(true);
    shard.answer(false);
    assert_eq!(shard.status(), Status::Completed);
}

#[test]
fn a_step_that_takes_too_long_times_out_and_may_be_tried_again() {
    let mut steps = sequence(vec![agent("a")]);
    steps[0] = Step {
        deadline_seconds: Some(15),
        max_retries: 1,
        retry_delay_seconds: 30,
        ..steps[0].clone()
    };
    let mut shard = Shard::new(scenario(steps));
    shard.settle();
    let first = shard.child().unwrap();
    shard.pass(14);
    assert!(!shard.expire(TimerKind::StepDeadline), "never early");
    shard.pass(1);
    assert!(shard.expire(TimerKind::StepDeadline));
    assert_eq!(shard.intents[&first].state.status(), Status::TimedOut);
    assert_eq!(shard.parent().state.waiting_reason(), WaitingReason::Time);
    // The agent of the first attempt comes too late.
    let late = AgentResult::default();
    assert!(!shard.command(first, &Command::AgentResult(late)));
    shard.pass(30);
    assert!(shard.expire(TimerKind::StepWait));
    let second = shard.child().unwrap();
    assert_ne!(first, second);
    shard.pass(15);
    assert!(shard.expire(TimerKind::StepDeadline));
    assert_eq!(shard.status(), Status::Failed);
    assert_eq!(shard.details()["reason"], "step_timeout");
}

#[test]
fn a_person_decides_one_step_and_not_the_next() {
    let mut shard = Shard::new(scenario(sequence(vec![human(), human(), agent("a")])));
    assert!(shard.parent().waits_for_human());
    assert_eq!(shard.parent().state.assignees, ["ann@acme.test"]);
    let approve = |task: Option<u32>, request: &'static str| {
        Command::TaskResult(TaskResult {
            outcome: "approved".into(),
            answer_json: Bytes::from_static(br#"{"outcome":"approved"}"#),
            actor: "ann@acme.test".into(),
            expected_task: task,
            request_id: request.into(),
            ..TaskResult::default()
        })
    };
    assert!(shard.command(id(), &approve(Some(1), "r1")));
    assert!(shard.parent().waits_for_human(), "the second asks");
    // The answer was lost and the request comes again, or somebody else meant the first task.
    assert!(unchanged(shard.parent(), &approve(Some(1), "r1"), NOW));
    assert_eq!(refused(shard.parent(), &approve(Some(1), "r2"), NOW), ErrorCode::InvalidState);
    assert!(shard.command(id(), &approve(Some(2), "r3")));
    shard.settle();
    assert_eq!(refused(shard.parent(), &approve(None, "r4"), NOW), ErrorCode::InvalidState);
    assert!(shard.parent().state.assignees.is_empty());
    shard.answer(false);
    assert_eq!(shard.status(), Status::Completed);
}

#[test]
fn people_are_reminded_and_others_asked() {
    let mut shard = Shard::new(scenario(sequence(vec![human(), agent("a")])));
    shard.pass(5);
    assert!(shard.expire(TimerKind::Reminder));
    assert_eq!(shard.parent().state.remind_count, 1);
    shard.pass(5);
    assert!(shard.expire(TimerKind::Escalation));
    assert!(shard.parent().is_deposited(), "it lies in the deputy's mailbox");
    assert!(shard.parent().state.assignees.contains(&"agent://acme/prod/deputy".to_owned()));
    let reject = TaskResult {
        outcome: "approved".into(),
        actor: "agent://acme/prod/deputy".into(),
        ..TaskResult::default()
    };
    assert!(shard.command(id(), &Command::TaskResult(reject)));
    assert!(!shard.parent().is_deposited(), "it has come back");
    assert_eq!(shard.parent().state.remind_count, 0);
}

#[test]
fn a_negative_answer_names_outcome_and_step() {
    let mut shard = Shard::new(scenario(sequence(vec![human()])));
    let answer = TaskResult {
        outcome: "rejected".into(),
        answer_json: Bytes::from_static(br#"{"outcome":"rejected"}"#),
        ..TaskResult::default()
    };
    assert!(shard.command(id(), &Command::TaskResult(answer)));
    assert_eq!(shard.status(), Status::Failed);
    let details = shard.details();
    assert_eq!((&details["outcome"], &details["step_id"]), (&"rejected".into(), &"s0".into()));
}

#[test]
fn the_runtime_waits_tells_and_fails_by_itself() {
    let kinds = vec![
        notify(),
        wait(WaitKind::Delay, 2),
        wait(WaitKind::Reminder, 3),
        wait(WaitKind::Timeout, 4),
    ];
    let mut shard = Shard::new(scenario(sequence(kinds)));
    assert_eq!(shard.parent().state.waiting_reason(), WaitingReason::Time);
    for seconds in [2, 3, 4] {
        assert!(!shard.expire(TimerKind::StepWait), "never early");
        shard.pass(seconds);
        assert!(shard.expire(TimerKind::StepWait));
    }
    assert_eq!(
        (shard.status(), &shard.details()["reason"]),
        (Status::Failed, &"step_timeout".into())
    );
    // Nothing but what is over at once: it ends with the submit.
    let shard = Shard::new(scenario(sequence(vec![notify(), notify()])));
    assert_eq!(shard.status(), Status::Completed);
    assert!(shard.parent().state.timers.is_empty());
}

#[test]
fn what_ends_the_scenario_ends_its_step() {
    let deadline = || Submission {
        deadline_at_ms: Some(NOW + 60_000),
        ..scenario(sequence(vec![agent("a")]))
    };
    let cancel = Command::Resolve(Resolve {
        status: Status::Canceled,
        reason: "no".into(),
        actor: "a".into(),
        ..Resolve::default()
    });
    for (command, status) in
        [(cancel, Status::Canceled), (Command::Expire(TimerKind::Deadline), Status::TimedOut)]
    {
        let mut shard = Shard::new(deadline());
        shard.settle();
        let child = shard.child().unwrap();
        shard.pass(60);
        assert!(shard.command(id(), &command));
        shard.settle();
        assert_eq!(
            (shard.status(), shard.intents[&child].state.status()),
            (status, Status::Canceled)
        );
    }
}

#[test]
fn answering_at_the_scenario_answers_for_the_agent() {
    let mut shard = Shard::new(scenario(sequence(vec![agent("a"), human()])));
    shard.settle();
    let child = shard.child().unwrap();
    let result = AgentResult { request_id: "r".into(), ..AgentResult::default() };
    assert!(shard.command(id(), &Command::AgentResult(result.clone())));
    shard.settle();
    assert_eq!(shard.intents[&child].state.status(), Status::Canceled);
    assert!(shard.parent().waits_for_human());
    assert!(unchanged(shard.parent(), &Command::AgentResult(result), NOW));
    let other = Command::AgentResult(AgentResult::default());
    assert_eq!(refused(shard.parent(), &other, NOW), ErrorCode::InvalidState);
    // A control resume approves the step that waits.
    let resume = Command::ControlResume {
        reason: String::new(),
        actor: "a".into(),
        expected: Expected::default(),
    };
    assert!(shard.command(id(), &resume));
    assert_eq!(shard.status(), Status::Completed);
}

#[test]
fn circles_and_results_are_bounded() {
    let mut steps = sequence(vec![wait(WaitKind::Delay, 1)]);
    steps[0].on_success = Some(0);
    let mut shard = Shard::new(scenario(steps));
    while shard.status() == Status::Waiting {
        shard.pass(1);
        assert!(shard.expire(TimerKind::StepWait));
    }
    assert_eq!(shard.details()["reason"], "too_many_steps");
    let mut shard = Shard::new(scenario(sequence(vec![agent("a"), agent("b")])));
    shard.settle();
    let child = shard.child().unwrap();
    let outcome_json = format!(r#"{{"text":"{}"}}"#, "x".repeat(64 * 1024)).into();
    let result = AgentResult { outcome_json, ..AgentResult::default() };
    assert!(shard.command(child, &Command::AgentResult(result)));
    shard.settle();
    assert_eq!(shard.details()["reason"], "results_too_large");
}

#[test]
fn state_without_a_workflow_folds_as_before() {
    let (mut intent, _) = submitted(submission());
    assert_eq!(intent.state.workflow, None);
    let told = StepEnded { entered: 1, attempt: 1, ..StepEnded::default() };
    assert!(unchanged(&intent, &Command::StepEnded(told), NOW));
    run(&mut intent, &complete(), NOW);
    assert_eq!(intent.state.workflow, None);
}
