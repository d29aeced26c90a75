//! What kind of step a draft is (contract, scenarios.md 3 and 4).

use super::bundle::{Bundle, StepDraft};
use super::report::Report;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepKind {
    Agent,
    Human,
    Notification,
    Escalation,
    Delay,
    Timeout,
    Reminder,
}

impl StepKind {
    /// Whether the workflow goes on from it in the same instant.
    pub(super) fn is_immediate(self) -> bool {
        matches!(self, Self::Notification | Self::Escalation)
    }
}

/// Who a step is assigned to, as far as the bundle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Assignee<'a> {
    /// Place of a role in `humans`.
    Human(usize),
    /// An address, as it was written.
    Agent(&'a str),
    /// A person's mail address.
    Mail(&'a str),
}

impl Bundle {
    /// A role first, then an address.
    pub(super) fn assignee<'a>(&'a self, name: &'a str) -> Assignee<'a> {
        if let Some(agent) = self.agents.iter().find(|agent| agent.role == name) {
            return Assignee::Agent(&agent.address);
        }
        if let Some(at) = self.humans.iter().position(|human| human.role == name) {
            return Assignee::Human(at);
        }
        if name.contains('@') && !name.contains('/') {
            return Assignee::Mail(name);
        }
        Assignee::Agent(name)
    }

    pub(super) fn kind(&self, step: &StepDraft, report: &mut Report) -> Option<StepKind> {
        if let Some(runtime) = &step.runtime_type {
            let known = runtime_kind(runtime);
            if known.is_none() {
                let message = "must be human_approval, timeout, reminder, delay, escalation or \
                               notification";
                report.error(&format!("{}.runtime_type", step.path), message);
            }
            return known;
        }
        if let Some(kind) = step.tool_id.as_deref().and_then(tool_kind) {
            return Some(kind);
        }
        let asks = step.human_task.is_some() || step.requires_approval;
        match step.assigned_to.as_deref().map(|name| self.assignee(name)) {
            Some(Assignee::Human(_) | Assignee::Mail(_)) => Some(StepKind::Human),
            Some(Assignee::Agent(_)) => Some(StepKind::Agent),
            None if asks => Some(StepKind::Human),
            None if step.tool_id.is_some() => Some(StepKind::Agent),
            None => {
                let message = "says neither who does it nor what it is: give assigned_to, tool_id or \
                               runtime_type (the official CLI drops runtime_type: send the file with an \
                               SDK, or name a tool_id such as tool.internal.delay)";
                report.error(&step.path, message);
                None
            }
        }
    }
}

fn runtime_kind(runtime: &str) -> Option<StepKind> {
    match runtime {
        "human_approval" => Some(StepKind::Human),
        "timeout" => Some(StepKind::Timeout),
        "reminder" => Some(StepKind::Reminder),
        "delay" => Some(StepKind::Delay),
        "escalation" => Some(StepKind::Escalation),
        "notification" => Some(StepKind::Notification),
        _ => None,
    }
}

fn tool_kind(tool: &str) -> Option<StepKind> {
    match tool {
        "tool.agent.task.v1" => Some(StepKind::Agent),
        "tool.approval.human_signoff" | "tool.human.approval.v1" => Some(StepKind::Human),
        "tool.notification.notify_owner" => Some(StepKind::Notification),
        _ => runtime_kind(tool.strip_prefix("tool.internal.")?),
    }
}
