//! Deletes bytes that no record names: of uploads that expired, were replaced, or whose gateway died.
//!
//! Every gateway does this now and then. Bytes are named by a record soon after they are stored, or
//! never; what is young is left alone, since its record may be about to be written.

use axp_proto::node::{Media, Scope};
use futures_util::TryStreamExt as _;

use super::{MEDIA, MediaState};
use crate::clock;
use crate::cluster::{Records, Stored};
use crate::error::ApiError;
use crate::media::{Listed, ObjectName};
use crate::metrics::MEDIA_SWEPT_TOTAL;
use crate::service::Service;

/// Longer than any request may take from the last byte to the record.
const YOUNG_MS: i64 = 60 * 60 * 1000;

impl Service {
    /// Looks through all objects once; how many were deleted.
    ///
    /// # Errors
    /// When storage or cluster fail; the rest is looked through next time.
    pub(crate) async fn sweep_media(&self) -> Result<usize, ApiError> {
        let oldest = clock::now_ms() - YOUNG_MS;
        let (mut count, mut objects) = (0, self.media.list());
        while let Some(Listed { name, stored_at_ms }) = objects.try_next().await? {
            if stored_at_ms < oldest && !self.is_needed(&name).await? {
                self.media.delete(&name).await?;
                metrics::counter!(MEDIA_SWEPT_TOTAL).increment(1);
                count += 1;
            }
        }
        Ok(count)
    }

    /// Whether the record of an object's upload names it and is not over.
    async fn is_needed(&self, object: &ObjectName) -> Result<bool, ApiError> {
        let Some((upload_id, _)) = object.file().split_once('.') else { return Ok(false) };
        let workspace_id = object.folder();
        let home = Records::of(
            &self.cluster,
            Scope { workspace_id: workspace_id.to_owned(), ..Scope::default() },
            self.deadline(),
            workspace_id,
            format!("media/{upload_id}"),
        );
        let media: Option<Stored<Media>> = home.get(MEDIA, upload_id).await?;
        Ok(media.is_some_and(|media| {
            let media = media.row.value;
            let named = media.stored.as_ref().is_some_and(|it| it.object == object.to_string());
            named && MediaState::of(&media, clock::now_ms()) != MediaState::Expired
        }))
    }
}
