//! Entering steps, as far as they go on by themselves.

use axp_proto::inbox::PROTOCOL_AGENT;
use axp_proto::json::ObjectWriter;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::step::Kind;
use axp_proto::log::{
    AgentStep, Event, EventType, Holder, HolderKind, HumanStep, NotifyStep, Status, Step,
    StepStart, TimerKind, WaitStep, WaitingReason,
};
use bytes::Bytes;

use super::route::{Ended, reason};
use super::walk::{Walk, runtime};
use super::{ENTERED_MAX, child};
use crate::intent::command::submit::{self, RUNTIME};
use crate::intent::notice;

impl Walk {
    /// Enters a step, and those behind it that are over at once.
    pub(super) fn enter(&mut self, place: u32) {
        let mut next = Some(place);
        while let Some(place) = next {
            next = self.enter_one(place);
        }
    }

    /// The step to enter next, if this one is over already and another one follows.
    fn enter_one(&mut self, place: u32) -> Option<u32> {
        if self.state.entered >= ENTERED_MAX {
            self.fail_whole(reason::TOO_MANY_STEPS, &Ended::default());
            return None;
        }
        self.state.step = place;
        self.state.entered += 1;
        self.state.attempt = 1;
        self.state.child_id = Bytes::new();
        self.after.state.workflow = Some(self.state.clone());
        let step = self.step();
        match &step.kind {
            Some(Kind::Agent(agent)) => self.attempt(&step, agent),
            Some(Kind::Human(human)) => self.enter_human(&step, human),
            Some(Kind::Wait(wait)) => self.enter_wait(&step, wait),
            Some(Kind::Notify(notify)) => return self.enter_notify(&step, notify),
            None => {
                // A step of a kind that this version does not know.
                let ended = Ended::failed(reason::UNKNOWN_STEP, Bytes::new(), RUNTIME);
                return self.route(&ended);
            }
        }
        None
    }

    /// Hands the step to its agent: a child intent, once for each attempt.
    pub(super) fn attempt(&mut self, step: &Step, agent: &AgentStep) {
        let id = child::id(&self.after, &self.state, self.now_ms);
        let holder = agent.holder.clone().unwrap_or_default();
        let address = holder.mailbox.clone().unwrap_or_default().address;
        let submission = child::submission(&self.after, &self.state, step, holder);
        let details = step_details(step)
            .string("step_intent_id", &id.to_string())
            .raw("attempt", self.state.attempt.to_string().as_bytes())
            .finish();
        self.state.child_id = id.to_bytes();
        let (kind, status, reason) = match self.after.state.status() {
            // Only the first step of all follows the submit.
            Status::Submitted => {
                (EventType::Delivered, Status::Delivered, WaitingReason::Unspecified)
            }
            _ => (EventType::Waiting, Status::Waiting, WaitingReason::Agent),
        };
        self.push(Event {
            waiting_reason: reason.into(),
            pending_with: Some(submit::pending_with(HolderKind::Agent, &address)),
            handler: address,
            details_json: details,
            ..self.event(kind, status)
        });
        self.deadline(step);
        let intent_id = self.state.child_id.clone();
        let start = StepStart { intent_id, submission: Some(submission) };
        self.effect(EffectKind::StepStart(start));
    }

    fn enter_human(&mut self, step: &Step, human: &HumanStep) {
        let waiting = Event {
            waiting_reason: WaitingReason::Human.into(),
            pending_with: human.who.clone(),
            handler: human.who.clone().unwrap_or_default().r#ref,
            ..self.event(EventType::Waiting, Status::Waiting)
        };
        self.push(Event { details_json: step_details(step).finish(), ..waiting.clone() });
        let details = step_details(step).raw("human_task", &human.human_task_json).finish();
        let assigned = self.event(EventType::HumanTaskAssigned, Status::Waiting);
        self.push(Event {
            details_json: details,
            seq: assigned.seq,
            r#type: assigned.r#type,
            ..waiting
        });
        let assignees = human.task.as_ref().map(|task| task.assignees.clone()).unwrap_or_default();
        self.ask(&assignees);
        self.deadline(step);
        self.mail();
    }

    fn enter_wait(&mut self, step: &Step, wait: &WaitStep) {
        self.push(Event {
            waiting_reason: WaitingReason::Time.into(),
            details_json: step_details(step).finish(),
            ..self.own(EventType::Waiting, Status::Waiting)
        });
        self.timer_in(TimerKind::StepWait, wait.seconds);
        self.deadline(step);
    }

    fn enter_notify(&mut self, step: &Step, notify: &NotifyStep) -> Option<u32> {
        let to = notify.to.clone().unwrap_or_default();
        let address = to.mailbox.clone().unwrap_or_default().address;
        let member = if notify.escalates { "escalated_to" } else { "notified" };
        let kind = if notify.escalates { EventType::Escalated } else { EventType::InProgress };
        let details = step_details(step)
            .string(member, &address)
            .string_if("message", &notify.message)
            .finish();
        let pending_with = if notify.escalates {
            submit::pending_with(HolderKind::Human, &address)
        } else {
            runtime()
        };
        self.push(Event {
            details_json: details,
            pending_with: Some(pending_with),
            ..self.event(kind, Status::InProgress)
        });
        self.tell(step, notify, to);
        let result = ObjectWriter::default().string(member, &address).finish();
        let next = self.route(&Ended::completed(result, RUNTIME));
        next.filter(|_| !self.after.is_terminal())
    }

    /// A message in the inbox of who is to know.
    fn tell(&mut self, step: &Step, notify: &NotifyStep, to: Holder) {
        let Some(mailbox) = to.mailbox else { return };
        let text = if notify.message.is_empty() { &step.step_id } else { &notify.message };
        let entered = self.state.entered;
        let message =
            notice::told(&self.after, (PROTOCOL_AGENT, text), entered, mailbox, self.now_ms);
        self.effect(EffectKind::Inbox(message));
    }

    fn deadline(&mut self, step: &Step) {
        if let Some(seconds) = step.deadline_seconds {
            self.timer_in(TimerKind::StepDeadline, seconds);
        }
    }
}

/// What every event about a step says.
pub(super) fn step_details(step: &Step) -> ObjectWriter {
    ObjectWriter::default().string("step_id", &step.step_id)
}
