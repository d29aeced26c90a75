//! A bundle as it was written, read with all tolerance that official clients and examples need
//! (contract, scenarios.md 3).

mod parts;

use bytes::Bytes;
use serde_json::{Map, Value};

use self::parts::{agents, humans, read_step, reminding};
use super::kind::Assignee;
use super::macros;
use super::read::Object;
use super::report::Report;
use crate::clock;

const AGENTS_MAX: usize = 50;
const HUMANS_MAX: usize = 20;
pub(super) const STEPS_MAX: usize = 100;
pub(super) const ADDRESS_MAX: usize = 383;

/// What is read differently when nothing is to be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose<'a> {
    Validate,
    /// With a name for a scenario that has none.
    Apply {
        scenario_id: &'a str,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Bundle {
    pub(crate) scenario_id: String,
    pub(super) title: String,
    pub(crate) agents: Vec<AgentRef>,
    pub(super) humans: Vec<HumanRef>,
    pub(super) entry: Option<String>,
    pub(super) steps: Vec<StepDraft>,
    pub(crate) intent: IntentDraft,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct AgentRef {
    pub(crate) path: String,
    pub(crate) role: String,
    /// As it was written.
    pub(crate) address: String,
    pub(crate) create_if_missing: bool,
    pub(crate) display_name: String,
    pub(crate) delivery_mode: String,
    pub(crate) callback_url: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct HumanRef {
    pub(super) role: String,
    pub(super) contact: Option<String>,
    pub(super) display_name: String,
}

/// What the intent itself says.
#[derive(Debug, Default)]
pub(crate) struct IntentDraft {
    pub(crate) intent_type: String,
    pub(crate) payload: Bytes,
    pub(crate) deadline_at_ms: Option<i64>,
    pub(crate) reply_to: Option<String>,
    pub(crate) max_delivery_attempts: Option<u32>,
    pub(super) reminding: Reminding,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Reminding {
    pub(super) after: Option<u32>,
    pub(super) interval: Option<u32>,
    pub(super) most: Option<u32>,
    pub(super) escalate_to: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct StepDraft {
    pub(super) path: String,
    pub(super) step_id: String,
    pub(super) tool_id: Option<String>,
    pub(super) runtime_type: Option<String>,
    pub(super) runtime_config: Map<String, Value>,
    pub(super) assigned_to: Option<String>,
    pub(super) requires_approval: bool,
    pub(super) deadline_seconds: Option<u32>,
    pub(super) max_retries: u32,
    pub(super) retry_delay_seconds: u32,
    pub(super) human_task: Option<Map<String, Value>>,
    pub(super) reminding: Reminding,
    pub(super) on_success: Option<String>,
    pub(super) on_failure: Option<String>,
    pub(super) on_timeout: Option<String>,
    pub(super) input: Map<String, Value>,
}

impl Bundle {
    /// `payload` is the member `intent.payload` as it was sent.
    pub(crate) fn read(
        body: &Map<String, Value>,
        payload: Option<Bytes>,
        purpose: Purpose<'_>,
        report: &mut Report,
    ) -> Self {
        let root = Object::new(body, "");
        root.known(report, &ROOT);
        root.text(report, "description", 1000);
        root.text(report, "idempotency_key", 255);
        let scenario_id = scenario_id(&root, purpose, report);
        let mut bundle = Self {
            title: root.text(report, "title", 255).unwrap_or_default(),
            agents: agents(&root, report),
            humans: humans(&root, report),
            ..Self::default()
        };
        unique(report, bundle.roles(), "role");
        let task = bundle.read_intent(&root, &scenario_id, payload, report);
        bundle.scenario_id = scenario_id;
        bundle.read_workflow(&root, task, report);
        bundle
    }

    fn roles(&self) -> Vec<(String, String)> {
        let agents = self.agents.iter().map(|agent| (agent.path.clone(), agent.role.clone()));
        let humans = self.humans.iter().enumerate();
        let humans = humans.map(|(at, human)| (format!("humans[{at}]"), human.role.clone()));
        agents.chain(humans).collect()
    }

    /// Reads the intent; its human task, if it has one, is for a step to come.
    fn read_intent(
        &mut self,
        root: &Object<'_>,
        scenario_id: &str,
        payload: Option<Bytes>,
        report: &mut Report,
    ) -> Option<Map<String, Value>> {
        let empty = Map::new();
        let intent = root.object(report, "intent");
        let intent = intent.unwrap_or_else(|| Object::new(&empty, "intent"));
        intent.known(report, &INTENT);
        let intent_type = intent.text(report, "type", 255).unwrap_or_else(|| {
            let default = if scenario_id.is_empty() { "intent.scenario.v1" } else { scenario_id };
            default.to_owned()
        });
        if !is_name(&intent_type) {
            report.error("intent.type", NAME_RULE);
        }
        intent.object(report, "payload");
        let deadline = intent.text(report, "deadline_at", 64);
        let deadline_at_ms = deadline.as_deref().and_then(clock::parse_rfc3339);
        if deadline.is_some() && deadline_at_ms.is_none() {
            report.error("intent.deadline_at", "must be an RFC 3339 date-time with a zone");
        }
        if deadline_at_ms.is_some_and(|deadline| deadline <= clock::now_ms()) {
            report.error("intent.deadline_at", "is in the past");
        }
        self.intent = IntentDraft {
            intent_type,
            payload: payload.unwrap_or_else(|| Bytes::from_static(b"{}")),
            deadline_at_ms,
            reply_to: intent.text(report, "reply_to", ADDRESS_MAX),
            max_delivery_attempts: intent.integer(report, "max_delivery_attempts", 1),
            reminding: reminding(&intent, report),
        };
        intent.object(report, "human_task").map(|task| task.members.clone())
    }

    fn read_workflow(
        &mut self,
        root: &Object<'_>,
        task: Option<Map<String, Value>>,
        report: &mut Report,
    ) {
        let empty = Map::new();
        let workflow = root.object(report, "workflow");
        let workflow = workflow.unwrap_or_else(|| Object::new(&empty, "workflow"));
        workflow.known(report, &["macro_id", "steps", "entry_step", "parameters"]);
        self.entry = workflow.text(report, "entry_step", 100);
        let given = workflow.objects(report, "steps", STEPS_MAX);
        let expanded = match workflow.text(report, "macro_id", 255) {
            Some(macro_id) => {
                let parameters = workflow.object(report, "parameters");
                let parameters = parameters.map(|it| it.members.clone()).unwrap_or_default();
                macros::expand(&macro_id, &parameters, &given, report)
            }
            None => given.iter().map(|step| (step.path.clone(), step.members.clone())).collect(),
        };
        if expanded.len() > STEPS_MAX {
            report.error("workflow.steps", format!("must have at most {STEPS_MAX} items"));
        }
        self.steps = expanded
            .iter()
            .map(|(path, step)| read_step(&Object::new(step, path), report))
            .collect();
        if self.steps.is_empty() && report.is_valid() {
            self.imply_step(task, report);
        } else if let Some(task) = task {
            let asks = |step: &&mut StepDraft| step.requires_approval && step.human_task.is_none();
            self.steps
                .iter_mut()
                .filter(asks)
                .for_each(|step| step.human_task = Some(task.clone()));
        }
        let ids = self.steps.iter().map(|step| (step.path.clone(), step.step_id.clone()));
        unique(report, ids.collect(), "step_id");
    }

    /// A bundle without steps still says what it wants: a person asked, or its one agent.
    fn imply_step(&mut self, task: Option<Map<String, Value>>, report: &mut Report) {
        let path = "workflow.steps".to_owned();
        let step = match (&task, &self.agents[..]) {
            (Some(_), _) => {
                let assigned_to = self.humans.first().map(|human| human.role.clone());
                let step_id = "human_task".to_owned();
                StepDraft { path, step_id, assigned_to, human_task: task, ..StepDraft::default() }
            }
            (None, [agent]) => {
                let assigned_to = Some(agent.role.clone());
                StepDraft { path, step_id: agent.role.clone(), assigned_to, ..StepDraft::default() }
            }
            _ => {
                report.error(&path, "is empty: say what is to be done, or name a macro_id");
                return;
            }
        };
        self.steps.push(step);
    }
}

const ROOT: [&str; 9] = [
    "scenario_id",
    "title",
    "description",
    "idempotency_key",
    "agents",
    "humans",
    "workflow",
    "intent",
    "$schema",
];
const INTENT: [&str; 10] = [
    "type",
    "payload",
    "deadline_at",
    "reply_to",
    "remind_after_seconds",
    "remind_interval_seconds",
    "max_reminders",
    "escalate_to",
    "max_delivery_attempts",
    "human_task",
];
const NAME_RULE: &str = "must be words of a-z, 0-9, _ and - that are separated by dots";

fn scenario_id(root: &Object<'_>, purpose: Purpose<'_>, report: &mut Report) -> String {
    let id = match (root.text(report, "scenario_id", 255), purpose) {
        (Some(id), _) => id,
        (None, Purpose::Apply { scenario_id }) if report.is_valid() => scenario_id.to_owned(),
        (None, _) => root.required(report, "scenario_id", 255),
    };
    if !id.is_empty() && (!is_name(&id) || id.len() < 3) {
        report.error("scenario_id", format!("{NAME_RULE}, 3 characters at least"));
    }
    id
}

/// `^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`: official bundles have hyphens.
fn is_name(text: &str) -> bool {
    let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    text.split('.').all(|word| !word.is_empty() && word.bytes().all(byte))
}

fn unique(report: &mut Report, names: Vec<(String, String)>, member: &str) {
    let mut known: Vec<String> = Vec::new();
    for (path, name) in names {
        if known.contains(&name) && !name.is_empty() {
            report.error(&format!("{path}.{member}"), format!("{name} is used twice: rename one"));
        }
        known.push(name);
    }
}

impl Bundle {
    /// Every address that the bundle names, as it is written.
    pub(crate) fn addresses(&self) -> Vec<&str> {
        let agents = self.agents.iter().map(|agent| agent.address.as_str());
        let steps = self.steps.iter().flat_map(|step| {
            let configured = ["to", "target", "escalate_to"].into_iter().filter_map(|name| {
                step.runtime_config.get(name).or_else(|| step.input.get(name))?.as_str()
            });
            let named = [step.assigned_to.as_deref(), step.reminding.escalate_to.as_deref()];
            named.into_iter().flatten().chain(configured)
        });
        let names = agents.chain(steps).chain(self.intent.reminding.escalate_to.as_deref());
        let address = |name| match self.assignee(name) {
            Assignee::Agent(address) if !address.is_empty() => Some(address),
            _ => None,
        };
        names.filter_map(address).collect()
    }
}
