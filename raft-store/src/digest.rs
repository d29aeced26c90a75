//! What the state of a replica comes to: one number, so that replicas can be compared.
//!
//! Covers what is replicated and nothing else: the applied log id, the membership, and every key and
//! value of the applier, in key order. What a replica has for itself is not part of it: the log, the
//! vote, and the generation under which it keeps its keys. Not a defence against somebody who makes
//! states collide on purpose.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message as _;
use xxhash_rust::xxh3::Xxh3;

use crate::error::Error;
use crate::types::Snapshot;
use crate::wire;

/// Changes when the same state comes to another number: replicas compare equal versions only.
pub const DIGEST_VERSION: u32 = 1;

/// The state of one replica at one log index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateDigest {
    pub hash: u128,
    pub rows: u64,
    /// Of keys and values.
    pub bytes: u64,
}

impl StateDigest {
    /// Reads the whole state: not for an async thread. `None` when `stop` was set meanwhile.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn of(snapshot: &Snapshot, stop: &AtomicBool) -> Result<Option<Self>, Error> {
        let mut hash = Xxh3::new();
        let mut put = |part: &[u8]| {
            // With its length, so that no two states are the same run of bytes.
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        let applied = snapshot.meta.last_log_id.as_ref().map(wire::log_id_to_proto);
        put(&applied.unwrap_or_default().encode_to_vec());
        let membership = wire::stored_membership_to_proto(&snapshot.meta.last_membership);
        put(&membership.encode_to_vec());
        let (mut rows, mut bytes) = (0, 0);
        snapshot.snapshot.records(&mut |key, value| {
            put(key);
            put(value);
            rows += 1;
            bytes += (key.len() + value.len()) as u64;
            match stop.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        let digest = Self { hash: hash.digest128(), rows, bytes };
        Ok((!stop.load(Ordering::Relaxed)).then_some(digest))
    }
}
