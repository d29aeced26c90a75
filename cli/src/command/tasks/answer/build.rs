//! An answer in the making. Pure: what is missing is told, asking is left to others.

use serde_json::{Map, Value, json};

use super::ContentArgs;
use crate::exit::Usage;
use crate::task::{Field, Task, is_negative};

#[derive(Debug)]
pub(in crate::command::tasks) enum Wish {
    Approve,
    Reject,
    Confirm,
    Complete,
    Assign,
    /// This outcome, or one that still has to be chosen.
    Outcome(Option<String>),
}

impl Wish {
    /// The task's own word for it; `None` when it has none.
    pub(super) fn outcome(&self, allowed: &[&str]) -> Option<String> {
        let words: &[&str] = match self {
            Self::Approve => &["approved", "override_approved", "submitted"],
            Self::Reject => &["rejected", "denied", "declined", "failed"],
            Self::Confirm => &["confirmed"],
            Self::Complete => &["completed"],
            Self::Assign => &["assigned"],
            // The server is the judge of an outcome that was written out.
            Self::Outcome(outcome) => return outcome.clone(),
        };
        words.iter().find(|word| allowed.contains(word)).map(|word| (*word).to_owned())
    }
}

#[derive(Debug)]
pub(super) struct Draft {
    outcome: String,
    pub(super) comment: Option<String>,
    fields: Map<String, Value>,
}

impl Draft {
    pub(super) fn new(
        task: Task<'_>,
        outcome: String,
        content: ContentArgs,
    ) -> anyhow::Result<Self> {
        let mut draft = Self { outcome, fields: content.fields()?, comment: content.comment };
        let form = task.fields();
        for (name, value) in content.data {
            match form.iter().find(|field| field.name == name) {
                Some(field) => draft.set(field, &value)?,
                None => {
                    draft.fields.insert(name, value.into());
                }
            }
        }
        if !content.evidence.is_empty() {
            draft.set_evidence(content.evidence);
        }
        Ok(draft)
    }

    pub(super) fn misses_comment(&self, task: Task<'_>) -> bool {
        task.needs_comment() && self.comment.as_deref().is_none_or(|text| text.trim().is_empty())
    }

    pub(super) fn misses_evidence(&self, task: Task<'_>) -> bool {
        task.needs_evidence(&self.outcome) && !self.fields.contains_key("evidence")
    }

    pub(super) fn missing_fields(&self, task: Task<'_>) -> Vec<Field> {
        if is_negative(&self.outcome) {
            return Vec::new();
        }
        let mut fields = task.fields();
        // Whether it is approved is what the outcome says.
        fields.retain(|field| {
            field.required && field.name != "approved" && !self.fields.contains_key(&field.name)
        });
        fields
    }

    pub(super) fn set_evidence(&mut self, mut evidence: Vec<String>) {
        let value = match evidence.len() {
            1 => json!(evidence.remove(0)),
            _ => json!(evidence),
        };
        self.fields.insert("evidence".into(), value);
    }

    /// Text as the form's type of this field.
    pub(super) fn set(&mut self, field: &Field, text: &str) -> Result<(), Usage> {
        let wrong = || Usage(format!("{}: `{text}` is no {}", field.name, field.kind));
        let value = match &field.kind[..] {
            "boolean" => match text {
                "true" | "yes" | "y" => json!(true),
                "false" | "no" | "n" => json!(false),
                _ => return Err(wrong()),
            },
            "integer" => json!(text.parse::<i64>().map_err(|_| wrong())?),
            "number" => json!(text.parse::<f64>().map_err(|_| wrong())?),
            "array" | "object" => serde_json::from_str(text).map_err(|_| wrong())?,
            _ => json!(text),
        };
        self.fields.insert(field.name.clone(), value);
        Ok(())
    }

    pub(super) fn into_result(self) -> Value {
        let mut result = json!({"outcome": self.outcome});
        if let Some(comment) = self.comment {
            result["comment"] = comment.into();
        }
        if !self.fields.is_empty() {
            result["data"] = self.fields.into();
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Value {
        json!({"human_task": {"task_type": "form", "required_comment": true,
            "form_schema": {"required": ["approved", "count", "size"], "properties": {
                "approved": {"type": "boolean"}, "count": {"type": "integer"},
                "size": {"type": "string"}}}}})
    }

    fn draft(intent: &Value, outcome: &str, content: ContentArgs) -> anyhow::Result<Draft> {
        Draft::new(Task::of(intent).unwrap(), outcome.into(), content)
    }

    #[test]
    fn a_wish_takes_the_tasks_own_word() {
        assert_eq!(Wish::Reject.outcome(&["confirmed", "denied"]).unwrap(), "denied");
        assert_eq!(Wish::Approve.outcome(&["override_approved"]).unwrap(), "override_approved");
        assert_eq!(Wish::Confirm.outcome(&["approved"]), None);
        assert_eq!(Wish::Outcome(Some("any".into())).outcome(&["x"]).unwrap(), "any");
        assert_eq!(Wish::Outcome(None).outcome(&["x"]), None);
    }

    #[test]
    fn fields_have_the_types_of_the_form() {
        let content = ContentArgs {
            data: vec![("count".into(), "3".into()), ("note".into(), "3".into())],
            ..ContentArgs::default()
        };
        let result = draft(&form(), "submitted", content).unwrap().into_result();
        assert_eq!(result, json!({"outcome": "submitted", "data": {"count": 3, "note": "3"}}));
        let wrong =
            ContentArgs { data: vec![("count".into(), "many".into())], ..ContentArgs::default() };
        let error = draft(&form(), "submitted", wrong).unwrap_err().to_string();
        assert_eq!(error, "count: `many` is no integer");
    }

    #[test]
    fn what_is_missing_is_told() {
        let intent = form();
        let task = Task::of(&intent).unwrap();
        let made = draft(&intent, "submitted", ContentArgs::default()).unwrap();
        let names: Vec<_> = made.missing_fields(task).into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["count", "size"]);
        assert!(made.misses_comment(task) && !made.misses_evidence(task));
        // A refusal needs no form.
        let made = draft(&intent, "rejected", ContentArgs::default()).unwrap();
        assert!(made.missing_fields(task).is_empty());
    }

    #[test]
    fn evidence_is_one_text_or_a_list() {
        let intent = json!({"human_task": {"task_type": "manual_action"}});
        let task = Task::of(&intent).unwrap();
        let given = |evidence: &[&str]| ContentArgs {
            evidence: evidence.iter().map(|text| (*text).to_owned()).collect(),
            ..ContentArgs::default()
        };
        let none = draft(&intent, "completed", given(&[])).unwrap();
        assert!(none.misses_evidence(task));
        let one = draft(&intent, "completed", given(&["photo 1"])).unwrap();
        assert!(!one.misses_evidence(task));
        assert_eq!(one.into_result()["data"]["evidence"], "photo 1");
        let two = draft(&intent, "completed", given(&["a", "b"])).unwrap();
        assert_eq!(two.into_result()["data"]["evidence"], json!(["a", "b"]));
    }
}
