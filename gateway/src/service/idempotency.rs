//! Idempotency keys: scope (identity, route, key), compared by the meaning of the body.

use axp_proto::ids::{IntentId, Slot};
use axp_proto::log::MailboxKey;
use axp_proto::node::IdempotencyKey;
use axp_proto::shard_map::{idempotency_slot, mailbox_slot};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Call, Service};
use crate::clock;
use crate::error::ApiError;
use crate::json;

const KEY_LENGTH_MAX: usize = 255;

/// A key that was sent with a request.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) hash: Bytes,
    pub(super) fingerprint: Bytes,
    slot: Slot,
}

impl Claim {
    /// The claim of a request, if it came with a key. `route` is the method and path: the same key
    /// at two places is two keys.
    pub(super) fn of(call: &Call, route: &str, body: &[u8]) -> Result<Option<Self>, ApiError> {
        let Some(key) = call.idempotency_key.as_deref() else { return Ok(None) };
        if key.len() > KEY_LENGTH_MAX {
            let message = "must have at most 255 characters";
            return Err(ApiError::invalid(&["header", "Idempotency-Key"], message, "value_error"));
        }
        Ok(Some(Self {
            hash: digest([call.caller.account_id(), route, key]),
            fingerprint: json::fingerprint(body)?,
            slot: idempotency_slot(call.caller.workspace_id(), route, key),
        }))
    }

    /// The claim of what the server itself does once in a workspace, however often it has to try.
    pub(super) fn own(workspace_id: &str, what: &str, key: &str) -> Self {
        let hash = digest([workspace_id, what, key]);
        let slot = idempotency_slot(workspace_id, what, key);
        Self { fingerprint: hash.clone(), hash, slot }
    }

    /// An id that follows from the claim alone.
    pub(super) fn to_id(&self) -> IntentId {
        let number = |at: usize| {
            let bytes = self.hash.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_be_bytes(bytes.unwrap_or_default())
        };
        IntentId::new(number(0) >> 16, self.slot, number(8))
    }

    pub(super) fn to_wire(&self) -> IdempotencyKey {
        IdempotencyKey { key_hash: self.hash.clone(), fingerprint: self.fingerprint.clone() }
    }
}

fn digest(parts: [&str; 3]) -> Bytes {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Bytes::copy_from_slice(&hash.finalize())
}

impl Service {
    /// The id of a new intent: with a key where a duplicate meets the original, else where the
    /// mailbox of its target is, so that its delivery crosses no shards (ADR 0011).
    pub(super) fn new_intent_id(claim: Option<&Claim>, mailbox: &MailboxKey) -> IntentId {
        let random: u64 = rand::random();
        let slot = claim.map_or_else(|| mailbox_slot(mailbox), |claim| claim.slot);
        IntentId::new(u64::try_from(clock::now_ms()).unwrap_or_default(), slot, random)
    }
}
