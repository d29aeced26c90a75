//! Media: a record says what a file is, the storage has its bytes (contract,
//! users-invites-media-schemas.md; ADR 0012).
//!
//! ```text
//! create-upload -> pending -> bytes stored, the record names them -> finalize-upload -> ready
//!                     \------------------------------------------------------> expired
//! ```
//!
//! Bytes are stored under a name of their own at each attempt, and count once the record names
//! them. So nothing is ever written over, and what no record names is swept up.

mod links;
mod rules;
mod sweep;

use axp_proto::error_code::ErrorCode;
use axp_proto::node::{Media, StoredBytes};
use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

pub(crate) use self::links::{LinkClaim, LinkUse, Links, MediaAccess};
pub(crate) use self::rules::is_image;
use self::rules::{SIZE_BYTES_MAX, as_announced, draft, open};
use super::{Call, Service};
use crate::clock;
use crate::cluster::{Plan, Records, Stored, change};
use crate::error::ApiError;
use crate::json::Reader;
use crate::limits::Permit;
use crate::media::{Content, Measured, Measurement, ObjectName, Source};
use crate::model::{
    MediaPlace, UploadAnswer, UploadBody, UploadCreated, UploadFinalized, UploadTaken,
};

const MEDIA: &str = "media";
/// How long an upload that expired can still be read about.
const REMEMBERED_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaState {
    Pending,
    Ready,
    Expired,
}

impl MediaState {
    fn of(media: &Media, now: i64) -> Self {
        match media.finalized_at_ms {
            Some(_) => Self::Ready,
            None if media.expires_at_ms <= now => Self::Expired,
            None => Self::Pending,
        }
    }

    pub(crate) fn wire_name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Expired => "expired",
        }
    }
}

/// A file that is being read, and the room that it takes.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) filename: String,
    pub(crate) mime_type: String,
    pub(crate) content: Content,
    pub(crate) permit: Permit,
}

impl Service {
    /// Announces an upload.
    ///
    /// # Errors
    /// 413 for more than `media.size-bytes-max`, 422 for a bad body, 403 for a foreign owner.
    pub(crate) async fn create_upload(&self, call: &Call, body: &Bytes) -> Result<Value, ApiError> {
        let draft = draft(body)?;
        let owner_agent = self.assertable(call, &draft.owner_agent)?;
        if draft.size_bytes > self.config.media.size_bytes_max {
            let message = format!("a file has at most {} bytes", self.config.media.size_bytes_max);
            return Err(ApiError::new(ErrorCode::PayloadTooLarge, message));
        }
        self.once(call, "POST /v1/media/create-upload", body, |seed| async move {
            let now = clock::now_ms();
            let expires_at_ms = now + i64::from(draft.ttl_seconds) * 1000;
            let media = Media {
                upload_id: seed.to_string(),
                owner_agent,
                filename: draft.filename,
                mime_type: draft.mime_type,
                size_bytes: draft.size_bytes,
                sha256: draft.sha256.unwrap_or_default(),
                created_at_ms: now,
                expires_at_ms,
                finalized_at_ms: None,
                stored: None,
            };
            let media = self.put_media(call, media).await?;
            let links = self.links(call.deadline).await?;
            Ok(UploadCreated::new(&media, self.place(call), &links))
        })
        .await
    }

    async fn put_media(&self, call: &Call, media: Media) -> Result<Media, ApiError> {
        let home = self.media_home(&MediaAccess::of(call), &media.upload_id);
        home.transact(MEDIA, &media.upload_id, |known: Option<Stored<Media>>| {
            if let Some(known) = known {
                return Ok(Plan::Done(known.row.value));
            }
            let until = Some(media.expires_at_ms + REMEMBERED_MS);
            let changes = vec![change(MEDIA, &media.upload_id, 0, &media, until)];
            Ok(Plan::Commit { changes, then: media.clone() })
        })
        .await
    }

