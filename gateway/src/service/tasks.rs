//! Human tasks: what a submit may say of one, which answers it takes, and what an answer says
//! (contract, tasks.md 2 and 3). The shard decides; what it decides by is read from JSON here.

use axp_proto::error_code::ErrorCode;
use axp_proto::log::{Status, TaskRules, WaitingReason};
use axp_proto::node::{IntentView, TaskResult};
use bytes::Bytes;
use serde_json::Value;

use super::{Call, Service};
use crate::error::ApiError;
use crate::json::Reader;

const ADDRESS_MAX: usize = 383;
const OUTCOME_MAX: usize = 64;
const COMMENT_MAX: usize = 5_000;
/// Outcomes with which a task goes on to somebody else, if the answer says to whom.
const DELEGATING: [&str; 2] = ["delegated", "rerouted"];

/// The outcomes of a type when a task names none, and what else it demands.
fn defaults(task_type: &str) -> (&'static [&'static str], bool, bool) {
    let outcomes: &[&str] = match task_type {
        "form" => &["submitted"],
        "review" => &["approved", "changes_requested", "rejected"],
        "override" => &["override_approved", "rejected"],
        "confirmation" => &["confirmed", "denied"],
        "assignment" => &["assigned", "declined"],
        "clarification" | "provide_data" | "attach_file" => &["provided", "declined"],
        "manual_action" => &["completed", "failed"],
        "validate_real_world" | "validate_output" => &["valid", "invalid"],
        "delegation" => &["delegated", "declined"],
        "reroute" => &["rerouted", "declined"],
        "escalate" => &["escalated", "declined"],
        _ => &["approved", "rejected"],
    };
    let comment = matches!(task_type, "override" | "clarification");
    (outcomes, comment, task_type == "manual_action")
}

/// Reads the task of a submit; problems are the reader's.
pub(super) fn rules(task: &mut Reader<'_>) -> TaskRules {
    task.string("title", 1, 255);
    task.string("description", 1, 2000);
    task.string("notify_email", 3, 320);
    let form = task.object("form_schema").is_some();
    let named = task.string("task_type", 1, 64);
    let task_type = named.unwrap_or_else(|| if form { "form" } else { "approval" }.to_owned());
    let (outcomes, comment, evidence) = defaults(&task_type);
    let allowed_outcomes = task.strings("allowed_outcomes", 20, OUTCOME_MAX).unwrap_or_else(|| {
        // The CLI knows `approve` and `reject` for every type.
        let words = outcomes.iter().chain(&["approved", "rejected"]);
        let mut allowed: Vec<String> = Vec::new();
        words.for_each(|&word| {
            if !allowed.iter().any(|known| known == word) {
                allowed.push(word.to_owned());
            }
        });
        allowed
    });
    TaskRules {
        allowed_outcomes,
        comment_required: task.boolean("required_comment").unwrap_or(false) || comment,
        evidence_required: task.boolean("evidence_required").unwrap_or(false) || evidence,
        assignees: task.strings("assignees", 20, ADDRESS_MAX).unwrap_or_default(),
    }
}

impl Service {
    /// A person's answer, ready for the shard. Forms are refused in plain words: checking them
    /// belongs to the human tasks to come.
    pub(super) async fn answer(
        &self,
        call: &Call,
        intent_id: &str,
        answer: &Bytes,
        actor: &str,
        expected_policy_generation: Option<u32>,
    ) -> Result<TaskResult, ApiError> {
        let view = self.get(call, intent_id).await?;
        let task = pending_task(&view)
            .ok_or_else(|| ApiError::new(ErrorCode::InvalidState, "no task is pending"))?;
        let Answer { mut result, delegate_to } = parse(answer)?;
        check_form(task)?;
        if let Some(to) = delegate_to {
            let target = self.receiver(call, call.caller.normalise(&to)?).await?;
            result.delegate_to = Some(target.into_holder());
        }
        actor.clone_into(&mut result.actor);
        Ok(TaskResult { expected_policy_generation, ..result })
    }
}

struct Answer {
    result: TaskResult,
    delegate_to: Option<String>,
}

