//! An answer on its way to the shard: read, held to the task as it stands here, and made ready.
//!
//! The shard holds it to the rules once more, on the task that waits there; only the form is checked
//! nowhere else. So the answer names the task that was looked at, and the shard takes it for no other.

use axp_proto::error_code::ErrorCode;
use axp_proto::node::{CurrentTask, IntentView, TaskAudit, TaskResult};
use axp_proto::task::{check, is_assigned, is_negative};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::form;
use super::rules::OUTCOME_MAX;
use crate::error::ApiError;
use crate::json::Reader;
use crate::schema::{compile, problems};
use crate::service::resume::request_id;
use crate::service::{Call, Service, hash_hex};

const COMMENT_MAX: usize = 5_000;
/// Outcomes with which a task goes on to somebody else, if the answer says to whom.
const DELEGATING: [&str; 2] = ["delegated", "rerouted"];
/// The number of no task: an answer that nothing here waits for may still be a repeat, which the
/// shard knows by its key, and must not be taken for anything that waits a moment later.
const NO_TASK: u32 = u32::MAX;

/// A person's answer, ready for the shard.
#[derive(Debug)]
pub(in crate::service) struct Prepared {
    pub(in crate::service) result: TaskResult,
    /// Why the task does not take it. A repeat is answered all the same.
    pub(in crate::service) broken: Option<ApiError>,
}

impl Service {
    /// Makes an answer ready.
    ///
    /// # Errors
    /// 404 for an unknown intent, 422 for what is no answer at all.
    pub(in crate::service) async fn prepare_answer(
        &self,
        call: &Call,
        intent_id: &str,
        answer: &Bytes,
        actor: &str,
        expected_policy_generation: Option<u32>,
    ) -> Result<Prepared, ApiError> {
        let view = self.get(call, intent_id).await?;
        let Answer { result, members, delegate_to } = parse(answer)?;
        let mut result = TaskResult {
            actor: actor.to_owned(),
            expected_policy_generation,
            expected_task: Some(NO_TASK),
            request_id: request_id(),
            asserted: actor != call.caller.address(),
            ..result
        };
        // Why nothing waits is for the shard to say.
        let Some(task) = &view.task else { return Ok(Prepared { result, broken: None }) };
        result.audit = Some(TaskAudit {
            channel: call.origin.channel.name().to_owned(),
            from: call.origin.address(),
            task_sha256: hash_hex(&task.task_json),
        });
        if let Some(to) = delegate_to {
            result.delegate_to = Some(self.escalation(call, &to).await?);
        }
        match self.hold_to(&view, task, &mut result, members).await {
            Ok(()) => result.expected_task = Some(task.number),
            Err(broken) => return Ok(Prepared { result, broken: Some(broken) }),
        }
        Ok(Prepared { result, broken: None })
    }

    /// Holds an answer to its task, in the order of the contract.
    pub(super) async fn hold_to(
        &self,
        view: &IntentView,
        task: &CurrentTask,
        result: &mut TaskResult,
        mut members: Map<String, Value>,
    ) -> Result<(), ApiError> {
        let assignees = view.state.as_ref().map(|state| &state.assignees[..]).unwrap_or_default();
        if result.asserted && !is_assigned(assignees, &result.actor) {
            let message = "the task is assigned to others";
            return Err(ApiError::new(ErrorCode::PolicyDenied, message));
        }
        let rules = task.rules.clone().unwrap_or_default();
        check(&rules, &result.outcome, &result.comment, result.has_evidence).map_err(|broken| {
            let location = [&["body", "task_result"][..], &[broken.field]].concat();
            ApiError::invalid(&location, &broken.message, "value_error")
        })?;
        // Who passes a task on leaves the form to the other, who says no need not fill it in.
        let negative = is_negative(&result.outcome);
        let task: Value = serde_json::from_slice(&task.task_json).unwrap_or_default();
        let Some(schema) = task.get("form_schema").filter(|it| it.is_object()) else {
            return Ok(());
        };
        if negative || result.delegate_to.is_some() {
            return Ok(());
        }
        form::complete(&mut members, schema, negative);
        self.check_form(schema, form::fields(&members, schema).into()).await?;
        result.answer_json = serde_json::to_vec(&members).map_err(|_| ApiError::internal())?.into();
        Ok(())
    }

    async fn check_form(&self, schema: &Value, fields: Value) -> Result<(), ApiError> {
        let hash = hash_hex(schema.to_string().as_bytes());
        let validator = self.validators.get(&hash, || compile(schema)).map_err(|error| {
            // It was compiled when it was submitted, by some version of this program.
            tracing::error!(%error, "the form of a task cannot be compiled");
            ApiError::internal()
        })?;
        // Bounded, and yet longer than anything else that a request does.
        let checked = tokio::task::spawn_blocking(move || problems(&validator, &fields));
        let found = checked.await.map_err(|_| ApiError::internal())?;
        if found.is_empty() { Ok(()) } else { Err(form::refusal(&found)) }
    }
}

/// What an answer says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) result: TaskResult,
    pub(super) members: Map<String, Value>,
    pub(super) delegate_to: Option<String>,
}

pub(super) fn parse(answer: &Bytes) -> Result<Answer, ApiError> {
    let mut reader = Reader::nested(answer, "task_result")?;
    let outcome = reader.required_string("outcome", 1, OUTCOME_MAX).unwrap_or_default();
    let comment = reader.string("comment", 1, COMMENT_MAX).unwrap_or_default();
    reader.object("data");
    reader.finish()?;
    let members: Map<String, Value> =
        serde_json::from_slice(answer).map_err(|_| ApiError::internal())?;
    // The CLI cannot nest: what others put into `data`, it puts beside it.
    let data = members.get("data");
    let field = |name: &str| data.and_then(|data| data.get(name)).or_else(|| members.get(name));
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
    Ok(Answer { result, members, delegate_to })
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => items.iter().any(says_something),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// Whether an intent waits for a person with a task.
pub(in crate::service) fn is_task_pending(view: &IntentView) -> bool {
    view.task.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &'static str) -> Result<Answer, ErrorCode> {
        parse(&Bytes::from_static(json.as_bytes())).map_err(|error| error.code)
    }

    #[test]
    fn answers_may_be_flat_or_nested() {
        for json in [
            r#"{"outcome":"completed","comment":"ok","evidence":"photo"}"#,
            r#"{"outcome":"completed","comment":"ok","data":{"evidence":["photo"]}}"#,
        ] {
            let Answer { result, delegate_to, .. } = answer(json).unwrap();
            assert_eq!((&*result.outcome, &*result.comment), ("completed", "ok"));
            assert!(result.has_evidence && delegate_to.is_none());
            assert_eq!(result.answer_json, json);
        }
        for nothing in [r#"{"evidence":" "}"#, r#"{"evidence":[""]}"#, r#"{"evidence":{}}"#] {
            let json = format!(r#"{{"outcome":"x","data":{nothing}}}"#);
            assert!(!parse(&json.into()).unwrap().result.has_evidence, "{nothing}");
        }
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
