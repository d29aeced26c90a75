//! What an upload may be announced as, and what its bytes have to be.

use axp_proto::error_code::ErrorCode;
use axp_proto::node::Media;
use bytes::Bytes;

use super::MediaState;
use crate::clock;
use crate::error::ApiError;
use crate::json::Reader;
use crate::media::Measurement;

const TTL_SECONDS: u32 = 60 * 60;
const TTL_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;
/// The largest size that the contract can name.
pub(super) const SIZE_BYTES_MAX: u64 = 1 << 31;
/// Image types that a browser shows and cannot run.
const IMAGES: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

/// An announcement.
pub(super) struct Draft {
    pub(super) owner_agent: String,
    pub(super) filename: String,
    pub(super) mime_type: String,
    pub(super) size_bytes: u64,
    pub(super) sha256: Option<String>,
    pub(super) ttl_seconds: u32,
}

pub(super) fn draft(body: &Bytes) -> Result<Draft, ApiError> {
    let mut reader = Reader::new(body)?;
    let owner_agent = reader.required_string("owner_agent", 3, 255).unwrap_or_default();
    let filename = reader.required_string("filename", 1, 255).unwrap_or_default();
    if filename.chars().any(char::is_control) {
        reader.problem("filename", "has control characters", "value_error");
    }
    let mime_type = reader.required_string("mime_type", 3, 255).unwrap_or_default();
    // It becomes a header of the download.
    let printable = mime_type.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !mime_type.is_empty() && (!printable || !mime_type.contains('/')) {
        reader.problem("mime_type", "must look like image/png", "value_error");
    }
    let size_bytes = reader.size("size_bytes", 1, SIZE_BYTES_MAX);
    let size_bytes = reader.require("size_bytes", size_bytes).unwrap_or_default();
    let sha256 = reader.sha256("sha256");
    let ttl_seconds = reader.integer("ttl_seconds", 60).unwrap_or(TTL_SECONDS);
    if ttl_seconds > TTL_SECONDS_MAX {
        reader.problem("ttl_seconds", "must be 60 to 604800", "value_error");
    }
    reader.finish()?;
    Ok(Draft { owner_agent, filename, mime_type, size_bytes, sha256, ttl_seconds })
}

/// Whether an upload still takes bytes and can be finalized.
pub(super) fn open(media: &Media) -> Result<(), ApiError> {
    let message = match MediaState::of(media, clock::now_ms()) {
        MediaState::Pending => return Ok(()),
        MediaState::Ready => "the upload is finalized",
        MediaState::Expired => "the upload has expired",
    };
    Err(ApiError::new(ErrorCode::InvalidState, message))
}

pub(super) fn as_announced(media: &Media, measured: &Measurement) -> Result<(), ApiError> {
    let wrong = |message: &str| Err(ApiError::invalid(&["body"], message, "value_error"));
    if measured.size_bytes != media.size_bytes {
        let (came, announced) = (measured.size_bytes, media.size_bytes);
        return wrong(&format!("the upload has {came} bytes and was announced with {announced}"));
    }
    if !media.sha256.is_empty() && media.sha256 != measured.sha256 {
        return wrong("the upload has another sha256 than was announced");
    }
    Ok(())
}

/// Whether a browser shows it and cannot run it.
pub(crate) fn is_image(mime_type: &str) -> bool {
    IMAGES.iter().any(|image| mime_type.eq_ignore_ascii_case(image))
}