    /// What is known of an upload.
    ///
    /// # Errors
    /// 404 for one that is none of the workspace's.
    pub(crate) async fn media(&self, call: &Call, id: &str) -> Result<UploadAnswer, ApiError> {
        let media = self.find_media(&MediaAccess::of(call), id).await?.row.value;
        let state = MediaState::of(&media, clock::now_ms());
        let links = self.links(call.deadline).await?;
        let upload = UploadBody::new(&media, state, self.place(call), &links);
        Ok(UploadAnswer { ok: true, upload })
    }

    async fn find_media(&self, access: &MediaAccess, id: &str) -> Result<Stored<Media>, ApiError> {
        let id = upload_id(id)?;
        let media = self.media_home(access, &id).get(MEDIA, &id).await?;
        media.ok_or_else(unknown)
    }

    /// Takes the bytes of an upload.
    ///
    /// # Errors
    /// 404 for an unknown upload, 409 when it is finalized or expired, 422 when size or hash are
    /// not as announced; nothing is kept then.
    pub(crate) async fn upload(
        &self,
        access: &MediaAccess,
        id: &str,
        source: Source<'_>,
    ) -> Result<UploadTaken, ApiError> {
        let _room = self.limits.transfer()?;
        let media = self.find_media(access, id).await?.row.value;
        open(&media)?;
        let attempt = Uuid::new_v4().simple();
        let object =
            ObjectName::new(access.workspace_id(), &format!("{}.{attempt}", media.upload_id));
        let object = object.ok_or_else(ApiError::internal)?;
        let mut source = Measured::new(source, media.size_bytes);
        self.media.put(&object, &mut source).await?;
        let measured = source.finish();
        // The bytes took their time: what is left of the request gets time of its own.
        let access = MediaAccess { deadline: self.deadline(), ..access.clone() };
        let named = match as_announced(&media, &measured) {
            Ok(()) => self.name_bytes(&access, &media.upload_id, &object, &measured).await,
            Err(error) => Err(error),
        };
        let loser = match &named {
            Ok(replaced) => replaced.clone(),
            // It may have happened, and the record names these bytes then.
            Err(error) if error.code == ErrorCode::Unavailable => None,
            Err(_) => Some(object),
        };
        if let Some(loser) = loser {
            // If this fails, a sweep does it.
            self.media.delete(&loser).await.ok();
        }
        named?;
        let Measurement { size_bytes, sha256 } = measured;
        Ok(UploadTaken { ok: true, upload_id: media.upload_id, size_bytes, sha256 })
    }

    /// Makes the record name an object; the one that it named before.
    async fn name_bytes(
        &self,
        access: &MediaAccess,
        id: &str,
        object: &ObjectName,
        measured: &Measurement,
    ) -> Result<Option<ObjectName>, ApiError> {
        let stored = StoredBytes {
            size_bytes: measured.size_bytes,
            sha256: measured.sha256.clone(),
            object: object.to_string(),
        };
        let decide = |known: Option<Stored<Media>>| {
            let known = known.ok_or_else(unknown)?;
            let before = known.row.value.stored.as_ref();
            if before == Some(&stored) {
                return Ok(Plan::Done(None));
            }
            open(&known.row.value)?;
            let replaced = before.and_then(|before| ObjectName::parse(&before.object));
            let media = Media { stored: Some(stored.clone()), ..known.row.value };
            let changes = vec![change(MEDIA, id, known.row.revision, &media, known.expire_at_ms)];
            Ok(Plan::Commit { changes, then: replaced })
        };
        self.media_home(access, id).transact(MEDIA, id, decide).await
    }

