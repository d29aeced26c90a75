//! Where a parcel goes and what it is signed with, as this node's replica of the control group has
//! it at the moment of the attempt: callbacks and secrets may change while parcels wait.

use std::fmt;
use std::sync::Arc;

use axp_proto::control;
use axp_proto::log::{DeliveryMode, Parcel};
use axp_proto::node::{Agent, ServiceAccount, SigningSecret, WebhookSubscription};
use axp_raft_store::Error;
use prost::Message;

use crate::control::Control;

/// A parcel whose receiver is not in the replica is waited for this long: the gateway that queued it
/// may have seen it earlier than this node.
const UNKNOWN_FOR_MS: i64 = 60_000;

/// What is known of a parcel's receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Callback(Callback),
    /// A person, by mail.
    Mail,
    /// The agent wants its deliveries by another road.
    Elsewhere(DeliveryMode),
    /// The subscription wants no more.
    Unsubscribed,
    /// It cannot be pushed as things are.
    Nowhere(&'static str),
    /// Not known yet.
    Unknown,
}

/// A URL and the secrets that requests to it are signed with, the newest first.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Callback {
    pub url: String,
    pub secrets: Vec<String>,
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Reads the control rows that pushes need.
#[derive(Debug)]
pub struct Directory(Arc<Control>);

impl Directory {
    #[must_use]
    pub fn new(control: Arc<Control>) -> Self {
        Self(control)
    }

    /// # Errors
    /// When storage fails.
    pub fn find(&self, parcel: &Parcel, now_ms: i64) -> Result<Destination, Error> {
        if parcel.mail.is_some() {
            return Ok(Destination::Mail);
        }
        let found = if parcel.event_id.is_empty() {
            self.agent(&parcel.address, now_ms)?
        } else {
            self.subscription(&parcel.subscription_id, now_ms)?
        };
        let waited_ms = now_ms - parcel.queued_at_ms;
        Ok(match found {
            Destination::Unknown if waited_ms > UNKNOWN_FOR_MS => {
                Destination::Nowhere("nobody is registered to receive it")
            }
            found => found,
        })
    }

    fn agent(&self, address: &str, now_ms: i64) -> Result<Destination, Error> {
        let Some(agent) = self.row::<Agent>(&control::agent(address))? else {
            return Ok(Destination::Unknown);
        };
        let id = &agent.service_account_id;
        let Some(account) = self.row::<ServiceAccount>(&control::service_account(id))? else {
            return Ok(Destination::Unknown);
        };
        if agent.status != "active" || account.status != "active" {
            return Ok(Destination::Nowhere("the agent is not active"));
        }
        match account.delivery_mode() {
            DeliveryMode::Http => {}
            DeliveryMode::Unspecified => return Ok(Destination::Elsewhere(DeliveryMode::Stream)),
            mode => return Ok(Destination::Elsewhere(mode)),
        }
        let secret = self.row::<SigningSecret>(&control::signing_secret(id))?;
        Ok(callback(account.callback_url, secret, now_ms))
    }

    fn subscription(&self, id: &str, now_ms: i64) -> Result<Destination, Error> {
        let Some(subscription) = self.row::<WebhookSubscription>(&control::webhook(id))? else {
            return Ok(Destination::Unknown);
        };
        if !subscription.active || subscription.revoked_at_ms.is_some() {
            return Ok(Destination::Unsubscribed);
        }
        Ok(callback(subscription.callback_url, subscription.secret, now_ms))
    }

    fn row<M: Message + Default>(&self, key: &str) -> Result<Option<M>, Error> {
        let row = self.0.row(key)?;
        row.map(|row| M::decode(row.value)).transpose().map_err(Error::applier)
    }
}

fn callback(url: String, secret: Option<SigningSecret>, now_ms: i64) -> Destination {
    let mut secrets = Vec::new();
    if let Some(secret) = secret {
        secrets.push(secret.current);
        if now_ms < secret.previous_until_ms {
            secrets.push(secret.previous);
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    Destination::Callback(Callback { url, secrets })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_secret_signs_beside_the_new_one_for_a_while() {
        let secret = SigningSecret {
            current: "new".to_owned(),
            previous: "old".to_owned(),
            previous_until_ms: 10,
            changed_at_ms: 0,
        };
        let secrets = |now_ms| match callback("u".to_owned(), Some(secret.clone()), now_ms) {
            Destination::Callback(callback) => callback.secrets,
            other => panic!("no callback: {other:?}"),
        };
        assert_eq!(secrets(9), ["new", "old"]);
        assert_eq!(secrets(10), ["new"]);
        let unsigned = callback("u".to_owned(), None, 0);
        let expected = Callback { url: "u".to_owned(), secrets: Vec::new() };
        assert_eq!(unsigned, Destination::Callback(expected));
    }
}
