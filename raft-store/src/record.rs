//! How stored values are framed: `version:u8 crc32c:u32 body`, little-endian, so that damage is seen
//! on every read and a later format can be told from this one.

use axp_proto::mutant::{self, Mutant};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::error::Error;

const VERSION: u8 = 1;
const HEADER: usize = 5;

/// Frames a message.
pub(crate) fn encode(message: &impl Message) -> Bytes {
    let mut record = BytesMut::with_capacity(HEADER + message.encoded_len());
    record.put_u8(VERSION);
    record.put_u32_le(0);
    message.encode_raw(&mut record);
    let checksum = crc32c::crc32c(&record[HEADER..]);
    record[1..HEADER].copy_from_slice(&checksum.to_le_bytes());
    record.freeze()
}

/// Checks the frame and decodes the message; `what` names it in the error.
pub(crate) fn decode<M: Message + Default>(
    record: &Bytes,
    what: impl FnOnce() -> String,
) -> Result<M, Error> {
    let body = match check(record) {
        Ok(()) => record.slice(HEADER..),
        Err(reason) => return Err(Error::Corrupt(format!("{}: {reason}", what()))),
    };
    M::decode(body).map_err(|error| Error::Corrupt(format!("{}: {error}", what())))
}

fn check(record: &[u8]) -> Result<(), String> {
    let Some((&[version, c0, c1, c2, c3], body)) = record.split_first_chunk::<HEADER>() else {
        return Err(format!("a record of {} bytes", record.len()));
    };
    if version != VERSION {
        return Err(format!("record version {version}, this program knows {VERSION}"));
    }
    let (stored, computed) = (u32::from_le_bytes([c0, c1, c2, c3]), crc32c::crc32c(body));
    if stored != computed && !mutant::active(Mutant::TailUnchecked) {
        return Err(format!("checksum {computed:08x} instead of {stored:08x}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axp_proto::raft;

    use super::*;

    #[test]
    fn every_flipped_bit_is_seen() {
        let log_id = raft::LogId { term: 1, node_id: 2, index: 3 };
        let record = encode(&log_id);
        assert_eq!(decode::<raft::LogId>(&record, String::new).unwrap(), log_id);
        for bit in 0..record.len() * 8 {
            let mut damaged = record.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let result = decode::<raft::LogId>(&Bytes::from(damaged), || "log id".to_owned());
            assert!(matches!(result, Err(Error::Corrupt(_))), "bit {bit}");
        }
        assert!(decode::<raft::LogId>(&record.slice(..4), String::new).is_err());
    }

    #[test]
    fn stored_bytes_stay_readable() {
        // Golden: what version 1 looks like. Never change this line, add another one.
        let golden = [1, 0xc4, 0x29, 0xb7, 0x18, 8, 1, 16, 2, 24, 3];
        let log_id: raft::LogId = decode(&Bytes::copy_from_slice(&golden), String::new).unwrap();
        assert_eq!(log_id, raft::LogId { term: 1, node_id: 2, index: 3 });
    }
}
