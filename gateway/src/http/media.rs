//! `/v1/media` (contract, users-invites-media-schemas.md). Bytes are passed on piece by piece and
//! never held as a whole.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::request::{Body, Path};
use crate::error::ApiError;
use crate::media::Source;
use crate::model::{ErrorBody, UploadAnswer, UploadCreated, UploadFinalized, UploadTaken};
use crate::service::{Call, Download, MediaAccess, Service};

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Whatever the type is: nothing in it runs, and nothing is loaded by it.
const SANDBOX: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// Announces an upload.
#[utoipa::path(
    post, path = "/v1/media/create-upload", tag = "media", security(("api-key" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::CreateUpload),
    responses(
        (status = 200, body = UploadCreated), (status = 403, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    service.create_upload(&call, &body).await.map(Json)
}

/// Ends an upload.
#[utoipa::path(
    post, path = "/v1/media/finalize-upload", tag = "media", security(("api-key" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::FinalizeUpload),
    responses(
        (status = 200, body = UploadFinalized), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it has expired, or has no bytes and needs some"),
        (status = 422, body = ErrorBody, description = "size or hash are not those of the bytes"),
    ),
)]
pub(super) async fn finalize(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    service.finalize_upload(&call, &body).await.map(Json)
}

/// What is known of an upload.
#[utoipa::path(
    get, path = "/v1/media/{upload_id}", tag = "media", security(("api-key" = [])),
    params(("upload_id" = String, Path)),
    responses((status = 200, body = UploadAnswer), (status = 404, body = ErrorBody)),
)]
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(id): Path<String>,
) -> Result<Json<UploadAnswer>, ApiError> {
    service.media(&call, &id).await.map(Json)
}

/// Takes the bytes of an upload.
#[utoipa::path(
    put, path = "/v1/media/upload/{upload_id}", tag = "media", security((), ("api-key" = [])),
    params(
        ("upload_id" = String, Path), ("workspace" = Option<String>, Query),
        ("expires" = Option<i64>, Query), ("signature" = Option<String>, Query),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = UploadTaken), (status = 403, body = ErrorBody, description = "the link is not valid"),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it is finalized or has expired"),
        (status = 422, body = ErrorBody, description = "size or hash are not as announced; nothing is kept"),
    ),
)]
pub(super) async fn upload(
    State(service): State<Arc<Service>>,
    access: MediaAccess,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<UploadTaken>, ApiError> {
    let pieces = pieces(request.into_body(), service.config.http.body_timeout());
    service.upload(&access, &id, pieces).await.map(Json)
}

/// The bytes of a file, to be saved.
#[utoipa::path(
    get, path = "/v1/media/download/{upload_id}", tag = "media", security((), ("api-key" = [])),
    params(
        ("upload_id" = String, Path), ("workspace" = Option<String>, Query),
        ("expires" = Option<i64>, Query), ("signature" = Option<String>, Query),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 403, body = ErrorBody, description = "the link is not valid"),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody, description = "it is not finalized"),
    ),
)]
pub(super) async fn download(
    State(service): State<Arc<Service>>,
    access: MediaAccess,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let download = service.download(&access, &id).await?;
    let name = attachment(&download.filename);
    Ok(answer(download, &name))
}

/// The bytes of an image, to be shown.
#[utoipa::path(
    get, path = "/v1/media/preview/{upload_id}", tag = "media", security((), ("api-key" = [])),
    params(
        ("upload_id" = String, Path), ("workspace" = Option<String>, Query),
        ("expires" = Option<i64>, Query), ("signature" = Option<String>, Query),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/png"),
        (status = 403, body = ErrorBody, description = "the link is not valid"),
        (status = 404, body = ErrorBody, description = "unknown, without bytes, or no image"),
        (status = 409, body = ErrorBody, description = "it is not finalized"),
    ),
)]
pub(super) async fn preview(
    State(service): State<Arc<Service>>,
    access: MediaAccess,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let preview = service.preview(&access, &id).await?;
    Ok(answer(preview, "inline"))
}

/// The pieces of a body, each of which has to come in time.
fn pieces(body: HttpBody, patience: Duration) -> Source<'static> {
    let next = move |mut body: HttpBody| async move {
        loop {
            let frame = tokio::time::timeout(patience, body.frame()).await;
            let late = |_| ApiError::bad_request("the body did not arrive in time");
            let Some(frame) = frame.map_err(late)? else { return Ok(None) };
            let frame = frame.map_err(|_| ApiError::bad_request("the body ended early"))?;
            if let Ok(piece) = frame.into_data() {
                return Ok::<Option<(Bytes, HttpBody)>, ApiError>(Some((piece, body)));
            }
        }
    };
    stream::try_unfold(body, next).boxed()
}

fn answer(download: Download, disposition: &str) -> Response {
    let Download { mime_type, content, permit, .. } = download;
    let length = HeaderValue::from(content.size_bytes);
    // The room is taken for as long as bytes are read.
    let body = content.body.map(move |piece| {
        let _room = &permit;
        piece
    });
    let text = |text: &str| {
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
    };
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, text(&mime_type)),
        (header::CONTENT_LENGTH, length),
        (header::CONTENT_DISPOSITION, text(disposition)),
        (header::X_CONTENT_TYPE_OPTIONS, NOSNIFF),
        (header::CONTENT_SECURITY_POLICY, SANDBOX),
    ];
    (HeaderMap::from_iter(headers), HttpBody::from_stream(body)).into_response()
}

/// `attachment` with the name of the file, whatever is in it (RFC 6266).
fn attachment(filename: &str) -> String {
    let mut name = "attachment; filename*=UTF-8''".to_owned();
    for byte in filename.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            name.push(char::from(byte));
        } else {
            write!(name, "%{byte:02X}").expect("writing to a String does not fail");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_cannot_leave_their_header() {
        assert_eq!(attachment("a b.pdf"), "attachment; filename*=UTF-8''a%20b.pdf");
        let nasty = attachment("\"; x=\r\n\u{e4}/../");
        assert_eq!(nasty, "attachment; filename*=UTF-8''%22%3B%20x%3D%0D%0A%C3%A4%2F..%2F");
    }
}
