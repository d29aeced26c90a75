//! Every key that this crate writes, as a type: who owns which prefix and what the bytes mean.
//!
//! Log instance: `1 group index` entries, `2 group field` of a group's log, `3 name` of the node,
//! `4` the chain. State instance: `1 group` the group's record, `2 group generation key` the
//! applier's own. Numbers are big-endian, so that byte order is their order.

use axp_proto::ids::GroupId;
use bytes::{BufMut, Bytes, BytesMut};

const ENTRY: u8 = 1;
const FIELD: u8 = 2;
const META: u8 = 3;

const RECORD: u8 = 1;
const DATA: u8 = 2;

/// Where the log's batches are numbered; see `Chain`.
pub(crate) const CHAIN_KEY: &[u8] = &[4];

/// The number of a batch of the log instance, and the last one synced before it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Chain {
    pub(crate) number: u64,
    pub(crate) synced: u64,
}

impl Chain {
    pub(crate) fn encode(self) -> Bytes {
        let mut value = BytesMut::with_capacity(16);
        value.put_u64(self.number);
        value.put_u64(self.synced);
        value.freeze()
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let (number, synced) = value.split_first_chunk::<8>()?;
        let number = u64::from_be_bytes(*number);
        let synced = u64::from_be_bytes(synced.try_into().ok()?);
        Some(Self { number, synced })
    }
}

/// The log of one group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogKeys(pub(crate) GroupId);

/// The single values of a group's log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LogField {
    Vote = 1,
    Committed = 2,
    Purged = 3,
}

impl LogKeys {
    pub(crate) fn entry(self, index: u64) -> Bytes {
        let mut key = BytesMut::with_capacity(11);
        key.put_u8(ENTRY);
        key.put_u16(self.0.0);
        key.put_u64(index);
        key.freeze()
    }

    /// The index of an entry's key.
    pub(crate) fn index(key: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(key.get(3..)?.try_into().ok()?))
    }

    /// Behind the last possible entry of the group.
    pub(crate) fn entries_end(self) -> Bytes {
        let mut key = BytesMut::with_capacity(12);
        key.put_slice(&self.entry(u64::MAX));
        key.put_u8(0);
        key.freeze()
    }

    pub(crate) fn field(self, field: LogField) -> Bytes {
        let mut key = BytesMut::with_capacity(4);
        key.put_u8(FIELD);
        key.put_u16(self.0.0);
        key.put_u8(field as u8);
        key.freeze()
    }
}

/// Whether this is the key of some group's vote, in a log instance.
#[cfg(any(test, feature = "test-util"))]
pub(crate) fn is_vote(key: &[u8]) -> bool {
    matches!(key, [FIELD, _, _, field] if *field == LogField::Vote as u8)
}

/// A value of the node itself, such as its identity.
pub(crate) fn meta(name: &str) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + name.len());
    key.put_u8(META);
    key.put_slice(name.as_bytes());
    key.freeze()
}

/// The state of one group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateKeys(pub(crate) GroupId);

impl StateKeys {
    /// Length of what stands before the applier's own key.
    pub(crate) const PREFIX: usize = 7;

    pub(crate) fn record(self) -> Bytes {
        let mut key = BytesMut::with_capacity(3);
        key.put_u8(RECORD);
        key.put_u16(self.0.0);
        key.freeze()
    }

    pub(crate) fn prefix(self, generation: u32) -> [u8; Self::PREFIX] {
        let [g0, g1] = self.0.0.to_be_bytes();
        let [n0, n1, n2, n3] = generation.to_be_bytes();
        [DATA, g0, g1, n0, n1, n2, n3]
    }

    pub(crate) fn key(self, generation: u32, key: &[u8]) -> Bytes {
        let mut full = BytesMut::with_capacity(Self::PREFIX + key.len());
        full.put_slice(&self.prefix(generation));
        full.put_slice(key);
        full.freeze()
    }

    /// Where a generation ends.
    pub(crate) fn generation_end(self, generation: u32) -> Bytes {
        match generation.checked_add(1) {
            Some(next) => Bytes::copy_from_slice(&self.prefix(next)),
            None => self.end(),
        }
    }

    /// Before the first and behind the last generation of the group.
    pub(crate) fn start(self) -> Bytes {
        Bytes::copy_from_slice(&self.prefix(0)[..3])
    }

    pub(crate) fn end(self) -> Bytes {
        successor(&self.start()).unwrap_or_else(|| Bytes::from_static(&[DATA + 1]))
    }

    /// The generation a key belongs to.
    pub(crate) fn generation(key: &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(key.get(3..Self::PREFIX)?.try_into().ok()?))
    }
}

/// The first key behind all keys which start with `prefix`; `None` if there is no such key.
pub(crate) fn successor(prefix: &[u8]) -> Option<Bytes> {
    let keep = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = BytesMut::from(&prefix[..=keep]);
    next[keep] += 1;
    Some(next.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_their_numbers() {
        let keys = LogKeys(GroupId(3));
        assert!(keys.entry(255) < keys.entry(256));
        assert!(keys.entry(u64::MAX) < keys.entries_end());
        assert!(keys.entries_end() < LogKeys(GroupId(4)).entry(0));
        assert_eq!(LogKeys::index(&keys.entry(7)), Some(7));

        let state = StateKeys(GroupId(3));
        assert!(state.key(1, b"\xff\xff") < state.generation_end(1));
        assert!(state.generation_end(1) <= state.key(2, b""));
        assert!(state.key(u32::MAX, b"z") < state.end());
        assert!(state.end() <= StateKeys(GroupId(4)).start());
        assert!(
            StateKeys(GroupId(u16::MAX)).key(u32::MAX, b"\xff")
                < StateKeys(GroupId(u16::MAX)).end()
        );
        assert_eq!(StateKeys::generation(&state.key(9, b"k")), Some(9));
    }

    #[test]
    fn the_successor_skips_bytes_that_cannot_grow() {
        assert_eq!(successor(b"ab").as_deref(), Some(&b"ac"[..]));
        assert_eq!(successor(b"a\xff").as_deref(), Some(&b"b"[..]));
        assert_eq!(successor(b"\xff\xff"), None);
    }

    #[test]
    fn a_chain_survives_its_encoding() {
        let chain = Chain { number: 9, synced: 8 };
        assert_eq!(Chain::decode(&chain.encode()), Some(chain));
        assert_eq!(Chain::decode(b"short"), None);
    }
}