    /// Ends an upload: the file is what it was announced as.
    ///
    /// # Errors
    /// 404 for an unknown upload, 409 when it has expired (or has no bytes, with
    /// `media.require-bytes`), 422 when size or hash are not those of the bytes.
    pub(crate) async fn finalize_upload(
        &self,
        call: &Call,
        body: &Bytes,
    ) -> Result<Value, ApiError> {
        let mut reader = Reader::new(body)?;
        let id = reader.required_string("upload_id", 1, 64).unwrap_or_default();
        let size_bytes = reader.size("size_bytes", 1, SIZE_BYTES_MAX);
        let size_bytes = reader.require("size_bytes", size_bytes).unwrap_or_default();
        let sha256 = reader.sha256("sha256");
        reader.finish()?;
        let id = upload_id(&id)?;
        self.once(call, "POST /v1/media/finalize-upload", body, |_| async move {
            let home = self.media_home(&MediaAccess::of(call), &id);
            let decide = |known: Option<Stored<Media>>| {
                let known = known.ok_or_else(unknown)?;
                if known.row.value.finalized_at_ms.is_some() {
                    return Ok(Plan::Done(known.row.value));
                }
                let media = &known.row.value;
                open(media)?;
                self.complete(media, size_bytes, sha256.as_deref())?;
                let finalized_at_ms = Some(clock::now_ms());
                let media = Media { finalized_at_ms, ..known.row.value };
                // What is ready stays.
                let changes = vec![change(MEDIA, &id, known.row.revision, &media, None)];
                Ok(Plan::Commit { changes, then: media })
            };
            let media = home.transact(MEDIA, &id, decide).await?;
            Ok(UploadFinalized::new(&media, self.place(call)))
        })
        .await
    }

    fn complete(&self, media: &Media, size: u64, sha256: Option<&str>) -> Result<(), ApiError> {
        if size != media.size_bytes {
            let message = format!("the upload was announced with {} bytes", media.size_bytes);
            return Err(ApiError::invalid(&["body", "size_bytes"], &message, "value_error"));
        }
        let Some(stored) = &media.stored else {
            if self.config.media.require_bytes {
                let message = "no bytes were uploaded";
                return Err(ApiError::new(ErrorCode::InvalidState, message));
            }
            return Ok(());
        };
        if sha256.is_some_and(|sha256| sha256 != stored.sha256) {
            let message = "is not that of the bytes";
            return Err(ApiError::invalid(&["body", "sha256"], message, "value_error"));
        }
        Ok(())
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// 404 for an unknown upload or one without bytes, 409 when it is not finalized.
    pub(crate) async fn download(
        &self,
        access: &MediaAccess,
        id: &str,
    ) -> Result<Download, ApiError> {
        let permit = self.limits.transfer()?;
        let media = self.find_media(access, id).await?.row.value;
        if MediaState::of(&media, clock::now_ms()) != MediaState::Ready {
            return Err(ApiError::new(ErrorCode::InvalidState, "the upload is not finalized"));
        }
        let stored = media.stored.ok_or_else(|| ApiError::not_found("no bytes were uploaded"))?;
        let object = ObjectName::parse(&stored.object).ok_or_else(ApiError::internal)?;
        let content = self.media.get(&object).await?;
        let content = content.ok_or_else(|| {
            tracing::error!(object = %object, "bytes that a record names are missing");
            ApiError::unavailable("the bytes are not there")
        })?;
        let (filename, mime_type) = (media.filename, media.mime_type);
        Ok(Download { filename, mime_type, content, permit })
    }

    /// The bytes of an image.
    ///
    /// # Errors
    /// As [`Self::download`]; 404 for what is no image.
    pub(crate) async fn preview(
        &self,
        access: &MediaAccess,
        id: &str,
    ) -> Result<Download, ApiError> {
        let media = self.find_media(access, id).await?.row.value;
        if !is_image(&media.mime_type) {
            return Err(ApiError::not_found("there is no preview of this type"));
        }
        self.download(access, id).await
    }

    fn media_home(&self, access: &MediaAccess, upload_id: &str) -> Records<'_> {
        let home = format!("media/{upload_id}");
        let scope = access.scope.clone();
        Records::of(&self.cluster, scope, access.deadline, access.workspace_id(), home)
    }

    fn place<'a>(&'a self, call: &'a Call) -> MediaPlace<'a> {
        MediaPlace {
            workspace_id: call.caller.workspace_id(),
            bucket: &self.config.media.bucket,
            size_bytes_max: self.config.media.size_bytes_max,
        }
    }
}

fn upload_id(text: &str) -> Result<String, ApiError> {
    Uuid::try_parse(text).map(|id| id.to_string()).map_err(|_| unknown())
}

fn unknown() -> ApiError {
    ApiError::not_found("upload not found")
}
