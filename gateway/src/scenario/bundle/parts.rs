//! The parts of a bundle, one by one.

use serde_json::Map;

use super::{ADDRESS_MAX, AGENTS_MAX, AgentRef, HUMANS_MAX, HumanRef, Reminding, StepDraft};
use crate::scenario::read::Object;
use crate::scenario::report::Report;

const STEP: [&str; 18] = [
    "step_id",
    "tool_id",
    "runtime_type",
    "runtime_config",
    "assigned_to",
    "requires_approval",
    "step_deadline_seconds",
    "retry",
    "human_task",
    "remind_after_seconds",
    "remind_interval_seconds",
    "max_reminders",
    "escalate_to",
    "on_success",
    "on_failure",
    "on_timeout",
    "input",
    "title",
];
const RETRIES_MAX: u32 = 100;
const RETRY_DELAY_SECONDS: u32 = 30;

pub(super) fn agents(root: &Object<'_>, report: &mut Report) -> Vec<AgentRef> {
    let mut agents = Vec::new();
    for agent in root.objects(report, "agents", AGENTS_MAX) {
        agent.known(
            report,
            &[
                "role",
                "address",
                "create_if_missing",
                "display_name",
                "delivery_mode",
                "callback_url",
            ],
        );
        agents.push(AgentRef {
            role: agent.required(report, "role", 100),
            address: agent.required(report, "address", ADDRESS_MAX),
            create_if_missing: agent.flag(report, "create_if_missing").unwrap_or(false),
            display_name: agent.text(report, "display_name", 255).unwrap_or_default(),
            delivery_mode: agent.text(report, "delivery_mode", 32).unwrap_or_default(),
            callback_url: agent.text(report, "callback_url", 2048).unwrap_or_default(),
            path: agent.path,
        });
    }
    agents
}

pub(super) fn humans(root: &Object<'_>, report: &mut Report) -> Vec<HumanRef> {
    let mut humans = Vec::new();
    for human in root.objects(report, "humans", HUMANS_MAX) {
        human.known(report, &["role", "contact", "display_name"]);
        humans.push(HumanRef {
            role: human.required(report, "role", 100),
            contact: human.text(report, "contact", 255),
            display_name: human.text(report, "display_name", 255).unwrap_or_default(),
        });
    }
    humans
}

pub(super) fn reminding(object: &Object<'_>, report: &mut Report) -> Reminding {
    Reminding {
        after: object.integer(report, "remind_after_seconds", 1),
        interval: object.integer(report, "remind_interval_seconds", 1),
        most: object.integer(report, "max_reminders", 1),
        escalate_to: object.text(report, "escalate_to", ADDRESS_MAX),
    }
}

pub(super) fn read_step(step: &Object<'_>, report: &mut Report) -> StepDraft {
    step.known(report, &STEP);
    let empty = Map::new();
    let retry = step.object(report, "retry");
    let retry = retry.unwrap_or_else(|| Object::new(&empty, step.at("retry")));
    let max_retries = retry.integer(report, "max_retries", 0).unwrap_or(0);
    if max_retries > RETRIES_MAX {
        report.error(&retry.at("max_retries"), format!("must be {RETRIES_MAX} at most"));
    }
    let members = |report: &mut Report, name: &str| {
        step.object(report, name).map(|object| object.members.clone())
    };
    StepDraft {
        step_id: step.required(report, "step_id", 100),
        tool_id: step.text(report, "tool_id", 255),
        runtime_type: step.text(report, "runtime_type", 64),
        runtime_config: members(report, "runtime_config").unwrap_or_default(),
        assigned_to: step.text(report, "assigned_to", ADDRESS_MAX),
        requires_approval: step.flag(report, "requires_approval").unwrap_or(false),
        deadline_seconds: step.integer(report, "step_deadline_seconds", 1),
        max_retries,
        retry_delay_seconds: retry
            .integer(report, "retry_delay_seconds", 1)
            .unwrap_or(RETRY_DELAY_SECONDS),
        human_task: members(report, "human_task"),
        reminding: reminding(step, report),
        on_success: step.text(report, "on_success", 100),
        on_failure: step.text(report, "on_failure", 100),
        on_timeout: step.text(report, "on_timeout", 100),
        input: members(report, "input").unwrap_or_default(),
        path: step.path.clone(),
    }
}
