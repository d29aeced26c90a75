//! What a mail says: text and HTML of a task, with a button for each outcome. Pure.

use axp_proto::log::{Mail, MailKind};
use axp_proto::task::LinkToken;
use lettre::Message;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use serde_json::Value;

use super::MailError;
use crate::clock::rfc3339;
use crate::config::MailConfig;
use crate::intent::{Intent, Task};

/// Outcomes that get a button of their own; with more the page has them all.
const BUTTONS_MAX: usize = 6;

/// One mail, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub from: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The same for each attempt, so that a mail that comes twice is recognised.
    pub message_id: String,
    pub at_ms: i64,
}

/// The mail that asks for an answer to a task.
#[must_use]
pub fn compose(
    config: &MailConfig,
    intent: &Intent,
    task: &Task,
    mail: &Mail,
    (token, expires_at_ms, queued_at_ms): (&LinkToken, i64, i64),
) -> Letter {
    let shown: Value = serde_json::from_slice(&task.json).unwrap_or_default();
    let word = |name: &str| shown.get(name).and_then(Value::as_str).unwrap_or_default();
    let title = match word("title") {
        "" => "Your answer is needed",
        title => title,
    };
    let prefix = match mail.kind() {
        MailKind::Reminder => "Reminder: ",
        MailKind::Escalation => "Escalated: ",
        MailKind::Assigned | MailKind::Unspecified => "",
    };
    let link = format!("{}/t/{token}", config.public_url.trim_end_matches('/'));
    let words = Words {
        title,
        description: word("description"),
        from: &intent.submission.from_agent,
        kind: &intent.submission.intent_type,
        link: &link,
        outcomes: &task.rules.allowed_outcomes,
        until: &rfc3339(expires_at_ms),
    };
    let domain = config.from.rsplit('@').next().unwrap_or_default().trim_end_matches('>');
    Letter {
        from: config.from.clone(),
        to: mail.recipient.clone(),
        subject: format!("{prefix}{title}"),
        text: words.text(),
        html: words.html(),
        message_id: format!("<{}.{}.{queued_at_ms}@{domain}>", intent.id, task.number),
        at_ms: queued_at_ms,
    }
}

struct Words<'a> {
    title: &'a str,
    description: &'a str,
    from: &'a str,
    kind: &'a str,
    link: &'a str,
    outcomes: &'a [String],
    until: &'a str,
}

impl Words<'_> {
    fn buttons(&self) -> impl Iterator<Item = (String, String)> {
        let count = if self.outcomes.len() > BUTTONS_MAX { 0 } else { self.outcomes.len() };
        let link = self.link;
        self.outcomes.iter().take(count).map(move |outcome| {
            (label(outcome), format!("{link}?outcome={}", percent_encode(outcome)))
        })
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        if !self.description.is_empty() {
            text.push_str(&format!("\n{}\n", self.description));
        }
        text.push_str(&format!("\nAsked by {} ({}).\n\n", self.from, self.kind));
        for (name, link) in self.buttons() {
            text.push_str(&format!("{name}:\n{link}\n\n"));
        }
        text.push_str(&format!("Open the task:\n{}\n\n", self.link));
        text.push_str(&format!(
            "Opening a link decides nothing: you confirm on the page. The links are yours alone,\n\
             work once, and end at {}.\n",
            self.until
        ));
        text
    }

    fn html(&self) -> String {
        let mut body =
            format!("<h1 style=\"font-size:20px;margin:0 0 12px\">{}</h1>", escape(self.title));
        if !self.description.is_empty() {
            let lines = escape(self.description).replace('\n', "<br>");
            body.push_str(&format!("<p style=\"margin:0 0 16px;line-height:1.5\">{lines}</p>"));
        }
        body.push_str(&format!(
            "<p style=\"margin:0 0 20px;color:#5b6470;font-size:14px\">Asked by {} ({})</p><p>",
            escape(self.from),
            escape(self.kind)
        ));
        for (name, link) in self.buttons() {
            body.push_str(&format!(
                "<a href=\"{}\" style=\"display:inline-block;margin:0 8px 8px 0;padding:10px 18px;\
                 border:1px solid #1f5fbf;border-radius:6px;color:#1f5fbf;text-decoration:none\">{}</a>",
                escape(&link),
                escape(&name)
            ));
        }
        body.push_str(&format!(
            "<a href=\"{}\" style=\"display:inline-block;margin:0 0 8px;padding:10px 18px;\
             border-radius:6px;background:#1f5fbf;color:#ffffff;text-decoration:none\">Open the task</a></p>\
             <p style=\"color:#5b6470;font-size:13px;line-height:1.5\">Opening a link decides nothing: you \
             confirm on the page. The links are yours alone, work once, and end at {}.</p>",
            escape(self.link),
            escape(self.until)
        ));
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"></head><body style=\"margin:0;\
             padding:24px;font-family:system-ui,-apple-system,sans-serif;color:#1b1f24\">\
             <div style=\"max-width:560px\">{body}</div></body></html>"
        )
    }
}

