//! A normal outcome that is not what the caller hoped for: a value, not an error.

use std::borrow::Cow;

use axp_proto::error_code::ErrorCode;

/// Why a command was refused; nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub code: ErrorCode,
    pub message: Cow<'static, str>,
}

impl Rejection {
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// Unknown, or another tenant's: the two must look alike.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "intent not found")
    }

    #[must_use]
    pub fn terminal(status: axp_proto::log::Status) -> Self {
        let message = format!("intent is already terminal: {}", status.wire_name());
        Self::new(ErrorCode::InvalidState, message)
    }
}
