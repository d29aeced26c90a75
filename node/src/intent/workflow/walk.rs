//! What one append does to a workflow: events, effects and timers as they come, folded at once, so
//! that each step sees what the one before left.

use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::state_change::Kind;
use axp_proto::log::{
    Effect, Event, EventType, Holder, MailboxKey, Names, PendingWith, Status, Step, TimerKind,
    Workflow, WorkflowState,
};

use crate::intent::command::submit;
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::state::Intent;
use crate::intent::{mails, notice, reminders};

/// Timers of the step at which a workflow is.
const TIMERS: [TimerKind; 4] =
    [TimerKind::StepDeadline, TimerKind::StepWait, reminders::TIMERS[0], reminders::TIMERS[1]];

pub(in crate::intent) struct Walk {
    decision: Decision,
    pub(super) after: Intent,
    pub(super) state: WorkflowState,
    pub(super) now_ms: i64,
}

impl Walk {
    /// Goes on from where the workflow stands.
    pub(super) fn of(intent: &Intent, now_ms: i64) -> Self {
        let state = intent.state.workflow.clone().unwrap_or_default();
        Self { decision: Decision::default(), after: intent.clone(), state, now_ms }
    }

    /// Begins the workflow of an intent that is just being submitted.
    pub(in crate::intent) fn begin(intent: &Intent, decision: Decision, now_ms: i64) -> Decision {
        let mut walk = Self { decision, ..Self::of(intent, now_ms) };
        let entry = walk.workflow().entry;
        walk.enter(entry);
        walk.finish()
    }

    /// The append.
    pub(super) fn finish(mut self) -> Decision {
        self.decision.change(Kind::Workflow(self.state));
        self.decision
    }

    pub(super) fn verdict(self) -> Verdict {
        Verdict::Append(self.finish())
    }

    pub(super) fn workflow(&self) -> &Workflow {
        // It is there: whoever walks has one.
        static NONE: Workflow = Workflow {
            scenario_id: String::new(),
            compile_id: String::new(),
            entry: 0,
            steps: Vec::new(),
        };
        self.after.submission.workflow.as_ref().unwrap_or(&NONE)
    }

    pub(super) fn step(&self) -> Step {
        self.workflow().steps.get(self.state.step as usize).cloned().unwrap_or_default()
    }

    /// An event after the last one.
    pub(super) fn event(&self, kind: EventType, status: Status) -> Event {
        next_event(&self.after, kind, status, submit::RUNTIME, self.now_ms)
    }

    /// An event for what the workflow does itself.
    pub(super) fn own(&self, kind: EventType, status: Status) -> Event {
        Event {
            pending_with: Some(runtime()),
            handler: submit::RUNTIME.to_owned(),
            ..self.event(kind, status)
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.after.evolve(&event);
        self.decision.events.push(event);
    }

    pub(super) fn effect(&mut self, kind: EffectKind) {
        self.decision.effects.push(Effect { kind: Some(kind) });
    }

    /// Sets a timer so many seconds from now.
    pub(super) fn timer_in(&mut self, kind: TimerKind, seconds: u32) {
        let due = self.now_ms.saturating_add(i64::from(seconds) * 1000);
        self.timer(kind, Some(due));
    }

    fn timer(&mut self, kind: TimerKind, due_at_ms: Option<i64>) {
        self.decision.timer(kind, due_at_ms);
        if let Some(change) = self.decision.timers.last() {
            self.after.change_timer(change);
        }
    }

    /// Begins to wait for a person: who may answer, and when they are reminded.
    pub(super) fn ask(&mut self, assignees: &[String]) {
        self.assign(assignees.to_vec());
        self.remind(0);
        let known = self.decision.timers.len();
        reminders::begin(&mut self.decision, &self.after, self.now_ms);
        for change in self.decision.timers.get(known..).unwrap_or_default() {
            self.after.change_timer(change);
        }
    }

    /// Tells those by mail whom the step asks that was entered just now.
    pub(super) fn mail(&mut self) {
        let mut asked = self.after.clone();
        asked.state.workflow = Some(self.state.clone());
        self.decision.effects.extend(mails::assigned(&asked, self.now_ms));
    }

    fn assign(&mut self, names: Vec<String>) {
        if self.after.state.assignees != names {
            self.after.state.assignees.clone_from(&names);
            self.decision.change(Kind::Assignees(Names { names }));
        }
    }

    fn remind(&mut self, count: u32) {
        if self.after.state.remind_count != count {
            self.after.state.remind_count = count;
            self.decision.change(Kind::RemindCount(count));
        }
    }

    /// Leaves the step that ended as `status`: its timers go, and whoever the intent was handed to
    /// meanwhile gives it back.
    pub(super) fn leave(&mut self, status: Status) {
        for kind in TIMERS {
            if self.after.timer(kind).is_some() {
                self.timer(kind, None);
            }
        }
        self.assign(Vec::new());
        self.remind(0);
        if self.after.is_deposited() {
            self.decision.effects.push(notice::handed_back(&self.after, status));
            let (before, own) = (self.after.clone(), own_holder(&self.after));
            self.after.state.holder = Some(own.clone());
            self.decision.requeue(&before, &self.after);
            self.decision.change(Kind::Holder(own));
        }
    }

    /// The workflow is over, with this event.
    pub(super) fn end(&mut self, event: Event) {
        self.after.state.workflow = Some(self.state.clone());
        let ending = Decision::ending(&self.after, event);
        ending.events.iter().for_each(|event| self.after.evolve(event));
        ending.timers.iter().for_each(|timer| self.after.change_timer(timer));
        self.decision.events.extend(ending.events);
        self.decision.effects.extend(ending.effects);
        self.decision.timers.extend(ending.timers);
    }
}

/// The workflow itself, as the one who has the next move.
pub(super) fn runtime() -> PendingWith {
    PendingWith {
        kind: axp_proto::log::HolderKind::Internal.into(),
        r#ref: submit::RUNTIME.to_owned(),
        name: "agent_core".to_owned(),
    }
}

/// Where an intent with a workflow is while it is in nobody's mailbox.
fn own_holder(intent: &Intent) -> Holder {
    let submission = &intent.submission;
    Holder {
        mailbox: Some(MailboxKey {
            workspace_id: submission.target_workspace_id.clone(),
            address: submission.to_agent.clone(),
        }),
        org_id: submission.target_org_id.clone(),
        mode: submission.delivery_mode,
    }
}
