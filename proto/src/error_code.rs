//! The error codes of the contract (README, section 8): stable text, HTTP and gRPC status, and
//! whether the same request can succeed later.

use tonic::Code;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $http:literal, $grpc:ident, $retry:literal;)*) => {
        /// A stable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// The text on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The code with this text; an unknown one is an internal error of whoever made it.
            #[must_use]
            pub fn parse(text: &str) -> Self {
                match text { $($text => Self::$name,)* _ => Self::Internal }
            }

            #[must_use]
            pub fn http_status(self) -> u16 {
                match self { $(Self::$name => $http,)* }
            }

            #[must_use]
            pub fn grpc_code(self) -> Code {
                match self { $(Self::$name => Code::$grpc,)* }
            }

            /// Whether the same request may succeed later without a change.
            #[must_use]
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }
        }
    };
}

error_codes! {
    BadRequest = "bad_request", 400, InvalidArgument, false;
    MissingPlatformApiKey = "missing_platform_api_key", 401, Unauthenticated, false;
    InvalidPlatformApiKey = "invalid_platform_api_key", 401, Unauthenticated, false;
    MissingActorToken = "missing_actor_token", 401, Unauthenticated, false;
    InvalidActorToken = "invalid_actor_token", 401, Unauthenticated, false;
    InvalidActorScope = "invalid_actor_scope", 403, PermissionDenied, false;
    PolicyDenied = "policy_denied", 403, PermissionDenied, false;
    ReceiverOrgClosed = "receiver_org_closed", 403, PermissionDenied, false;
    ReceiverAgentClosed = "receiver_agent_closed", 403, PermissionDenied, false;
    SenderNotInReceiveAllowlist = "sender_not_in_receive_allowlist", 403, PermissionDenied, false;
    AgentNotFound = "agent_not_found", 404, NotFound, false;
    NotFound = "not_found", 404, NotFound, false;
    MethodNotAllowed = "method_not_allowed", 405, Unimplemented, false;
    IdempotencyConflict = "idempotency_conflict", 409, AlreadyExists, false;
    InvalidState = "invalid_state", 409, FailedPrecondition, false;
    Conflict = "conflict", 409, Aborted, true;
    AlreadyExists = "already_exists", 409, AlreadyExists, false;
    PayloadTooLarge = "payload_too_large", 413, InvalidArgument, false;
    ValidationError = "validation_error", 422, InvalidArgument, false;
    SchemaInvalid = "schema_invalid", 422, InvalidArgument, false;
    InvalidAgentAddress = "invalid_agent_address", 422, InvalidArgument, false;
    RateLimitExceeded = "rate_limit_exceeded", 429, ResourceExhausted, true;
    QuotaExceeded = "quota_exceeded", 429, ResourceExhausted, true;
    Internal = "internal_error", 500, Internal, true;
    /// No leader within the deadline, or a queue is full: nothing is known to have been done.
    Unavailable = "unavailable", 503, Unavailable, true;
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn text_round_trips() {
        for code in [ErrorCode::InvalidState, ErrorCode::Unavailable, ErrorCode::NotFound] {
            assert_eq!(ErrorCode::parse(code.as_str()), code);
        }
        assert_eq!(ErrorCode::parse("no such code"), ErrorCode::Internal);
    }
}
