//! Commands as they come over the wire, in the words of the core.

use std::sync::Arc;

use axp_proto::ids::IntentId;
use axp_proto::node::ExecuteRequest;
use axp_proto::node::execute_request::Command as WireCommand;
use tonic::Status;

use crate::intent::{
    AgentResult, Command, DeliveryResult, Expected, Resolve, TaskAudit, TaskResult, Transfer,
    UpdateControls, UpdatePolicy,
};
use crate::shard::Request;

pub(super) fn translate(request: ExecuteRequest) -> Result<Request, Status> {
    let scope = request.scope.ok_or_else(|| Status::invalid_argument("no scope"))?;
    let intent_id = IntentId::from_slice(&request.intent_id)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    let wire = request
        .command
        .ok_or_else(|| Status::invalid_argument("no command that this version knows"))?;
    let asserted = match &wire {
        WireCommand::UpdateControls(update) => update.asserted,
        WireCommand::UpdatePolicy(update) => update.asserted,
        WireCommand::TaskResult(answer) => answer.asserted,
        _ => false,
    };
    Ok(Request {
        intent_id,
        command: command(wire, &scope.actor),
        org_id: scope.org_id,
        workspace_id: scope.workspace_id,
        address: scope.actor,
        asserted,
        idempotency: request.idempotency,
    })
}

fn command(wire: WireCommand, caller: &str) -> Command {
    let actor = |given: String| if given.is_empty() { caller.to_owned() } else { given };
    match wire {
        WireCommand::Submit(submission) => Command::Submit(Arc::new(submission)),
        WireCommand::Resolve(resolve) => Command::Resolve(Resolve {
            status: resolve.status(),
            outcome_json: resolve.outcome_json,
            reason: resolve.reason,
            actor: actor(resolve.actor),
            expected: Expected(resolve.expected_policy_generation),
            request_id: resolve.request_id,
        }),
        WireCommand::AgentResult(result) => Command::AgentResult(AgentResult {
            failed: result.failed,
            outcome_json: result.outcome_json,
            actor: actor(result.actor),
            expected: Expected(result.expected_policy_generation),
            request_id: result.request_id,
        }),
        WireCommand::ControlResume(resume) => Command::ControlResume {
            reason: resume.reason,
            actor: actor(resume.actor),
            expected: Expected(resume.expected_policy_generation),
        },
        WireCommand::DeliveryResult(result) => Command::DeliveryResult(DeliveryResult {
            attempt: result.attempt,
            delivered: result.delivered,
            error: result.error,
        }),
        WireCommand::TaskResult(result) => Command::TaskResult(TaskResult {
            outcome: result.outcome,
            comment: result.comment,
            answer_json: result.answer_json,
            has_evidence: result.has_evidence,
            actor: actor(result.actor),
            expected: Expected(result.expected_policy_generation),
            delegate_to: result.delegate_to.map(Box::new),
            expected_task: result.expected_task,
            audit: result.audit.map(|audit| TaskAudit {
                channel: audit.channel,
                from: audit.from,
                task_sha256: audit.task_sha256,
            }),
            request_id: result.request_id,
            link_hash: result.link_hash,
        }),
        WireCommand::UpdateControls(update) => Command::UpdateControls(UpdateControls {
            patch: update.patch,
            actor: actor(update.actor),
            reason: update.reason,
            expected: Expected(update.expected_policy_generation),
        }),
        WireCommand::UpdatePolicy(update) => Command::UpdatePolicy(UpdatePolicy {
            grants: update.grants,
            envelope: update.envelope,
            expires_at_ms: update.expires_at_ms,
            actor: actor(update.actor),
            reason: update.reason,
            expected: Expected(update.expected_policy_generation),
        }),
        WireCommand::Acknowledge(acknowledge) => {
            Command::Acknowledge { actor: actor(acknowledge.actor) }
        }
        WireCommand::Transfer(transfer) => Command::Transfer(Transfer {
            to: transfer.to.unwrap_or_default(),
            actor: actor(transfer.actor),
            reason: transfer.reason,
        }),
        WireCommand::Rebind(rebind) => Command::Rebind(rebind.mode()),
    }
}
