//! What resolve tells of `reply_to`: a thread that is listed by then (contract, intents.md 7).
//!
//! The outcome travels through the outbox to the shard of the mailbox. The answer waits until it is
//! there, within a bound; past it the outcome is on its way, and the caller is told that.

use std::time::Duration;

use axp_proto::ids::IntentId;
use axp_proto::inbox::completion_id;
use axp_proto::log::{Event, MailboxKey};
use axp_proto::node::{GetThread, query_request, query_response};
use bytes::Bytes;

use super::{Call, Service};
use crate::error::ApiError;
use crate::metrics::OUTCOMES_PENDING_TOTAL;
use crate::service::Resolved;

/// How long resolve waits for the outcome to arrive.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// What became of the outcome of an intent that a caller has ended.
#[derive(Debug)]
pub(crate) struct Completion {
    /// As it was sent with the intent; absent when it was not.
    pub(crate) reply_to: Option<String>,
    /// False when it has not arrived within the wait.
    pub(crate) delivered: bool,
    pub(crate) intent_id: IntentId,
    pub(crate) message_id: Bytes,
    pub(crate) event: Event,
}

impl Service {
    /// Waits until the outcome is where `reply_to` says. Absent when nothing was applied.
    ///
    /// # Errors
    /// When a node left out what every intent has.
    pub(crate) async fn completion(
        &self,
        call: &Call,
        resolved: &Resolved,
    ) -> Result<Option<Completion>, ApiError> {
        let (Some(event), Some(submission)) = (&resolved.event, &resolved.intent.submission) else {
            return Ok(None);
        };
        let intent_id =
            IntentId::from_slice(&resolved.intent.intent_id).map_err(|_| ApiError::internal())?;
        let address = submission.reply_to_address.clone();
        let mailbox =
            MailboxKey { workspace_id: submission.reply_to_workspace_id.clone(), address };
        let is_set = !mailbox.address.is_empty();
        let delivered = is_set && self.arrives(call, intent_id, mailbox).await;
        if is_set && !delivered {
            metrics::counter!(OUTCOMES_PENDING_TOTAL).increment(1);
        }
        Ok(Some(Completion {
            reply_to: is_set.then(|| submission.reply_to.clone()),
            delivered,
            intent_id,
            message_id: completion_id(intent_id),
            event: event.clone(),
        }))
    }

    /// Whether the outcome arrives in time. The intent has ended whatever goes wrong here.
    async fn arrives(&self, call: &Call, intent_id: IntentId, mailbox: MailboxKey) -> bool {
        let attempt = self.config.cluster.attempt_timeout().mul_f64(0.75);
        let patience = WAIT_MAX.min(attempt).min(call.deadline.remaining());
        let await_event_id = completion_id(intent_id);
        let get = GetThread {
            mailbox: Some(mailbox.clone()),
            thread_id: intent_id.to_bytes(),
            await_event_id: await_event_id.clone(),
            await_ms: u32::try_from(patience.as_millis()).unwrap_or_default(),
        };
        let Ok(inbox) = self.inbox_of(call, mailbox).await else { return false };
        match self.ask(call, &inbox, query_request::Query::GetThread(get)).await {
            Ok(query_response::Outcome::Thread(view)) => {
                let mut entries = view.thread.iter().flat_map(|thread| &thread.timeline);
                entries.any(|entry| entry.event_id == await_event_id)
            }
            Ok(_) => false,
            Err(error) => {
                tracing::debug!(%error, intent.id = %intent_id, "an outcome was not seen to arrive");
                false
            }
        }
    }
}