impl Letter {
    /// # Errors
    /// When an address is none, or a header cannot be written.
    pub fn message(&self) -> Result<Message, MailError> {
        let unsendable = |error: &dyn std::fmt::Display| MailError::Unsendable(error.to_string());
        let address = |text: &str| text.parse::<Mailbox>().map_err(|error| unsendable(&error));
        let sent =
            std::time::UNIX_EPOCH + std::time::Duration::from_millis(self.at_ms.unsigned_abs());
        Message::builder()
            .from(address(&self.from)?)
            .to(address(&self.to)?)
            .subject(self.subject.replace(['\r', '\n'], " "))
            .date(sent)
            .message_id(Some(self.message_id.clone()))
            // Nobody is to answer an answering machine.
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(self.text.clone(), self.html.clone()))
            .map_err(|error| unsendable(&error))
    }

    /// A name for a file: by time, and different for different mails.
    pub(super) fn file_name(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let id: String = self.message_id.chars().filter(|c| plain(*c)).collect();
        let to: String = self.to.chars().filter(|c| plain(*c)).collect();
        format!("{:013}-{id}-{to}", self.at_ms)
    }
}

#[derive(Debug, Clone, Copy)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// An outcome as people read it.
fn label(outcome: &str) -> String {
    let mut words = outcome.replace(['_', '-'], " ");
    if let Some(first) = words.get(..1).map(str::to_uppercase) {
        words.replace_range(..1, &first);
    }
    words
}

fn percent_encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |out, byte| match byte {
        byte if plain(byte) => out + char::from(byte).encode_utf8(&mut [0; 4]),
        byte => format!("{out}%{byte:02X}"),
    })
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axp_proto::ids::{IntentId, Slot};
    use axp_proto::log::{Submission, TaskRules};
    use bytes::Bytes;

    use super::*;

    fn letter(outcomes: &[&str], recipient: &str) -> Letter {
        let submission =
            Submission { from_agent: "agent://a/b/<c>".into(), ..Submission::default() };
        let id = IntentId::new(1, Slot::new(3).unwrap(), 5);
        let intent = Intent::new(id, Arc::new(submission));
        let rules = TaskRules {
            allowed_outcomes: outcomes.iter().map(|&it| it.to_owned()).collect(),
            ..TaskRules::default()
        };
        let json = Bytes::from_static(br#"{"title":"Pay <b>\r\nBcc: x@y?","description":"1\n2"}"#);
        let task = Task { number: 2, rules, json };
        let mail =
            Mail { recipient: recipient.to_owned(), task: 2, kind: MailKind::Reminder.into() };
        let token = LinkToken { intent_id: id, secret: [7; 32] };
        let config = MailConfig {
            public_url: "https://axp.test/".into(),
            from: "AXP <bot@axp.test>".into(),
            ..MailConfig::default()
        };
        compose(&config, &intent, &task, &mail, (&token, 1_000, 0))
    }

    #[test]
    fn a_mail_has_a_link_for_each_outcome_and_markup_of_its_own_only() {
        let letter = letter(&["approved", "changes requested"], "ann@acme.test");
        assert!(letter.text.contains("Approved:\nhttps://axp.test/t/"), "{}", letter.text);
        assert!(letter.text.contains("?outcome=changes%20requested\n"), "{}", letter.text);
        assert!(letter.html.contains("Pay &lt;b&gt;") && letter.html.contains("1<br>2"));
        assert!(!letter.html.contains("<c>"));
        assert!(letter.message_id.ends_with(".2.0@axp.test>"), "{}", letter.message_id);
        let sent = String::from_utf8(letter.message().unwrap().formatted()).unwrap();
        let (head, _) = sent.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("\nBcc:"), "{sent}");
        assert!(sent.contains("Auto-Submitted: auto-generated"), "{sent}");
    }

    #[test]
    fn many_outcomes_are_left_to_the_page() {
        let letter = letter(&["a", "b", "c", "d", "e", "f", "g"], "ann@acme.test");
        assert!(!letter.text.contains("?outcome="), "{}", letter.text);
    }

    #[test]
    fn a_recipient_that_is_none_is_told_at_once() {
        assert!(letter(&["a"], "nobody").message().unwrap_err().is_final());
    }
}
