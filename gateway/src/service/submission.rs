//! Submitting an intent: what a body may say, and what is sent to the shard (contract, intents.md 2).

use axp_proto::ids::IntentId;
use axp_proto::log::{Holder, Status, Submission, TaskRules};
use axp_proto::node::{Accepted, ExecuteRequest, execute_request};
use axp_proto::shard_map::group_of;
use bytes::Bytes;
use uuid::Uuid;

use super::idempotency::Claim;
use super::schemas::{PayloadRules, Warnings};
use super::target::Target;
use super::{Call, Service, tasks};
use crate::error::ApiError;
use crate::json::Reader;

const ROUTE: &str = "POST /v1/intents";
const ADDRESS_MAX: usize = 383;

/// A stored intent, as its initiator is told.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) intent_id: IntentId,
    /// After the submit; a replay tells what it was then.
    pub(crate) status: Status,
    pub(crate) created_at_ms: i64,
    pub(crate) correlation_id: String,
    pub(crate) to_agent: String,
    /// What is wrong with the payload although it was taken.
    pub(crate) warnings: Warnings,
}

impl Service {
    /// Stores an intent. It is on disk on a majority of replicas when this returns.
    ///
    /// # Errors
    /// When the body is not valid, the receiver is closed, or no leader answers in time.
    pub(crate) async fn submit(&self, call: &Call, body: &Bytes) -> Result<Submitted, ApiError> {
        let draft = parse(body)?;
        let claim = Claim::of(call, ROUTE, body)?;
        let to_agent = call.caller.normalise(&draft.to_agent)?;
        let target = self.receiver(call, to_agent).await?;
        let escalation = match &draft.escalate_to {
            Some(to) => Some(self.escalation(call, to).await?),
            None => None,
        };
        let reply_to = match &draft.reply_to {
            Some(address) => Some(self.receiver(call, call.caller.normalise(address)?).await?),
            None => None,
        };
        let payload = draft.payload.clone().unwrap_or_else(|| Bytes::from_static(b"{}"));
        let (rules, intent_type) = (&draft.payload_rules, &draft.intent_type);
        let warnings = self.check_payload(call, rules, intent_type, &target, &payload).await?;
        // Fixed before the first attempt: repeating it under this id is harmless.
        let intent_id = Self::new_intent_id(claim.as_ref(), &target.mailbox());
        let request = ExecuteRequest {
            group: group_of(intent_id.slot(), self.shard_groups(call).await?).into(),
            intent_id: intent_id.to_bytes(),
            scope: Some(call.caller.scope(call.caller.address())),
            idempotency: claim.as_ref().map(Claim::to_wire),
            traceparent: call.trace.to_string(),
            command: Some(execute_request::Command::Submit(
                draft.prepare(call, target, escalation, reply_to),
            )),
        };
        let outcome = self.cluster.router.execute(&request, call.deadline).await?;
        Ok(Submitted { warnings, ..submitted(outcome.value?)? })
    }

    /// How many shard groups the cluster has.
    pub(super) async fn shard_groups(&self, call: &Call) -> Result<u16, ApiError> {
        if let Some(topology) = &self.cluster.cache.load().topology {
            return Ok(topology.shard_groups);
        }
        let tables = self.cluster.cache.ready(call.deadline).await?;
        Ok(tables.topology.as_ref().map_or(1, |topology| topology.shard_groups))
    }
}

fn submitted(accepted: Accepted) -> Result<Submitted, ApiError> {
    let intent = accepted.intent.ok_or_else(ApiError::internal)?;
    let (Some(state), Some(submission)) = (intent.state, intent.submission) else {
        return Err(ApiError::internal());
    };
    let status = accepted.event.map_or(state.status(), |event| event.status());
    Ok(Submitted {
        intent_id: IntentId::from_slice(&intent.intent_id).map_err(|_| ApiError::internal())?,
        status,
        created_at_ms: state.created_at_ms,
        correlation_id: submission.correlation_id,
        to_agent: submission.to_agent,
        warnings: Warnings::new(),
    })
}

/// What a valid body says.
#[derive(Debug, Default)]
struct Draft {
    intent_type: String,
    correlation_id: Option<String>,
    to_agent: String,
    payload: Option<Bytes>,
    reply_to: Option<String>,
    deadline_at_ms: Option<i64>,
    remind_after_seconds: Option<u32>,
    remind_interval_seconds: Option<u32>,
    max_reminders: Option<u32>,
    escalate_to: Option<String>,
    max_delivery_attempts: Option<u32>,
    human_task: Option<Bytes>,
    rules: Option<TaskRules>,
    payload_rules: PayloadRules,
}

