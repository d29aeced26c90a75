//! Users and nicks (contract, users-invites-media-schemas.md).

use axp_proto::node::User;
use serde::Serialize;
use utoipa::ToSchema;

use super::event::present;
use crate::clock::rfc3339;
use crate::service::{Nick, user_address};

/// The public form of a stored nick.
fn nick_of(user: &User) -> (String, String, String) {
    let normalized = user.nick.trim_start_matches('@').to_ascii_lowercase();
    let public = format!("{normalized}@ax");
    (user.nick.clone(), normalized, public)
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NickCheck {
    pub(crate) ok: bool,
    pub(crate) nick: String,
    pub(crate) normalized_nick: String,
    pub(crate) public_address: String,
    pub(crate) available: bool,
}

impl NickCheck {
    pub(crate) fn new(nick: &Nick, available: bool) -> Self {
        Self {
            ok: true,
            nick: nick.shown().to_owned(),
            normalized_nick: nick.normalized(),
            public_address: nick.public_address(),
            available,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Registered {
    pub(crate) ok: bool,
    pub(crate) user_id: String,
    pub(crate) owner_agent: String,
    pub(crate) nick: String,
    pub(crate) public_address: String,
    pub(crate) display_name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) created_at: String,
}

impl Registered {
    pub(crate) fn new(user: &User) -> Self {
        let (nick, _, public_address) = nick_of(user);
        Self {
            ok: true,
            user_id: user.user_id.clone(),
            owner_agent: user_address(&user.user_id),
            nick,
            public_address,
            display_name: present(&user.display_name),
            phone: present(&user.phone),
            email: present(&user.email),
            created_at: rfc3339(user.created_at_ms),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Renamed {
    pub(crate) ok: bool,
    pub(crate) user_id: String,
    pub(crate) owner_agent: String,
    pub(crate) nick: String,
    pub(crate) public_address: String,
    pub(crate) display_name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) renamed_at: String,
}

impl Renamed {
    pub(crate) fn new(user: &User) -> Self {
        let (nick, _, public_address) = nick_of(user);
        Self {
            ok: true,
            user_id: user.user_id.clone(),
            owner_agent: user_address(&user.user_id),
            nick,
            public_address,
            display_name: present(&user.display_name),
            phone: present(&user.phone),
            email: present(&user.email),
            renamed_at: rfc3339(user.updated_at_ms),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Profile {
    pub(crate) ok: bool,
    pub(crate) user_id: String,
    pub(crate) owner_agent: String,
    pub(crate) nick: String,
    pub(crate) normalized_nick: String,
    pub(crate) public_address: String,
    pub(crate) display_name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) updated_at: String,
}

impl Profile {
    pub(crate) fn new(user: &User) -> Self {
        let (nick, normalized_nick, public_address) = nick_of(user);
        Self {
            ok: true,
            user_id: user.user_id.clone(),
            owner_agent: user_address(&user.user_id),
            nick,
            normalized_nick,
            public_address,
            display_name: present(&user.display_name),
            phone: present(&user.phone),
            email: present(&user.email),
            updated_at: rfc3339(user.updated_at_ms),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NickResolved {
    pub(crate) ok: bool,
    pub(crate) resolved: bool,
    pub(crate) nick: String,
    pub(crate) normalized_nick: String,
    pub(crate) public_address: String,
    pub(crate) owner_agent: Option<String>,
    pub(crate) display_name: Option<String>,
    /// Told within the user's organization only.
    pub(crate) phone: Option<String>,
    pub(crate) email: Option<String>,
}

impl NickResolved {
    /// `inside`: the caller belongs to the user's organization.
    pub(crate) fn new(nick: &Nick, user: Option<&User>, inside: bool) -> Self {
        let within = |field: fn(&User) -> &str| {
            user.filter(|_| inside).and_then(|user| present(field(user)))
        };
        Self {
            ok: true,
            resolved: user.is_some(),
            nick: user.map_or_else(|| nick.shown().to_owned(), |user| user.nick.clone()),
            normalized_nick: nick.normalized(),
            public_address: nick.public_address(),
            owner_agent: user.map(|user| user_address(&user.user_id)),
            display_name: user.and_then(|user| present(&user.display_name)),
            phone: within(|user| &user.phone),
            email: within(|user| &user.email),
        }
    }
}
