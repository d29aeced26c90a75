//! A timer is due. What it finds may have changed since it was set.

use axp_proto::log::{EventType, Status, TimerKind};
use axp_proto::mutant::{self, Mutant};

use super::{remind, submit};
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::state::Intent;
use crate::intent::workflow;

pub(in crate::intent) fn decide(intent: &Intent, kind: TimerKind, now_ms: i64) -> Verdict {
    let due = intent.timer(kind).is_some_and(|due| due <= now_ms);
    if intent.is_terminal() || !(due || mutant::active(Mutant::TimerUnfenced)) {
        return Verdict::Unchanged;
    }
    match kind {
        TimerKind::Unspecified => Verdict::Unchanged,
        TimerKind::Deadline | TimerKind::Execution => {
            let actor = submit::RUNTIME;
            let event = next_event(intent, EventType::TimedOut, Status::TimedOut, actor, now_ms);
            Verdict::Append(Decision::ending(intent, event))
        }
        TimerKind::Reminder => Verdict::Append(remind::remind(intent, now_ms)),
        TimerKind::StepDeadline | TimerKind::StepWait => workflow::expire(intent, kind, now_ms),
        TimerKind::Escalation => Verdict::Append(remind::escalate(intent, now_ms)),
    }
}
