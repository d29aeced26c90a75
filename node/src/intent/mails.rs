//! Who is told by mail that an answer is waited for (contract, tasks.md 4).

use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{Effect, Mail, MailKind, QueueMail};
use axp_proto::task::is_mail_address;

use super::state::Intent;
use super::task::current;

/// A task was assigned: everybody who is asked and has a mail address is told.
pub(super) fn assigned(intent: &Intent, now_ms: i64) -> Vec<Effect> {
    told(intent, recipients(intent), MailKind::Assigned, now_ms)
}

/// They are told again.
pub(super) fn reminded(intent: &Intent, now_ms: i64) -> Vec<Effect> {
    told(intent, recipients(intent), MailKind::Reminder, now_ms)
}

/// Somebody else is asked besides.
pub(super) fn escalated(intent: &Intent, address: &str, now_ms: i64) -> Vec<Effect> {
    let recipients = is_mail_address(address).then(|| address.to_owned());
    told(intent, recipients.into_iter().collect(), MailKind::Escalation, now_ms)
}

/// Whether somebody is asked for the current task, as mail knows it.
pub(super) fn is_asked(intent: &Intent, recipient: &str) -> bool {
    intent.mailbox().address == recipient || recipients(intent).iter().any(|it| it == recipient)
}

fn recipients(intent: &Intent) -> Vec<String> {
    let Some(task) = current(intent) else { return Vec::new() };
    let assignees = &intent.state.assignees;
    // A task that was passed on is nobody else's business any more.
    let passed_on = task.rules.assignees.iter().any(|it| !assignees.contains(it))
        || (task.rules.assignees.is_empty() && !assignees.is_empty());
    let notify = (!passed_on).then_some(&task.rules.notify_email);
    let mut recipients: Vec<String> = Vec::new();
    for address in notify.into_iter().chain(assignees).filter(|it| is_mail_address(it)) {
        if !recipients.contains(address) {
            recipients.push(address.clone());
        }
    }
    recipients
}

fn told(intent: &Intent, recipients: Vec<String>, kind: MailKind, now_ms: i64) -> Vec<Effect> {
    let Some(task) = current(intent) else { return Vec::new() };
    let queue = |recipient| {
        EffectKind::QueueMail(QueueMail {
            intent_id: intent.id.to_bytes(),
            workspace_id: intent.submission.workspace_id.clone(),
            mail: Some(Mail { recipient, task: task.number, kind: kind.into() }),
            at_ms: now_ms,
        })
    };
    recipients.into_iter().map(|it| Effect { kind: Some(queue(it)) }).collect()
}
