//! Requests as the JSON bodies that HTTP would bring: one place says what is valid, and a key means
//! the same on both sides.

use axp_proto::v1;
use bytes::Bytes;
use prost_types::Struct;
use serde_json::{Map, Value, json};

use super::{convert, structs};
use crate::clock;

/// A body under construction; what is empty or 0 stays out.
#[derive(Default)]
struct Body(Map<String, Value>);

impl Body {
    fn text(mut self, name: &str, text: &str) -> Self {
        if !text.is_empty() {
            self.0.insert(name.to_owned(), json!(text));
        }
        self
    }

    fn number(self, name: &str, number: u32) -> Self {
        self.value(name, (number != 0).then(|| json!(number)))
    }

    fn object(self, name: &str, object: Option<&Struct>) -> Self {
        self.value(name, object.map(structs::to_json))
    }

    fn value(mut self, name: &str, value: Option<Value>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    fn finish(self) -> Bytes {
        Bytes::from(Value::Object(self.0).to_string())
    }
}

pub(super) fn submit(message: &v1::SubmitRequest) -> Bytes {
    let deadline = message.deadline_at.as_ref();
    let deadline = deadline.map(|at| json!(clock::rfc3339(convert::unix_ms(at))));
    Body::default()
        .text("intent_type", &message.intent_type)
        .text("to_agent", &message.to_agent)
        .text("correlation_id", &message.correlation_id)
        .text("reply_to", &message.reply_to)
        .object("payload", message.payload.as_ref())
        .value("deadline_at", deadline)
        .number("remind_after_seconds", message.remind_after_seconds)
        .number("remind_interval_seconds", message.remind_interval_seconds)
        .number("max_reminders", message.max_reminders)
        .text("escalate_to", &message.escalate_to)
        .number("max_delivery_attempts", message.max_delivery_attempts)
        .object("human_task", message.human_task.as_ref())
        .finish()
}

pub(super) fn resolve(message: &v1::ResolveRequest) -> Bytes {
    Body::default()
        .text("status", &message.status)
        .text("reason", &message.reason)
        .object("result", message.result.as_ref())
        .object("error", message.error.as_ref())
        .finish()
}

/// Without an answer it is one that says nothing, and never a control resume.
pub(super) fn answer(message: &v1::AnswerRequest) -> Bytes {
    let answer = message.task_result.clone().unwrap_or_default();
    Body::default().object("task_result", Some(&answer)).finish()
}

pub(super) fn controls(message: &v1::UpdateControlsRequest) -> Bytes {
    Body::default()
        .object("controls_patch", message.controls_patch.as_ref())
        .text("reason", &message.reason)
        .value("expected_policy_generation", message.expected_policy_generation.map(|it| json!(it)))
        .finish()
}

pub(super) fn policy(message: &v1::UpdatePolicyRequest) -> Bytes {
    Body::default()
        .object("grants_patch", message.grants_patch.as_ref())
        .object("envelope_patch", message.envelope_patch.as_ref())
        .text("reason", &message.reason)
        .value("expected_policy_generation", message.expected_policy_generation.map(|it| json!(it)))
        .finish()
}

pub(super) fn bulk_cancel(message: &v1::BulkCancelRequest) -> Bytes {
    let statuses = (!message.statuses.is_empty()).then(|| json!(message.statuses));
    Body::default()
        .value("older_than_hours", Some(json!(message.older_than_hours)))
        .value("dry_run", Some(json!(message.dry_run)))
        .text("reason", &message.reason)
        .number("limit", message.limit)
        .value("status_filter", statuses)
        .finish()
}
