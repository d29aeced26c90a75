//! A human task as the wire tells it: what may be answered, what an answer needs, and with which
//! command.

use serde_json::Value;

/// Outcomes that say no; a form and evidence are not asked for with them.
const NEGATIVE: [&str; 5] = ["rejected", "denied", "declined", "failed", "changes_requested"];

#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a>(&'a Value);

/// One field of a task's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// `string`, `boolean`, `integer`, `number`, `array`, `object`; empty when the schema is silent.
    pub(crate) kind: String,
    pub(crate) about: String,
    pub(crate) choices: Vec<String>,
    pub(crate) required: bool,
}

impl<'a> Task<'a> {
    /// The task of an intent that waits for a person.
    pub(crate) fn of(intent: &'a Value) -> Option<Self> {
        let task = &intent["human_task"];
        task.is_object().then_some(Self(task))
    }

    pub(crate) fn text(self, field: &str) -> &'a str {
        self.0[field].as_str().unwrap_or_default()
    }

    pub(crate) fn kind(self) -> &'a str {
        match self.text("task_type") {
            "" if self.0["form_schema"].is_object() => "form",
            "" => "approval",
            kind => kind,
        }
    }

    pub(crate) fn list(self, field: &str) -> Vec<&'a str> {
        self.0[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// What may be answered; without a list of its own, a type has usual outcomes.
    pub(crate) fn outcomes(self) -> Vec<&'a str> {
        let explicit = self.list("allowed_outcomes");
        if !explicit.is_empty() {
            return explicit;
        }
        match self.kind() {
            "form" => vec!["submitted", "rejected"],
            "review" => vec!["approved", "changes_requested", "rejected"],
            "override" => vec!["override_approved", "rejected"],
            "confirmation" => vec!["confirmed", "denied"],
            "assignment" => vec!["assigned", "declined"],
            "clarification" | "provide_data" | "attach_file" => vec!["provided", "declined"],
            "manual_action" => vec!["completed", "failed"],
            "validate_real_world" | "validate_output" => vec!["valid", "invalid"],
            "delegation" => vec!["delegated", "declined"],
            "reroute" => vec!["rerouted", "declined"],
            "escalate" => vec!["escalated", "declined"],
            _ => vec!["approved", "rejected"],
        }
    }

    pub(crate) fn needs_comment(self) -> bool {
        self.0["required_comment"] == true || matches!(self.kind(), "override" | "clarification")
    }

    pub(crate) fn needs_evidence(self, outcome: &str) -> bool {
        let wanted = self.0["evidence_required"] == true || self.kind() == "manual_action";
        wanted && !is_negative(outcome)
    }

    /// The form's fields, in the schema's order; none with an outcome that says no.
    pub(crate) fn fields(self) -> Vec<Field> {
        let schema = &self.0["form_schema"];
        let required: Vec<_> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties.map(|(name, property)| field(name, property, &required)).collect()
    }

    /// A command for each outcome, ready to be pasted.
    pub(crate) fn commands(self, intent_id: &str) -> Vec<String> {
        self.outcomes().iter().map(|outcome| self.command(intent_id, outcome)).collect()
    }

    fn command(self, intent_id: &str, outcome: &str) -> String {
        let mut command = match outcome {
            "approved" | "override_approved" => format!("axp tasks approve {intent_id}"),
            "rejected" | "denied" | "declined" => format!("axp tasks reject {intent_id}"),
            "confirmed" => format!("axp tasks confirm {intent_id}"),
            "completed" => format!("axp tasks complete {intent_id}"),
            "assigned" => format!("axp tasks assign {intent_id} --to WHO"),
            outcome => format!("axp tasks submit {intent_id} --outcome {outcome}"),
        };
        if self.needs_comment() {
            command.push_str(" --comment TEXT");
        }
        if self.needs_evidence(outcome) {
            command.push_str(" --evidence TEXT");
        }
        if !is_negative(outcome) {
            let fields = self.fields();
            // The outcome itself answers a form's question of whether it is approved.
            let asked = fields.iter().filter(|field| field.required && field.name != "approved");
            let asked = asked.filter(|field| !(outcome == "assigned" && field.name == "assignee"));
            for field in asked {
                command.push_str(&format!(" --data {}=...", field.name));
            }
        }
        command
    }
}

pub(crate) fn is_negative(outcome: &str) -> bool {
    NEGATIVE.contains(&outcome)
}

fn field(name: &str, property: &Value, required: &[&str]) -> Field {
    let text = |key: &str| property[key].as_str().unwrap_or_default().to_owned();
    let about = match text("title") {
        title if title.is_empty() => text("description"),
        title => title,
    };
    let choices = property["enum"].as_array().into_iter().flatten();
    let choice = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Field {
        name: name.to_owned(),
        kind: text("type"),
        about,
        choices: choices.map(choice).collect(),
        required: required.contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn commands(task: &Value) -> Vec<String> {
        Task(task).commands("7")
    }

    #[test]
    fn every_type_has_its_commands() {
        assert_eq!(commands(&json!({})), ["axp tasks approve 7", "axp tasks reject 7"]);
        assert_eq!(
            commands(&json!({"task_type": "review"}))[1],
            "axp tasks submit 7 --outcome changes_requested"
        );
        assert_eq!(
            commands(&json!({"task_type": "manual_action"})),
            ["axp tasks complete 7 --evidence TEXT", "axp tasks submit 7 --outcome failed"]
        );
        assert_eq!(
            commands(&json!({"task_type": "clarification"}))[0],
            "axp tasks submit 7 --outcome provided --comment TEXT"
        );
        assert_eq!(commands(&json!({"task_type": "assignment"}))[0], "axp tasks assign 7 --to WHO");
    }

    #[test]
    fn a_list_of_outcomes_is_the_last_word() {
        let task = json!({"allowed_outcomes": ["shipped"], "required_comment": true});
        assert_eq!(commands(&task), ["axp tasks submit 7 --outcome shipped --comment TEXT"]);
    }

    #[test]
    fn a_form_names_what_it_needs() {
        let task = json!({"form_schema": {
            "type": "object", "required": ["size", "approved"],
            "properties": {
                "approved": {"type": "boolean"},
                "size": {"enum": ["s", "m"], "title": "Size"},
                "why": {"type": "string", "description": "Reason"},
            },
        }});
        assert_eq!(commands(&task)[0], "axp tasks submit 7 --outcome submitted --data size=...");
        let fields = Task(&task).fields();
        let size = fields.iter().find(|field| field.name == "size").unwrap();
        assert!(size.required && size.choices == ["s", "m"] && size.about == "Size");
    }
}
