//! The bodies of the HTTP API as types: what is sent and what the OpenAPI document describes are
//! the same thing. JSON that nodes keep as bytes is passed through and not built again.

mod access;
mod account;
mod controls;
mod event;
mod inbox;
mod intent;
mod invite;
mod list;
mod media;
mod push;
mod raw;
mod scenario;
mod schema;
mod task;
mod user;

use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::access::*;
pub(crate) use self::account::*;
pub(crate) use self::controls::{ControlsBody, controls_of, policy_of};
use self::controls::{controls_json, policy_json};
pub(crate) use self::event::*;
pub(crate) use self::inbox::*;
pub(crate) use self::intent::*;
pub(crate) use self::invite::*;
pub(crate) use self::list::*;
pub(crate) use self::media::*;
pub(crate) use self::push::*;
pub(crate) use self::raw::RawJson;
pub(crate) use self::scenario::*;
pub(crate) use self::schema::*;
pub(crate) use self::task::*;
pub(crate) use self::user::*;

/// A refusal, in the three dialects that official clients read at once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// Always false.
    pub(crate) ok: bool,
    pub(crate) error: ErrorObject,
    /// The message once more, for clients that read nothing else.
    pub(crate) detail: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorObject {
    /// A stable code, e.g. `validation_error`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// With `validation_error`: `errors`, a list of `{loc, msg, type}`.
    #[schema(value_type = Object)]
    pub(crate) details: serde_json::Value,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthBody {
    pub(crate) ok: bool,
    pub(crate) service: &'static str,
    pub(crate) deployment_profile: String,
    pub(crate) storage: &'static str,
    /// Human users; there are none before sign-in exists.
    pub(crate) registered_users: u64,
    pub(crate) version: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CapabilitiesBody {
    pub(crate) ok: bool,
    pub(crate) capabilities: &'static [&'static str],
    /// Informative: other types are taken as well.
    pub(crate) supported_intent_types: &'static [&'static str],
}
