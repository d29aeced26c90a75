//! Canceling what has been lying around for too long (contract, intents.md 10).
//!
//! Each intent is canceled by a command of its own, so that one that ends meanwhile keeps its end.
//! A call that breaks off half way is repeated: what it did is no longer found.

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::log::Status;
use axp_proto::node::{ExecuteRequest, Rejection, Resolve, execute_request};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::answers::Stored;
use super::idempotency::Claim;
use super::resume::request_id;
use super::{Call, ListFilter, Service};
use crate::clock;
use crate::cluster::{Plan, Tables};
use crate::error::ApiError;
use crate::json::Reader;

const ROUTE: &str = "POST /v1/intents/bulk-cancel";
const LIMIT_DEFAULT: u32 = 500;
const LIMIT_MAX: u32 = 1_000;
/// Commands under way at a time.
const AT_ONCE: usize = 16;
const REASON: &str = "bulk cancel";
const STATUSES: [Status; 5] = [
    Status::Delivered,
    Status::Waiting,
    Status::InProgress,
    Status::Submitted,
    Status::Acknowledged,
];

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BulkCanceled {
    /// Nothing was canceled: these would be.
    pub(crate) dry_run: bool,
    pub(crate) intent_ids: Vec<String>,
}

#[derive(Debug)]
struct Wanted {
    older_than_ms: i64,
    dry_run: bool,
    reason: String,
    limit: u32,
    statuses: Vec<Status>,
}

impl Service {
    /// Cancels the intents of the workspace that have not changed for some time.
    ///
    /// # Errors
    /// 422 for a bad body; 503 when a shard has no leader in time, with a part of it done.
    pub(crate) async fn bulk_cancel(
        &self,
        call: &Call,
        body: &Bytes,
    ) -> Result<BulkCanceled, ApiError> {
        let wanted = parse(body)?;
        let actor = self.acting_agent(call)?;
        let claim = if wanted.dry_run { None } else { Claim::of(call, ROUTE, body)? };
        if let Some(claim) = &claim
            && let Some(answer) = self.stored(call, claim).await?
        {
            return Ok(canceled(&answer));
        }
        let filter = ListFilter {
            limit: wanted.limit,
            statuses: wanted.statuses.clone(),
            updated_before_ms: Some(clock::now_ms() - wanted.older_than_ms),
            ..ListFilter::default()
        };
        let rows = self.list(call, &filter).await?;
        let ids = rows.iter().filter_map(|row| IntentId::from_slice(&row.intent_id).ok());
        if wanted.dry_run {
            let intent_ids = ids.map(|id| id.to_string()).collect();
            return Ok(BulkCanceled { dry_run: true, intent_ids });
        }
        let cancels: Vec<_> =
            ids.map(|id| self.cancel_one(call, id, &actor, &wanted.reason)).collect();
        let outcomes: Vec<_> = stream::iter(cancels).buffered(AT_ONCE).collect().await;
        let mut intent_ids = Vec::new();
        for outcome in outcomes {
            intent_ids.extend(outcome?.map(|id| id.to_string()));
        }
        let done = BulkCanceled { dry_run: false, intent_ids };
        let decide = |_: &Tables| Ok(Plan::Done(done.clone()));
        let answer = |done: &BulkCanceled| json!({ "intent_ids": done.intent_ids });
        match self.transact_once(call, claim, decide, answer).await? {
            Stored::Fresh(done) => Ok(done),
            Stored::Replayed(answer) => Ok(canceled(&answer)),
        }
    }

    /// The intent, unless it has ended already or is gone.
    async fn cancel_one(
        &self,
        call: &Call,
        id: IntentId,
        actor: &str,
        reason: &str,
    ) -> Result<Option<IntentId>, ApiError> {
        let resolve = Resolve {
            status: Status::Canceled.into(),
            reason: reason.to_owned(),
            actor: actor.to_owned(),
            request_id: request_id(),
            ..Resolve::default()
        };
        let request = ExecuteRequest {
            group: self.group(call, id).await?.into(),
            intent_id: id.to_bytes(),
            scope: Some(call.caller.scope(actor)),
            traceparent: call.trace.to_string(),
            command: Some(execute_request::Command::Resolve(resolve)),
            idempotency: None,
        };
        // Each has its own time: many of them take longer than one request may.
        let outcome = self.cluster.router.execute(&request, self.deadline()).await?;
        match outcome.value {
            Ok(_) => Ok(Some(id)),
            Err(rejection) if is_over(&rejection) => Ok(None),
            Err(rejection) => Err(rejection.into()),
        }
    }
}

fn is_over(rejection: &Rejection) -> bool {
    [ErrorCode::InvalidState, ErrorCode::NotFound]
        .iter()
        .any(|code| rejection.code == code.as_str())
}

fn canceled(answer: &Value) -> BulkCanceled {
    let intent_ids = Vec::<String>::deserialize(&answer["intent_ids"]).unwrap_or_default();
    BulkCanceled { dry_run: false, intent_ids }
}

fn parse(body: &Bytes) -> Result<Wanted, ApiError> {
    const MS_PER_HOUR: f64 = 3_600_000.0;
    let mut reader = Reader::new(body)?;
    let hours = reader.number("older_than_hours");
    let hours = hours.filter(|hours| (0.0..=1_000_000.0).contains(hours));
    if hours.is_none() {
        let message = "must be a number of hours, 0 to 1000000";
        reader.problem("older_than_hours", message, "value_error");
    }
    let words = reader.strings("status_filter", Status::ALL.len(), 32);
    let statuses = match words {
        None => STATUSES.to_vec(),
        Some(words) => {
            let parsed: Option<Vec<Status>> = words
                .iter()
                .map(|word| Status::from_wire_name(word).filter(|status| !status.is_terminal()))
                .collect();
            parsed.unwrap_or_else(|| {
                let message = "must be statuses that are not terminal";
                reader.problem("status_filter", message, "value_error");
                Vec::new()
            })
        }
    };
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    let older_than_ms = (hours.unwrap_or_default() * MS_PER_HOUR) as i64;
    let wanted = Wanted {
        older_than_ms,
        dry_run: reader.boolean("dry_run").unwrap_or(false),
        reason: reader.string("reason", 1, 2000).unwrap_or_else(|| REASON.to_owned()),
        limit: reader.integer("limit", 1).unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
        statuses,
    };
    reader.finish()?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &'static str) -> Result<Wanted, ApiError> {
        parse(&Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn the_body_of_the_cli_is_read() {
        let wanted = read(
            r#"{"older_than_hours":0.5,"dry_run":true,"reason":"old","limit":500,"status_filter":null}"#,
        )
        .unwrap();
        assert_eq!((wanted.older_than_ms, wanted.dry_run, wanted.limit), (1_800_000, true, 500));
        assert_eq!((wanted.reason.as_str(), wanted.statuses.len()), ("old", 5));
        let few =
            read(r#"{"older_than_hours":1,"status_filter":["WAITING"],"limit":9999}"#).unwrap();
        assert_eq!((few.statuses, few.limit), (vec![Status::Waiting], LIMIT_MAX));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in [
            "{}",
            r#"{"older_than_hours":-1}"#,
            r#"{"older_than_hours":"1"}"#,
            r#"{"older_than_hours":1,"status_filter":["COMPLETED"]}"#,
            r#"{"older_than_hours":1,"status_filter":["OLD"]}"#,
            r#"{"older_than_hours":1,"limit":0}"#,
        ] {
            assert_eq!(read(bad).unwrap_err().code, ErrorCode::ValidationError, "{bad}");
        }
    }
}
