//! Bytes on their way in: counted, hashed, and cut off beyond what was announced.

use std::fmt;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;

/// Where the bytes come from; an error is what the client is told.
pub(crate) type Source<'a> = BoxStream<'a, Result<Bytes, ApiError>>;

/// A source that is measured while it is read.
pub(crate) struct Measured<'a> {
    source: Source<'a>,
    most: u64,
    size_bytes: u64,
    hash: Sha256,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measurement {
    pub(crate) size_bytes: u64,
    /// Lower-case hexadecimal digits.
    pub(crate) sha256: String,
}

impl fmt::Debug for Measured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

impl<'a> Measured<'a> {
    /// `most`: bytes beyond this end it.
    pub(crate) fn new(source: Source<'a>, most: u64) -> Self {
        Self { source, most, size_bytes: 0, hash: Sha256::new() }
    }

    /// The next piece; absent at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let Some(piece) = self.source.next().await else { return Ok(None) };
        let piece = piece?;
        self.size_bytes += piece.len() as u64;
        if self.size_bytes > self.most {
            let message = format!("the upload has more than the announced {} bytes", self.most);
            return Err(ApiError::invalid(&["body"], &message, "value_error"));
        }
        self.hash.update(&piece);
        Ok(Some(piece))
    }

    pub(crate) fn finish(self) -> Measurement {
        let sha256 = crate::service::hex(&self.hash.finalize());
        Measurement { size_bytes: self.size_bytes, sha256 }
    }
}
