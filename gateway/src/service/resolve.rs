//! Resolving: the owner ends an intent (contract, intents.md 7).

use axp_proto::error_code::ErrorCode;
use axp_proto::log::{Event, Status};
use axp_proto::node::{Accepted, ExecuteRequest, IntentView, Rejection, Resolve, execute_request};
use bytes::Bytes;
use serde_json::Value;

use super::controls::is_own_change;
use super::idempotency::Claim;
use super::intents::parse_id;
use super::{Call, Service};
use crate::error::ApiError;
use crate::json::Reader;

/// What a command that may end an intent led to.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) intent: IntentView,
    /// Absent when nothing was applied.
    pub(crate) event: Option<Event>,
    /// The caller looked at an older policy generation, so nothing was applied.
    pub(crate) stale: bool,
}

impl Service {
    /// # Errors
    /// 409 when the intent has ended already, 404 when it is unknown, 422 for a bad body.
    pub(crate) async fn resolve(
        &self,
        call: &Call,
        intent_id: &str,
        body: &Bytes,
    ) -> Result<Resolved, ApiError> {
        let mut command = parse(body)?;
        let actor = self.acting_agent(call)?;
        if command.actor.is_empty() {
            command.actor.clone_from(&actor);
        }
        let command = execute_request::Command::Resolve(command);
        self.end(call, intent_id, "resolve", body, actor, command).await
    }

    /// Runs a command on an intent that exists.
    pub(super) async fn end(
        &self,
        call: &Call,
        intent_id: &str,
        verb: &str,
        body: &[u8],
        actor: String,
        command: execute_request::Command,
    ) -> Result<Resolved, ApiError> {
        let id = parse_id(intent_id)?;
        let claim = Claim::of(call, &format!("POST /v1/intents/{id}/{verb}"), body)?;
        let request = ExecuteRequest {
            group: self.group(call, id).await?.into(),
            intent_id: id.to_bytes(),
            scope: Some(call.caller.scope(&actor)),
            idempotency: claim.as_ref().map(Claim::to_wire),
            traceparent: call.trace.to_string(),
            command: Some(command),
        };
        let outcome = self.cluster.router.execute(&request, call.deadline).await?;
        match outcome.value {
            Ok(accepted) => {
                let mut resolved = resolved(accepted)?;
                let own = outcome.repeated
                    && request
                        .command
                        .as_ref()
                        .is_some_and(|it| is_own_change(&resolved.intent, it));
                resolved.stale &= !own;
                Ok(resolved)
            }
            // Under a key there is nothing to guess: the shard would have known ours.
            Err(rejection) if outcome.repeated && claim.is_none() && is_state(&rejection) => {
                let intent = self.get_by_id(call, id).await?;
                own_work(intent, request.command.as_ref()).ok_or_else(|| rejection.into())
            }
            Err(rejection) => Err(rejection.into()),
        }
    }
}

fn is_state(rejection: &Rejection) -> bool {
    rejection.code == ErrorCode::InvalidState.as_str()
}

/// An attempt of ours got no answer and the next one found the intent ended. If it ended exactly as
/// we asked, that attempt was carried out, and the caller is told so.
fn own_work(intent: IntentView, command: Option<&execute_request::Command>) -> Option<Resolved> {
    let (status, actor, member, outcome) = match command? {
        execute_request::Command::Resolve(resolve) => {
            let member = if resolve.status() == Status::Completed { "result" } else { "error" };
            (resolve.status(), &resolve.actor, member, &resolve.outcome_json)
        }
        execute_request::Command::AgentResult(result) if result.failed => {
            (Status::Failed, &result.actor, "error", &result.outcome_json)
        }
        execute_request::Command::AgentResult(result) => {
            (Status::Completed, &result.actor, "result", &result.outcome_json)
        }
        // However it ended: the answer is in the event.
        execute_request::Command::TaskResult(result) => {
            let status = intent.terminal_event.as_ref()?.status();
            (status, &result.actor, "task_result", &result.answer_json)
        }
        _ => return None,
    };
    let event = intent.terminal_event.clone()?;
    if event.status() != status || event.actor != *actor {
        return None;
    }
    if status != Status::Canceled {
        let details: Value = serde_json::from_slice(&event.details_json).ok()?;
        let wanted: Value = serde_json::from_slice(outcome).ok()?;
        if details.get(member) != Some(&wanted) {
            return None;
        }
    }
    Some(Resolved { intent, event: Some(event), stale: false })
}

