//! Links that answer a human task without a key, as mail carries them (contract, tasks.md 4).
//!
//! What is kept of a link is its hash, whom it was made for and which task it answers. It is good for
//! that task only, once, and until it expires; all that is checked where the task is decided, so that
//! a link and any other way to answer race for one decision.

use axp_proto::error_code::ErrorCode;
use axp_proto::log::state_change::Kind;
use axp_proto::log::{TaskLink, TaskLinkState, TaskLinks};

use super::decide::{Decision, Verdict};
use super::mails;
use super::rejection::Rejection;
use super::state::Intent;
use super::task::{Task, current};

/// Links that an intent remembers; the oldest unused ones make room.
const LINKS_MAX: usize = 48;

/// A link for somebody whose answer is still waited for.
pub(super) fn add(intent: &Intent, link: &TaskLink) -> Result<Verdict, Rejection> {
    let waits = current(intent).is_some_and(|task| task.number == link.task);
    if !waits || !mails::is_asked(intent, &link.recipient) {
        return Err(Rejection::new(ErrorCode::InvalidState, "nobody waits for this answer"));
    }
    let mut links = intent.state.links.clone();
    while links.len() >= LINKS_MAX {
        let spare = links.iter().position(|link| link.state() != TaskLinkState::Used);
        links.remove(spare.unwrap_or_default());
    }
    links.push(link.clone());
    let mut decision = Decision::default();
    decision.change(Kind::Links(TaskLinks { links }));
    Ok(Verdict::Append(decision))
}

/// Whether a link with this hash was ever made for the intent and is remembered.
pub(super) fn is_known(intent: &Intent, hash: &[u8]) -> bool {
    intent.state.links.iter().any(|link| link.hash == hash)
}

/// The link with which somebody decides a task.
///
/// # Errors
/// When it does not answer this task, or not any more.
pub(super) fn check<'a>(
    intent: &'a Intent,
    hash: &[u8],
    task: &Task,
    now_ms: i64,
) -> Result<&'a TaskLink, Rejection> {
    let link = intent.state.links.iter().find(|link| link.hash == hash);
    let link = link.ok_or_else(Rejection::not_found)?;
    let refuse = |why: &'static str| Err(Rejection::new(ErrorCode::InvalidState, why));
    if link.state() != TaskLinkState::Open || link.task != task.number {
        return refuse("the link was used, or another one took its place");
    }
    if link.expires_at_ms <= now_ms {
        return refuse("the link is past its time");
    }
    Ok(link)
}

/// The links after one was used.
pub(super) fn used(intent: &Intent, hash: &[u8]) -> Vec<TaskLink> {
    let mut links = intent.state.links.clone();
    let of = links.iter_mut().filter(|link| link.hash == hash);
    of.for_each(|link| link.set_state(TaskLinkState::Used));
    links
}

/// Takes the links back that others than `keeper` have: they are not asked any more.
pub(super) fn revoke_for_others(links: &mut [TaskLink], keeper: &str) {
    let open = links.iter_mut().filter(|link| link.state() == TaskLinkState::Open);
    for link in open.filter(|link| link.recipient != keeper) {
        link.set_state(TaskLinkState::Revoked);
    }
}