impl Draft {
    fn prepare(
        self,
        call: &Call,
        target: Target,
        escalation: Option<Holder>,
        reply_to: Option<Target>,
    ) -> Submission {
        let caller = &call.caller;
        let reply_to = reply_to.map(|target| target.mailbox()).unwrap_or_default();
        Submission {
            org_id: caller.org_id().to_owned(),
            workspace_id: caller.workspace_id().to_owned(),
            intent_type: self.intent_type,
            correlation_id: self.correlation_id.unwrap_or_else(|| Uuid::new_v4().to_string()),
            from_agent: caller.address().to_owned(),
            to_agent: target.address,
            payload_json: self.payload.unwrap_or_else(|| Bytes::from_static(b"{}")),
            reply_to: self.reply_to.unwrap_or_default(),
            deadline_at_ms: self.deadline_at_ms,
            remind_after_seconds: self.remind_after_seconds,
            remind_interval_seconds: self.remind_interval_seconds,
            max_reminders: self.max_reminders,
            escalate_to: self.escalate_to.unwrap_or_default(),
            max_delivery_attempts: self.max_delivery_attempts,
            human_task_json: self.human_task.unwrap_or_default(),
            created_at_ms: 0, // the leader's clock decides
            traceparent: call.trace.to_string(),
            delivery_mode: target.mode.into(),
            target_workspace_id: target.workspace_id,
            target_org_id: target.org_id,
            sender_identity: caller.account_id().to_owned(),
            escalation,
            task: self.rules,
            reply_to_address: reply_to.address,
            reply_to_workspace_id: reply_to.workspace_id,
            ..Submission::default()
        }
    }
}

/// `from_agent` is not read: the sender is who holds the key.
fn parse(body: &Bytes) -> Result<Draft, ApiError> {
    let mut reader = Reader::new(body)?;
    let intent_type = reader.required_string("intent_type", 1, 255).unwrap_or_default();
    if !intent_type.is_empty() && !is_intent_type(&intent_type) {
        reader.problem("intent_type", "must look like area.name.v1", "value_error");
    }
    let mut draft = Draft {
        intent_type,
        correlation_id: reader.uuid("correlation_id"),
        to_agent: reader.required_string("to_agent", 1, ADDRESS_MAX).unwrap_or_default(),
        payload: reader.object("payload"),
        reply_to: reader.string("reply_to", 3, ADDRESS_MAX),
        deadline_at_ms: reader.instant("deadline_at"),
        remind_after_seconds: reader.integer("remind_after_seconds", 1),
        remind_interval_seconds: reader.integer("remind_interval_seconds", 1),
        max_reminders: reader.integer("max_reminders", 1),
        escalate_to: reader.string("escalate_to", 1, ADDRESS_MAX),
        max_delivery_attempts: reader.integer("max_delivery_attempts", 1),
        human_task: reader.object("human_task"),
        rules: None,
        payload_rules: PayloadRules::read(&mut reader),
    };
    let task = draft.human_task.clone();
    if let Some(task) = &task {
        let mut task = Reader::nested(task, "human_task")?;
        draft.rules = Some(tasks::rules(&mut task));
        reader.absorb(task);
    }
    reader.finish()?;
    Ok(draft)
}

/// `^[a-z0-9_]+(\.[a-z0-9_]+)+\.v[0-9]+$`
fn is_intent_type(text: &str) -> bool {
    let Some((name, version)) = text.rsplit_once(".v") else { return false };
    let word = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    !version.is_empty()
        && version.bytes().all(|b| b.is_ascii_digit())
        && name.contains('.')
        && name.split('.').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_names(body: &str) -> Vec<String> {
        let error = parse(&Bytes::copy_from_slice(body.as_bytes())).unwrap_err();
        let errors = error.details.unwrap()["errors"].clone();
        let name = |problem: &serde_json::Value| {
            let location = problem["loc"].as_array().unwrap();
            location[1..].iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join(".")
        };
        errors.as_array().unwrap().iter().map(name).collect()
    }

    #[test]
    fn a_small_body_is_enough() {
        let body =
            Bytes::from_static(br#"{"intent_type":"intent.ask.v1","to_agent":"bob","x":[1]}"#);
        let draft = parse(&body).unwrap();
        assert_eq!((draft.intent_type.as_str(), draft.to_agent.as_str()), ("intent.ask.v1", "bob"));
        assert!(draft.payload.is_none() && draft.correlation_id.is_none());
    }

    #[test]
    fn empty_strings_are_absent() {
        let body = Bytes::from_static(
            br#"{"intent_type":"a.b.v1","to_agent":"bob","correlation_id":"","reply_to":"","deadline_at":"",
                "escalate_to":"","human_task":{"title":""}}"#,
        );
        let draft = parse(&body).unwrap();
        assert!(draft.correlation_id.is_none() && draft.reply_to.is_none());
        assert!(draft.deadline_at_ms.is_none() && draft.escalate_to.is_none());
    }

    #[test]
    fn missing_and_mistyped_fields_are_named() {
        assert_eq!(problem_names("{}"), ["intent_type", "to_agent"]);
        assert_eq!(
            problem_names(
                r#"{"intent_type":"nope","to_agent":7,"payload":[],"correlation_id":"1","deadline_at":"x",
                    "max_reminders":0,"human_task":{"title":5,"allowed_outcomes":[]}}"#
            ),
            [
                "intent_type",
                "correlation_id",
                "to_agent",
                "payload",
                "deadline_at",
                "max_reminders",
                "human_task.title",
                "human_task.allowed_outcomes",
            ]
        );
    }

    #[test]
    fn intent_types_follow_the_pattern() {
        for good in ["intent.ask.v1", "notify.message.v1", "a_b.c.d.v12", "a.v1.v2"] {
            assert!(is_intent_type(good), "{good}");
        }
        for bad in [
            "ask.v1",
            "intent.ask",
            "Intent.ask.v1",
            "intent..v1",
            ".a.v1",
            "a.b.v",
            "a.b.vx",
            "a b.c.v1",
        ] {
            assert!(!is_intent_type(bad), "{bad}");
        }
    }
}
