//! Invites (contract, users-invites-media-schemas.md).

use axp_proto::node::{Invite, User};
use serde::Serialize;
use utoipa::ToSchema;

use super::Registered;
use super::event::present;
use crate::clock::rfc3339;
use crate::service::user_address;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InviteCreated {
    pub(crate) ok: bool,
    pub(crate) token: String,
    pub(crate) invite_url: String,
    pub(crate) owner_agent: String,
    pub(crate) recipient_hint: Option<String>,
    /// `pending`, `accepted` or `expired`
    pub(crate) status: &'static str,
    pub(crate) created_at: String,
    pub(crate) expires_at: String,
}

impl InviteCreated {
    pub(crate) fn new(invite: &Invite, status: &'static str, public_url: &str) -> Self {
        Self {
            ok: true,
            token: invite.token.clone(),
            invite_url: format!("{public_url}/invites/{}", invite.token),
            owner_agent: invite.owner_agent.clone(),
            recipient_hint: present(&invite.recipient_hint),
            status,
            created_at: rfc3339(invite.created_at_ms),
            expires_at: rfc3339(invite.expires_at_ms),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InviteBody {
    pub(crate) ok: bool,
    pub(crate) token: String,
    pub(crate) owner_agent: String,
    pub(crate) recipient_hint: Option<String>,
    /// `pending`, `accepted` or `expired`
    pub(crate) status: &'static str,
    pub(crate) created_at: String,
    pub(crate) expires_at: String,
    pub(crate) accepted_at: Option<String>,
    pub(crate) accepted_owner_agent: Option<String>,
    pub(crate) nick: Option<String>,
    pub(crate) public_address: Option<String>,
}

impl InviteBody {
    /// `user_id`: whom the invite makes, told once it has.
    pub(crate) fn new(invite: &Invite, status: &'static str, user_id: &str) -> Self {
        let normalized = invite.nick.trim_start_matches('@').to_ascii_lowercase();
        Self {
            ok: true,
            token: invite.token.clone(),
            owner_agent: invite.owner_agent.clone(),
            recipient_hint: present(&invite.recipient_hint),
            status,
            created_at: rfc3339(invite.created_at_ms),
            expires_at: rfc3339(invite.expires_at_ms),
            accepted_at: invite.accepted_at_ms.map(rfc3339),
            accepted_owner_agent: invite.accepted_at_ms.map(|_| user_address(user_id)),
            nick: present(&invite.nick),
            public_address: invite.accepted_at_ms.map(|_| format!("{normalized}@ax")),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InviteAccepted {
    pub(crate) ok: bool,
    pub(crate) token: String,
    /// Always `accepted`.
    pub(crate) status: &'static str,
    pub(crate) invite_owner_agent: String,
    pub(crate) user_id: String,
    pub(crate) owner_agent: String,
    pub(crate) nick: String,
    pub(crate) public_address: String,
    pub(crate) display_name: Option<String>,
    pub(crate) accepted_at: String,
    /// `skipped_no_hint` without `recipient_hint`, else `disabled`: there is no registry of aliases.
    pub(crate) registry_bind_status: &'static str,
}

impl InviteAccepted {
    pub(crate) fn new(invite: &Invite, user: &User) -> Self {
        let registered = Registered::new(user);
        let skipped = invite.recipient_hint.is_empty();
        Self {
            ok: true,
            token: invite.token.clone(),
            status: "accepted",
            invite_owner_agent: invite.owner_agent.clone(),
            user_id: registered.user_id,
            owner_agent: registered.owner_agent,
            nick: registered.nick,
            public_address: registered.public_address,
            display_name: registered.display_name,
            accepted_at: rfc3339(invite.accepted_at_ms.unwrap_or(user.updated_at_ms)),
            registry_bind_status: if skipped { "skipped_no_hint" } else { "disabled" },
        }
    }
}