fn resolved(accepted: Accepted) -> Result<Resolved, ApiError> {
    Ok(Resolved {
        intent: accepted.intent.ok_or_else(ApiError::internal)?,
        event: accepted.event,
        stale: accepted.stale_policy_generation,
    })
}

fn parse(body: &Bytes) -> Result<Resolve, ApiError> {
    let mut reader = Reader::new(body)?;
    let word = reader.required_string("status", 1, 32).unwrap_or_default();
    let status = Status::from_wire_name(&word)
        .filter(|status| matches!(status, Status::Completed | Status::Failed | Status::Canceled));
    if status.is_none() && !word.is_empty() {
        reader.problem("status", "must be COMPLETED, FAILED or CANCELED", "value_error");
    }
    let result = reader.object("result");
    let error = reader.object("error");
    let reason = reader.string("reason", 1, 2000);
    let outcome = match status {
        // A result is optional in practice: an official client's own test sends none.
        Some(Status::Completed) => result.unwrap_or_else(|| Bytes::from_static(b"{}")),
        Some(Status::Failed) => {
            if error.is_none() {
                reader.problem("error", "field required with status FAILED", "missing");
            }
            error.unwrap_or_default()
        }
        Some(Status::Canceled) if reason.is_none() => {
            reader.problem("reason", "field required with status CANCELED", "missing");
            Bytes::new()
        }
        _ => Bytes::new(),
    };
    let resolve = Resolve {
        status: status.unwrap_or_default().into(),
        outcome_json: outcome,
        reason: reason.unwrap_or_default(),
        actor: reader.string("actor", 3, 255).unwrap_or_default(),
        expected_policy_generation: reader.integer("expected_policy_generation", 0),
    };
    reader.finish()?;
    Ok(resolve)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &'static str) -> Result<Resolve, ApiError> {
        parse(&Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn a_result_defaults_to_an_empty_object() {
        let resolve = read(r#"{"status":"COMPLETED"}"#).unwrap();
        assert_eq!((resolve.status(), &*resolve.outcome_json), (Status::Completed, &b"{}"[..]));
        let resolve =
            read(r#"{"status":"COMPLETED","result":{"a": 1},"expected_policy_generation":0}"#)
                .unwrap();
        assert_eq!(&*resolve.outcome_json, br#"{"a": 1}"#);
        assert_eq!(resolve.expected_policy_generation, Some(0));
    }

    #[test]
    fn what_the_status_needs_is_demanded() {
        for bad in [
            "{}",
            r#"{"status":"DONE"}"#,
            r#"{"status":"TIMED_OUT"}"#,
            r#"{"status":"FAILED"}"#,
            r#"{"status":"CANCELED","reason":""}"#,
            r#"{"status":"COMPLETED","result":"ok"}"#,
            r#"{"status":"COMPLETED","actor":"x"}"#,
        ] {
            assert_eq!(read(bad).unwrap_err().code, ErrorCode::ValidationError, "{bad}");
        }
        assert_eq!(read(r#"{"status":"CANCELED","reason":"no"}"#).unwrap().reason, "no");
        assert_eq!(
            &*read(r#"{"status":"FAILED","error":{"c":1}}"#).unwrap().outcome_json,
            br#"{"c":1}"#
        );
    }

    #[test]
    fn only_an_equal_ending_is_our_own() {
        let command = |result: &'static str| {
            execute_request::Command::Resolve(Resolve {
                status: Status::Completed.into(),
                outcome_json: Bytes::from_static(result.as_bytes()),
                actor: "agent://a".to_owned(),
                ..Resolve::default()
            })
        };
        let event = Event {
            status: Status::Completed.into(),
            actor: "agent://a".to_owned(),
            details_json: Bytes::from_static(br#"{"result":{"x":1}}"#),
            ..Event::default()
        };
        let view = IntentView { terminal_event: Some(event), ..IntentView::default() };
        assert!(own_work(view.clone(), Some(&command(r#"{ "x": 1 }"#))).is_some());
        assert!(own_work(view.clone(), Some(&command(r#"{"x":2}"#))).is_none());
        let open = IntentView { terminal_event: None, ..view };
        assert!(own_work(open, Some(&command(r#"{"x":1}"#))).is_none());
    }
}
