//! From a task to its page, and from a form that was sent to an answer.

use askama::Template;
use axp_proto::task::is_negative;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::field::{Field, fields_of, label};
use super::{CSS, guarded};
use crate::clock::rfc3339;
use crate::error::ApiError;
use crate::service::{Linked, OpenLink};

/// As much of a request's payload as is shown.
const PAYLOAD_CHARS_MAX: usize = 8_000;
const DELEGATING: [&str; 2] = ["delegated", "rerouted"];

/// Types whose answers often come with evidence, whether they must or not.
const PROVEN: [&str; 4] = ["attach_file", "provide_data", "validate_real_world", "validate_output"];

/// What a form said, and what it is shown with again if something is wrong.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) outcome: String,
    pub(super) seen: String,
    via: String,
    members: Vec<(String, String)>,
}

impl Sent {
    /// Nothing yet, but an outcome that was chosen in the mail.
    pub(super) fn chosen(outcome: &str) -> Self {
        Self { outcome: outcome.to_owned(), ..Self::default() }
    }

    pub(super) fn parse(body: &[u8]) -> Self {
        let mut sent = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let value = value.replace("\r\n", "\n");
            match &*name {
                "outcome" => sent.outcome = value,
                "seen" => sent.seen = value,
                "via" => sent.via = value,
                _ => sent.members.push((name.into_owned(), value)),
            }
        }
        sent
    }

    pub(super) fn get(&self, name: &str) -> &str {
        let member = self.members.iter().find(|(known, _)| known == name);
        member.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Whether the outcome is the one that was chosen in the mail.
    pub(super) fn is_from_mail(&self) -> bool {
        !self.via.is_empty() && self.via == self.outcome
    }

    /// The answer as the API takes it.
    ///
    /// # Errors
    /// 422 when it has no outcome, or JSON that is none.
    pub(super) fn answer(&self, open: &OpenLink) -> Result<Bytes, ApiError> {
        let problem = |name: &str, message: &str| {
            ApiError::invalid(&["body", "task_result", name], message, "value_error")
        };
        if self.outcome.is_empty() {
            return Err(problem("outcome", "choose one of the buttons"));
        }
        let mut data = Map::new();
        for field in fields_of(&open.task.task_json) {
            if let Some(value) = field.read(self.get(&field.name)) {
                let value = value.map_err(|message| problem(&field.path, message))?;
                match (field.path.is_empty(), value) {
                    (true, Value::Object(members)) => data.extend(members),
                    (_, value) => {
                        data.insert(field.path.clone(), value);
                    }
                }
            }
        }
        let evidence: Vec<Value> = lines(self.get("evidence")).map(Value::from).collect();
        if !evidence.is_empty() {
            data.insert("evidence".to_owned(), evidence.into());
        }
        let to = self.get("delegate_to").trim();
        if !to.is_empty() {
            data.insert("delegate_to".to_owned(), to.into());
        } else if DELEGATING.contains(&self.outcome.as_str()) {
            return Err(problem("delegate_to", "say who is to answer instead"));
        }
        let mut answer = Map::new();
        answer.insert("outcome".to_owned(), self.outcome.clone().into());
        let comment = self.get("comment").trim();
        if !comment.is_empty() {
            answer.insert("comment".to_owned(), comment.into());
        }
        if !data.is_empty() {
            answer.insert("data".to_owned(), data.into());
        }
        Ok(serde_json::to_vec(&answer).map_err(|_| ApiError::internal())?.into())
    }
}

pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

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

/// The words of a schema's check, for people.
fn plain(message: &str) -> String {
    match message {
        "value is not of type \"integer\"" => "must be a whole number".to_owned(),
        "value is not of type \"number\"" => "must be a number".to_owned(),
        message => message.trim_start_matches("value ").to_owned(),
    }
}

/// What is wrong, by the field that it is shown beside.
struct Problems(Vec<(String, String)>);

impl Problems {
    fn of(error: Option<&ApiError>) -> Self {
        let errors = error.and_then(|error| error.details.as_ref()?["errors"].as_array().cloned());
        let problem = |problem: &Value| {
            let path: Vec<&str> =
                problem["loc"].as_array()?.iter().skip(2).filter_map(Value::as_str).collect();
            let path = path.join(".");
            let field = path.strip_prefix("data.").unwrap_or(&path).to_owned();
            Some((field, plain(problem["msg"].as_str()?)))
        };
        Self(errors.unwrap_or_default().iter().filter_map(problem).collect())
    }

    /// The first problem of a field or of a part of it.
    fn take(&mut self, field: &str) -> Option<String> {
        let part = format!("{field}.");
        let of = |path: &String| !field.is_empty() && (path == field || path.starts_with(&part));
        let found = self.0.iter().find(|(path, _)| of(path)).map(|(_, text)| text.clone())?;
        self.0.retain(|(path, _)| !of(path));
        Some(found)
    }

