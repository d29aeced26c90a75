//! An incoming snapshot: spooled to a file, synced, verified, and gone unless it is installed.

use std::fs::{self, File};
use std::io::{BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axp_proto::ids::GroupId;
use bytes::Bytes;

use super::{SnapshotData, Source, format};
use crate::engine::Visit;
use crate::error::Error;
use crate::types::LogId;

/// Distinguishes files of one process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Removes what an earlier process left behind.
pub(crate) fn clean(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let path = entry.map_err(Error::io("list", dir))?.path();
        fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    }
    Ok(())
}

/// A file that is removed when nobody needs it any more.
#[derive(Debug)]
pub(super) struct TempFile(pub(super) PathBuf);

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a temporary file");
        }
    }
}

/// Takes the bytes of a snapshot as they arrive. Dropped without `finish`, it leaves nothing.
#[derive(Debug)]
pub struct SnapshotSink {
    group: GroupId,
    file: File,
    path: TempFile,
    bytes: u64,
    crc32c: u32,
}

impl SnapshotSink {
    pub(crate) fn create(dir: &Path, group: GroupId) -> Result<Self, Error> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("incoming-{group}-{number}.snapshot"));
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        Ok(Self { group, file, path: TempFile(path), bytes: 0, crc32c: 0 })
    }

    /// Appends a chunk. Writes to a file: not for long on an async thread.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[expect(clippy::needless_pass_by_value, reason = "chunks arrive as owned buffers")]
    pub fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        self.file.write_all(&chunk).map_err(Error::io("write", &self.path.0))?;
        self.bytes += chunk.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &chunk);
        Ok(())
    }

    /// Makes the file durable and checks it against what the sender says it is. Waits for the disk.
    ///
    /// # Errors
    /// When length, checksum, format or group are not the announced ones.
    pub fn finish(self, bytes: u64, crc32c: u32) -> Result<SnapshotData, Error> {
        if (self.bytes, self.crc32c) != (bytes, crc32c) {
            return Err(Error::Snapshot(format!(
                "{} bytes with checksum {:08x} arrived, announced were {bytes} with {crc32c:08x}",
                self.bytes, self.crc32c
            )));
        }
        self.file.sync_all().map_err(Error::io("sync", &self.path.0))?;
        let received = Received { path: self.path };
        let (group, applied) = received.verify()?;
        if group != self.group {
            let expected = self.group;
            return Err(Error::Snapshot(format!("it holds group {group} instead of {expected}")));
        }
        Ok(SnapshotData { group, applied, source: Source::Received(Arc::new(received)) })
    }
}

/// A whole snapshot in a file.
#[derive(Debug)]
pub(super) struct Received {
    path: TempFile,
}

impl Received {
    pub(super) fn path(&self) -> &Path {
        &self.path.0
    }

    fn open(&self) -> Result<BufReader<File>, Error> {
        let file = File::open(self.path()).map_err(Error::io("open", self.path()))?;
        Ok(BufReader::with_capacity(256 * 1024, file))
    }

    /// Reads everything once, so that an install cannot fail half way for its sake.
    fn verify(&self) -> Result<(GroupId, Option<LogId>), Error> {
        let (mut reader, group, applied) = format::Reader::open(self.open()?)?;
        let mut last: Option<Vec<u8>> = None;
        while let Some((key, _)) = reader.next()? {
            if last.as_deref().is_some_and(|last| last >= key) {
                return Err(Error::Snapshot("its keys are not in order".to_owned()));
            }
            last.get_or_insert_default().clear();
            last.get_or_insert_default().extend_from_slice(key);
        }
        Ok((group, applied))
    }

    pub(super) fn records(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
        let (mut reader, ..) = format::Reader::open(self.open()?)?;
        while let Some((key, value)) = reader.next()? {
            if let ControlFlow::Break(()) = visit(key, value) {
                break;
            }
        }
        Ok(())
    }
}
