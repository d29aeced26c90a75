//! From a bundle to what the node carries out: all names are resolved here, once.

use axp_proto::log::step::Kind;
use axp_proto::log::{
    AgentStep, Holder, HolderKind, HumanStep, NotifyStep, PendingWith, Step, TaskRules, WaitKind,
    WaitStep, Workflow,
};
use bytes::Bytes;
use prost::Message as _;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::bundle::{Bundle, HumanRef, StepDraft};
use super::graph::{self, Places};
use super::kind::{Assignee, StepKind};
use super::report::Report;

/// Who addresses are and what tasks demand, as the server knows it.
pub(crate) trait Directory {
    /// Where an address is reached, and a warning if nobody is known there.
    ///
    /// # Errors
    /// In words, when nothing can be sent to it.
    fn agent(&self, address: &str) -> Result<(Holder, Option<String>), String>;
    /// Where a person's mail address or name has its inbox.
    fn person(&self, contact: &str) -> Holder;
    /// Who applies the bundle.
    fn owner(&self) -> Holder;
    /// What a task demands of an answer.
    ///
    /// # Errors
    /// All that is wrong with the task: member and problem.
    fn rules(&self, task: &Bytes) -> Result<TaskRules, Vec<(String, String)>>;
}

/// # Errors
/// None: what is wrong is in the report, and the workflow of an invalid bundle is not to be used.
pub(crate) fn compile(bundle: &Bundle, directory: &dyn Directory, report: &mut Report) -> Workflow {
    let compiler = Compiler { bundle, directory };
    for agent in &bundle.agents {
        compiler.agent(&format!("{}.address", agent.path), &agent.address, report);
    }
    let places = Places::of(&bundle.steps);
    let (mut steps, mut kinds) = (Vec::new(), Vec::new());
    for (place, draft) in bundle.steps.iter().enumerate() {
        let kind = bundle.kind(draft, report);
        steps.push(Step {
            step_id: draft.step_id.clone(),
            kind: kind.and_then(|kind| compiler.step(draft, kind, report)),
            input_json: json(&draft.input),
            deadline_seconds: draft.deadline_seconds.filter(|_| kind != Some(StepKind::Timeout)),
            max_retries: if kind == Some(StepKind::Agent) { draft.max_retries } else { 0 },
            retry_delay_seconds: draft.retry_delay_seconds,
            on_success: places.on_success(draft, place, bundle.steps.len(), report),
            on_failure: places.on_failure(draft, report),
            on_timeout: places.on_timeout(draft, report),
        });
        kinds.extend(kind);
        if draft.max_retries > 0 && kind.is_some_and(|kind| kind != StepKind::Agent) {
            report.warn(&format!("{}.retry", draft.path), "is for agent steps only; it is ignored");
        }
        if draft.step_id == "last_result" {
            report.error(&format!("{}.step_id", draft.path), "is reserved: take another name");
        }
    }
    let entry = bundle.entry.as_ref();
    let entry =
        entry.and_then(|name| places.find("workflow.entry_step", name, report)).unwrap_or(0);
    if report.is_valid() {
        graph::check(&bundle.steps, &kinds, &steps, entry, report);
    }
    let scenario_id = bundle.scenario_id.clone();
    let workflow = Workflow { scenario_id, compile_id: String::new(), entry, steps };
    // What is compiled the same has the same name.
    let hash = Sha256::digest(workflow.encode_to_vec());
    let name: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    Workflow { compile_id: format!("wfc_{name}"), ..workflow }
}

struct Compiler<'a> {
    bundle: &'a Bundle,
    directory: &'a dyn Directory,
}

