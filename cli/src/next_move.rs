//! Who can make an intent go on, and with which command. Pure: what the server says comes in.

use serde::Serialize;
use serde_json::Value;

use crate::history;
use crate::task::Task;

/// What `axp why` answers, for messages that point to it.
pub(crate) const QUESTION: &str = "what it waits for";

#[derive(Debug, Serialize)]
pub(crate) struct NextMove {
    pub(crate) status: String,
    /// In a sentence.
    pub(crate) waits_for: String,
    pub(crate) since: Option<String>,
    /// When it ends or goes on by itself, if it does.
    pub(crate) due_at: Option<String>,
    pub(crate) who: Vec<String>,
    pub(crate) commands: Vec<Release>,
}

/// A command and what it does.
#[derive(Debug, Serialize)]
pub(crate) struct Release {
    pub(crate) command: String,
    pub(crate) effect: String,
}

impl NextMove {
    /// `step` is the open intent of the step that is under way, if it has one of its own.
    pub(crate) fn of(intent: &Value, events: &[Value], step: Option<&Value>) -> Self {
        let status = text(intent, "status").to_owned();
        let mut next = Self {
            waits_for: String::new(),
            since: history::since(events).map(str::to_owned),
            due_at: present(intent, "due_at").or_else(|| present(intent, "deadline_at")),
            who: Vec::new(),
            commands: Vec::new(),
            status,
        };
        let id = text(intent, "intent_id");
        match &next.status[..] {
            "COMPLETED" | "FAILED" | "CANCELED" | "TIMED_OUT" => next.ended(id, events),
            _ => {
                next.open(intent, step);
                next.may(format!("axp intents cancel {id}"), "ends it");
            }
        }
        next
    }

    fn ended(&mut self, id: &str, events: &[Value]) {
        let details = events.last().map(|event| &event["details"]);
        let reason = details.and_then(|details| {
            let found = [&details["reason"], &details["error"]["message"]];
            found.into_iter().find_map(Value::as_str)
        });
        let because = reason.map(|reason| format!(", because of {reason}")).unwrap_or_default();
        self.waits_for = format!("nothing: it is {}{because}", self.status);
        self.due_at = None;
        self.may(format!("axp trace {id}"), "shows how it came to that");
    }

    fn open(&mut self, intent: &Value, step: Option<&Value>) {
        let reason = text(intent, "waiting_reason");
        let human = reason == "WAITING_FOR_HUMAN" || intent["pending_with"]["type"] == "human";
        match Task::of(intent) {
            Some(task) if human => self.person(intent, task),
            _ if reason == "WAITING_FOR_TIME" => {
                self.waits_for = "a point in time; nobody has to do anything".into();
            }
            _ => self.agent(intent, step),
        }
    }

    fn person(&mut self, intent: &Value, task: Task<'_>) {
        let title = task.text("title");
        self.waits_for = format!("a person to answer \"{title}\" ({})", task.kind());
        let assignees = [list(intent, "assignees"), task.list("assignees")];
        self.who = assignees
            .into_iter()
            .find(|assignees| !assignees.is_empty())
            .map(|assignees| assignees.into_iter().map(str::to_owned).collect())
            .unwrap_or_else(|| match text(&intent["pending_with"], "name") {
                "" => vec!["every member and key of the workspace".into()],
                name => vec![name.to_owned()],
            });
        let id = text(intent, "intent_id");
        for (outcome, command) in task.outcomes().iter().zip(task.commands(id)) {
            self.may(command, &format!("answers {outcome}"));
        }
    }

    fn agent(&mut self, intent: &Value, step: Option<&Value>) {
        let holder = step.unwrap_or(intent);
        let refs = [text(&intent["pending_with"], "ref"), text(holder, "to_agent")];
        let who = refs.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        let doing = match text(holder, "status") {
            "SUBMITTED" => "to be reached: it has not been delivered yet",
            "CREATED" | "DELIVERED" => "to take it: it is delivered, and not acknowledged yet",
            _ => "to finish it",
        };
        self.waits_for = format!("the agent {doing}");
        self.who = vec![who.to_owned()];
        self.may(format!("axp agents listen {who}"), "shows what waits for the agent");
        let id = text(holder, "intent_id");
        self.may(
            format!("axp intents resume {id} --data NAME=VALUE"),
            "answers in the agent's place; --fail for a failure",
        );
    }

    fn may(&mut self, command: String, effect: &str) {
        self.commands.push(Release { command, effect: effect.to_owned() });
    }
}

fn list<'a>(value: &'a Value, field: &str) -> Vec<&'a str> {
    value[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn present(value: &Value, field: &str) -> Option<String> {
    Some(text(value, field)).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn commands(next: &NextMove) -> Vec<&str> {
        next.commands.iter().map(|release| release.command.as_str()).collect()
    }

    #[test]
    fn a_person_is_named_with_every_answer() {
        let intent = json!({"intent_id": "7", "status": "WAITING",
            "waiting_reason": "WAITING_FOR_HUMAN", "due_at": "2030-01-01T00:00:00Z",
            "pending_with": {"type": "human", "ref": "ops", "name": "Operations"},
            "human_task": {"title": "Deploy?"}});
        let events = [json!({"at": "x", "status": "WAITING"})];
        let next = NextMove::of(&intent, &events, None);
        assert_eq!(next.waits_for, "a person to answer \"Deploy?\" (approval)");
        assert_eq!((next.who[0].as_str(), next.since.as_deref()), ("Operations", Some("x")));
        let expected = ["axp tasks approve 7", "axp tasks reject 7", "axp intents cancel 7"];
        assert_eq!(commands(&next), expected);
    }

    #[test]
    fn an_agent_is_answered_for_on_its_own_intent() {
        let intent = json!({"intent_id": "7", "status": "WAITING",
            "waiting_reason": "WAITING_FOR_AGENT",
            "pending_with": {"type": "agent", "ref": "agent://a/b/worker", "name": "worker"}});
        let step =
            json!({"intent_id": "8", "status": "DELIVERED", "to_agent": "agent://a/b/worker"});
        let next = NextMove::of(&intent, &[], Some(&step));
        assert!(next.waits_for.contains("delivered, and not acknowledged"), "{next:?}");
        assert_eq!(commands(&next)[1], "axp intents resume 8 --data NAME=VALUE");
    }

    #[test]
    fn an_end_says_why() {
        let intent = json!({"intent_id": "7", "status": "FAILED"});
        let events =
            [json!({"at": "x", "status": "FAILED", "details": {"reason": "step_timeout"}})];
        let next = NextMove::of(&intent, &events, None);
        assert_eq!(next.waits_for, "nothing: it is FAILED, because of step_timeout");
        assert_eq!(commands(&next), ["axp trace 7"]);
    }
}
