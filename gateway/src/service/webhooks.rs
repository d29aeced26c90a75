//! Webhook subscriptions (contract, webhooks.md): rows of the control group, one for each callback
//! of an owner. A key may do everything within its workspace, whichever owner it names.

mod events;
mod sweep;

use std::sync::Arc;

use axp_proto::control;
use axp_proto::error_code::ErrorCode;
use axp_proto::log::EventType;
use axp_proto::node::WebhookSubscription;
use axp_proto::webhook::{ALL_INTENT_EVENTS, EVENT_TYPES};
use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;

pub(super) use self::events::Publication;
pub(crate) use self::events::counters;
pub(crate) use self::sweep::sweep_subscriptions;
use super::accounts::{put, put_id};
use super::answers::Stored;
use super::credential::hash_hex;
use super::idempotency::Claim;
use super::signing::{check_callback, new_secret, overlap, successor};
use super::{Call, Service};
use crate::clock;
use crate::cluster::{Plan, Tables, Versioned};
use crate::error::ApiError;
use crate::json::Reader;
use crate::model::subscription_body;

/// Subscriptions that a workspace may have, revoked ones included: every event is matched with all.
const PER_WORKSPACE_MAX: usize = 200;
const EVENT_TYPES_MAX: usize = 32;

/// A subscription, with its secret if it was made just now.
#[derive(Debug, Clone)]
pub(crate) struct Subscribed {
    pub(crate) subscription: WebhookSubscription,
    pub(crate) new_secret: Option<String>,
}

impl Service {
    /// Makes a subscription, or changes the one that the owner has for this callback.
    ///
    /// # Errors
    /// 422 for a bad body, 403 for an owner of another organization, 409 when there are too many.
    pub(crate) async fn subscribe(
        &self,
        call: &Call,
        body: &Bytes,
    ) -> Result<Stored<Subscribed>, ApiError> {
        let draft = parse(body)?;
        let claim = Claim::of(call, "POST /v1/webhooks/subscriptions", body)?;
        let owner = self.acting_agent(call)?;
        let (id, made, now) = (Uuid::now_v7().to_string(), new_secret(), clock::now_ms());
        self.cluster.refresh(call.deadline).await?;
        let workspace = call.caller.workspace_id();
        let callback = callback_hash(&owner, &draft.callback_url);
        let decide = |tables: &Tables| {
            let known = tables.webhook_callbacks.get(format!("{workspace}/{callback}"));
            let known = known.and_then(|known| tables.webhooks.get(&known.value));
            if known.is_none() && tables.webhooks_of(workspace).len() >= PER_WORKSPACE_MAX {
                let message = "the workspace has too many webhook subscriptions";
                return Err(ApiError::new(ErrorCode::Conflict, message));
            }
            let then = draft.apply(call, known.map(|it| &it.value), (&id, &owner, &made), now);
            if let Some(known) = known
                && known.value == then.subscription
            {
                return Ok(Plan::Done(then));
            }
            let key = control::webhook(&then.subscription.subscription_id);
            let revision = known.map_or(0, |known| known.revision);
            let mut changes = vec![put(key, revision, &then.subscription)];
            if known.is_none() {
                changes.push(put_id(control::webhook_callback(workspace, &callback), 0, &id));
            }
            Ok(Plan::Commit { changes, then })
        };
        let answer = |subscribed: &Subscribed| json!({ "ok": true, "subscription": subscription_body(&subscribed.subscription, None) });
        self.transact_once(call, claim, decide, answer).await
    }

    /// Subscriptions of the workspace, oldest first; of one owner if the caller names it.
    ///
    /// # Errors
    /// 403 for an owner of another organization.
    pub(crate) async fn subscriptions(
        &self,
        call: &Call,
        include_inactive: bool,
    ) -> Result<Vec<Arc<Versioned<WebhookSubscription>>>, ApiError> {
        let owner = call.owner.is_some().then(|| self.acting_agent(call)).transpose()?;
        let tables = self.cluster.refresh(call.deadline).await?;
        let mut found = tables.webhooks_of(call.caller.workspace_id());
        found.retain(|it| {
            let is_active = it.value.active && it.value.revoked_at_ms.is_none();
            (include_inactive || is_active)
                && owner.as_ref().is_none_or(|owner| *owner == it.value.owner_agent)
        });
        found.sort_by_key(|it| (it.value.created_at_ms, it.value.subscription_id.clone()));
        Ok(found)
    }

