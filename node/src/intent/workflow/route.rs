//! A step has ended: its result is kept, and the next one is found, or how the workflow ends.

use axp_proto::json::ObjectWriter;
use axp_proto::log::step::Kind;
use axp_proto::log::{Event, EventType, Status, Step, StepResult, TimerKind, WaitingReason};
use bytes::Bytes;

use super::RESULTS_BYTES_MAX;
use super::enter::step_details;
use super::walk::Walk;

/// Why a step, or the whole workflow, failed; told in `details.reason`.
pub(super) mod reason {
    pub(in crate::intent::workflow) const FAILED: &str = "step_failed";
    pub(in crate::intent::workflow) const TIMEOUT: &str = "step_timeout";
    pub(in crate::intent::workflow) const CANCELED: &str = "step_canceled";
    pub(in crate::intent::workflow) const REJECTED: &str = "step_rejected";
    pub(in crate::intent::workflow) const TOO_MANY_STEPS: &str = "too_many_steps";
    pub(in crate::intent::workflow) const RESULTS_TOO_LARGE: &str = "results_too_large";
    pub(in crate::intent::workflow) const UNKNOWN_STEP: &str = "unknown_step_kind";
}

/// How a step, or an attempt of it, ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Ended {
    pub(super) status: Status,
    /// The result, or what is known of the failure; an object.
    pub(super) outcome_json: Bytes,
    /// Empty for a success.
    pub(super) reason: String,
    pub(super) actor: String,
    /// Members for readers, of a person's answer.
    pub(super) details_json: Bytes,
}

impl Ended {
    pub(super) fn completed(outcome_json: Bytes, actor: &str) -> Self {
        let actor = actor.to_owned();
        Self { status: Status::Completed, outcome_json, actor, ..Self::default() }
    }

    pub(super) fn failed(reason: &str, outcome_json: Bytes, actor: &str) -> Self {
        let (reason, actor) = (reason.to_owned(), actor.to_owned());
        Self { status: Status::Failed, outcome_json, reason, actor, ..Self::default() }
    }

    pub(super) fn timed_out(outcome_json: Bytes, actor: &str) -> Self {
        let failed = Self::failed(reason::TIMEOUT, outcome_json, actor);
        Self { status: Status::TimedOut, ..failed }
    }

    fn is_success(&self) -> bool {
        self.status == Status::Completed
    }

    /// What is kept as the step's result.
    fn result_json(&self) -> Bytes {
        if self.is_success() {
            return if self.outcome_json.is_empty() {
                "{}".into()
            } else {
                self.outcome_json.clone()
            };
        }
        ObjectWriter::default()
            .string("reason", &self.reason)
            .raw("error", &self.outcome_json)
            .finish()
    }
}

impl Walk {
    /// An attempt of an agent step has ended; a failed one may be followed by another.
    pub(super) fn attempt_ended(&mut self, ended: &Ended) {
        self.state.child_id = Bytes::new();
        let step = self.step();
        let again = !ended.is_success()
            && ended.reason != reason::CANCELED
            && self.state.attempt <= step.max_retries;
        if again { self.wait_for_retry(&step, ended) } else { self.step_ended(ended) }
    }

    fn wait_for_retry(&mut self, step: &Step, ended: &Ended) {
        self.leave(ended.status);
        let details = step_details(step)
            .string("reason", &ended.reason)
            .raw("error", &ended.outcome_json)
            .raw("attempt", self.state.attempt.to_string().as_bytes())
            .raw("retry_in_seconds", step.retry_delay_seconds.to_string().as_bytes())
            .finish();
        self.push(Event {
            waiting_reason: WaitingReason::Time.into(),
            details_json: details,
            ..self.own(EventType::Waiting, Status::Waiting)
        });
        self.timer_in(TimerKind::StepWait, step.retry_delay_seconds);
    }

    /// The next attempt of an agent step.
    pub(super) fn retry(&mut self) {
        let step = self.step();
        if let Some(Kind::Agent(agent)) = &step.kind {
            self.leave(Status::Failed);
            self.state.attempt += 1;
            self.attempt(&step, agent);
        }
    }

    /// The step has ended: goes on to where that leads.
    pub(super) fn step_ended(&mut self, ended: &Ended) {
        if let Some(next) = self.route(ended) {
            self.enter(next);
        }
    }

    /// Keeps the result and finds the step that follows; without one, the workflow ends here.
    pub(super) fn route(&mut self, ended: &Ended) -> Option<u32> {
        let step = self.step();
        self.leave(ended.status);
        self.keep(ended.status, ended.result_json());
        let bytes: usize = self.state.results.iter().map(|it| it.result_json.len()).sum();
        if bytes + ended.details_json.len() > RESULTS_BYTES_MAX {
            // Without the one that was too much.
            self.state.results.pop();
            self.fail_whole(reason::RESULTS_TOO_LARGE, &Ended::default());
            return None;
        }
        let next = match ended.status {
            Status::Completed => step.on_success,
            Status::TimedOut => step.on_timeout.or(step.on_failure),
            _ => step.on_failure,
        };
        match next {
            Some(_) => self.note(&step, ended),
            None if ended.is_success() => self.complete(ended),
            None => self.fail_whole(&ended.reason, ended),
        }
        next
    }

    fn keep(&mut self, status: Status, result_json: Bytes) {
        let step = self.state.step;
        self.state.results.retain(|known| known.step != step);
        self.state.results.push(StepResult { step, status: status.into(), result_json });
    }

    /// Says how a step ended that others follow.
    fn note(&mut self, step: &Step, ended: &Ended) {
        let member = if ended.is_success() { "result" } else { "error" };
        let details = step_details(step)
            .string("step_status", ended.status.wire_name())
            .string_if("reason", &ended.reason)
            .raw(member, &ended.outcome_json)
            .members(&ended.details_json)
            .finish();
        let event = self.own(EventType::InProgress, Status::InProgress);
        self.push(Event { details_json: details, actor: actor(ended, &event), ..event });
    }

    fn complete(&mut self, ended: &Ended) {
        let mut result = ObjectWriter::default();
        for known in &self.state.results {
            let step = self.workflow().steps.get(known.step as usize);
            result = result.raw(step.map_or("", |step| &step.step_id), &known.result_json);
        }
        let last = ended.result_json();
        let result = result.raw("last_result", &last).finish();
        let details =
            ObjectWriter::default().raw("result", &result).members(&ended.details_json).finish();
        let event = self.own(EventType::Completed, Status::Completed);
        let event = Event {
            details_json: details,
            actor: actor(ended, &event),
            pending_with: None,
            ..event
        };
        self.end(event);
    }

    pub(super) fn fail_whole(&mut self, reason: &str, ended: &Ended) {
        let step = self.step();
        let error = step_details(&step)
            .string("code", reason)
            .string("message", &format!("step {} ended the scenario: {reason}", step.step_id))
            .raw("cause", &ended.outcome_json)
            .finish();
        let details = step_details(&step)
            .string("reason", reason)
            .raw("error", &error)
            .members(&ended.details_json)
            .finish();
        let event = self.own(EventType::Failed, Status::Failed);
        let event = Event {
            details_json: details,
            actor: actor(ended, &event),
            pending_with: None,
            ..event
        };
        self.end(event);
    }
}

fn actor(ended: &Ended, event: &Event) -> String {
    if ended.actor.is_empty() { event.actor.clone() } else { ended.actor.clone() }
}
