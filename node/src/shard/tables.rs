//! Typed reads and writes of a shard's rows, over a transaction or a reader.

use axp_raft_store::{Error, StateReader, Transaction};
use bytes::Bytes;
use prost::Message;

/// What a row can be read from.
pub(super) trait Rows {
    fn bytes(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// The message under a key, if there is one.
    fn message<M: Message + Default>(&self, key: &[u8]) -> Result<Option<M>, Error> {
        self.bytes(key)?.map(decode).transpose()
    }

    /// A counter; one that was never written is 0.
    fn number(&self, key: &[u8]) -> Result<u64, Error> {
        let Some(bytes) = self.bytes(key)? else { return Ok(0) };
        let bytes: [u8; 8] = bytes[..].try_into().map_err(Error::applier)?;
        Ok(u64::from_be_bytes(bytes))
    }
}

impl Rows for Transaction<'_> {
    fn bytes(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.get(key)
    }
}

impl Rows for StateReader {
    fn bytes(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.get(key)
    }
}

pub(super) fn decode<M: Message + Default>(bytes: Bytes) -> Result<M, Error> {
    M::decode(bytes).map_err(Error::applier)
}

pub(super) fn put<M: Message>(tx: &mut Transaction<'_>, key: Vec<u8>, message: &M) {
    tx.put(key, message.encode_to_vec());
}

pub(super) fn put_number(tx: &mut Transaction<'_>, key: Vec<u8>, number: u64) {
    tx.put(key, number.to_be_bytes().to_vec());
}
