//! An outgoing snapshot as a sequence of chunks, made while they are sent.

use std::fs::File;
use std::io::Read as _;
use std::ops::ControlFlow;

use axp_proto::mutant::{self, Mutant};
use bytes::{Bytes, BytesMut};

use super::{SnapshotData, Source, format};
use crate::error::Error;

/// One message of a snapshot stream carries at most so much.
const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// When a chunk of records is full enough; a larger record is cut.
const CHUNK_BYTES_GOAL: usize = 512 * 1024;

/// The bytes of a snapshot; afterwards `end` says how many there were and their checksum.
#[derive(Debug)]
pub struct Chunks {
    data: SnapshotData,
    ready: BytesMut,
    file: Option<File>,
    after: Option<Vec<u8>>,
    records: u64,
    complete: bool,
    bytes: u64,
    crc32c: u32,
}

impl Chunks {
    pub(super) fn new(data: SnapshotData) -> Self {
        let mut ready = BytesMut::new();
        if matches!(data.source, Source::View { .. }) {
            ready.extend_from_slice(&data.header());
        }
        let (file, after) = (None, None);
        Self { data, ready, file, after, records: 0, complete: false, bytes: 0, crc32c: 0 }
    }

    /// Length and CRC-32C of all chunks given out so far; of the whole once they are exhausted.
    pub fn end(&self) -> (u64, u32) {
        (self.bytes, self.crc32c)
    }

    fn fill(&mut self) -> Result<(), Error> {
        match &self.data.source {
            Source::View { .. } => self.fill_from_view(),
            Source::Received(_) => self.fill_from_file(),
        }
    }

    fn fill_from_view(&mut self) -> Result<(), Error> {
        let (ready, records) = (&mut self.ready, &mut self.records);
        let mut last = None;
        let mut result = Ok(());
        self.data.records_from(self.after.as_deref(), &mut |key, value| {
            // The node's tag of idempotency keys.
            if mutant::active(Mutant::SnapshotWithoutKeys) && key.starts_with(b"k") {
                return ControlFlow::Continue(());
            }
            result = format::put_record(ready, key, value);
            *records += 1;
            if result.is_ok() && ready.len() < CHUNK_BYTES_GOAL {
                return ControlFlow::Continue(());
            }
            last = Some(key.to_vec());
            ControlFlow::Break(())
        })?;
        result?;
        self.complete = last.is_none();
        self.after = last;
        if self.complete {
            format::put_trailer(&mut self.ready, self.records);
        }
        Ok(())
    }

    fn fill_from_file(&mut self) -> Result<(), Error> {
        let Source::Received(received) = &self.data.source else { return Ok(()) };
        let failed = Error::io("read", received.path());
        let file = match &mut self.file {
            Some(file) => file,
            none => match File::open(received.path()) {
                Ok(file) => none.insert(file),
                Err(error) => return Err(failed(error)),
            },
        };
        let mut buffer = vec![0; CHUNK_BYTES_GOAL];
        let count = file.read(&mut buffer).map_err(failed)?;
        self.ready.extend_from_slice(&buffer[..count]);
        self.complete = count == 0;
        Ok(())
    }
}

impl Iterator for Chunks {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.complete
            && self.ready.len() < CHUNK_BYTES_GOAL
            && let Err(error) = self.fill()
        {
            self.complete = true;
            self.ready.clear();
            return Some(Err(error));
        }
        if self.ready.is_empty() {
            return None;
        }
        let chunk = self.ready.split_to(self.ready.len().min(CHUNK_BYTES_MAX)).freeze();
        self.bytes += chunk.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &chunk);
        Some(Ok(chunk))
    }
}