impl Compiler<'_> {
    fn step(&self, draft: &StepDraft, kind: StepKind, report: &mut Report) -> Option<Kind> {
        match kind {
            StepKind::Agent => self.agent_step(draft, report).map(Kind::Agent),
            StepKind::Human => Some(Kind::Human(self.human_step(draft, report))),
            StepKind::Notification | StepKind::Escalation => {
                let escalates = kind == StepKind::Escalation;
                self.notify_step(draft, escalates, report).map(Kind::Notify)
            }
            StepKind::Delay => wait_step(draft, WaitKind::Delay, report).map(Kind::Wait),
            StepKind::Timeout => wait_step(draft, WaitKind::Timeout, report).map(Kind::Wait),
            StepKind::Reminder => wait_step(draft, WaitKind::Reminder, report).map(Kind::Wait),
        }
    }

    fn agent(&self, path: &str, address: &str, report: &mut Report) -> Option<Holder> {
        match self.directory.agent(address) {
            Ok((holder, warning)) => {
                if let Some(warning) = warning
                    && !report.warnings.iter().any(|known| known.contains(&warning))
                {
                    report.warn(path, warning);
                }
                Some(holder)
            }
            Err(problem) => {
                report.error(path, problem);
                None
            }
        }
    }

    fn agent_step(&self, draft: &StepDraft, report: &mut Report) -> Option<AgentStep> {
        let path = format!("{}.assigned_to", draft.path);
        let address = match draft.assigned_to.as_deref().map(|name| self.bundle.assignee(name)) {
            Some(Assignee::Agent(address)) => address,
            Some(_) => {
                report.error(&path, "names a person, and the tool of the step is for agents");
                return None;
            }
            None => match &self.bundle.agents[..] {
                [agent] => {
                    report.warn(&path, format!("is missing: {} is taken", agent.role));
                    &agent.address
                }
                _ => {
                    report.error(&path, "is required: name a role of agents, or an address");
                    return None;
                }
            },
        };
        let holder = self.agent(&path, address, report);
        holder.map(|holder| AgentStep { holder: Some(holder) })
    }

    fn human_step(&self, draft: &StepDraft, report: &mut Report) -> HumanStep {
        let (who, contact) = self.asked(draft);
        let task = self.task(draft, contact, report);
        let path = format!("{}.human_task", draft.path);
        let rules = self.directory.rules(&task).unwrap_or_else(|problems| {
            for (member, problem) in problems {
                report.error(&format!("{path}.{member}"), problem);
            }
            TaskRules::default()
        });
        let defaults = &self.bundle.intent.reminding;
        let own = &draft.reminding;
        let to = own.escalate_to.as_deref().map(|to| (format!("{}.escalate_to", draft.path), to));
        let to = to
            .or_else(|| Some(("intent.escalate_to".to_owned(), defaults.escalate_to.as_deref()?)));
        HumanStep {
            who: Some(who),
            human_task_json: task,
            task: Some(rules),
            remind_after_seconds: own.after.or(defaults.after),
            remind_interval_seconds: own.interval.or(defaults.interval),
            max_reminders: own.most.or(defaults.most),
            escalation: to.and_then(|(path, to)| self.reach(&path, to, report)),
        }
    }

    /// Who is waited for, and where that person is reached, if that is known.
    fn asked(&self, draft: &StepDraft) -> (PendingWith, Option<String>) {
        let person = |reference: &str, name: &str| PendingWith {
            kind: HolderKind::Human.into(),
            r#ref: reference.to_owned(),
            name: name.to_owned(),
        };
        match draft.assigned_to.as_deref().map(|name| self.bundle.assignee(name)) {
            Some(Assignee::Human(at)) => {
                let HumanRef { role, contact, display_name } = &self.bundle.humans[at];
                let name = if display_name.is_empty() { role } else { display_name };
                (person(contact.as_ref().unwrap_or(role), name), contact.clone())
            }
            Some(Assignee::Mail(mail)) => (person(mail, mail), Some(mail.to_owned())),
            Some(Assignee::Agent(address)) => {
                let address = self.directory.agent(address).map_or_else(
                    |_| address.to_owned(),
                    |(holder, _)| holder.mailbox.unwrap_or_default().address,
                );
                let name = address.rsplit('/').next().unwrap_or(&address);
                (person(&address, name), Some(address.clone()))
            }
            None => (person("workspace", "workspace"), None),
        }
    }

    /// The task as it is stored: with a title, and assignees by where they are reached.
    fn task(&self, draft: &StepDraft, contact: Option<String>, report: &mut Report) -> Bytes {
        let mut task = draft.human_task.clone().unwrap_or_default();
        if task.get("title").and_then(Value::as_str).is_none_or(|title| title.trim().is_empty()) {
            task.insert("title".to_owned(), title(&draft.step_id).into());
        }
        let path = format!("{}.human_task.assignees", draft.path);
        match task.get("assignees").filter(|value| !value.is_null()) {
            Some(Value::Array(names)) => {
                let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                let reached: Vec<String> =
                    names.iter().filter_map(|name| self.contact(&path, name, report)).collect();
                if reached.is_empty() {
                    task.remove("assignees");
                } else {
                    task.insert("assignees".to_owned(), reached.into());
                }
            }
            // Not a list: the rules say what is wrong.
            Some(_) => {}
            None => {
                if let Some(contact) = contact {
                    task.insert("assignees".to_owned(), vec![contact].into());
                }
            }
        }
        json(&task)
    }

    fn contact(&self, path: &str, name: &str, report: &mut Report) -> Option<String> {
        let Some(human) = self.bundle.humans.iter().find(|human| human.role == name) else {
            return Some(name.to_owned());
        };
        if human.contact.is_none() {
            let message = format!("{name} has no contact: any member of the workspace may answer");
            report.warn(path, message);
        }
        human.contact.clone()
    }

    /// Where somebody is reached who is told something, or asked at last.
    fn reach(&self, path: &str, name: &str, report: &mut Report) -> Option<Holder> {
        match self.bundle.assignee(name) {
            Assignee::Mail(mail) => Some(self.directory.person(mail)),
            Assignee::Human(at) => {
                let contact = self.bundle.humans[at].contact.as_deref();
                if contact.is_none() {
                    report.warn(path, format!("{name} has no contact: nobody can be reached"));
                }
                contact.map(|contact| self.directory.person(contact))
            }
            Assignee::Agent(address) => self.agent(path, address, report),
        }
    }

    fn notify_step(
        &self,
        draft: &StepDraft,
        escalates: bool,
        report: &mut Report,
    ) -> Option<NotifyStep> {
        let configured =
            ["to", "target", "escalate_to"].into_iter().find_map(|name| word(draft, name));
        let own = draft.reminding.escalate_to.as_deref().filter(|_| escalates);
        let name = draft.assigned_to.as_deref().or(configured).or(own);
        let path = format!("{}.assigned_to", draft.path);
        let to = name.and_then(|name| self.reach(&path, name, report));
        if to.is_none() && escalates {
            report.error(
                &path,
                "an escalation needs somebody: an address, a mail or a role with contact",
            );
            return None;
        }
        let to = to.unwrap_or_else(|| self.directory.owner());
        let title = draft.human_task.as_ref().and_then(|task| task.get("title")?.as_str());
        let message = ["message", "text"].into_iter().find_map(|name| word(draft, name)).or(title);
        let message =
            message.unwrap_or(&self.bundle.title).chars().take(MESSAGE_CHARS_MAX).collect();
        Some(NotifyStep { escalates, to: Some(to), message })
    }
}

