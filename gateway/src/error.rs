//! What a request is refused with: a code of the contract, a text for the caller, and details.
//!
//! Independent of the protocol; `http/error.rs` and `grpc/error.rs` hold the only two mappings.

use std::borrow::Cow;

use axp_proto::error_code::ErrorCode;
use axp_proto::node::Rejection;
use serde_json::{Value, json};

/// A refusal, ready for a client.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    pub(crate) message: Cow<'static, str>,
    /// `error.details` of the body, an object.
    pub(crate) details: Option<Box<Value>>,
    /// Another member of the body, next to `error`.
    pub(crate) extra: Option<Box<(&'static str, Value)>>,
    pub(crate) retry_after_seconds: Option<u32>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        // A client that may try again is told when, whatever the reason.
        let retry_after_seconds = matches!(
            code,
            ErrorCode::Unavailable | ErrorCode::RateLimitExceeded | ErrorCode::QuotaExceeded
        )
        .then_some(1);
        Self { code, message: message.into(), details: None, extra: None, retry_after_seconds }
    }

    pub(crate) fn with_details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    pub(crate) fn with_extra(mut self, name: &'static str, value: Value) -> Self {
        self.extra = Some(Box::new((name, value)));
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds.max(1));
        self
    }

    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    pub(crate) fn intent_not_found() -> Self {
        Self::not_found("intent not found")
    }

    pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    pub(crate) fn internal() -> Self {
        Self::new(ErrorCode::Internal, "internal error")
    }

    /// One field that is not as the contract wants it.
    pub(crate) fn invalid(location: &[&str], message: &str, kind: &str) -> Self {
        let mut problems = Problems::default();
        problems.add(location, message, kind);
        problems.into_error()
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Self::new(ErrorCode::parse(&rejection.code), rejection.message)
    }
}

/// All that is wrong with the fields of one request.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Value>);

impl Problems {
    pub(crate) fn add(&mut self, location: &[&str], message: &str, kind: &str) {
        self.0.push(json!({ "loc": location, "msg": message, "type": kind }));
    }

    pub(crate) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// # Errors
    /// When a problem was added.
    pub(crate) fn check(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }

    fn into_error(self) -> ApiError {
        let first = self.0.first();
        let name = first
            .and_then(|problem| problem["loc"].as_array()?.last()?.as_str())
            .unwrap_or("request");
        let text = first.and_then(|problem| problem["msg"].as_str()).unwrap_or("is not valid");
        let message = format!("{name}: {text}");
        self.into_error_saying(message)
    }

    /// The refusal, in words of one's own.
    pub(crate) fn into_error_saying(self, message: String) -> ApiError {
        ApiError::new(ErrorCode::ValidationError, message).with_details(json!({ "errors": self.0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_listed_and_the_first_is_the_message() {
        let mut problems = Problems::default();
        problems.add(&["body", "intent_type"], "field required", "missing");
        problems.add(&["body", "payload"], "must be an object", "type_error");
        let error = problems.check().unwrap_err();
        assert_eq!(error.code, ErrorCode::ValidationError);
        assert_eq!(error.message, "intent_type: field required");
        let errors = error.details.unwrap()["errors"].clone();
        assert_eq!(
            errors[1],
            json!({"loc": ["body", "payload"], "msg": "must be an object", "type": "type_error"})
        );
        assert!(Problems::default().check().is_ok());
    }

    #[test]
    fn a_rejection_keeps_its_code() {
        let rejection = Rejection { code: "invalid_state".into(), message: "it ended".into() };
        let error = ApiError::from(rejection);
        assert_eq!(error.code, ErrorCode::InvalidState);
        assert_eq!(error.retry_after_seconds, None);
        assert_eq!(ApiError::unavailable("no leader").retry_after_seconds, Some(1));
    }
}
