//! The selectable engine: sled 0.34, with what it lacks for durability added here.
//!
//! sled's own `flush` writes and starts write-back but never calls `fsync` (docs/adr/0001), so
//! `sync` follows it with `fdatasync` on the database file and on every blob file. What sled cannot
//! promise stays so: after a power loss which kept some unsynced writes and lost others, the
//! database may refuse to open. A scan sees later batches behind its position, and a consistent
//! view is a copy of the range in a spool file, written while its owner holds writes back.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{Batch, Engine, Op, Tuning, View, Visit};
use crate::error::Error;
use crate::snapshot::spool::Spool;

const ENGINE: &str = "sled";

/// Larger than sled's default of 512 KiB, with which values of 16 KB and more land in blob files.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;

pub(crate) struct Sled {
    database: sled::Db,
    /// sled's log, opened once more: `fdatasync` works on the file, whoever wrote to it.
    file: File,
    path: PathBuf,
    blobs: PathBuf,
    synced_blobs: Mutex<HashSet<std::ffi::OsString>>,
}

impl fmt::Debug for Sled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sled").finish_non_exhaustive()
    }
}

fn wrap(action: &'static str) -> impl FnOnce(sled::Error) -> Error {
    move |error| Error::Engine { engine: ENGINE, action, source: Box::new(error) }
}

impl Sled {
    pub(crate) fn open(dir: &Path, tuning: Tuning) -> Result<Self, Error> {
        let database = sled::Config::new()
            .path(dir)
            .cache_capacity(tuning.cache_bytes.max(16 * 1024 * 1024))
            .segment_size(SEGMENT_BYTES)
            .mode(sled::Mode::HighThroughput)
            // The background flusher logs an error of its sync and goes on; ours does not.
            .flush_every_ms(None)
            .open()
            .map_err(wrap("open the database"))?;
        let path = dir.join("db");
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        sync_dir(dir)?;
        let synced_blobs = Mutex::default();
        Ok(Self { database, file, path, blobs: dir.join("blobs"), synced_blobs })
    }

    /// Blob files hold values too large for a segment; sled never syncs them.
    fn sync_blobs(&self) -> Result<(), Error> {
        let entries = match std::fs::read_dir(&self.blobs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("list", &self.blobs)(error)),
        };
        let mut synced = self.synced_blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut present = HashSet::new();
        let mut added = false;
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &self.blobs))?;
            if !synced.contains(&entry.file_name()) {
                match File::open(entry.path()).and_then(|file| file.sync_all()) {
                    Ok(()) => added = true,
                    // Removed meanwhile: nothing refers to it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(Error::io("sync", &entry.path())(error)),
                }
            }
            present.insert(entry.file_name());
        }
        *synced = present;
        if added { sync_dir(&self.blobs) } else { Ok(()) }
    }
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(Error::io("sync", dir))
}

impl Engine for Sled {
    fn write(&self, batch: Batch) -> Result<(), Error> {
        let mut write = sled::Batch::default();
        for op in batch.ops {
            match op {
                Op::Put(key, value) => write.insert(key.as_ref(), value.as_ref()),
                Op::Delete(key) => write.remove(key.as_ref()),
            }
        }
        self.database.apply_batch(write).map_err(wrap("write a batch"))
    }

    fn sync(&self) -> Result<(), Error> {
        self.database.flush().map_err(wrap("flush"))?;
        self.sync_blobs()?;
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.database.get(key).map_err(wrap("read a value"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        visit_all(self.database.range(from..to), visit)
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        visit_all(self.database.range(from..to).rev(), visit)
    }

    fn view(&self, from: &[u8], to: &[u8], spool: &Path) -> Result<Arc<dyn View>, Error> {
        let mut writer = Spool::create(spool)?;
        let mut result = Ok(());
        self.scan(from, to, &mut |key, value| match writer.push(key, value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                result = Err(error);
                ControlFlow::Break(())
            }
        })?;
        result?;
        Ok(Arc::new(writer.finish()?))
    }

    fn view_is_cheap(&self) -> bool {
        false
    }
}

fn visit_all(
    items: impl Iterator<Item = ::sled::Result<(::sled::IVec, ::sled::IVec)>>,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    for item in items {
        let (key, value) = item.map_err(wrap("scan"))?;
        if let ControlFlow::Break(()) = visit(&key, &value) {
            break;
        }
    }
    Ok(())
}
