//! What can go wrong between this command and a server, and what to do about it.

use std::time::Duration;

use serde_json::Value;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Target(String),
    #[error("no API key for {0}")]
    NoKey(String),
    #[error("cannot use TLS: {0}")]
    Tls(String),
    #[error("cannot build the request")]
    Request(#[source] hyper::http::Error),
    #[error("cannot reach {url}")]
    Connect { url: String, source: hyper_util::client::legacy::Error },
    #[error("the connection broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("{0}")]
    Refused(Box<Refusal>),
    #[error("the answer does not follow the contract: {0}")]
    NotTheContract(String),
}

/// An answer that is no success.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// What is wrong with which field, one each.
    pub(crate) fields: Vec<String>,
    pub(crate) request_id: String,
    /// Seconds after which to try again.
    pub(crate) after: Option<u64>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the server answered {}", self.status)?;
        if !self.code.is_empty() {
            write!(formatter, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(formatter, ": {}", self.message)?;
        }
        self.fields.iter().try_for_each(|field| write!(formatter, "\n  - {field}"))
    }
}

impl Refusal {
    /// Reads the dialects of the contract: `error.message`, else `detail`.
    pub(super) fn new(status: u16, after: Option<u64>, request_id: String, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message = match text(&body["error"]["message"]) {
            message if message.is_empty() => text(&body["detail"]),
            message => message,
        };
        let fields = body["error"]["details"]["errors"].as_array().into_iter().flatten();
        let fields = fields.filter_map(field).filter(|field| *field != message).collect();
        Self { status, code: text(&body["error"]["code"]), message, fields, request_id, after }
    }

    fn hint(&self) -> Option<String> {
        Some(match self.status {
            401 => "`axp login --api-key KEY` stores another key; `axp doctor` says which one is \
                    used and where it comes from"
                .into(),
            403 => "this key may not do that; `axp context show` says which one is used".into(),
            404 => "check the id, and with `axp context show` that this is the right server".into(),
            409 => "`axp why ID` shows where the intent is now".into(),
            429 | 503 => match self.after {
                Some(seconds) => format!("try again in {seconds} s"),
                None => "try again in a moment".into(),
            },
            500.. => "the server has a problem of its own; its log has the request id".into(),
            _ => return None,
        })
    }
}

impl Error {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Connect { .. } => {
                "is the server running? `axp dev` starts one here; `axp doctor` \
                                     checks the way to it"
                    .into()
            }
            Self::NoKey(_) => "`axp login --api-key KEY` stores one; or set AXME_API_KEY".into(),
            Self::Timeout(_) => "`axp status` says whether the server answers at all".into(),
            Self::NotTheContract(_) => "is there an AXP server at this URL? `axp doctor`".into(),
            Self::Refused(refusal) => return refusal.hint(),
            Self::Target(_) | Self::Tls(_) | Self::Request(_) | Self::Broken(_) => return None,
        })
    }

    /// Whether the same request can succeed later.
    pub(super) fn can_pass(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken(_) | Self::Timeout(_) => true,
            Self::Refused(refusal) => refusal.status == 429 || refusal.status >= 500,
            Self::Target(_)
            | Self::NoKey(_)
            | Self::Tls(_)
            | Self::Request(_)
            | Self::NotTheContract(_) => false,
        }
    }
}

/// One entry of `error.details.errors`: where, and what.
fn field(error: &Value) -> Option<String> {
    let message = error["msg"].as_str().or_else(|| error["message"].as_str())?;
    let path = error["loc"].as_array().map(|parts| {
        let parts = parts.iter().filter(|part| *part != "body");
        let parts = parts.map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
        parts.collect::<Vec<_>>().join(".")
    });
    Some(match path {
        Some(path) if !path.is_empty() => format!("{path}: {message}"),
        _ => message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &[u8]) -> Refusal {
        Refusal::new(status, None, String::new(), body)
    }

    #[test]
    fn a_refusal_shows_what_the_body_says() {
        let body = br#"{"ok":false,"error":{"code":"not_found","message":"no such intent"}}"#;
        assert_eq!(
            refusal(404, body).to_string(),
            "the server answered 404 not_found: no such intent"
        );
        assert_eq!(refusal(502, b"<html>").to_string(), "the server answered 502");
    }

    #[test]
    fn fields_are_named_with_what_is_wrong_with_them() {
        let body = br#"{"error":{"code":"validation_error","message":"two problems","details":
            {"errors":[{"loc":["body","steps",0,"step_id"],"msg":"is missing","type":"x"},
                       {"msg":"two problems"}]}},"detail":"two problems"}"#;
        assert_eq!(
            refusal(422, body).to_string(),
            "the server answered 422 validation_error: two problems\n  - steps.0.step_id: is missing"
        );
    }
}
