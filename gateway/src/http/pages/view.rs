//! From a task to its page.

use askama::Template;
use axp_proto::task::is_negative;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use super::field::{Field, fields_of, label};
use super::problems::Problems;
use super::sent::Sent;
use super::{CSS, guarded};
use crate::clock::rfc3339;
use crate::error::ApiError;
use crate::service::OpenLink;

/// As much of a request's payload as is shown.
const PAYLOAD_CHARS_MAX: usize = 8_000;
/// Outcomes that pass a task on.
pub(super) const DELEGATING: [&str; 2] = ["delegated", "rerouted"];

/// Types whose answers often come with evidence, whether they must or not.
const PROVEN: [&str; 4] = ["attach_file", "provide_data", "validate_real_world", "validate_output"];

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage<'a> {
    css: &'static str,
    title: &'a str,
    description: &'a str,
    from: &'a str,
    kind: &'a str,
    recipient: &'a str,
    until: String,
    payload: String,
    action: String,
    seen: &'a str,
    via: &'a str,
    problems: Vec<String>,
    fields: Vec<Field>,
    buttons: Vec<Button>,
}

struct Button {
    outcome: String,
    label: String,
    negative: bool,
    primary: bool,
}

/// The task with its form.
pub(super) fn task_page(
    status: StatusCode,
    token: &str,
    open: &OpenLink,
    sent: &Sent,
    error: Option<&ApiError>,
) -> Response {
    let shown = shown(open);
    let word = |name: &str| shown.get(name).and_then(Value::as_str).unwrap_or_default();
    let submission = open.intent.submission.as_ref();
    let mut problems = Problems::of(error);
    let mut fields = all_fields(open, &shown);
    for field in &mut fields {
        let value = sent.get(&field.name);
        if !value.is_empty() || !sent.seen.is_empty() {
            value.clone_into(&mut field.value);
        }
        field.problem = problems.take(&field.path);
    }
    let title = match word("title") {
        "" => "Your answer is needed",
        title => title,
    };
    let via = if error.is_some() { &sent.via } else { &sent.outcome };
    let page = TaskPage {
        css: CSS,
        title,
        description: word("description"),
        from: submission.map(|it| it.from_agent.as_str()).unwrap_or_default(),
        kind: submission.map(|it| it.intent_type.as_str()).unwrap_or_default(),
        recipient: &open.link.recipient,
        until: readable(open.link.expires_at_ms),
        payload: submission.map(|it| pretty(&it.payload_json)).unwrap_or_default(),
        action: format!("/t/{token}"),
        seen: &open.task_sha256,
        via,
        problems: problems.rest(error),
        fields,
        buttons: buttons(open, &sent.outcome),
    };
    render(status, &page)
}

fn shown(open: &OpenLink) -> Value {
    serde_json::from_slice(&open.task.task_json).unwrap_or_default()
}

/// The fields of the form, and what every answer may have.
fn all_fields(open: &OpenLink, shown: &Value) -> Vec<Field> {
    let rules = open.task.rules.clone().unwrap_or_default();
    let mut fields = fields_of(&open.task.task_json);
    if rules.allowed_outcomes.iter().any(|it| DELEGATING.contains(&it.as_str())) {
        let hint =
            "Who is to answer instead: an e-mail address or agent://organization/workspace/name.";
        fields.push(Field::line("delegate_to", "Pass on to", hint));
    }
    let task_type = shown.get("task_type").and_then(Value::as_str).unwrap_or_default();
    if rules.evidence_required || PROVEN.contains(&task_type) {
        let hint = "What proves it: text or links, one on each line.";
        let mut evidence = Field::area("evidence", "Evidence", hint);
        evidence.required = rules.evidence_required;
        fields.push(evidence);
    }
    let mut comment = Field::area("comment", "Comment", "");
    comment.required = rules.comment_required;
    fields.push(comment);
    fields
}

fn buttons(open: &OpenLink, chosen: &str) -> Vec<Button> {
    let outcomes = open.task.rules.as_ref().map(|it| &it.allowed_outcomes[..]).unwrap_or_default();
    let is_offered = outcomes.iter().any(|outcome| outcome == chosen);
    let button = |outcome: &String| Button {
        label: label(outcome),
        negative: is_negative(outcome),
        primary: if is_offered { outcome == chosen } else { !is_negative(outcome) },
        outcome: outcome.clone(),
    };
    outcomes.iter().map(button).collect()
}

fn pretty(payload: &[u8]) -> String {
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    if payload.as_object().is_none_or(Map::is_empty) {
        return String::new();
    }
    let text = serde_json::to_string_pretty(&payload).unwrap_or_default();
    match text.char_indices().nth(PAYLOAD_CHARS_MAX) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

/// An instant for people: to the minute.
pub(super) fn readable(at_ms: i64) -> String {
    let text = rfc3339(at_ms);
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {} UTC", time.get(..5).unwrap_or(time))
}

pub(super) fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => guarded(status, text),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            guarded(StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{form, html, open};
    use super::*;

    #[tokio::test]
    async fn a_page_escapes_what_it_shows_and_marks_what_is_wrong() {
        let open = open(&form(), &["approved", "rejected"]);
        let sent = Sent::parse(b"outcome=approved&seen=5eed&field.count=x%3Cy&comment=%22hi%22");
        let error = ApiError::invalid(&["body", "task_result", "count"], "no integer", "type");
        let page = task_page(StatusCode::UNPROCESSABLE_ENTITY, "TOKEN", &open, &sent, Some(&error));
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert_eq!(page.headers()["cache-control"], "no-store");
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
        let page = html(page).await;
        assert!(!page.contains("<b>") && !page.contains("<sender>"), "{page}");
        assert!(page.contains("no integer") && page.contains("value=\"x&#60;y\""), "{page}");
        assert!(page.contains("action=\"/t/TOKEN\"") && !page.contains("<script"), "{page}");
        assert!(page.contains("Please look at the marked fields."), "{page}");
    }
}
