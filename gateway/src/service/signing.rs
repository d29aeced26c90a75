//! Secrets that pushes are signed with: made here, told once, replaced with both valid for a while.

use axp_proto::control;
use axp_proto::error_code::ErrorCode;
use axp_proto::log::{DeliveryMode, RowChange};
use axp_proto::node::SigningSecret;
use axum::http::Uri;
use bytes::Bytes;
use serde_json::json;

use super::accounts::{own_account, put, unknown_account};
use super::answers::Stored;
use super::credential::hex;
use super::idempotency::Claim;
use super::{Call, Service};
use crate::clock;
use crate::cluster::{Plan, Tables};
use crate::error::ApiError;
use crate::json::Reader;
use crate::model::rotated_body;

/// How long a replaced secret signs beside the new one, unless the caller says otherwise.
const OVERLAP_SECONDS: u32 = 24 * 60 * 60;
const OVERLAP_SECONDS_MAX: u32 = 30 * OVERLAP_SECONDS;

/// A new secret of an agent.
#[derive(Debug, Clone)]
pub(crate) struct Rotated {
    pub(crate) account_id: String,
    pub(crate) secret: String,
    pub(crate) previous_until_ms: Option<i64>,
}

/// A secret that nobody guesses.
pub(super) fn new_secret() -> String {
    let secret: [u8; 32] = rand::random();
    format!("whsec_{}", hex(&secret))
}

/// The secret that follows another one, which stays valid for a while.
pub(super) fn successor(
    known: Option<&SigningSecret>,
    secret: &str,
    overlap_seconds: u32,
    now_ms: i64,
) -> SigningSecret {
    let previous = known.map(|known| known.current.clone()).unwrap_or_default();
    let overlap_ms = if previous.is_empty() { 0 } else { i64::from(overlap_seconds) * 1000 };
    SigningSecret {
        current: secret.to_owned(),
        previous,
        previous_until_ms: now_ms + overlap_ms,
        changed_at_ms: now_ms,
    }
}

/// The row of an agent's first secret.
pub(super) fn first_secret(account_id: &str, secret: &str, now_ms: i64) -> RowChange {
    put(control::signing_secret(account_id), 0, &successor(None, secret, 0, now_ms))
}

/// How long both secrets are to be valid.
pub(super) fn overlap(reader: &mut Reader<'_>) -> u32 {
    let seconds = reader.integer("overlap_seconds", 0).unwrap_or(OVERLAP_SECONDS);
    if seconds > OVERLAP_SECONDS_MAX {
        let message = format!("must be at most {OVERLAP_SECONDS_MAX}");
        reader.problem("overlap_seconds", &message, "value_error");
    }
    seconds
}

/// Whether pushes can go to a URL at all; whether they may is for the nodes to say, who connect.
pub(super) fn check_callback(reader: &mut Reader<'_>, name: &str, url: &str) {
    let fits = url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|it| !it.host().is_empty() && !it.as_str().contains('@'))
    });
    if !fits {
        reader.problem(name, "must be an http or https URL without credentials", "value_error");
    }
}

impl Service {
    /// Replaces the secret of an agent.
    ///
    /// # Errors
    /// 404 for an unknown account, 403 for one of another workspace, 409 for one that is not pushed
    /// to, 422 for a bad body.
    pub(crate) async fn rotate_secret(
        &self,
        call: &Call,
        account_id: &str,
        body: &Bytes,
    ) -> Result<Stored<Rotated>, ApiError> {
        let mut reader = Reader::new(body)?;
        let overlap_seconds = overlap(&mut reader);
        reader.finish()?;
        let route = format!("POST /v1/service-accounts/{account_id}/signing-secret/rotate");
        let claim = Claim::of(call, &route, body)?;
        let (secret, now) = (new_secret(), clock::now_ms());
        self.cluster.refresh(call.deadline).await?;
        let decide = |tables: &Tables| {
            let account = own_account(tables, call, account_id)?;
            if account.value.status == "revoked" {
                return Err(unknown_account());
            }
            if account.value.delivery_mode() != DeliveryMode::Http {
                let message = "the service account has no callback";
                return Err(ApiError::new(ErrorCode::InvalidState, message));
            }
            let known = tables.signing_secrets.get(account_id);
            let rotated = |row: &SigningSecret| Rotated {
                account_id: account_id.to_owned(),
                secret: secret.clone(),
                previous_until_ms: (!row.previous.is_empty()).then_some(row.previous_until_ms),
            };
            if let Some(known) = known.filter(|known| known.value.current == secret) {
                return Ok(Plan::Done(rotated(&known.value)));
            }
            let row = successor(known.map(|it| &it.value), &secret, overlap_seconds, now);
            let revision = known.map_or(0, |known| known.revision);
            let changes = vec![put(control::signing_secret(account_id), revision, &row)];
            Ok(Plan::Commit { changes, then: rotated(&row) })
        };
        let answer = |rotated: &Rotated| json!(rotated_body(rotated, false));
        self.transact_once(call, claim, decide, answer).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_followed_with_an_overlap() {
        let first = successor(None, "one", 60, 1000);
        assert_eq!((first.previous.as_str(), first.previous_until_ms), ("", 1000));
        let second = successor(Some(&first), "two", 60, 2000);
        assert_eq!((second.current.as_str(), second.previous.as_str()), ("two", "one"));
        assert_eq!(second.previous_until_ms, 62_000);
        assert_ne!(new_secret(), new_secret());
    }

    #[test]
    fn callbacks_are_http_urls() {
        let problems = |url: &str| {
            let body = Bytes::from_static(b"{}");
            let mut reader = Reader::new(&body).unwrap();
            check_callback(&mut reader, "callback_url", url);
            reader.finish().is_err()
        };
        for good in ["https://example.org/x?y=1", "http://127.0.0.1:9/", "http://[::1]:80"] {
            assert!(!problems(good), "{good}");
        }
        for bad in [
            "example.org/x",
            "ftp://example.org",
            "https://u:p@example.org",
            "http://",
            "javascript:x",
        ] {
            assert!(problems(bad), "{bad}");
        }
    }
}
