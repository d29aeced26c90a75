//! Links that answer a task, and the mails that carry them.

use axp_proto::log::{MailKind, TaskLink, TaskLinkState, TaskRules};

use super::human::{answer, task};
use super::*;

const ANN: &str = "ann@acme.test";

fn link(number: u8, recipient: &str) -> TaskLink {
    TaskLink {
        hash: Bytes::copy_from_slice(&[number; 32]),
        recipient: recipient.to_owned(),
        task: 0,
        expires_at_ms: NOW + 1000,
        state: TaskLinkState::Open.into(),
    }
}

fn add(intent: &mut Intent, number: u8, recipient: &str) {
    run(intent, &Command::AddLink(link(number, recipient)), NOW);
}

fn by_link(number: u8, outcome: &str) -> Command {
    let link_hash = Bytes::copy_from_slice(&[number; 32]);
    Command::TaskResult(TaskResult { link_hash, actor: String::new(), ..answer(outcome) })
}

fn mails(decision: &Decision) -> Vec<(String, MailKind)> {
    let mail = |effect: &axp_proto::log::Effect| match &effect.kind {
        Some(EffectKind::QueueMail(it)) => {
            let mail = it.mail.as_ref().unwrap();
            Some((mail.recipient.clone(), mail.kind()))
        }
        _ => None,
    };
    decision.effects.iter().filter_map(mail).collect()
}

#[test]
fn a_link_decides_once_in_the_name_of_whom_it_was_made_for() {
    let (mut intent, _) = submitted(task());
    add(&mut intent, 1, ANN);
    add(&mut intent, 2, ANN);
    let decision = run(&mut intent, &by_link(1, "approved"), NOW + 1);
    assert_eq!(decision.events[0].actor, ANN);
    assert_eq!(intent.state.status(), Status::Completed);
    let states: Vec<_> = intent.state.links.iter().map(TaskLink::state).collect();
    assert_eq!(states, [TaskLinkState::Used, TaskLinkState::Open]);
    for number in [1, 2] {
        assert_eq!(
            refused(&intent, &by_link(number, "approved"), NOW + 2),
            ErrorCode::InvalidState
        );
    }
    let late = decide(id(), Some(&intent), &Command::AddLink(link(3, ANN)), NOW);
    assert_eq!(late.unwrap_err().code, ErrorCode::InvalidState, "nobody waits any more");
}

#[test]
fn a_refused_answer_leaves_the_link_good() {
    let (mut intent, _) = submitted(task());
    add(&mut intent, 1, ANN);
    assert_eq!(refused(&intent, &by_link(1, "maybe"), NOW), ErrorCode::ValidationError);
    assert_eq!(refused(&intent, &by_link(9, "approved"), NOW), ErrorCode::NotFound);
    assert_eq!(refused(&intent, &by_link(1, "approved"), NOW + 1000), ErrorCode::InvalidState);
    run(&mut intent, &by_link(1, "rejected"), NOW + 999);
    assert_eq!(intent.state.status(), Status::Failed);
}

#[test]
fn a_link_is_the_whole_authority() {
    let (mut intent, _) = submitted(task());
    add(&mut intent, 1, ANN);
    let nobody = Caller { org_id: "", workspace_id: "", address: "", asserted: false };
    let ask = |command| authorise(&intent, &nobody, &command, NOW).map_err(|it| it.code);
    assert_eq!(ask(by_link(1, "approved")), Ok(()));
    assert_eq!(ask(by_link(2, "approved")), Err(ErrorCode::NotFound));
    let plain = Command::TaskResult(answer("approved"));
    assert_eq!(ask(plain), Err(ErrorCode::NotFound));
}

#[test]
fn who_passes_a_task_on_takes_the_links_of_others_back() {
    let delegating = Submission {
        task: Some(TaskRules {
            allowed_outcomes: vec!["delegated".into(), "approved".into()],
            assignees: vec![ANN.into(), "carl@acme.test".into()],
            ..TaskRules::default()
        }),
        ..task()
    };
    let (mut intent, first) = submitted(delegating);
    let assigned = |name: &str| (name.to_owned(), MailKind::Assigned);
    assert_eq!(mails(&first), [assigned(ANN), assigned("carl@acme.test")]);
    add(&mut intent, 1, ANN);
    add(&mut intent, 2, "carl@acme.test");
    let mailbox = MailboxKey { workspace_id: "w".into(), address: "bob@acme.test".into() };
    let to = Holder { mailbox: Some(mailbox), org_id: "o".into(), ..Holder::default() };
    let Command::TaskResult(passed) = by_link(1, "delegated") else { unreachable!() };
    let passed = Command::TaskResult(TaskResult { delegate_to: Some(Box::new(to)), ..passed });
    let decision = run(&mut intent, &passed, NOW);
    assert_eq!(mails(&decision), [assigned("bob@acme.test")]);
    assert_eq!(decision.events[0].actor, ANN);
    let states: Vec<_> = intent.state.links.iter().map(TaskLink::state).collect();
    assert_eq!(states, [TaskLinkState::Used, TaskLinkState::Revoked]);
    assert_eq!(refused(&intent, &by_link(2, "approved"), NOW), ErrorCode::InvalidState);
    let gone = decide(id(), Some(&intent), &Command::AddLink(link(3, ANN)), NOW);
    assert_eq!(gone.unwrap_err().code, ErrorCode::InvalidState, "she is not asked any more");
    add(&mut intent, 4, "bob@acme.test");
    run(&mut intent, &by_link(4, "approved"), NOW);
}

#[test]
fn links_are_bounded_and_keep_what_decided() {
    let (mut intent, _) = submitted(task());
    for number in 0..=99 {
        add(&mut intent, number, ANN);
    }
    assert!(intent.state.links.len() < 60);
    assert_eq!(refused(&intent, &by_link(0, "approved"), NOW), ErrorCode::NotFound);
    run(&mut intent, &by_link(99, "approved"), NOW);
}

#[test]
fn those_with_a_mail_address_are_told_reminded_and_others_asked() {
    let (mut intent, first) = submitted(Submission {
        task: Some(TaskRules {
            allowed_outcomes: vec!["approved".into()],
            assignees: vec!["agent://acme/prod/x".into(), ANN.into()],
            notify_email: "team@acme.test".into(),
            ..TaskRules::default()
        }),
        remind_after_seconds: Some(1),
        escalate_to: "boss@acme.test".into(),
        ..task()
    });
    let to = |kind| vec![("team@acme.test".to_owned(), kind), (ANN.to_owned(), kind)];
    assert_eq!(mails(&first), to(MailKind::Assigned));
    let reminded = run(&mut intent, &Command::Expire(TimerKind::Reminder), NOW + 1_000);
    assert_eq!(mails(&reminded), to(MailKind::Reminder));
    let escalated = run(&mut intent, &Command::Expire(TimerKind::Escalation), NOW + 2_000);
    assert_eq!(mails(&escalated), [("boss@acme.test".to_owned(), MailKind::Escalation)]);
    add(&mut intent, 1, "boss@acme.test");
    let (_, quiet) = submitted(submission());
    assert_eq!(mails(&quiet), []);
}
