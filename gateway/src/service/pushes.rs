//! Pushes that were given up, and deliveries that somebody wants again.

use axp_proto::ids::GroupId;
use axp_proto::log::Parcel;
use axp_proto::node::{
    ListDeadLetters, RedeliverRequest, query_request, query_response, redeliver_request,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::answers::Stored;
use super::idempotency::Claim;
use super::intents::parse_id;
use super::{Call, Service};
use crate::clock;
use crate::cluster::{Plan, Tables};
use crate::error::ApiError;
use crate::model::redelivered_body;

/// Groups that are asked at a time.
const GROUPS_AT_ONCE: usize = 16;

impl Service {
    /// Dead letters of the caller's workspace over all shards, newest first.
    ///
    /// # Errors
    /// When a group has no leader in time.
    pub(crate) async fn dead_letters(
        &self,
        call: &Call,
        limit: u32,
    ) -> Result<Vec<Parcel>, ApiError> {
        let ask = |group: u16| async move {
            let query = query_request::Query::ListDeadLetters(ListDeadLetters { limit });
            match self.query(call, GroupId(group), query).await? {
                query_response::Outcome::DeadLetters(list) => Ok::<_, ApiError>(list.parcels),
                _ => Err(ApiError::internal()),
            }
        };
        let groups = 1..=self.shard_groups(call).await?;
        let pages: Vec<Vec<Parcel>> =
            stream::iter(groups.map(ask)).buffer_unordered(GROUPS_AT_ONCE).try_collect().await?;
        let mut parcels: Vec<Parcel> = pages.into_iter().flatten().collect();
        parcels.sort_by(|a, b| {
            b.changed_at_ms.cmp(&a.changed_at_ms).then_with(|| b.intent_id.cmp(&a.intent_id))
        });
        parcels.truncate(limit as usize);
        Ok(parcels)
    }

    /// Pushes an intent to its agent again, whatever became of it before. What the intent's log says
    /// stays: a push that repeats is no second delivery.
    ///
    /// # Errors
    /// 404 for an intent that is none of the caller's, 409 when its agent has no callback.
    pub(crate) async fn redeliver(
        &self,
        call: &Call,
        intent_id: &str,
        body: &[u8],
    ) -> Result<Stored<Value>, ApiError> {
        let id = parse_id(intent_id)?;
        let claim = Claim::of(call, &format!("POST /v1/intents/{id}/redeliver"), body)?;
        if let Some(answer) = self.stored_answer(call, claim.as_ref()).await? {
            return Ok(answer);
        }
        let request = RedeliverRequest {
            group: self.group(call, id).await?.into(),
            scope: Some(call.caller.scope(call.caller.address())),
            subject: Some(redeliver_request::Subject::IntentId(id.to_bytes())),
        };
        let queued = self.cluster.router.redeliver(&request, call.deadline).await??;
        let attempts = queued.parcels.first().map_or(0, |parcel| parcel.attempt);
        let answer = json!(redelivered_body(id, attempts, clock::now_ms()));
        let decide = |_: &Tables| Ok(Plan::Done(answer.clone()));
        self.transact_once(call, claim, decide, Value::clone).await
    }
}
