//! Resolving: the owner ends an intent (contract, intents.md 7).

use axp_proto::log::{Event, Status};
use axp_proto::node::{Accepted, ExecuteRequest, IntentView, Resolve, execute_request};
use bytes::Bytes;

use super::controls::is_own_change;
use super::idempotency::Claim;
use super::intents::parse_id;
use super::resume::request_id;
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
        command.request_id = request_id();
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
            Ok(accepted) if outcome.repeated => Ok(repeated(accepted, request.command.as_ref())?),
            Ok(accepted) => resolved(accepted),
            Err(rejection) => Err(rejection.into()),
        }
    }
}

/// An attempt of ours got no answer: if it was the one that was carried out, the node knows its
/// request, and the caller is told what it did.
fn repeated(
    accepted: Accepted,
    command: Option<&execute_request::Command>,
) -> Result<Resolved, ApiError> {
    let mut resolved = resolved(accepted)?;
    resolved.stale &= !command.is_some_and(|it| is_own_change(&resolved.intent, it));
    if resolved.event.is_none() && !resolved.stale {
        resolved.event = resolved.intent.terminal_event.clone();
    }
    Ok(resolved)
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
        request_id: Bytes::new(),
    };
    reader.finish()?;
    Ok(resolve)
}

#[cfg(test)]
mod tests {
    use axp_proto::error_code::ErrorCode;

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
}
