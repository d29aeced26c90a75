//! When a person who is waited for is reminded, and when somebody else is asked (contract,
//! intents.md 11).
//!
//! ```text
//! wait begins --after--> reminder 1 --interval--> ... reminder max --interval--> escalation
//! ```
//!
//! One timer at a time. Counted from when the one before was due, unless that is past as well:
//! after downtime one fires and not all that were missed.

use axp_proto::log::{Submission, TimerKind};

use super::decide::Decision;
use super::state::Intent;

pub(super) const TIMERS: [TimerKind; 2] = [TimerKind::Reminder, TimerKind::Escalation];
/// Reminders when an interval is given and no number; the contract says nothing of it.
const REMINDERS: u32 = 3;

/// The wait begins at `now_ms`, for the first time or for somebody else.
pub(super) fn begin(decision: &mut Decision, submission: &Submission, now_ms: i64) {
    let after = submission.remind_after_seconds.or(submission.remind_interval_seconds);
    if let Some(after) = after {
        decision.timer(TimerKind::Reminder, Some(later(now_ms, after)));
    }
}

/// Reminder number `count` was sent.
pub(super) fn follow(decision: &mut Decision, intent: &Intent, count: u32, now_ms: i64) {
    let submission = &intent.submission;
    let interval = submission.remind_interval_seconds.or(submission.remind_after_seconds);
    let due = intent.timer(TimerKind::Reminder).unwrap_or(now_ms);
    let next = interval.map(|interval| {
        let next = later(due, interval);
        if next > now_ms { next } else { later(now_ms, interval) }
    });
    let more = count < most(submission);
    decision.timer(TimerKind::Reminder, next.filter(|_| more));
    if !more && !submission.escalate_to.is_empty() {
        decision.timer(TimerKind::Escalation, next);
    }
}

fn most(submission: &Submission) -> u32 {
    let default = if submission.remind_interval_seconds.is_some() { REMINDERS } else { 1 };
    submission.max_reminders.unwrap_or(default)
}

fn later(from_ms: i64, seconds: u32) -> i64 {
    from_ms.saturating_add(i64::from(seconds) * 1000)
}
