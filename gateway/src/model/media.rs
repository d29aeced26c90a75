//! Media (contract, users-invites-media-schemas.md).

use axp_proto::node::Media;
use serde::Serialize;
use utoipa::ToSchema;

use super::event::present;
use crate::clock::rfc3339;
use crate::service::{LinkUse, Links, MediaState, is_image};

/// Where things are, as answers tell it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MediaPlace<'a> {
    pub(crate) workspace_id: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) size_bytes_max: u64,
}

impl MediaPlace<'_> {
    fn object_path(&self, media: &Media) -> String {
        format!("{}/{}", self.workspace_id, media.upload_id)
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadCreated {
    pub(crate) ok: bool,
    pub(crate) upload_id: String,
    pub(crate) owner_agent: String,
    pub(crate) bucket: String,
    pub(crate) object_path: String,
    /// Where the bytes go by PUT: a link that needs no API key until the upload expires.
    pub(crate) upload_url: String,
    /// Always `pending`.
    pub(crate) status: &'static str,
    pub(crate) expires_at: String,
    pub(crate) max_size_bytes: u64,
}

impl UploadCreated {
    pub(crate) fn new(media: &Media, place: MediaPlace<'_>, links: &Links) -> Self {
        Self {
            ok: true,
            upload_id: media.upload_id.clone(),
            owner_agent: media.owner_agent.clone(),
            bucket: place.bucket.to_owned(),
            object_path: place.object_path(media),
            upload_url: links.to(LinkUse::Upload, place.workspace_id, media),
            status: "pending",
            expires_at: rfc3339(media.expires_at_ms),
            max_size_bytes: place.size_bytes_max,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadTaken {
    pub(crate) ok: bool,
    pub(crate) upload_id: String,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadFinalized {
    pub(crate) ok: bool,
    pub(crate) upload_id: String,
    pub(crate) owner_agent: String,
    pub(crate) bucket: String,
    pub(crate) object_path: String,
    pub(crate) mime_type: String,
    pub(crate) size_bytes: u64,
    /// Of the bytes; null when none were uploaded.
    pub(crate) sha256: Option<String>,
    /// Always `ready`.
    pub(crate) status: &'static str,
    pub(crate) finalized_at: String,
}

impl UploadFinalized {
    pub(crate) fn new(media: &Media, place: MediaPlace<'_>) -> Self {
        Self {
            ok: true,
            upload_id: media.upload_id.clone(),
            owner_agent: media.owner_agent.clone(),
            bucket: place.bucket.to_owned(),
            object_path: place.object_path(media),
            mime_type: media.mime_type.clone(),
            size_bytes: media.size_bytes,
            sha256: media.stored.as_ref().and_then(|stored| present(&stored.sha256)),
            status: "ready",
            finalized_at: rfc3339(media.finalized_at_ms.unwrap_or_default()),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadBody {
    pub(crate) upload_id: String,
    pub(crate) owner_agent: String,
    pub(crate) bucket: String,
    pub(crate) object_path: String,
    pub(crate) mime_type: String,
    pub(crate) filename: String,
    pub(crate) size_bytes: u64,
    /// Of the bytes if there are any, else as announced.
    pub(crate) sha256: Option<String>,
    /// `pending`, `ready` or `expired`
    pub(crate) status: &'static str,
    pub(crate) created_at: String,
    pub(crate) expires_at: String,
    pub(crate) finalized_at: Option<String>,
    /// A link that needs no API key for a while (`media.link-ttl-seconds`).
    pub(crate) download_url: Option<String>,
    /// Of images; as `download_url`.
    pub(crate) preview_url: Option<String>,
}

impl UploadBody {
    pub(crate) fn new(
        media: &Media,
        state: MediaState,
        place: MediaPlace<'_>,
        links: &Links,
    ) -> Self {
        let link = |what| links.to(what, place.workspace_id, media);
        let can_be_read = state == MediaState::Ready && media.stored.is_some();
        let hash = media.stored.as_ref().map_or(&media.sha256, |stored| &stored.sha256);
        Self {
            upload_id: media.upload_id.clone(),
            owner_agent: media.owner_agent.clone(),
            bucket: place.bucket.to_owned(),
            object_path: place.object_path(media),
            mime_type: media.mime_type.clone(),
            filename: media.filename.clone(),
            size_bytes: media.size_bytes,
            sha256: present(hash),
            status: state.wire_name(),
            created_at: rfc3339(media.created_at_ms),
            expires_at: rfc3339(media.expires_at_ms),
            finalized_at: media.finalized_at_ms.map(rfc3339),
            download_url: can_be_read.then(|| link(LinkUse::Download)),
            preview_url: (can_be_read && is_image(&media.mime_type))
                .then(|| link(LinkUse::Preview)),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadAnswer {
    pub(crate) ok: bool,
    pub(crate) upload: UploadBody,
}
