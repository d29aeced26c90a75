//! Changing a service account: its words, and how its agent wants deliveries.

use axp_proto::control;
use axp_proto::log::DeliveryMode;
use axp_proto::node::ServiceAccount;
use bytes::Bytes;

use super::create::{CreatedAccount, read_mode};
use super::{own_account, put, unknown_account};
use crate::clock;
use crate::cluster::{Plan, Tables};
use crate::error::ApiError;
use crate::json::Reader;
use crate::model::account_body;
use crate::service::answers::Stored;
use crate::service::idempotency::Claim;
use crate::service::signing::{check_callback, first_secret, new_secret};
use crate::service::{Call, Service};

/// What a valid body asks for; what is absent stays.
#[derive(Debug, Default)]
struct Patch {
    description: Option<String>,
    display_name: Option<String>,
    delivery_mode: Option<DeliveryMode>,
    callback_url: Option<String>,
}

impl Service {
    /// Changes an account. Intents that are pending follow: what was to be pushed is pushed to the
    /// new callback, or delivered by the new road.
    ///
    /// # Errors
    /// 404 for an unknown account, 403 for one of another workspace, 422 for a bad body or a mode
    /// that lacks its callback.
    pub(crate) async fn update_account(
        &self,
        call: &Call,
        id: &str,
        body: &Bytes,
    ) -> Result<Stored<CreatedAccount>, ApiError> {
        let patch = parse(body)?;
        let claim = Claim::of(call, &format!("PATCH /v1/service-accounts/{id}"), body)?;
        let (secret, now) = (new_secret(), clock::now_ms());
        self.cluster.refresh(call.deadline).await?;
        let decide = |tables: &Tables| {
            let known = own_account(tables, call, id)?;
            if known.value.status == "revoked" {
                return Err(unknown_account());
            }
            let account = patch.apply(&known.value)?;
            let stored = tables.signing_secrets.get(id);
            let is_ours = stored.is_some_and(|stored| stored.value.current == secret);
            let needs_secret = account.delivery_mode() == DeliveryMode::Http && stored.is_none();
            let signing_secret = (needs_secret || is_ours).then(|| secret.clone());
            if account == known.value && !needs_secret {
                return Ok(Plan::Done(CreatedAccount { account, signing_secret }));
            }
            let account = ServiceAccount { updated_at_ms: now, ..account };
            let mut changes = vec![put(control::service_account(id), known.revision, &account)];
            if needs_secret {
                changes.push(first_secret(id, &secret, now));
            }
            Ok(Plan::Commit { changes, then: CreatedAccount { account, signing_secret } })
        };
        let answer = |created: &CreatedAccount| serde_json::json!({ "ok": true, "service_account": account_body(&created.account) });
        self.transact_once(call, claim, decide, answer).await
    }
}

impl Patch {
    fn apply(&self, known: &ServiceAccount) -> Result<ServiceAccount, ApiError> {
        let mut account = known.clone();
        let mut set = |field: fn(&mut ServiceAccount) -> &mut String, value: &Option<String>| {
            if let Some(value) = value {
                field(&mut account).clone_from(value);
            }
        };
        set(|account| &mut account.description, &self.description);
        set(|account| &mut account.display_name, &self.display_name);
        set(|account| &mut account.callback_url, &self.callback_url);
        if let Some(mode) = self.delivery_mode {
            account.set_delivery_mode(mode);
        }
        if account.delivery_mode() == DeliveryMode::Http && account.callback_url.is_empty() {
            let message = "field required with delivery_mode http";
            return Err(ApiError::invalid(&["body", "callback_url"], message, "missing"));
        }
        Ok(account)
    }
}

fn parse(body: &Bytes) -> Result<Patch, ApiError> {
    let mut reader = Reader::new(body)?;
    let callback_url = reader.string("callback_url", 8, 2048);
    if let Some(url) = &callback_url {
        check_callback(&mut reader, "callback_url", url);
    }
    let patch = Patch {
        description: reader.string("description", 1, 1024),
        display_name: reader.string("display_name", 1, 255),
        delivery_mode: read_mode(&mut reader),
        callback_url,
    };
    reader.finish()?;
    Ok(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_stays_and_http_needs_a_callback() {
        let known = ServiceAccount { description: "old".into(), ..ServiceAccount::default() };
        let patch = |body: &'static str| parse(&Bytes::from_static(body.as_bytes())).unwrap();
        let named = patch(r#"{"display_name":"New"}"#).apply(&known).unwrap();
        assert_eq!((&*named.description, &*named.display_name), ("old", "New"));
        assert!(patch(r#"{"delivery_mode":"http"}"#).apply(&known).is_err());
        let url = r#"{"delivery_mode":"http","callback_url":"https://a.example/x"}"#;
        let pushed = patch(url).apply(&known).unwrap();
        assert_eq!(pushed.delivery_mode(), DeliveryMode::Http);
        let back = patch(r#"{"delivery_mode":"stream"}"#).apply(&pushed).unwrap();
        assert_eq!(back.callback_url, "https://a.example/x", "for another time");
    }
}
