//! When a person who is waited for is reminded, and when somebody else is asked (contract,
//! intents.md 11).
//!
//! ```text
//! wait begins --after--> reminder 1 --interval--> ... reminder max --interval--> escalation
//! ```
//!
//! One timer at a time. Counted from when the one before was due, unless that is past as well:
//! after downtime one fires and not all that were missed.

use axp_proto::log::TimerKind;

use super::decide::Decision;
use super::state::Intent;

pub(super) const TIMERS: [TimerKind; 2] = [TimerKind::Reminder, TimerKind::Escalation];
/// Reminders when an interval is given and no number; the contract says nothing of it.
const REMINDERS: u32 = 3;

/// How often, and whether somebody else is asked at last: as the initiator said, or the human step
/// at which the workflow is.
struct Rhythm {
    after: Option<u32>,
    interval: Option<u32>,
    most: Option<u32>,
    escalates: bool,
}

impl Rhythm {
    fn of(intent: &Intent) -> Self {
        if let Some((_, step)) = intent.human_step() {
            return Self {
                after: step.remind_after_seconds,
                interval: step.remind_interval_seconds,
                most: step.max_reminders,
                escalates: step.escalation.is_some(),
            };
        }
        let submission = &intent.submission;
        Self {
            after: submission.remind_after_seconds,
            interval: submission.remind_interval_seconds,
            most: submission.max_reminders,
            escalates: !submission.escalate_to.is_empty(),
        }
    }

    fn most(&self) -> u32 {
        self.most.unwrap_or(if self.interval.is_some() { REMINDERS } else { 1 })
    }
}

/// The wait begins at `now_ms`, for the first time or for somebody else.
pub(super) fn begin(decision: &mut Decision, intent: &Intent, now_ms: i64) {
    let rhythm = Rhythm::of(intent);
    if let Some(after) = rhythm.after.or(rhythm.interval) {
        decision.timer(TimerKind::Reminder, Some(later(now_ms, after)));
    }
}

/// Reminder number `count` was sent.
pub(super) fn follow(decision: &mut Decision, intent: &Intent, count: u32, now_ms: i64) {
    let rhythm = Rhythm::of(intent);
    let interval = rhythm.interval.or(rhythm.after);
    let due = intent.timer(TimerKind::Reminder).unwrap_or(now_ms);
    let next = interval.map(|interval| {
        let next = later(due, interval);
        if next > now_ms { next } else { later(now_ms, interval) }
    });
    let more = count < rhythm.most();
    decision.timer(TimerKind::Reminder, next.filter(|_| more));
    if !more && rhythm.escalates {
        decision.timer(TimerKind::Escalation, next);
    }
}

fn later(from_ms: i64, seconds: u32) -> i64 {
    from_ms.saturating_add(i64::from(seconds) * 1000)
}
