//! The bytes of a snapshot on the wire and in a received file.
//!
//! ```text
//! header   "AXPSNAP" version:u8 group:u16 has_applied:u8 term:u64 node:u64 index:u64
//! record   key_length:u32 value_length:u32 key value          (any number, keys ascending)
//! trailer  0xffffffff records:u64
//! ```
//!
//! Integers are little-endian. Length and CRC-32C of the whole travel beside it (`SnapshotEnd`).

use std::io::{self, Read};

use axp_proto::{ids::GroupId, raft};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::error::Error;
use crate::types::LogId;
use crate::wire;

/// The version this program writes and reads.
pub const VERSION: u32 = 1;

const MAGIC: &[u8; 7] = b"AXPSNAP";
const HEADER_BYTES: usize = 7 + 1 + 2 + 1 + 24;
const TRAILER_MARK: u32 = u32::MAX;
/// No key or value of ours comes near; a damaged length costs no memory.
const FIELD_BYTES_MAX: u32 = 64 * 1024 * 1024;

pub(super) fn header(group: GroupId, applied: Option<LogId>) -> Bytes {
    let log_id = applied.as_ref().map(wire::log_id_to_proto).unwrap_or_default();
    let mut header = BytesMut::with_capacity(HEADER_BYTES);
    header.put_slice(MAGIC);
    header.put_u8(VERSION.to_le_bytes()[0]);
    header.put_u16_le(group.0);
    header.put_u8(u8::from(applied.is_some()));
    header.put_u64_le(log_id.term);
    header.put_u64_le(log_id.node_id);
    header.put_u64_le(log_id.index);
    header.freeze()
}

pub(super) fn put_record(into: &mut BytesMut, key: &[u8], value: &[u8]) -> Result<(), Error> {
    let length =
        |bytes: &[u8]| u32::try_from(bytes.len()).ok().filter(|length| *length <= FIELD_BYTES_MAX);
    let (Some(key_length), Some(value_length)) = (length(key), length(value)) else {
        let reason = format!("a record of {} and {} bytes", key.len(), value.len());
        return Err(Error::Snapshot(reason));
    };
    into.put_u32_le(key_length);
    into.put_u32_le(value_length);
    into.put_slice(key);
    into.put_slice(value);
    Ok(())
}

pub(super) fn put_trailer(into: &mut BytesMut, records: u64) {
    into.put_u32_le(TRAILER_MARK);
    into.put_u64_le(records);
}

/// A key and its value.
pub(super) type Record<'a> = (&'a [u8], &'a [u8]);

/// Reads a snapshot from its beginning.
#[derive(Debug)]
pub(super) struct Reader<R> {
    source: R,
    key: Vec<u8>,
    value: Vec<u8>,
    records: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub(super) fn open(mut source: R) -> Result<(Self, GroupId, Option<LogId>), Error> {
        let mut bytes = [0; HEADER_BYTES];
        source.read_exact(&mut bytes).map_err(unreadable)?;
        let mut header = &bytes[..];
        if !header.starts_with(MAGIC) {
            return Err(Error::Snapshot("it is not a snapshot".to_owned()));
        }
        header.advance(MAGIC.len());
        let version = u32::from(header.get_u8());
        if version != VERSION {
            let reason = format!("it has format {version}, this program knows {VERSION}");
            return Err(Error::Snapshot(reason));
        }
        let group = GroupId(header.get_u16_le());
        let has_applied = header.get_u8() != 0;
        let (term, node_id) = (header.get_u64_le(), header.get_u64_le());
        let log_id = raft::LogId { term, node_id, index: header.get_u64_le() };
        let applied = has_applied.then(|| wire::log_id_from_proto(&log_id)).transpose()?;
        let reader = Self { source, key: Vec::new(), value: Vec::new(), records: 0 };
        Ok((reader, group, applied))
    }

    /// The next record; `None` after a correct trailer.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        let key_length = self.u32()?;
        if key_length == TRAILER_MARK {
            return self.trailer().map(|()| None);
        }
        let value_length = self.u32()?;
        if key_length > FIELD_BYTES_MAX || value_length > FIELD_BYTES_MAX {
            let reason = format!("a record of {key_length} and {value_length} bytes");
            return Err(Error::Snapshot(reason));
        }
        fill(&mut self.source, &mut self.key, key_length)?;
        fill(&mut self.source, &mut self.value, value_length)?;
        self.records += 1;
        Ok(Some((&self.key, &self.value)))
    }

    fn trailer(&mut self) -> Result<(), Error> {
        let mut bytes = [0; 8];
        self.source.read_exact(&mut bytes).map_err(unreadable)?;
        let announced = u64::from_le_bytes(bytes);
        let more = self.source.read(&mut [0]).map_err(unreadable)?;
        if announced != self.records || more != 0 {
            let found = self.records;
            return Err(Error::Snapshot(format!("{found} records instead of {announced}")));
        }
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.source.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

fn fill(source: &mut impl Read, field: &mut Vec<u8>, length: u32) -> Result<(), Error> {
    field.resize(length as usize, 0);
    source.read_exact(field).map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn unreadable(error: io::Error) -> Error {
    Error::Snapshot(format!("it ends too early or cannot be read: {error}"))
}
