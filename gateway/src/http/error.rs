//! The only mapping of refusals to HTTP: one body in the three dialects that clients read
//! (contract, README section 8).

use axp_proto::error_code::ErrorCode;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::model::{ErrorBody, ErrorObject};

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = self.message.into_owned();
        let body = ErrorBody {
            ok: false,
            error: ErrorObject {
                code: self.code.as_str(),
                message: message.clone(),
                details: self.details.map_or_else(|| json!({}), |details| *details),
            },
            detail: message,
        };
        let mut response = match self.extra {
            None => (status, Json(body)).into_response(),
            Some(extra) => (status, Json(with_extra(&body, *extra))).into_response(),
        };
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

fn with_extra(body: &ErrorBody, (name, value): (&'static str, Value)) -> Value {
    let mut body = serde_json::to_value(body).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
    body
}

pub(super) async fn unknown_route() -> ApiError {
    ApiError::not_found("not found")
}

pub(super) async fn method_not_allowed() -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, "method not allowed")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn parts(error: ApiError) -> (StatusCode, Option<HeaderValue>, Value) {
        let response = error.into_response();
        let (status, retry) = (response.status(), response.headers().get("retry-after").cloned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, retry, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_refusal_speaks_three_dialects() {
        let error = ApiError::new(ErrorCode::MissingPlatformApiKey, "missing platform api key")
            .with_details(json!({ "header": "x-api-key" }));
        let (status, retry, body) = parts(error).await;
        assert_eq!((status.as_u16(), retry), (401, None));
        assert_eq!(
            body,
            json!({
                "ok": false,
                "error": {
                    "code": "missing_platform_api_key",
                    "message": "missing platform api key",
                    "details": { "header": "x-api-key" },
                },
                "detail": "missing platform api key",
            })
        );
    }

    #[tokio::test]
    async fn what_may_succeed_later_says_when() {
        let (status, retry, body) = parts(ApiError::unavailable("no leader")).await;
        assert_eq!((status.as_u16(), retry.unwrap().to_str().unwrap()), (503, "1"));
        assert_eq!(body["error"]["details"], json!({}));
    }

    #[tokio::test]
    async fn a_duplicate_carries_what_is_there() {
        let error = ApiError::new(ErrorCode::AlreadyExists, "exists")
            .with_extra("service_account", json!({ "name": "a" }));
        let (status, _, body) = parts(error).await;
        assert_eq!((status.as_u16(), &body["service_account"]["name"]), (409, &json!("a")));
    }
}
