//! Resuming: one route with three meanings, told apart by the body (contract, intents.md 8).
//!
//! ```text
//! task_result present ............................. a person answers a human task
//! only control keys, or nothing ................... WAITING goes on, nothing ends
//! anything else ................................... an agent's result: the intent ends
//! ```

use axp_proto::error_code::ErrorCode;
use axp_proto::log::{Status, WaitingReason};
use axp_proto::node::{AgentResult, ControlResume, IntentView, execute_request};
use bytes::Bytes;
use serde_json::Value;

use super::resolve::Resolved;
use super::{Call, Service};
use crate::error::ApiError;
use crate::json::{Fields, Reader};

const VERB: &str = "resume";
const CONTROL_KEYS: [&str; 6] = [
    "approve_current_step",
    "actor",
    "reason",
    "expected_policy_generation",
    "internal_scheduler",
    "owner_agent",
];
/// What addresses an agent's result and is no part of it.
const ENVELOPE_KEYS: [&str; 3] = ["action", "owner_agent", "expected_policy_generation"];

impl Service {
    /// # Errors
    /// 409 when the intent has ended or has no pending task, 404 when it is unknown, 422 for a bad
    /// body.
    pub(crate) async fn resume(
        &self,
        call: &Call,
        intent_id: &str,
        body: &Bytes,
    ) -> Result<Resolved, ApiError> {
        let mut reader = Reader::new(body)?;
        let meaning = Meaning::of(reader.fields());
        // The owner may be named in the body as well; header and query go first.
        let owner = reader.string("owner_agent", 1, 383).filter(|_| call.owner.is_none());
        let actor = match owner {
            Some(owner) => self.assertable(call, &owner)?,
            None => self.acting_agent(call)?,
        };
        let command = match meaning {
            Meaning::Task => {
                let task = reader.object("task_result");
                reader.finish()?;
                let outcome = self.task_outcome(call, intent_id, task.unwrap_or_default()).await?;
                execute_request::Command::AgentResult(AgentResult {
                    actor: actor.clone(),
                    ..outcome
                })
            }
            Meaning::Control => {
                let mut control = control(&mut reader);
                reader.finish()?;
                if control.actor.is_empty() {
                    control.actor.clone_from(&actor);
                }
                execute_request::Command::ControlResume(control)
            }
            Meaning::Result => {
                let mut result = agent_result(&mut reader, body);
                reader.finish()?;
                result.actor.clone_from(&actor);
                execute_request::Command::AgentResult(result)
            }
        };
        self.end(call, intent_id, VERB, body, actor, command).await
    }

    /// An agent's result without a body to tell meanings apart by.
    ///
    /// # Errors
    /// As [`Self::resume`].
    pub(crate) async fn finish(
        &self,
        call: &Call,
        intent_id: &str,
        failed: bool,
        outcome_json: Bytes,
    ) -> Result<Resolved, ApiError> {
        let actor = self.acting_agent(call)?;
        let result = AgentResult {
            failed,
            outcome_json: outcome_json.clone(),
            actor: actor.clone(),
            expected_policy_generation: None,
        };
        let command = execute_request::Command::AgentResult(result);
        self.end(call, intent_id, VERB, &outcome_json, actor, command).await
    }

