//! The only mapping of refusals to gRPC: the status of the code, and the code in a trailer.

use axp_proto::error_code::ErrorCode;
use tonic::Status;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

use crate::error::ApiError;

const ERROR_CODE: &str = "axp-error-code";
const RETRY_AFTER: &str = "retry-after";

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let mut trailers = MetadataMap::new();
        trailers.insert(ERROR_CODE, AsciiMetadataValue::from_static(error.code.as_str()));
        if let Some(seconds) = error.retry_after_seconds {
            trailers.insert(RETRY_AFTER, AsciiMetadataValue::from(seconds));
        }
        Self::with_metadata(error.code.grpc_code(), error.message, trailers)
    }
}

/// A stream that ends because the gateway does: the client comes back elsewhere.
pub(super) fn stopping() -> Status {
    ApiError::new(ErrorCode::Unavailable, "this gateway is stopping").into()
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn the_code_is_in_a_trailer() {
        let status = Status::from(ApiError::new(ErrorCode::InvalidState, "it has ended"));
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "it has ended"));
        assert_eq!(status.metadata().get(ERROR_CODE).unwrap(), "invalid_state");
        assert!(status.metadata().get(RETRY_AFTER).is_none());
        let status = Status::from(ApiError::unavailable("no leader"));
        assert_eq!(status.metadata().get(RETRY_AFTER).unwrap(), "1");
    }
}
