//! Media in a bucket of S3, or of anything that speaks its protocol.
//!
//! ```text
//! <prefix>/objects/<folder>/<file>    an object, whole
//! <prefix>/partial/<random>           a large upload under way: of which object, and under which id
//! ```
//!
//! What fits one part is one request. More goes up in parts, which S3 makes an object at once when
//! all are there; one part of an upload is in memory at a time. Parts that nobody completes are not
//! seen by a listing but are paid for, so the upload is written down before its first part, and a
//! sweep ends what was left by a process that died. No rule in the bucket is needed for that.

mod http;

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, RetryConfig};
use serde::{Deserialize, Serialize};

use self::http::Connector;
use super::{Content, Error, Listed, Measured, ObjectName, Storage};
use crate::clock;
use crate::config::MediaS3Config;

/// The smallest that S3 takes for a part that is not the last. 410 of them are the largest file.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// No upload takes this long; what is older was left by a process that died.
const PARTIAL_AGE_MAX_MS: i64 = 24 * 60 * 60 * 1000;
const RETRIES_MAX: usize = 3;
/// A request is sent again only within this time from its first attempt.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no access to a bucket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum S3Error {
    #[error("media-s3 cannot be used")]
    Config(#[source] Box<object_store::Error>),
    #[error("no TLS for media-s3")]
    Tls(#[from] rustls::Error),
}

/// What is needed of a bucket.
trait Bucket: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Bucket for T {}

#[derive(Debug)]
pub(crate) struct S3Storage {
    store: Box<dyn Bucket>,
    objects: Path,
    partial: Path,
    partial_age_max_ms: i64,
}

/// What is written down of a large upload.
#[derive(Debug, Serialize, Deserialize)]
struct Partial {
    object: String,
    upload_id: String,
}

/// A large upload under way.
#[derive(Debug)]
struct Upload {
    object: Path,
    id: String,
    note: Path,
}

impl S3Storage {
    /// # Errors
    /// When the configuration cannot be a bucket's. Nothing is asked of the bucket yet.
    pub(crate) fn new(config: &MediaS3Config) -> Result<Self, S3Error> {
        // What is not configured is taken from the environment as every AWS client takes it.
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_virtual_hosted_style_request(config.virtual_hosted_style)
            .with_allow_http(true)
            // One request of its own is understood by every server.
            .with_disable_bulk_delete(true)
            .with_http_connector(Connector::new(config.timeout())?)
            .with_retry(RetryConfig {
                max_retries: RETRIES_MAX,
                retry_timeout: RETRY_TIMEOUT,
                ..RetryConfig::default()
            });
        if !config.endpoint.is_empty() {
            builder = builder.with_endpoint(&config.endpoint);
        }
        if !config.access_key_id.is_empty() {
            builder = builder
                .with_access_key_id(&config.access_key_id)
                .with_secret_access_key(&config.secret_access_key);
        }
        let store = builder.build().map_err(|error| S3Error::Config(Box::new(error)))?;
        Ok(Self::over(Box::new(store), &config.prefix))
    }

    fn over(store: Box<dyn Bucket>, prefix: &str) -> Self {
        let parts = || prefix.split('/').filter(|part| !part.is_empty());
        let under = |folder| Path::from_iter(parts().chain([folder]));
        Self {
            store,
            objects: under("objects"),
            partial: under("partial"),
            partial_age_max_ms: PARTIAL_AGE_MAX_MS,
        }
    }

    fn path(&self, name: &ObjectName) -> Path {
        self.objects.clone().join(name.folder()).join(name.file())
    }

    async fn begin(&self, name: &ObjectName) -> Result<Upload, Error> {
        let object = self.path(name);
        let id = self.store.create_multipart(&object).await?;
        let random: u128 = rand::random();
        let note = self.partial.clone().join(format!("{random:032x}"));
        let upload = Upload { object, id, note };
        let partial = Partial { object: name.to_string(), upload_id: upload.id.clone() };
        let text = serde_json::to_vec(&partial).map_err(io::Error::from)?;
        match self.store.put(&upload.note, text.into()).await {
            Ok(_) => Ok(upload),
            Err(error) => {
                self.end(&upload).await.ok();
                Err(error.into())
            }
        }
    }

    /// Sends what comes, part by part, and makes an object of it.
    async fn fill(
        &self,
        upload: &Upload,
        first: Bytes,
        parts: &mut Parts<'_, '_>,
    ) -> Result<(), Error> {
        let (mut part, mut ids) = (first, Vec::new());
        while !part.is_empty() {
            let sent = self.store.put_part(&upload.object, &upload.id, ids.len(), part.into());
            ids.push(sent.await?);
            part = parts.next().await?;
        }
        match self.store.complete_multipart(&upload.object, &upload.id, ids).await {
            Ok(_) => Ok(()),
            // An answer that was lost: nobody else stores under this name, so if it is there it is whole.
            Err(_) if self.store.head(&upload.object).await.is_ok() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives an upload up. One that is complete, or was given up before, is left as it is.
    async fn end(&self, upload: &Upload) -> Result<(), Error> {
        absent_is_fine(self.store.abort_multipart(&upload.object, &upload.id).await)?;
        absent_is_fine(self.store.delete(&upload.note).await)
    }

    /// Ends uploads that nobody goes on with.
    async fn tidy(&self) -> Result<(), Error> {
        let oldest = clock::now_ms() - self.partial_age_max_ms;
        let mut notes = self.store.list(Some(&self.partial));
        while let Some(note) = notes.try_next().await? {
            if note.last_modified.timestamp_millis() >= oldest {
                continue;
            }
            let text = match self.store.get(&note.location).await {
                Ok(text) => text.bytes().await?,
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let Some((name, id)) = read_note(&text) else {
                tracing::warn!(note = %note.location, "this is no note of an upload");
                continue;
            };
            let upload = Upload { object: self.path(&name), id, note: note.location };
            self.end(&upload).await?;
        }
        Ok(())
    }

    /// An object of a listing; absent for what is none of ours.
    fn listed(&self, found: &object_store::ObjectMeta) -> Option<Listed> {
        let mut parts = found.location.prefix_match(&self.objects)?;
        let (folder, file) = (parts.next()?, parts.next()?);
        let name =
            ObjectName::new(folder.as_ref(), file.as_ref()).filter(|_| parts.next().is_none())?;
        Some(Listed { name, stored_at_ms: found.last_modified.timestamp_millis() })
    }
}

#[tonic::async_trait]
impl Storage for S3Storage {
    async fn put(&self, name: &ObjectName, source: &mut Measured<'_>) -> Result<(), Error> {
        let mut parts = Parts { source, rest: Bytes::new() };
        let first = parts.next().await?;
        if first.len() < PART_BYTES {
            self.store.put(&self.path(name), first.into()).await?;
            return Ok(());
        }
        let upload = self.begin(name).await?;
        let filled = self.fill(&upload, first, &mut parts).await;
        // After a success only the note is left to go. If this fails, a sweep does it.
        let ended = match &filled {
            Ok(()) => absent_is_fine(self.store.delete(&upload.note).await),
            Err(_) => self.end(&upload).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "what is left of an upload is swept up later");
        }
        filled
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<Content>, Error> {
        let found = match self.store.get(&self.path(name)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let size_bytes = found.meta.size;
        let body = found.into_stream().map_err(io::Error::other);
        Ok(Some(Content { size_bytes, body: body.boxed() }))
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        absent_is_fine(self.store.delete(&self.path(name)).await)
    }

    fn list(&self) -> BoxStream<'_, Result<Listed, Error>> {
        let objects = self.store.list(Some(&self.objects)).map_err(Error::from);
        let objects = objects.try_filter_map(move |found| async move { Ok(self.listed(&found)) });
        stream::once(self.tidy())
            .filter_map(|tidied| async { tidied.err().map(Err) })
            .chain(objects)
            .boxed()
    }
}

/// What comes, in parts of one size; the last one is shorter, and empty at the end.
struct Parts<'a, 'b> {
    source: &'a mut Measured<'b>,
    rest: Bytes,
}

impl Parts<'_, '_> {
    /// Copied together: a client that sends byte by byte must not cost more than the bytes.
    async fn next(&mut self) -> Result<Bytes, Error> {
        let mut part = BytesMut::new();
        loop {
            let room = PART_BYTES - part.len();
            part.extend_from_slice(&self.rest.split_to(room.min(self.rest.len())));
            if part.len() == PART_BYTES {
                return Ok(part.freeze());
            }
            match self.source.next().await.map_err(Error::Refused)? {
                Some(piece) => self.rest = piece,
                None => return Ok(part.freeze()),
            }
        }
    }
}

fn read_note(text: &[u8]) -> Option<(ObjectName, String)> {
    let partial: Partial = serde_json::from_slice(text).ok()?;
    Some((ObjectName::parse(&partial.object)?, partial.upload_id))
}

fn absent_is_fine(outcome: object_store::Result<()>) -> Result<(), Error> {
    match outcome {
        Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        Self::Io(io::Error::other(error))
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::super::conformance;
    use super::*;

    fn storage() -> S3Storage {
        S3Storage::over(Box::new(InMemory::new()), "axp/media")
    }

    /// Notes of uploads under way.
    async fn notes(storage: &S3Storage) -> usize {
        storage.store.list(Some(&storage.partial)).count().await
    }

    #[tokio::test]
    async fn it_is_a_storage() {
        let storage = storage();
        conformance::all(&storage).await;
        assert_eq!(notes(&storage).await, 0, "nothing is left of cut uploads");
        conformance::all(&S3Storage::over(Box::new(InMemory::new()), "")).await;
    }

    #[tokio::test]
    async fn parts_have_one_size() {
        let lengths =
            [1, PART_BYTES, 3 * PART_BYTES + 7, 0, 5].map(|length| Ok(vec![7; length].into()));
        let mut source = Measured::new(stream::iter(lengths).boxed(), u64::MAX);
        let mut parts = Parts { source: &mut source, rest: Bytes::new() };
        let mut sizes = Vec::new();
        while let part = parts.next().await.unwrap()
            && !part.is_empty()
        {
            sizes.push(part.len());
        }
        assert_eq!(sizes, [PART_BYTES, PART_BYTES, PART_BYTES, PART_BYTES, 13]);
    }

    #[tokio::test]
    async fn an_upload_whose_process_died_is_given_up_by_a_sweep() {
        let mut storage = storage();
        let pieces = stream::iter([Ok(vec![7; 2 * PART_BYTES].into())]).chain(stream::pending());
        let mut endless = Measured::new(pieces.boxed(), u64::MAX);
        let name = ObjectName::new("w", "1").unwrap();
        let put = storage.put(&name, &mut endless);
        let waited = tokio::time::timeout(Duration::from_millis(500), put).await;
        assert!(waited.is_err(), "it waits for more");
        assert_eq!(notes(&storage).await, 1);
        let listed: Vec<Listed> = storage.list().try_collect().await.unwrap();
        assert!(listed.is_empty(), "what is not complete is no object");
        assert_eq!(notes(&storage).await, 1, "it may still go on");
        storage.partial_age_max_ms = -60_000;
        let listed: Vec<Listed> = storage.list().try_collect().await.unwrap();
        assert!(listed.is_empty());
        assert_eq!(notes(&storage).await, 0);
    }
}
