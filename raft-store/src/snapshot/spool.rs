//! A view for engines that have none: the keys of a range, copied to a file.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::path::Path;

use super::sink::TempFile;
use crate::engine::{View, Visit};
use crate::error::Error;

/// How far apart the remembered positions are; a scan reads at most so much too much.
const INDEX_BYTES: u64 = 256 * 1024;

/// The file and where some of its keys are. Never read after a restart, so neither synced nor
/// checksummed: the chunks made from it are.
#[derive(Debug)]
pub(crate) struct Spool {
    path: TempFile,
    writer: Option<BufWriter<File>>,
    index: Vec<(Vec<u8>, u64)>,
    length: u64,
}

impl Spool {
    /// `path` is used by nobody else: an earlier view of the same keys may still be read.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create_new(path).map_err(Error::io("create", path))?;
        let writer = Some(BufWriter::new(file));
        Ok(Self { path: TempFile(path.to_path_buf()), writer, index: Vec::new(), length: 0 })
    }

    /// Adds a key; keys come in ascending order.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if self.index.last().is_none_or(|(_, at)| self.length - at >= INDEX_BYTES) {
            self.index.push((key.to_vec(), self.length));
        }
        let Some(writer) = &mut self.writer else { return Err(Error::Closed) };
        let (key_length, value_length) = (key.len() as u64, value.len() as u64);
        let mut write = || {
            writer.write_all(&key_length.to_le_bytes())?;
            writer.write_all(&value_length.to_le_bytes())?;
            writer.write_all(key)?;
            writer.write_all(value)
        };
        write().map_err(Error::io("write", &self.path.0))?;
        self.length += 16 + key_length + value_length;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Self, Error> {
        if let Some(mut writer) = self.writer.take() {
            writer.flush().map_err(Error::io("write", &self.path.0))?;
        }
        Ok(self)
    }
}

impl View for Spool {
    fn scan(&self, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let behind = self.index.partition_point(|(key, _)| key.as_slice() <= from);
        let start = behind.checked_sub(1).map_or(0, |entry| self.index[entry].1);
        let mut read = || -> std::io::Result<()> {
            let mut file = File::open(&self.path.0)?;
            file.seek(SeekFrom::Start(start))?;
            let mut file = BufReader::with_capacity(64 * 1024, file);
            let (mut at, mut lengths) = (start, [0; 16]);
            let (mut key, mut value) = (Vec::new(), Vec::new());
            while at < self.length {
                file.read_exact(&mut lengths)?;
                let (key_length, value_length) = lengths.split_at(8);
                resize(&mut key, key_length);
                resize(&mut value, value_length);
                file.read_exact(&mut key)?;
                file.read_exact(&mut value)?;
                at += 16 + (key.len() + value.len()) as u64;
                if key.as_slice() >= from && visit(&key, &value) == ControlFlow::Break(()) {
                    break;
                }
            }
            Ok(())
        };
        read().map_err(Error::io("read", &self.path.0))
    }
}

fn resize(field: &mut Vec<u8>, length: &[u8]) {
    let length = length.try_into().map(u64::from_le_bytes).unwrap_or(0);
    field.resize(usize::try_from(length).unwrap_or(0), 0);
}
