//! Invites: whoever has the token becomes a user, once (contract, users-invites-media-schemas.md).
//!
//! The user's id follows from the token and not the other way round. So invite and user have one
//! home, where accepting the one and making the other is one commit, and a user's id, which is no
//! secret, does not tell the token.

use axp_proto::error_code::ErrorCode;
use axp_proto::log::RecordChange;
use axp_proto::node::{Invite, User};
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::idempotency::Claim;
use super::users::{Acceptance, Details, Nick, Taking, user_home};
use super::webhooks::Publication;
use super::{Call, Service};
use crate::clock;
use crate::cluster::{Plan, Stored, change};
use crate::error::ApiError;
use crate::json::Reader;
use crate::model::{InviteAccepted, InviteBody, InviteCreated};

pub(super) const INVITES: &str = "invite";
const TTL_SECONDS: u32 = 24 * 60 * 60;
const TTL_SECONDS_MAX: u32 = 14 * 24 * 60 * 60;
/// How long an invite that is over can still be read.
const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60 * 1000;

impl Service {
    /// Makes an invite.
    ///
    /// # Errors
    /// 422 for a bad body, 403 for an owner of another organization.
    pub(crate) async fn create_invite(&self, call: &Call, body: &Bytes) -> Result<Value, ApiError> {
        let mut reader = Reader::new(body)?;
        let owner = reader.required_string("owner_agent", 3, 255).unwrap_or_default();
        let hint = reader.string("recipient_hint", 1, 255).unwrap_or_default();
        let ttl = reader.integer("ttl_seconds", 60).unwrap_or(TTL_SECONDS);
        if ttl > TTL_SECONDS_MAX {
            reader.problem("ttl_seconds", "must be 60 to 1209600", "value_error");
        }
        reader.finish()?;
        let owner = self.assertable(call, &owner)?;
        self.once(call, "POST /v1/invites/create", body, |seed| async move {
            let now = clock::now_ms();
            let invite = Invite {
                token: seed.simple().to_string(),
                org_id: call.caller.org_id().to_owned(),
                workspace_id: call.caller.workspace_id().to_owned(),
                owner_agent: owner,
                recipient_hint: hint,
                created_at_ms: now,
                expires_at_ms: now + i64::from(ttl) * 1000,
                ..Invite::default()
            };
            let invite = self.put_invite(call, invite).await?;
            Ok(InviteCreated::new(&invite, status(&invite, now), &self.public_url))
        })
        .await
    }

    /// Stores an invite, or finds the one that an earlier attempt stored.
    async fn put_invite(&self, call: &Call, invite: Invite) -> Result<Invite, ApiError> {
        let home = self.records(call, "", user_home(&user_of(&invite.token)));
        let until = invite.expires_at_ms + REMEMBERED_MS;
        home.transact(INVITES, &invite.token, |known: Option<Stored<Invite>>| {
            if let Some(known) = known {
                return Ok(Plan::Done(known.row.value));
            }
            let changes = vec![change(INVITES, &invite.token, 0, &invite, Some(until))];
            Ok(Plan::Commit { changes, then: invite.clone() })
        })
        .await
    }

    /// An invite, for whoever has its token.
    ///
    /// # Errors
    /// 404 for an unknown one.
    pub(crate) async fn invite(&self, call: &Call, token: &str) -> Result<InviteBody, ApiError> {
        let invite = self.find_invite(call, token).await?;
        Ok(InviteBody::new(&invite, status(&invite, clock::now_ms()), &user_of(token)))
    }

    async fn find_invite(&self, call: &Call, token: &str) -> Result<Invite, ApiError> {
        if !is_token(token) {
            return Err(unknown());
        }
        let home = self.records(call, "", user_home(&user_of(token)));
        let invite: Option<Stored<Invite>> = home.get(INVITES, token).await?;
        Ok(invite.ok_or_else(unknown)?.row.value)
    }