    /// What belongs to no field, or a word that something is wrong at all.
    fn rest(self, error: Option<&ApiError>) -> Vec<String> {
        let Some(error) = error else { return Vec::new() };
        let rest: Vec<String> = self
            .0
            .into_iter()
            .map(|(path, text)| match &*path {
                "" | "outcome" => text,
                path => format!("{path}: {text}"),
            })
            .collect();
        if !rest.is_empty() {
            return rest;
        }
        match &error.details {
            Some(_) => vec!["Please look at the marked fields.".to_owned()],
            None => vec![error.message.to_string()],
        }
    }
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
fn readable(at_ms: i64) -> String {
    let text = rfc3339(at_ms);
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {} UTC", time.get(..5).unwrap_or(time))
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    css: &'static str,
    title: &'a str,
    text: &'a str,
    at: Option<String>,
    good: bool,
}

/// A page without a form: the link is over, or was never one.
pub(super) fn notice(linked: Option<&Linked>) -> Response {
    let gone = StatusCode::GONE;
    let (status, title, text, at_ms, good) = match linked {
        Some(Linked::Used { outcome, at_ms }) => {
            let text = match outcome {
                Some(outcome) => format!("Your answer was recorded: {}.", label(outcome)),
                None => "Your answer was recorded.".to_owned(),
            };
            (gone, "Thank you", text, *at_ms, true)
        }
        Some(Linked::Answered { at_ms }) => {
            let text = "This task was answered already. There is nothing left to do.".to_owned();
            (gone, "Already answered", text, *at_ms, false)
        }
        Some(Linked::Canceled) => {
            let text = "The request was cancelled. Your answer is not needed any more.".to_owned();
            (gone, "Cancelled", text, None, false)
        }
        Some(Linked::Expired) => {
            let text = "The time to answer is over, or this link is. Ask the sender for a new one.";
            (gone, "Too late", text.to_owned(), None, false)
        }
        Some(Linked::PassedOn) => {
            let text = "Somebody else was asked instead. Your answer is not needed any more.";
            (gone, "Passed on", text.to_owned(), None, false)
        }
        Some(Linked::Open(_)) | None => {
            let text = "This link is not known. Check that you copied all of it.".to_owned();
            (StatusCode::NOT_FOUND, "Unknown link", text, None, false)
        }
    };
    let at = at_ms.map(readable);
    render(status, &Notice { css: CSS, title, text: &text, at, good })
}

/// Something on our side, or too much of it.
pub(super) fn trouble(status: StatusCode, message: &str) -> Response {
    let title = if status.is_server_error() { "Please try again" } else { "Not now" };
    render(status, &Notice { css: CSS, title, text: message, at: None, good: false })
}

fn render(status: StatusCode, page: &impl Template) -> Response {
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
    use axp_proto::log::{Submission, TaskLink, TaskRules};
    use axp_proto::node::{CurrentTask, IntentView};
    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::*;

    fn open(task: &Value, outcomes: &[&str]) -> OpenLink {
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

    async fn html(response: Response) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn form() -> Value {
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

    #[test]
    fn a_form_becomes_an_answer() {
        let open = open(&form(), &["approved"]);
        let sent = Sent::parse(
            b"outcome=approved&seen=5eed&via=approved&field.count=7&field.tags=a%0D%0A%0D%0Ab\
              &field.more=%7B%22k%22%3A1%7D&comment=+ok+&evidence=http%3A%2F%2Fx%0D%0A",
        );
        let answer: Value = serde_json::from_slice(&sent.answer(&open).unwrap()).unwrap();
        let data = json!({ "count": "7", "tags": ["a", "b"], "more": { "k": 1 }, "evidence": ["http://x"] });
        assert_eq!(answer, json!({ "outcome": "approved", "comment": "ok", "data": data }));
        assert!(sent.is_from_mail());
        assert!(!Sent::parse(b"outcome=rejected&via=approved").is_from_mail());
        let bad = Sent::parse(b"outcome=approved&field.more=%7B");
        assert!(bad.answer(&open).unwrap_err().message.starts_with("more: "));
        assert!(Sent::parse(b"").answer(&open).is_err(), "Enter in a field decides nothing");
    }

    #[tokio::test]
    async fn what_is_over_says_so() {
        for (linked, status, words) in [
            (Some(Linked::Canceled), 410, "cancelled"),
            (Some(Linked::Expired), 410, "Too late"),
            (Some(Linked::PassedOn), 410, "Somebody else"),
            (Some(Linked::Answered { at_ms: Some(0) }), 410, "1970-01-01 00:00 UTC"),
            (Some(Linked::Used { outcome: Some("approved".into()), at_ms: None }), 410, "Approved"),
            (None, 404, "not known"),
        ] {
            let page = notice(linked.as_ref());
            assert_eq!(page.status(), status);
            let page = html(page).await;
            assert!(page.contains(words), "{page}");
        }
    }
}
