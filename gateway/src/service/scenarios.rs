//! Scenarios: validated, or provisioned, compiled and submitted as one intent that carries its
//! workflow out itself (contract, scenarios.md 1 and 2).

mod directory;
mod provision;

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::log::step::Kind;
use axp_proto::log::{DeliveryMode, IntentState, MailboxKey, Status, Submission, Workflow};
use axp_proto::node::{Accepted, ExecuteRequest, execute_request};
use axp_proto::shard_map::group_of;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::directory::Addresses;
use super::credential::hash_hex;
use super::idempotency::Claim;
use super::target::Target;
use super::{Call, Service};
use crate::error::ApiError;
use crate::json::{Fields, Reader};
use crate::scenario::{Bundle, Purpose, Report, compile};

const ROUTE: &str = "POST /v1/scenarios/apply";
/// Who carries workflows out.
const RUNTIME: &str = "agent://agent_core";
const KEY_LENGTH_MAX: usize = 255;

/// A scenario that runs, as who applied it is told.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) intent_id: IntentId,
    pub(crate) scenario_id: String,
    pub(crate) compile_id: String,
    pub(crate) status: Status,
    /// Who has the next move.
    pub(crate) pending_with: Option<String>,
    /// It was applied before, with the same idempotency key.
    pub(crate) idempotent: bool,
    pub(crate) agents: Vec<AppliedAgent>,
    pub(crate) deadline_at_ms: Option<i64>,
    pub(crate) created_at_ms: i64,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct AppliedAgent {
    pub(crate) role: String,
    pub(crate) address: String,
    pub(crate) created: bool,
    /// Of an agent with a callback that was created just now; told once.
    pub(crate) signing_secret: Option<String>,
}

impl Service {
    /// What is wrong with a bundle. Creates nothing.
    ///
    /// # Errors
    /// 422 for what is no JSON object.
    pub(crate) async fn validate_scenario(
        &self,
        call: &Call,
        body: &Bytes,
    ) -> Result<Report, ApiError> {
        let mut report = Report::default();
        let bundle = read(body, Purpose::Validate, &mut report)?;
        let addresses = Addresses::resolve(self, call, &bundle).await?;
        provision::check(call, &bundle, &addresses, &mut report);
        compile(&bundle, &addresses, &mut report);
        Ok(report)
    }

    /// Creates the agents that are missing, and the intent. Whatever can be refused is refused before
    /// anything is created.
    ///
    /// # Errors
    /// 422 for a bundle that is not valid, 403 when a receiver is closed, 409 when the idempotency key
    /// was used for another bundle.
    pub(crate) async fn apply_scenario(
        &self,
        call: &Call,
        body: &Bytes,
    ) -> Result<Applied, ApiError> {
        let mut report = Report::default();
        let name = format!("scenario.{}", &hash_hex(body)[..12]);
        let bundle = read(body, Purpose::Apply { scenario_id: &name }, &mut report)?;
        let call = &with_key(call, body)?;
        let addresses = Addresses::resolve(self, call, &bundle).await?;
        if let Some(refusal) = addresses.refusal() {
            return Err(refusal.clone());
        }
        provision::check(call, &bundle, &addresses, &mut report);
        let workflow = compile(&bundle, &addresses, &mut report);
        if !report.is_valid() {
            return Err(invalid(&report));
        }
        let claim = Claim::of(call, ROUTE, body)?;
        let reply_to = match &bundle.intent.reply_to {
            Some(address) => Some(self.receiver(call, call.caller.normalise(address)?).await?),
            None => None,
        };
        let agents = self.provision(call, &bundle, &addresses).await?;
        let submission = submission(call, &bundle, workflow, reply_to);
        let accepted = self.submit_scenario(call, claim.as_ref(), submission).await?;
        Ok(Applied { agents, warnings: report.warnings, ..applied(accepted)? })
    }

    async fn submit_scenario(
        &self,
        call: &Call,
        claim: Option<&Claim>,
        submission: Submission,
    ) -> Result<Accepted, ApiError> {
        let intent_id = Self::new_intent_id(claim, &first_mailbox(&submission));
        let request = ExecuteRequest {
            group: group_of(intent_id.slot(), self.shard_groups(call).await?).into(),
            intent_id: intent_id.to_bytes(),
            scope: Some(call.caller.scope(call.caller.address())),
            idempotency: claim.map(Claim::to_wire),
            traceparent: call.trace.to_string(),
            command: Some(execute_request::Command::Submit(submission)),
        };
        Ok(self.cluster.router.execute(&request, call.deadline).await?.value?)
    }
}