    /// Makes the invited user, in the caller's workspace.
    ///
    /// # Errors
    /// 404 for an unknown token, 409 when it is used up or the nick is taken, 422 for a bad body.
    pub(crate) async fn accept_invite(
        &self,
        call: &Call,
        token: &str,
        body: &Bytes,
    ) -> Result<Value, ApiError> {
        let mut reader = Reader::new(body)?;
        let nick = Nick::read(&mut reader, true);
        let display_name = reader.string("display_name", 1, 120);
        reader.finish()?;
        let nick = nick.ok_or_else(ApiError::internal)?;
        if !is_token(token) {
            return Err(unknown());
        }
        let route = format!("POST /v1/invites/{token}/accept");
        self.once(call, &route, body, |seed| async move {
            let user_id = user_of(token);
            let details = Details { display_name, ..Details::default() };
            let acceptance = Acceptance { token: token.to_owned() };
            let taking = Taking::new(&user_id, seed, nick, details).accepting(acceptance);
            let user: User = self.take_nick(call, taking).await?;
            let invite = self.find_invite(call, token).await?;
            let accepted = InviteAccepted::new(&invite, &user);
            self.announce_acceptance(call, &invite, &accepted).await?;
            Ok(accepted)
        })
        .await
    }

    /// Tells the subscribers of who invited. The event's id follows from the invite, so a request
    /// that is repeated after it broke off here publishes nothing twice.
    async fn announce_acceptance(
        &self,
        call: &Call,
        invite: &Invite,
        accepted: &InviteAccepted,
    ) -> Result<(), ApiError> {
        let payload = serde_json::to_vec(accepted).map_err(|_| ApiError::internal())?;
        let publication = Publication {
            workspace_id: invite.workspace_id.clone(),
            owner_agent: invite.owner_agent.clone(),
            event_type: "invite.accepted".to_owned(),
            source: "gateway".to_owned(),
            payload: payload.into(),
        };
        let claim = Claim::own(&invite.workspace_id, "invite.accepted", &invite.token);
        self.publish(call, publication, Some(claim)).await.map(drop)
    }
}

/// An invite that can be accepted, or has just been.
pub(super) fn acceptable(invite: Option<&Stored<Invite>>) -> Result<&Invite, ApiError> {
    let invite = &invite.ok_or_else(unknown)?.row.value;
    let over = invite.accepted_at_ms.is_none() && invite.expires_at_ms <= clock::now_ms();
    if over {
        return Err(ApiError::new(ErrorCode::InvalidState, "the invite has expired"));
    }
    Ok(invite)
}

/// The invite as it is once accepted; committed together with the user that it makes.
pub(super) fn accepted(
    invite: Stored<Invite>,
    nick: &Nick,
    attempt: &Bytes,
    now: i64,
) -> RecordChange {
    let accepted = Invite {
        accepted_at_ms: Some(now),
        nick: nick.shown().to_owned(),
        accepted_by: attempt.clone(),
        ..invite.row.value
    };
    change(INVITES, &accepted.token, invite.row.revision, &accepted, invite.expire_at_ms)
}

pub(super) fn used_up() -> ApiError {
    ApiError::new(ErrorCode::InvalidState, "the invite was accepted already")
}

fn unknown() -> ApiError {
    ApiError::not_found("invite not found")
}

fn status(invite: &Invite, now: i64) -> &'static str {
    match invite.accepted_at_ms {
        Some(_) => "accepted",
        None if invite.expires_at_ms <= now => "expired",
        None => "pending",
    }
}

fn is_token(token: &str) -> bool {
    (12..=64).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The user that an invite will make.
fn user_of(token: &str) -> String {
    let hash = Sha256::new().chain_update(b"axp invite ").chain_update(token).finalize();
    let bytes: [u8; 16] = std::array::from_fn(|index| hash[index]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_token_makes_one_user() {
        let token = Uuid::from_u128(7).simple().to_string();
        assert!(is_token(&token));
        assert_eq!(user_of(&token), user_of(&token));
        assert_ne!(user_of(&token), user_of(&Uuid::from_u128(8).simple().to_string()));
        assert_eq!(Uuid::try_parse(&user_of(&token)).unwrap().get_version_num(), 8);
        assert!(!is_token("short") && !is_token("has/slash/inside/it"));
    }
}
