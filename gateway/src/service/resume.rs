//! Resuming: one route with three meanings, told apart by the body (contract, intents.md 8).
//!
//! ```text
//! task_result present ............................. a person answers a human task
//! only control keys, or nothing ................... WAITING goes on, nothing ends
//! anything else ................................... an agent's result: the intent ends
//! ```

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::node::{Acknowledge, AgentResult, ControlResume, execute_request};
use bytes::Bytes;

use super::resolve::Resolved;
use super::tasks::Prepared;
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
                let expected = reader.integer("expected_policy_generation", 0);
                reader.finish()?;
                let task = task.unwrap_or_default();
                let answer = self.prepare_answer(call, intent_id, &task, &actor, expected).await?;
                return self.decide_task(call, intent_id, body, actor, answer).await;
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
                result.request_id = request_id();
                execute_request::Command::AgentResult(result)
            }
        };
        self.end(call, intent_id, VERB, body, actor, command).await
    }

    /// Says that the agent has the intent.
    ///
    /// # Errors
    /// 409 when it has ended, 404 when it is unknown.
    pub(crate) async fn acknowledge(
        &self,
        call: &Call,
        intent_id: &str,
    ) -> Result<Resolved, ApiError> {
        let actor = self.acting_agent(call)?;
        let command = Acknowledge { actor: actor.clone() };
        let command = execute_request::Command::Acknowledge(command);
        self.end(call, intent_id, "acknowledge", b"", actor, command).await
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
            request_id: request_id(),
        };
        let command = execute_request::Command::AgentResult(result);
        self.end(call, intent_id, VERB, &outcome_json, actor, command).await
    }

    /// A person's answer to the task that an intent waits with.
    ///
    /// # Errors
    /// As [`Self::resume`].
    pub(super) async fn answer_task(
        &self,
        call: &Call,
        id: IntentId,
        actor: &str,
        answer: &Bytes,
    ) -> Result<Resolved, ApiError> {
        let id = id.to_string();
        let prepared = self.prepare_answer(call, &id, answer, actor, None).await?;
        // The caller's key belongs to the decision, not to this part of it.
        let call = Call { idempotency_key: None, ..call.clone() };
        self.decide_task(&call, &id, answer, actor.to_owned(), prepared).await
    }

    /// Sends an answer to the shard. One that the task does not take goes there only if it may be a
    /// repeat of one that was taken.
    async fn decide_task(
        &self,
        call: &Call,
        intent_id: &str,
        body: &[u8],
        actor: String,
        Prepared { result, broken }: Prepared,
    ) -> Result<Resolved, ApiError> {
        let command = execute_request::Command::TaskResult(result);
        match broken {
            Some(broken) if call.idempotency_key.is_none() => Err(broken),
            Some(broken) => {
                let replayed = self.end(call, intent_id, VERB, body, actor, command).await;
                // It was sent for no task: whatever else is wrong with it, it was never taken.
                replayed.map_err(|error| match error.code {
                    ErrorCode::InvalidState | ErrorCode::PolicyDenied => broken,
                    _ => error,
                })
            }
            None => self.end(call, intent_id, VERB, body, actor, command).await,
        }
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
        request_id: Bytes::new(),
    }
}

/// Tells the attempts of this request from another request that says the same.
pub(super) fn request_id() -> Bytes {
    Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes())
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
}