/// Reads a bundle; the payload stays as it was sent.
fn read(body: &Bytes, purpose: Purpose<'_>, report: &mut Report) -> Result<Bundle, ApiError> {
    let fields = Fields::parse(body).map_err(|error| {
        // The CLI wants what is no JSON refused like what is no object.
        ApiError { code: ErrorCode::ValidationError, ..error }
    })?;
    let payload = fields.get("intent").and_then(|intent| {
        let intent = Fields::parse(intent.get().as_bytes()).ok()?;
        let payload = intent.get("payload").filter(|payload| payload.get().starts_with('{'))?;
        Some(body.slice_ref(payload.get().as_bytes()))
    });
    let empty = body.iter().all(u8::is_ascii_whitespace);
    let text: &[u8] = if empty { b"{}" } else { body };
    let members: Map<String, Value> = serde_json::from_slice(text)
        .map_err(|_| ApiError::invalid(&["body"], "must be a JSON object", "type_error"))?;
    Ok(Bundle::read(&members, payload, purpose, report))
}

/// The key in the bundle goes before the header (contract, README section 7).
fn with_key(call: &Call, body: &Bytes) -> Result<Call, ApiError> {
    let mut reader = Reader::new(body)?;
    let key = reader.string("idempotency_key", 1, KEY_LENGTH_MAX);
    reader.finish()?;
    Ok(Call { idempotency_key: key.or_else(|| call.idempotency_key.clone()), ..call.clone() })
}

/// The CLI prints nothing but `detail`: all problems are in it.
fn invalid(report: &Report) -> ApiError {
    let message = format!("the scenario is not valid: {}", report.errors.join("; "));
    let problem = |text: &String| {
        let (path, message) = text.split_once(": ").unwrap_or(("body", text));
        json!({ "loc": ["body", path], "msg": message, "type": "value_error" })
    };
    let errors: Vec<Value> = report.errors.iter().map(problem).collect();
    ApiError::new(ErrorCode::ValidationError, message)
        .with_details(json!({ "errors": errors, "warnings": report.warnings }))
}

fn submission(
    call: &Call,
    bundle: &Bundle,
    workflow: Workflow,
    reply_to: Option<Target>,
) -> Submission {
    let caller = &call.caller;
    let reply_to = reply_to.map(|target| target.mailbox()).unwrap_or_default();
    Submission {
        org_id: caller.org_id().to_owned(),
        workspace_id: caller.workspace_id().to_owned(),
        intent_type: bundle.intent.intent_type.clone(),
        correlation_id: Uuid::new_v4().to_string(),
        from_agent: caller.address().to_owned(),
        to_agent: RUNTIME.to_owned(),
        payload_json: bundle.intent.payload.clone(),
        reply_to: bundle.intent.reply_to.clone().unwrap_or_default(),
        deadline_at_ms: bundle.intent.deadline_at_ms,
        max_delivery_attempts: bundle.intent.max_delivery_attempts,
        traceparent: call.trace.to_string(),
        delivery_mode: DeliveryMode::Internal.into(),
        target_workspace_id: caller.workspace_id().to_owned(),
        target_org_id: caller.org_id().to_owned(),
        sender_identity: caller.account_id().to_owned(),
        reply_to_address: reply_to.address,
        reply_to_workspace_id: reply_to.workspace_id,
        workflow: Some(workflow),
        ..Submission::default()
    }
}

/// A scenario lives beside the mailbox of its first agent, so that most deliveries cross no shards;
/// one without agents anywhere.
fn first_mailbox(submission: &Submission) -> MailboxKey {
    let steps = submission.workflow.iter().flat_map(|workflow| &workflow.steps);
    let mailbox = steps.filter_map(|step| match &step.kind {
        Some(Kind::Agent(agent)) => agent.holder.as_ref()?.mailbox.clone(),
        _ => None,
    });
    mailbox.into_iter().next().unwrap_or_else(|| MailboxKey {
        workspace_id: submission.workspace_id.clone(),
        address: submission.correlation_id.clone(),
    })
}

fn applied(accepted: Accepted) -> Result<Applied, ApiError> {
    let intent = accepted.intent.ok_or_else(ApiError::internal)?;
    let (Some(state), Some(submission)) = (intent.state, intent.submission) else {
        return Err(ApiError::internal());
    };
    let workflow = submission.workflow.unwrap_or_default();
    Ok(Applied {
        intent_id: IntentId::from_slice(&intent.intent_id).map_err(|_| ApiError::internal())?,
        scenario_id: workflow.scenario_id,
        compile_id: workflow.compile_id,
        status: accepted.event.map_or(state.status(), |event| event.status()),
        pending_with: holder(&state),
        idempotent: accepted.replayed,
        agents: Vec::new(),
        deadline_at_ms: submission.deadline_at_ms,
        created_at_ms: state.created_at_ms,
        warnings: Vec::new(),
    })
}

fn holder(state: &IntentState) -> Option<String> {
    state.pending_with.as_ref().map(|pending| pending.r#ref.clone())
}
