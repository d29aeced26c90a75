//! What tests of the pages share.

use axp_proto::log::{Submission, TaskLink, TaskRules};
use axp_proto::node::{CurrentTask, IntentView};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::service::OpenLink;

pub(super) fn open(task: &Value, outcomes: &[&str]) -> OpenLink {
    let rules = TaskRules {
        allowed_outcomes: outcomes.iter().map(|&it| it.to_owned()).collect(),
        ..TaskRules::default()
    };
    OpenLink {
        intent: IntentView {
            submission: Some(Submission {
                from_agent: "agent://a/b/<sender>".into(),
                payload_json: Bytes::from_static(br#"{"amount":7}"#),
                ..Submission::default()
            }),
            ..IntentView::default()
        },
        task: CurrentTask { number: 0, rules: Some(rules), task_json: task.to_string().into() },
        link: TaskLink { recipient: "ann@acme.test".into(), ..TaskLink::default() },
        task_sha256: "5eed".into(),
    }
}

pub(super) async fn html(response: Response) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

pub(super) fn form() -> Value {
    json!({
        "title": "Pay <b>?", "description": "a & b",
        "form_schema": {
            "required": ["approved", "count"],
            "properties": {
                "approved": { "type": "boolean" }, "count": { "type": "integer" },
                "tags": { "type": "array", "items": { "type": "string" } },
                "more": { "type": "object" },
            },
        },
    })
}
