//! Writes of records with an `Idempotency-Key`: done once, whoever crashes in between.
//!
//! ```text
//! claim: key -> seed  ->  the write, all of whose ids come from the seed  ->  key -> answer
//! ```
//!
//! A request that comes again before there is an answer does the same write with the same ids,
//! which changes nothing that is done already. Control writes keep the answer in the same commit
//! instead (`answers.rs`); records of different homes cannot.

use axp_proto::error_code::ErrorCode;
use axp_proto::node::Once;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::answers::KEPT_MS;
use super::credential::hex;
use super::idempotency::Claim;
use super::{Call, Service};
use crate::clock;
use crate::cluster::{Plan, Records, change};
use crate::error::ApiError;

const TABLE: &str = "once";

/// What a key stands for.
enum Begun {
    /// Not known to be done; the revision of its record.
    Seed(Uuid),
    Answered(Value),
}

impl Service {
    /// The records of one home, for this request. `workspace_id` is empty for what belongs to the
    /// whole server.
    pub(super) fn records(
        &self,
        call: &Call,
        workspace_id: &str,
        home: impl Into<String>,
    ) -> Records<'_> {
        let scope = call.caller.scope(call.caller.address());
        Records::of(&self.cluster, scope, call.deadline, workspace_id, home)
    }

    /// Does a write once for each idempotency key; without a key, just so. `work` must come to the
    /// same outcome when it is done again with the same seed.
    ///
    /// # Errors
    /// 409 when the key came with another body before; whatever `work` refuses, which is not kept.
    pub(super) async fn once<A: Serialize, W: Future<Output = Result<A, ApiError>>>(
        &self,
        call: &Call,
        route: &str,
        body: &[u8],
        work: impl FnOnce(Uuid) -> W,
    ) -> Result<Value, ApiError> {
        let Some(claim) = Claim::of(call, route, body)? else {
            return to_json(&work(Uuid::new_v4()).await?);
        };
        let hash = hex(&claim.hash);
        let keys = self.records(call, call.caller.workspace_id(), format!("once/{hash}"));
        let seed = match begin(&keys, &hash, &claim).await? {
            Begun::Answered(answer) => return Ok(answer),
            Begun::Seed(seed) => seed,
        };
        let answer = to_json(&work(seed).await?)?;
        if let Err(error) = keep(&keys, &hash, &answer).await {
            // It is done; who asks again does nothing again.
            tracing::debug!(%error, "the answer of an idempotent write is not kept");
        }
        Ok(answer)
    }
}

async fn begin(keys: &Records<'_>, hash: &str, claim: &Claim) -> Result<Begun, ApiError> {
    let fresh = Uuid::new_v4();
    keys.transact(TABLE, hash, |known| {
        let now = clock::now_ms();
        let known =
            known.map(|known: crate::cluster::Stored<Once>| (known.is_over(now), known.row));
        if let Some((false, known)) = &known {
            return begun(&known.value, claim).map(Plan::Done);
        }
        let revision = known.map_or(0, |(_, known)| known.revision);
        let once = Once {
            fingerprint: claim.fingerprint.clone(),
            seed: Bytes::copy_from_slice(fresh.as_bytes()),
            answer_json: Bytes::new(),
        };
        let changes = vec![change(TABLE, hash, revision, &once, Some(now + KEPT_MS))];
        Ok(Plan::Commit { changes, then: Begun::Seed(fresh) })
    })
    .await
}

fn begun(known: &Once, claim: &Claim) -> Result<Begun, ApiError> {
    if known.fingerprint != claim.fingerprint {
        let message = "idempotency key reused with different payload";
        return Err(ApiError::new(ErrorCode::IdempotencyConflict, message));
    }
    if known.answer_json.is_empty() {
        let seed = Uuid::from_slice(&known.seed).map_err(|_| ApiError::internal())?;
        return Ok(Begun::Seed(seed));
    }
    serde_json::from_slice(&known.answer_json)
        .map(Begun::Answered)
        .map_err(|_| ApiError::internal())
}

/// The first answer stays.
async fn keep(keys: &Records<'_>, hash: &str, answer: &Value) -> Result<(), ApiError> {
    keys.transact(TABLE, hash, |known: Option<crate::cluster::Stored<Once>>| {
        let Some(known) = known.filter(|known| known.row.value.answer_json.is_empty()) else {
            return Ok(Plan::Done(()));
        };
        let once = Once { answer_json: Bytes::from(answer.to_string()), ..known.row.value };
        let changes = vec![change(TABLE, hash, known.row.revision, &once, known.expire_at_ms)];
        Ok(Plan::Commit { changes, then: () })
    })
    .await
}

fn to_json(answer: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(answer).map_err(|_| ApiError::internal())
}
