//! Webhook subscriptions, their events, and pushes (contract, webhooks.md and agents.md 5).

use axp_proto::ids::IntentId;
use axp_proto::log::Parcel;
use axp_proto::node::{Published, WebhookSubscription};
use serde::Serialize;
use utoipa::ToSchema;

use super::event::present;
use crate::clock::rfc3339;
use crate::error::ApiError;
use crate::service::{Rotated, counters};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubscriptionBody {
    pub(crate) subscription_id: String,
    pub(crate) owner_agent: String,
    pub(crate) callback_url: String,
    pub(crate) event_types: Vec<String>,
    pub(crate) active: bool,
    pub(crate) description: Option<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) revoked_at: Option<String>,
    /// The end of the secret, enough to tell it from others.
    pub(crate) secret_hint: Option<String>,
    /// Told once, when the server makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

pub(crate) fn subscription_body(
    subscription: &WebhookSubscription,
    new_secret: Option<String>,
) -> SubscriptionBody {
    let secret = subscription.secret.as_ref().map(|secret| secret.current.as_str());
    SubscriptionBody {
        subscription_id: subscription.subscription_id.clone(),
        owner_agent: subscription.owner_agent.clone(),
        callback_url: subscription.callback_url.clone(),
        event_types: subscription.event_types.clone(),
        active: subscription.active,
        description: present(&subscription.description),
        created_at: rfc3339(subscription.created_at_ms),
        updated_at: rfc3339(subscription.updated_at_ms),
        revoked_at: subscription.revoked_at_ms.map(rfc3339),
        secret_hint: secret.map(crate::service::hint),
        secret: new_secret,
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubscriptionAnswer {
    pub(crate) ok: bool,
    pub(crate) subscription: SubscriptionBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubscriptionListAnswer {
    pub(crate) ok: bool,
    pub(crate) subscriptions: Vec<SubscriptionBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnsubscribedAnswer {
    pub(crate) ok: bool,
    pub(crate) subscription_id: String,
    pub(crate) revoked_at: String,
}

pub(crate) fn unsubscribed_body(id: &str, revoked_at_ms: i64) -> UnsubscribedAnswer {
    let revoked_at = rfc3339(revoked_at_ms);
    UnsubscribedAnswer { ok: true, subscription_id: id.to_owned(), revoked_at }
}

/// Deliveries of one event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counters {
    /// To how many subscriptions.
    pub(crate) queued_deliveries: usize,
    /// How many of them have been attempted.
    pub(crate) processed_deliveries: usize,
    pub(crate) delivered: usize,
    pub(crate) pending: usize,
    pub(crate) dead_lettered: usize,
}

impl Counters {
    fn of(published: &Published) -> Self {
        let [queued_deliveries, processed_deliveries, delivered, pending, dead_lettered] =
            counters(published);
        Self { queued_deliveries, processed_deliveries, delivered, pending, dead_lettered }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventAnswer {
    pub(crate) ok: bool,
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) owner_agent: String,
    pub(crate) source: String,
    pub(crate) accepted_at: String,
    #[serde(flatten)]
    pub(crate) counters: Counters,
}

pub(crate) fn published_body(published: &Published) -> Result<EventAnswer, ApiError> {
    let event = published.event.as_ref().ok_or_else(ApiError::internal)?;
    let id = IntentId::from_slice(&event.event_id).map_err(|_| ApiError::internal())?;
    Ok(EventAnswer {
        ok: true,
        event_id: id.to_string(),
        event_type: event.event_type.clone(),
        owner_agent: event.owner_agent.clone(),
        source: event.source.clone(),
        accepted_at: rfc3339(event.at_ms),
        counters: Counters::of(published),
    })
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayAnswer {
    pub(crate) ok: bool,
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) owner_agent: String,
    pub(crate) replayed_at: String,
    #[serde(flatten)]
    pub(crate) counters: Counters,
}

pub(crate) fn replayed_body(published: &Published, at_ms: i64) -> Result<ReplayAnswer, ApiError> {
    let EventAnswer { ok, event_id, event_type, owner_agent, .. } = published_body(published)?;
    // Attempts before the replay are no attempts of it.
    let counters = Counters { processed_deliveries: 0, ..Counters::of(published) };
    Ok(ReplayAnswer {
        ok,
        event_id,
        event_type,
        owner_agent,
        replayed_at: rfc3339(at_ms),
        counters,
    })
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RotatedAnswer {
    pub(crate) ok: bool,
    pub(crate) service_account_id: String,
    /// Told this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_secret: Option<String>,
    /// Until then pushes carry `X-Axme-Signature-Previous` as well.
    pub(crate) previous_valid_until: Option<String>,
}

pub(crate) fn rotated_body(rotated: &Rotated, with_secret: bool) -> RotatedAnswer {
    RotatedAnswer {
        ok: true,
        service_account_id: rotated.account_id.clone(),
        signing_secret: with_secret.then(|| rotated.secret.clone()),
        previous_valid_until: rotated.previous_until_ms.map(rfc3339),
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedeliveredAnswer {
    pub(crate) ok: bool,
    pub(crate) intent_id: String,
    pub(crate) queued: bool,
    /// Attempts before this one.
    pub(crate) attempts: u32,
    pub(crate) redelivered_at: String,
}

pub(crate) fn redelivered_body(id: IntentId, attempts: u32, at_ms: i64) -> RedeliveredAnswer {
    let (intent_id, redelivered_at) = (id.to_string(), rfc3339(at_ms));
    RedeliveredAnswer { ok: true, intent_id, queued: true, attempts, redelivered_at }
}

/// A push that was given up. It names an intent, or an event and a subscription.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterBody {
    /// `agent`, `subscription` or `mail`.
    pub(crate) kind: &'static str,
    /// Of a mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recipient: Option<String>,
    pub(crate) intent_id: Option<String>,
    pub(crate) to_agent: Option<String>,
    pub(crate) event_id: Option<String>,
    pub(crate) subscription_id: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) last_error: String,
    pub(crate) queued_at: String,
    pub(crate) dead_lettered_at: String,
}

pub(crate) fn dead_letter_body(parcel: &Parcel) -> DeadLetterBody {
    let id = |bytes: &[u8]| IntentId::from_slice(bytes).ok().map(|id| id.to_string());
    DeadLetterBody {
        kind: match (&parcel.mail, parcel.event_id.is_empty()) {
            (Some(_), _) => "mail",
            (None, true) => "agent",
            (None, false) => "subscription",
        },
        recipient: parcel.mail.as_ref().map(|mail| mail.recipient.clone()),
        intent_id: id(&parcel.intent_id),
        to_agent: present(&parcel.address),
        event_id: id(&parcel.event_id),
        subscription_id: present(&parcel.subscription_id),
        attempts: parcel.attempt,
        last_error: parcel.last_error.clone(),
        queued_at: rfc3339(parcel.queued_at_ms),
        dead_lettered_at: rfc3339(parcel.changed_at_ms),
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterListAnswer {
    pub(crate) ok: bool,
    pub(crate) dead_letters: Vec<DeadLetterBody>,
}
