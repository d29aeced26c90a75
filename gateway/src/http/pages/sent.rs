//! A form that was sent, and the answer that it is.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::field::fields_of;
use super::view::DELEGATING;
use crate::error::ApiError;
use crate::service::OpenLink;

/// What a form said, and what it is shown with again if something is wrong.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) outcome: String,
    pub(super) seen: String,
    pub(super) via: String,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{form, open};
    use super::*;

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
}