    /// What a person's answer means for the intent, if it waits for one. Forms and evidence are
    /// refused in plain words: checking them belongs to the human tasks to come.
    async fn task_outcome(
        &self,
        call: &Call,
        intent_id: &str,
        answer: Bytes,
    ) -> Result<AgentResult, ApiError> {
        let view = self.get(call, intent_id).await?;
        let task = pending_task(&view)
            .ok_or_else(|| ApiError::new(ErrorCode::InvalidState, "no task is pending"))?;
        let failed = judge(task, &answer)?;
        Ok(AgentResult { failed, outcome_json: answer, ..AgentResult::default() })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Task,
    Control,
    Result,
}

impl Meaning {
    fn of(fields: &Fields<'_>) -> Self {
        if fields.get("task_result").is_some_and(|value| value.get() != "null") {
            Self::Task
        } else if fields.names().all(|name| CONTROL_KEYS.contains(&name)) {
            Self::Control
        } else {
            Self::Result
        }
    }
}

fn control(reader: &mut Reader<'_>) -> ControlResume {
    reader.boolean("internal_scheduler");
    ControlResume {
        approve_current_step: reader.boolean("approve_current_step").unwrap_or(true),
        actor: reader.string("actor", 3, 255).unwrap_or_default(),
        reason: reader.string("reason", 1, 2000).unwrap_or_default(),
        expected_policy_generation: reader.integer("expected_policy_generation", 0),
    }
}

fn agent_result(reader: &mut Reader<'_>, body: &Bytes) -> AgentResult {
    let action = reader.string("action", 1, 64);
    let failed = match action.as_deref() {
        None | Some("complete") => false,
        Some("fail") => true,
        Some(_) => {
            reader.problem("action", "must be complete or fail", "value_error");
            false
        }
    };
    AgentResult {
        failed,
        outcome_json: reader.fields().without(body, &ENVELOPE_KEYS),
        actor: String::new(),
        expected_policy_generation: reader.integer("expected_policy_generation", 0),
    }
}

fn pending_task(view: &IntentView) -> Option<&Bytes> {
    let state = view.state.as_ref()?;
    let waits = state.status() == Status::Waiting && state.waiting_reason() == WaitingReason::Human;
    let task = &view.submission.as_ref()?.human_task_json;
    (waits && !task.is_empty()).then_some(task)
}

/// Whether an answer ends the task badly (contract, tasks.md 2 and 3).
fn judge(task: &Bytes, answer: &Bytes) -> Result<bool, ApiError> {
    const NEGATIVE: [&str; 5] = ["rejected", "denied", "declined", "failed", "changes_requested"];
    let task: Value = serde_json::from_slice(task).map_err(|_| ApiError::internal())?;
    let answer: Value = serde_json::from_slice(answer).map_err(|_| ApiError::internal())?;
    let refuse = |name: &str, message: &str| {
        Err(ApiError::invalid(&["body", "task_result", name], message, "value_error"))
    };
    let Some(outcome) = answer["outcome"].as_str().filter(|outcome| !outcome.is_empty()) else {
        return refuse("outcome", "field required");
    };
    if let Some(allowed) = task["allowed_outcomes"].as_array()
        && !allowed.iter().any(|word| word.as_str() == Some(outcome))
    {
        return refuse("outcome", "is not one of allowed_outcomes");
    }
    let comment = answer["comment"].as_str().unwrap_or_default();
    if task["required_comment"].as_bool() == Some(true) && comment.trim().is_empty() {
        return refuse("comment", "is required by this task");
    }
    if task["form_schema"].is_object() || task["evidence_required"].as_bool() == Some(true) {
        return refuse("data", "this server cannot check forms or evidence yet");
    }
    Ok(NEGATIVE.contains(&outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(body: &str) -> Meaning {
        Meaning::of(&Fields::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn the_body_decides_the_meaning() {
        for control in [
            "",
            "{}",
            r#"{"reason":"go"}"#,
            r#"{"approve_current_step":true,"actor":"me","owner_agent":"x"}"#,
        ] {
            assert_eq!(meaning(control), Meaning::Control, "{control}");
        }
        for result in [
            r#"{"action":"complete"}"#,
            r#"{"passed":false,"reason":"bad"}"#,
            r#"{"outcome":"success","result":{}}"#,
            r#"{"approve_current_step":true,"note":1}"#,
            r#"{"task_result":null,"x":1}"#,
        ] {
            assert_eq!(meaning(result), Meaning::Result, "{result}");
        }
        assert_eq!(
            meaning(r#"{"task_result":{"outcome":"approved"},"reason":"x"}"#),
            Meaning::Task
        );
    }

    fn result(body: &'static str) -> AgentResult {
        let body = Bytes::from_static(body.as_bytes());
        let mut reader = Reader::new(&body).unwrap();
        let result = agent_result(&mut reader, &body);
        reader.finish().unwrap();
        result
    }

    #[test]
    fn all_but_the_envelope_is_the_result() {
        let done = result(r#"{"action":"complete","passed":true,"reason":"fine"}"#);
        assert_eq!(
            (done.failed, &*done.outcome_json),
            (false, &br#"{"passed":true,"reason":"fine"}"#[..])
        );
        let bare = result(r#"{"passed":false,"reason":"bad"}"#);
        assert_eq!(
            (bare.failed, &*bare.outcome_json),
            (false, &br#"{"passed":false,"reason":"bad"}"#[..])
        );
        let failed = result(
            r#"{"action":"fail","why":1,"owner_agent":"bob","expected_policy_generation":2}"#,
        );
        assert_eq!((failed.failed, &*failed.outcome_json), (true, &br#"{"why":1}"#[..]));
        assert_eq!(failed.expected_policy_generation, Some(2));
    }

    #[test]
    fn an_unknown_action_is_refused() {
        let body = Bytes::from_static(br#"{"action":"explode"}"#);
        let mut reader = Reader::new(&body).unwrap();
        agent_result(&mut reader, &body);
        assert!(reader.finish().is_err());
    }

    fn judged(task: &'static str, answer: &'static str) -> Result<bool, ErrorCode> {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        judge(&bytes(task), &bytes(answer)).map_err(|error| error.code)
    }

    #[test]
    fn simple_answers_are_judged() {
        assert_eq!(judged("{}", r#"{"outcome":"approved"}"#), Ok(false));
        assert_eq!(judged("{}", r#"{"outcome":"rejected"}"#), Ok(true));
        let refused = Err(ErrorCode::ValidationError);
        assert_eq!(judged("{}", "{}"), refused);
        assert_eq!(judged(r#"{"allowed_outcomes":["yes"]}"#, r#"{"outcome":"no"}"#), refused);
        assert_eq!(
            judged(r#"{"required_comment":true}"#, r#"{"outcome":"ok","comment":" "}"#),
            refused
        );
        assert_eq!(judged(r#"{"form_schema":{}}"#, r#"{"outcome":"ok"}"#), refused);
    }
}