fn parse(answer: &Bytes) -> Result<Answer, ApiError> {
    let mut reader = Reader::nested(answer, "task_result")?;
    let outcome = reader.required_string("outcome", 1, OUTCOME_MAX).unwrap_or_default();
    let comment = reader.string("comment", 1, COMMENT_MAX).unwrap_or_default();
    reader.object("data");
    reader.finish()?;
    let fields: Value = serde_json::from_slice(answer).map_err(|_| ApiError::internal())?;
    // The CLI cannot nest: what others put into `data`, it puts beside it.
    let field = |name: &str| fields["data"].get(name).or_else(|| fields.get(name));
    let delegate_to = field("delegate_to")
        .and_then(Value::as_str)
        .filter(|to| !to.is_empty() && DELEGATING.contains(&outcome.as_str()))
        .map(str::to_owned);
    let has_evidence = field("evidence").is_some_and(says_something);
    let result = TaskResult {
        outcome,
        comment,
        answer_json: answer.clone(),
        has_evidence,
        ..TaskResult::default()
    };
    Ok(Answer { result, delegate_to })
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// Whether an intent waits for a person with a task.
pub(super) fn is_task_pending(view: &IntentView) -> bool {
    pending_task(view).is_some()
}

fn pending_task(view: &IntentView) -> Option<&Bytes> {
    let state = view.state.as_ref()?;
    let waits = state.status() == Status::Waiting && state.waiting_reason() == WaitingReason::Human;
    let task = &view.submission.as_ref()?.human_task_json;
    (waits && !task.is_empty()).then_some(task)
}

fn check_form(task: &Bytes) -> Result<(), ApiError> {
    let task: Value = serde_json::from_slice(task).map_err(|_| ApiError::internal())?;
    if task["form_schema"].is_object() {
        let message = "this server cannot check forms yet";
        return Err(ApiError::invalid(&["body", "task_result", "data"], message, "value_error"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(task: &'static str) -> TaskRules {
        let task = Bytes::from_static(task.as_bytes());
        let mut reader = Reader::nested(&task, "human_task").unwrap();
        let rules = rules(&mut reader);
        reader.finish().unwrap();
        rules
    }

    #[test]
    fn named_outcomes_are_the_outcomes() {
        let rules = read(r#"{"allowed_outcomes":["yes","no"],"assignees":["a@b.test"]}"#);
        assert_eq!(rules.allowed_outcomes, ["yes", "no"]);
        assert_eq!(rules.assignees, ["a@b.test"]);
        assert!(!rules.comment_required && !rules.evidence_required);
    }

    #[test]
    fn types_have_outcomes_and_demands_of_their_own() {
        assert_eq!(read("{}").allowed_outcomes, ["approved", "rejected"]);
        assert_eq!(
            read(r#"{"task_type":"confirmation"}"#).allowed_outcomes,
            ["confirmed", "denied", "approved", "rejected"]
        );
        assert_eq!(
            read(r#"{"form_schema":{}}"#).allowed_outcomes,
            ["submitted", "approved", "rejected"]
        );
        assert!(read(r#"{"task_type":"override"}"#).comment_required);
        assert!(read(r#"{"task_type":"manual_action"}"#).evidence_required);
        assert!(read(r#"{"required_comment":true}"#).comment_required);
    }

    fn answer(json: &'static str) -> Result<Answer, ErrorCode> {
        parse(&Bytes::from_static(json.as_bytes())).map_err(|error| error.code)
    }

    #[test]
    fn answers_may_be_flat_or_nested() {
        for json in [
            r#"{"outcome":"completed","comment":"ok","evidence":"photo"}"#,
            r#"{"outcome":"completed","comment":"ok","data":{"evidence":["photo"]}}"#,
        ] {
            let Answer { result, delegate_to } = answer(json).unwrap();
            assert_eq!((&*result.outcome, &*result.comment), ("completed", "ok"));
            assert!(result.has_evidence && delegate_to.is_none());
            assert_eq!(result.answer_json, json);
        }
        assert!(!answer(r#"{"outcome":"x","data":{"evidence":" "}}"#).unwrap().result.has_evidence);
        assert_eq!(answer("{}").err(), Some(ErrorCode::ValidationError));
    }

    #[test]
    fn only_outcomes_that_pass_it_on_do() {
        let to = |json| answer(json).unwrap().delegate_to;
        assert_eq!(
            to(r#"{"outcome":"delegated","data":{"delegate_to":"bob"}}"#).as_deref(),
            Some("bob")
        );
        assert_eq!(to(r#"{"outcome":"rerouted","delegate_to":"bob"}"#).as_deref(), Some("bob"));
        assert_eq!(to(r#"{"outcome":"approved","delegate_to":"bob"}"#), None);
        assert_eq!(to(r#"{"outcome":"delegated"}"#), None);
    }
}