    /// Revokes a subscription; when it was revoked. What waits for it is not delivered any more.
    ///
    /// # Errors
    /// 404 when it is unknown or another workspace's.
    pub(crate) async fn unsubscribe(&self, call: &Call, id: &str) -> Result<Stored<i64>, ApiError> {
        let claim = Claim::of(call, &format!("DELETE /v1/webhooks/subscriptions/{id}"), b"")?;
        let now = clock::now_ms();
        self.cluster.refresh(call.deadline).await?;
        let decide = |tables: &Tables| {
            let known = tables.webhooks.get(id);
            let known = known.filter(|it| it.value.workspace_id == call.caller.workspace_id());
            let known = known.ok_or_else(|| ApiError::not_found("subscription not found"))?;
            if let Some(revoked_at_ms) = known.value.revoked_at_ms {
                return Ok(Plan::Done(revoked_at_ms));
            }
            let revoked = WebhookSubscription {
                active: false,
                revoked_at_ms: Some(now),
                updated_at_ms: now,
                ..known.value.clone()
            };
            let changes = vec![put(control::webhook(id), known.revision, &revoked)];
            Ok(Plan::Commit { changes, then: now })
        };
        let answer =
            |revoked_at_ms: &i64| json!(crate::model::unsubscribed_body(id, *revoked_at_ms));
        self.transact_once(call, claim, decide, answer).await
    }
}

/// One owner has one subscription for each callback.
fn callback_hash(owner: &str, callback_url: &str) -> String {
    hash_hex(format!("{owner}\n{callback_url}"))
}

/// What a valid body says.
#[derive(Debug)]
struct Draft {
    callback_url: String,
    event_types: Vec<String>,
    secret: Option<String>,
    active: bool,
    description: String,
    overlap_seconds: u32,
}

impl Draft {
    /// The subscription as it is to be, over the one that is known.
    fn apply(
        &self,
        call: &Call,
        known: Option<&WebhookSubscription>,
        (id, owner, made): (&str, &str, &str),
        now: i64,
    ) -> Subscribed {
        let known_secret = known.and_then(|known| known.secret.as_ref());
        // A repeat of what was asked must find its own work and change nothing.
        let (secret, new_secret) = match (&self.secret, known_secret) {
            (Some(given), Some(known)) if *given == known.current => (Some(known.clone()), None),
            (Some(given), known) => {
                (Some(successor(known, given, self.overlap_seconds, now)), None)
            }
            (None, Some(known)) => {
                (Some(known.clone()), (known.current == made).then(|| made.to_owned()))
            }
            (None, None) => (Some(successor(None, made, 0, now)), Some(made.to_owned())),
        };
        let subscription = WebhookSubscription {
            subscription_id: known.map_or(id, |known| &known.subscription_id).to_owned(),
            org_id: call.caller.org_id().to_owned(),
            workspace_id: call.caller.workspace_id().to_owned(),
            owner_agent: owner.to_owned(),
            owner_only: call.owner.is_some(),
            callback_url: self.callback_url.clone(),
            event_types: self.event_types.clone(),
            active: self.active,
            description: self.description.clone(),
            created_at_ms: known.map_or(now, |known| known.created_at_ms),
            updated_at_ms: now,
            revoked_at_ms: None,
            secret,
        };
        Subscribed { subscription, new_secret }
    }
}

fn parse(body: &Bytes) -> Result<Draft, ApiError> {
    let mut reader = Reader::new(body)?;
    let callback_url = reader.required_string("callback_url", 8, 2048).unwrap_or_default();
    if !callback_url.is_empty() {
        check_callback(&mut reader, "callback_url", &callback_url);
    }
    let mut event_types = reader.strings("event_types", EVENT_TYPES_MAX, 100);
    match &mut event_types {
        Some(names) => {
            if let Some(unknown) = names.iter().find(|name| !can_subscribe(name)) {
                let message = format!("has {unknown:?}, which is no event type");
                reader.problem("event_types", &message, "value_error");
            }
            names.sort_unstable();
            names.dedup();
        }
        None if reader.fields().get("event_types").is_none() => {
            reader.problem("event_types", "field required", "missing");
        }
        None => {}
    }
    let draft = Draft {
        callback_url,
        event_types: event_types.unwrap_or_default(),
        secret: reader.string("secret", 16, 128),
        active: reader.boolean("active").unwrap_or(true),
        description: reader.string("description", 1, 255).unwrap_or_default(),
        overlap_seconds: overlap(&mut reader),
    };
    reader.finish()?;
    Ok(draft)
}

/// Published names, and lifecycle events of intents by name or all at once.
fn can_subscribe(name: &str) -> bool {
    let mut lifecycle = (1..).map_while(|number| EventType::try_from(number).ok());
    EVENT_TYPES.contains(&name)
        || name == ALL_INTENT_EVENTS
        || lifecycle.any(|kind| kind.wire_name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifecycle_events_are_subscribed_to_by_name_or_all_at_once() {
        for good in
            ["inbox.thread_created", "intent.*", "intent.completed", "intent.delivery_failed"]
        {
            assert!(can_subscribe(good), "{good}");
        }
        for bad in ["", "*", "inbox.*", "intent.", "intent.exploded", "task.done"] {
            assert!(!can_subscribe(bad), "{bad}");
        }
    }
}
