//! Stored answers: what makes a control write with an `Idempotency-Key` happen once.
//!
//! The answer is a row that is committed together with the write, so that it exists exactly when
//! the write does. It holds no secret: a repeated key creation tells everything but the token.

use axp_proto::control;
use axp_proto::error_code::ErrorCode;
use axp_proto::log::RowChange;
use axp_proto::node::StoredAnswer;
use bytes::Bytes;
use prost::Message as _;
use serde_json::Value;

use super::credential::hex;
use super::idempotency::Claim;
use super::{Call, Service};
use crate::clock::{self, Deadline};
use crate::cluster::{Cluster, Plan, Tables, transact};
use crate::error::ApiError;

/// A day is promised; the rest is for clocks that differ.
pub(super) const KEPT_MS: i64 = 25 * 60 * 60 * 1000;
const SWEPT_AT_ONCE: usize = 200;

/// The outcome of a write, or what was answered when it was first made.
#[derive(Debug)]
pub(crate) enum Stored<T> {
    Fresh(T),
    /// The body of the first answer.
    Replayed(Value),
}

impl Service {
    /// The answer that was given under a key before, if any: for what happens elsewhere than in the
    /// control group, and is then kept with [`Self::transact_once`].
    pub(super) async fn stored_answer<T>(
        &self,
        call: &Call,
        claim: Option<&Claim>,
    ) -> Result<Option<Stored<T>>, ApiError> {
        let Some(claim) = claim else { return Ok(None) };
        let tables = self.cluster.refresh(call.deadline).await?;
        let known = tables.answers.get(hex(&claim.hash));
        let known = known.filter(|known| known.value.forget_at_ms > clock::now_ms());
        known.map(|known| replay(&known.value, claim).map(Stored::Replayed)).transpose()
    }

    /// As [`transact`], once per idempotency key. `answer` is the body to keep, without secrets.
    pub(super) async fn transact_once<T>(
        &self,
        call: &Call,
        claim: Option<Claim>,
        mut decide: impl FnMut(&Tables) -> Result<Plan<T>, ApiError>,
        answer: impl Fn(&T) -> Value,
    ) -> Result<Stored<T>, ApiError> {
        let Some(claim) = claim else {
            return transact(&self.cluster, call.deadline, decide).await.map(Stored::Fresh);
        };
        let hash = hex(&claim.hash);
        let decide_once = |tables: &Tables| {
            let known = tables.answers.get(&hash);
            if let Some(known) = known.filter(|known| known.value.forget_at_ms > clock::now_ms()) {
                let body = replay(&known.value, &claim)?;
                // A lost answer to our own commit is no replay: what it made still has its secret.
                return Ok(Plan::Done(match decide(tables) {
                    Ok(Plan::Done(value)) if answer(&value) == body => Stored::Fresh(value),
                    _ => Stored::Replayed(body),
                }));
            }
            let revision = known.map_or(0, |known| known.revision);
            let (mut changes, then) = match decide(tables)? {
                Plan::Done(value) => (Vec::new(), value),
                Plan::Commit { changes, then } => (changes, then),
            };
            changes.push(keep(&hash, revision, &claim, &answer(&then)));
            Ok(Plan::Commit { changes, then: Stored::Fresh(then) })
        };
        transact(&self.cluster, call.deadline, decide_once).await
    }
}

impl Service {
    /// The answer that is kept for a key, if there is one; for work that is no control write and is
    /// done before its answer is stored.
    ///
    /// # Errors
    /// 409 when the key was used for something else.
    pub(super) async fn stored(
        &self,
        call: &Call,
        claim: &Claim,
    ) -> Result<Option<Value>, ApiError> {
        let tables = self.cluster.refresh(call.deadline).await?;
        let known = tables.answers.get(hex(&claim.hash));
        let known = known.filter(|known| known.value.forget_at_ms > clock::now_ms());
        known.map(|known| replay(&known.value, claim)).transpose()
    }
}

fn keep(hash: &str, expected_revision: u64, claim: &Claim, body: &Value) -> RowChange {
    let answer = StoredAnswer {
        fingerprint: claim.fingerprint.clone(),
        http_status: 200,
        body_json: Bytes::from(body.to_string()),
        forget_at_ms: clock::now_ms() + KEPT_MS,
    };
    RowChange {
        key: control::stored_answer(hash),
        expected_revision,
        value: answer.encode_to_vec().into(),
        deleted: false,
    }
}

fn replay(answer: &StoredAnswer, claim: &Claim) -> Result<Value, ApiError> {
    if answer.fingerprint != claim.fingerprint {
        let message = "idempotency key reused with different payload";
        return Err(ApiError::new(ErrorCode::IdempotencyConflict, message));
    }
    serde_json::from_slice(&answer.body_json).map_err(|_| ApiError::internal())
}

/// Forgets answers whose time is over, some at a time. Every gateway does this now and then; who
/// comes second meets a conflict and leaves it.
pub(crate) async fn sweep(cluster: &Cluster, deadline: Deadline) -> Result<usize, ApiError> {
    let now = clock::now_ms();
    let old = |tables: &Tables| -> Vec<RowChange> {
        let rows = tables.answers.iter().filter(|(_, row)| row.value.forget_at_ms <= now);
        rows.take(SWEPT_AT_ONCE)
            .map(|(hash, row)| RowChange {
                key: control::stored_answer(&String::from_utf8_lossy(hash)),
                expected_revision: row.revision,
                value: Bytes::new(),
                deleted: true,
            })
            .collect()
    };
    transact(cluster, deadline, |tables| {
        let changes = old(tables);
        let count = changes.len();
        Ok(if changes.is_empty() { Plan::Done(0) } else { Plan::Commit { changes, then: count } })
    })
    .await
}