/// As much of a message as an event keeps.
const MESSAGE_CHARS_MAX: usize = 2_000;

fn wait_step(draft: &StepDraft, kind: WaitKind, report: &mut Report) -> Option<WaitStep> {
    let names: &[&str] = match kind {
        WaitKind::Timeout => &["seconds", "timeout_seconds", "delay_seconds"],
        WaitKind::Reminder => &["seconds", "remind_after_seconds", "delay_seconds"],
        WaitKind::Delay | WaitKind::Unspecified => &["seconds", "delay_seconds"],
    };
    let own = match kind {
        WaitKind::Timeout => draft.deadline_seconds,
        WaitKind::Reminder => draft.reminding.after,
        WaitKind::Delay | WaitKind::Unspecified => None,
    };
    let given = names.iter().find_map(|name| field(draft, name));
    let seconds = match given {
        Some(value) => value.as_u64().and_then(|seconds| u32::try_from(seconds).ok()),
        None => own,
    };
    let Some(seconds) = seconds.filter(|seconds| (1..=SECONDS_MAX).contains(seconds)) else {
        let path = format!("{}.runtime_config.seconds", draft.path);
        report.error(&path, format!("is required: whole seconds, 1 to {SECONDS_MAX}"));
        return None;
    };
    let message =
        word(draft, "message").unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect();
    Some(WaitStep { kind: kind.into(), seconds, message })
}

/// Ten years.
const SECONDS_MAX: u32 = 10 * 366 * 24 * 60 * 60;

/// What is said of how the runtime carries a step out.
fn field<'a>(draft: &'a StepDraft, name: &str) -> Option<&'a Value> {
    draft
        .runtime_config
        .get(name)
        .or_else(|| draft.input.get(name))
        .filter(|value| !value.is_null())
}

fn word<'a>(draft: &'a StepDraft, name: &str) -> Option<&'a str> {
    field(draft, name)?.as_str().filter(|word| !word.is_empty())
}

fn json(members: &Map<String, Value>) -> Bytes {
    if members.is_empty() {
        Bytes::new()
    } else {
        Value::Object(members.clone()).to_string().into()
    }
}

/// A title for people from the name of a step.
fn title(step_id: &str) -> String {
    let words = step_id.replace(['_', '-', '.'], " ");
    let mut letters = words.chars();
    letters.next().map_or(words.clone(), |first| first.to_uppercase().chain(letters).collect())
}
