//! Where the bytes of media are: outside the Raft log, behind a seam.
//!
//! An object appears whole or not at all, and is there after a power loss once `put` has returned.
//! What an object means, and whether anything still needs it, is said by its record (ADR 0012).

#[cfg(test)]
mod conformance;
mod local;
mod measured;
mod s3;

use std::fmt;

use bytes::Bytes;
use futures_util::stream::BoxStream;

pub(crate) use self::local::LocalStorage;
pub(crate) use self::measured::{Measured, Measurement, Source};
pub(crate) use self::s3::S3Error;
pub(crate) use self::s3::S3Storage;
use crate::config::{Config, MediaStorage};
use crate::error::ApiError;

/// Why an object cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the media storage failed")]
    Io(#[from] std::io::Error),
    /// What was to be stored did not arrive as announced; the text is for the client.
    #[error("the upload was refused: {0}")]
    Refused(ApiError),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal,
            Error::Io(source) => {
                tracing::error!(error = %source, "the media storage failed");
                Self::unavailable("the media storage failed")
            }
        }
    }
}

/// An object's name: `<folder>/<file>`, each of letters, digits, `-`, `_` and dots inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectName {
    folder: String,
    file: String,
}

impl ObjectName {
    /// Absent for what could leave the storage's folder.
    pub(crate) fn new(folder: &str, file: &str) -> Option<Self> {
        let plain = |part: &str| {
            (1..=255).contains(&part.len())
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        (plain(folder) && plain(file))
            .then(|| Self { folder: folder.to_owned(), file: file.to_owned() })
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (folder, file) = text.split_once('/')?;
        Self::new(folder, file)
    }

    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.folder, self.file)
    }
}

/// An object that is being read.
pub(crate) struct Content {
    pub(crate) size_bytes: u64,
    pub(crate) body: BoxStream<'static, Result<Bytes, std::io::Error>>,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

/// An object as a sweep sees it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: ObjectName,
    pub(crate) stored_at_ms: i64,
}

/// The storage that is configured.
///
/// # Errors
/// When there can be none of that configuration. Nothing is asked of it yet.
pub(crate) fn open(config: &Config) -> Result<Box<dyn Storage>, S3Error> {
    Ok(match config.media.storage {
        MediaStorage::Directory => Box::new(LocalStorage::new(&config.media.directory)),
        MediaStorage::S3 => Box::new(S3Storage::new(&config.media_s3)?),
    })
}

/// What keeps the bytes.
#[tonic::async_trait]
pub(crate) trait Storage: fmt::Debug + Send + Sync {
    /// Stores an object, piece by piece. When the source ends early nothing is left of it. When this
    /// future is dropped there is no object, and what else is left goes at a later `list`.
    async fn put(&self, name: &ObjectName, source: &mut Measured<'_>) -> Result<(), Error>;

    /// An object; absent when there is none of that name.
    async fn get(&self, name: &ObjectName) -> Result<Option<Content>, Error>;

    /// Deletes an object; that there is none is no error.
    async fn delete(&self, name: &ObjectName) -> Result<(), Error>;

    /// All objects, in no order. Also tidies up what processes that died left half done.
    fn list(&self) -> BoxStream<'_, Result<Listed, Error>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        let name = ObjectName::parse("workspace-1/0a.bin").unwrap();
        assert_eq!(name.to_string(), "workspace-1/0a.bin");
        for text in
            ["a", "../b", "a/..", "a/.b", "/b", "a/", "a/b/c", "a\\b/c", "a/b c", "\u{e4}/b"]
        {
            assert_eq!(ObjectName::parse(text), None, "{text}");
        }
    }
}
