//! Who may do what to an intent that exists.
//!
//! The workspaces that are party to an intent may read, resume and end it: a key acts with the rights
//! of its workspace. Controls and policy are for the parties themselves: sender, target, holder, an
//! assignee, whoever acts in the name of the sender's workspace and not of an agent, and those whom
//! the policy grants it (contract, intents.md 8 and 9). A grant opens an intent to other workspaces
//! of the same organization, never to another organization: an address that nobody registered can be
//! asserted by all.

use axp_proto::error_code::ErrorCode;
use axp_proto::log::{Holder, MailboxKey};
use axp_proto::task::is_assigned;

use super::command::Command;
use super::links;
use super::members::number;
use super::rejection::Rejection;
use super::state::Intent;
use super::task::current;

/// On whose behalf a command comes.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    pub org_id: &'a str,
    pub workspace_id: &'a str,
    /// The address that acts.
    pub address: &'a str,
    /// Whether that address was named by the caller, and is not simply its own.
    pub asserted: bool,
}

/// # Errors
/// `not_found` for whom the intent is none of their business, else `policy_denied`.
pub fn authorise(
    intent: &Intent,
    caller: &Caller<'_>,
    command: &Command,
    now_ms: i64,
) -> Result<(), Rejection> {
    if let Command::TaskResult(answer) = command
        && !answer.link_hash.is_empty()
    {
        // The link is the authority; whether it is good for this task is looked at with the task.
        let known = links::is_known(intent, &answer.link_hash);
        return if known { Ok(()) } else { Err(Rejection::not_found()) };
    }
    let right = Right::needed(command);
    let party = intent.is_visible_to(caller.org_id, caller.workspace_id);
    let granted = right.is_some_and(|right| is_granted(intent, caller, right.name(), now_ms));
    if party && matches!(command, Command::TaskResult(_)) && !may_answer(intent, caller) {
        let message = "the task is assigned to others";
        return Err(Rejection::new(ErrorCode::PolicyDenied, message));
    }
    if granted || (party && !matches!(right, Some(Right::Controls | Right::Policy))) {
        return Ok(());
    }
    if party {
        return if is_principal(intent, caller) { Ok(()) } else { Err(denied()) };
    }
    Err(if may_read(intent, caller, now_ms) { denied() } else { Rejection::not_found() })
}

/// Whether the caller may read the intent and its events.
#[must_use]
pub fn may_read(intent: &Intent, caller: &Caller<'_>, now_ms: i64) -> bool {
    intent.is_visible_to(caller.org_id, caller.workspace_id)
        || Right::ALL.iter().any(|right| is_granted(intent, caller, right.name(), now_ms))
}

#[derive(Debug, Clone, Copy)]
enum Right {
    Resume,
    Controls,
    Policy,
}

impl Right {
    const ALL: [Self; 3] = [Self::Resume, Self::Controls, Self::Policy];

    /// The right that a grant can give; absent for what is for the parties alone.
    fn needed(command: &Command) -> Option<Self> {
        match command {
            Command::AgentResult(_)
            | Command::ControlResume { .. }
            | Command::TaskResult(_)
            | Command::Acknowledge { .. } => Some(Self::Resume),
            Command::UpdateControls(_) => Some(Self::Controls),
            Command::UpdatePolicy(_) => Some(Self::Policy),
            Command::Submit(_)
            | Command::Resolve(_)
            | Command::Transfer(_)
            | Command::Rebind(_)
            | Command::DeliveryResult(_)
            | Command::StartStep(_)
            | Command::StopStep { .. }
            | Command::StepEnded(_)
            | Command::AddLink(_)
            | Command::Expire(_) => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Controls => "update_controls",
            Self::Policy => "update_policy",
        }
    }
}

fn is_granted(intent: &Intent, caller: &Caller<'_>, right: &str, now_ms: i64) -> bool {
    let Some(policy) = &intent.state.policy else { return false };
    let ttl = number(&policy.envelope, "ttl_seconds").map(|ttl| i64::from(ttl) * 1000);
    let over = |end: Option<i64>| end.is_some_and(|end| end <= now_ms);
    intent.submission.org_id == caller.org_id
        && !over(policy.expires_at_ms)
        && !over(ttl.map(|ttl| policy.set_at_ms.saturating_add(ttl)))
        && policy.grants.iter().any(|grant| {
            grant.grantee == caller.address && grant.allow.iter().any(|allow| allow == right)
        })
}

/// Whether the caller may decide the task that waits. A key that acts for itself acts for its
/// workspace; whoever acts in a name must be asked (contract, tasks.md 3).
fn may_answer(intent: &Intent, caller: &Caller<'_>) -> bool {
    !caller.asserted
        || current(intent).is_none()
        || is_assigned(&intent.state.assignees, caller.address)
}

/// Whether the caller acts as one of those whom the intent is between.
fn is_principal(intent: &Intent, caller: &Caller<'_>) -> bool {
    let submission = &intent.submission;
    let acts_as_workspace = !caller.asserted && submission.workspace_id == caller.workspace_id;
    let holder =
        |holder: &Holder| holder.mailbox.as_ref().map(|it: &MailboxKey| it.address.clone());
    acts_as_workspace
        || [&submission.from_agent, &submission.to_agent].into_iter().any(|it| it == caller.address)
        || intent.state.holder.as_ref().and_then(holder).is_some_and(|it| it == caller.address)
        || intent.state.assignees.iter().any(|it| it == caller.address)
}

fn denied() -> Rejection {
    Rejection::new(
        ErrorCode::PolicyDenied,
        "the acting agent is neither a party to the intent nor has it a grant for this",
    )
}
